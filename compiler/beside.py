"""What to say where there is no such file: which of those beside it may have been meant."""

from pathlib import Path

from gradc.nearest import nearest

SHOWN_NAMES = 8


def similar(path: Path, suffixes: tuple[str, ...]) -> str:
    """Why there is no such file, the one whose name is like its, or those of its kind that are there."""
    if path.is_symlink():
        return "it is a link that leads nowhere"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent} either"
    try:
        names = sorted(child.name for child in path.parent.iterdir() if child.suffix.lower() in suffixes)
    except OSError:
        return f"the folder {path.parent.absolute()} cannot be looked into"
    stems = {Path(name).stem: name for name in names}  # what all names end in makes them no more alike
    close = stems.get(path.stem) or stems.get(nearest(path.stem, stems) or "")
    if close:
        return f"did you mean {path.parent / close}?"
    shown = ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")
    return f"there are {shown}" if names else f"there is no {' or '.join(suffixes)} file in {path.parent.absolute()}"
