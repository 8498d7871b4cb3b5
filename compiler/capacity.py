"""Tensors larger than any memory: programs -> an error that names each, with the bytes that it takes.

Sizes that are all known are checked where a tensor is declared. Of what has a free axis only the schedule knows whether
it is stored: a tensor that one nest makes and reads takes nothing. A free dim counts as 1.
"""

from collections.abc import Iterable, Mapping

from gradc.errors import Diagnostic, GradcError, Span
from gradc.language.world import too_large
from gradc.schedule.program import Program, Storage

SHOWN = 8


def check_capacity(programs: Iterable[Program], sources: Mapping[str, str]) -> None:
    """Refuses programs that store more than any memory holds.

    Raises:
        GradcError: one error for each line whose tensor does not fit.
    """
    found: dict[Span, Diagnostic] = {}
    for program in programs:
        for buffer in program.buffers.values():
            message = None if buffer.storage is Storage.LOCAL else too_large(buffer.tensor, buffer.extents)
            if message is not None:
                span = program.graph.writers[buffer.tensor][0].origin.span
                help = "make one of its axes shorter; what one loop makes and reads, place by place, is not stored"
                found.setdefault(span, Diagnostic("too-many-bytes", message, span, help=help))
    if found:
        raise GradcError([found[span] for span in sorted(found)][:SHOWN], sources)
