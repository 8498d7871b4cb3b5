"""All rows, in the order of the table."""

from . import burgers, cnn, mlp, recurrent, resnet, transformer, vae
from .row import Row

ROWS: tuple[Row, ...] = (
    *mlp.ROWS,
    *cnn.ROWS,
    *resnet.ROWS,
    *recurrent.ROWS,
    *transformer.ROWS,
    *burgers.ROWS,
    *vae.ROWS,
)


def named(name: str) -> Row:
    """The row of a name.

    Raises:
        KeyError: there is none.
    """
    return {row.name: row for row in ROWS}[name]
