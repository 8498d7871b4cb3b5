"""Times a model: whole steps, its matrix products alone, and every kernel call. Model → `Report`. `gradc bench`.

Steps are timed as their callers make them, by all threads and by one. What the products alone take, and what each
kernel takes, is read off copies of the module with clocks in compiled code (`instrument.py`), which run in one thread:
there a step is one piece, and every call has its own time.
"""

import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from gradc.bench_data import Asked, Load, loads
from gradc.bench_report import Memory, Report, Site, Steps, entry_of
from gradc.emit.driver import CallSite
from gradc.emit.module import emit_with_sites
from gradc.errors import fail
from gradc.graph.tensors import Kind
from gradc.instrument import PRODUCTS, Clocked, clocked
from gradc.language import core
from gradc.runtime.interface import Array, ArraySpec, Emitted, Flat, State, array_specs, input_specs
from gradc.runtime.model import Model
from gradc.runtime.threads import THREADS, threads_of_steps
from gradc.schedule.program import Program
from gradc.stages import graphs, module_spec

BLOCK_SECONDS = 0.005
MOST_STEPS = 50
"""In a block, which starts from the first parameters: later no moment has faded to denormals, which take long."""
LEAST_BLOCKS = 5

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Work:
    """A module at work: one call, and what puts parameters and state back to where they started."""

    call: Call
    restart: Call
    params: Flat
    state: State | None


def bench(model: Model, text: str, file: str, asked: Asked) -> Report:
    """Times a model.

    Args:
        model: it, compiled.
        text: it, as written in `file`.

    Raises:
        GradcError: it has nothing to be timed, or what is asked does not fit it.
        ValueError, FloatingPointError: the module refuses its data.
    """
    stages = graphs(text, file=file)
    if asked.predict and stages.predict is None:
        raise fail("no-predictions", f"{file} predicts nothing", "leave --predict out to time training steps")
    module = model.module
    spec = module_spec(stages, text, module.DTYPE)
    source, sites = emit_with_sites(spec)
    threads = threads_of_steps()
    load = _running(model, stages.model, asked)
    work = at_work(module, load.arrays, asked.predict)
    steps = [Steps(threads, *timed(work, asked.seconds))] if threads > 1 else []
    with one_thread():
        steps.append(Steps(1, *timed(work, asked.seconds)))
        wanted = (False, True) if asked.profile else (False,)
        copies = (clocked(source, sites, module.__file__, kernels=kernels) for kernels in wanted)
        products, *profile = (profiled(copy, load.arrays, asked) for copy in copies)
    program = spec.predict if asked.predict else spec.gradient
    assert program is not None, "what was timed has a program"
    dims = sizes_of(load.arrays, input_specs(module) if asked.predict else array_specs(module))
    return Report(
        name=module.NAME,
        dtype=module.DTYPE,
        what="a prediction" if asked.predict else "a training step",
        source=load.source,
        dims=dims,
        steps=tuple(steps),
        products=sum(site.least for site in products),
        multiply_adds=sum(site.multiply_adds for site in products),
        kernels=kernels_of(sites),
        memory=memory_of(work, program, dims, np.dtype(module.DTYPE).itemsize),
        sites=profile[0] if profile else (),
        lines=tuple(text.splitlines()),
        file=stages.model.file,
    )


def _running(model: Model, declared: core.Model, asked: Asked) -> Load:
    """The first of the data on which the model's loss is finite."""
    broken: FloatingPointError | None = None
    for load in loads(model, declared, asked, targets=not asked.predict):
        try:
            at_work(model.module, load.arrays, asked.predict).call()
        except FloatingPointError as error:
            broken = error
            continue
        return load
    assert broken is not None, "there is at least one batch"
    broken.add_note("give data on which it is finite: --data FILE")
    raise broken


def at_work(module: Emitted, arrays: Mapping[str, Array], predicts: bool) -> Work:
    """The call to be timed, with parameters and state of its own."""
    params, given = module.init(), tuple(arrays.values())
    if predicts:
        return Work(lambda: module.predict(params, *given), lambda: None, params, None)
    state = module.init_state(params)
    first = params.flat.copy(), state.flat.copy()

    def restart() -> None:
        params.flat[...], state.flat[...] = first
        state.step = 0

    return Work(lambda: module.train_step(params, state, *given), restart, params, state)


# ---------------------------------------------------------------- time


def timed(work: Work, seconds: float) -> tuple[float, float]:
    """Seconds a call: the median of blocks of calls, and the quickest block."""
    blocks = [spent / count for count, spent in blocks_of(work, seconds)]
    return float(np.median(blocks)), min(blocks)


def blocks_of(work: Work, seconds: float) -> Iterator[tuple[int, float]]:
    """Blocks of calls until the time is up: how many calls, and the seconds that they took together."""
    work.restart()
    work.call()  # compiles
    count = max(1, min(MOST_STEPS, int(BLOCK_SECONDS / max(_seconds(work.call, 1), 1e-9))))
    end, done = time.perf_counter() + seconds, 0
    while done < LEAST_BLOCKS or time.perf_counter() < end:
        work.restart()
        work.call()  # what was put back is in the cache again
        yield count, _seconds(work.call, count)
        done += 1


def _seconds(call: Call, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - start


def profiled(copy: Clocked, arrays: Mapping[str, Array], asked: Asked) -> tuple[Site, ...]:
    """Every call site that ran: of blocks of calls the median and the least, less what the clock itself takes."""
    work = at_work(copy.module, arrays, asked.predict)
    blocks: list[npt.NDArray[np.float64]] = []

    def restart() -> None:
        work.restart()
        copy.clocks[...] = 0

    for count, _ in blocks_of(replace(work, restart=restart), asked.seconds):
        blocks.append(copy.clocks[1:] / (count + 1))
    times, calls, adds = np.array(blocks).transpose(2, 0, 1)
    times = np.maximum(0.0, times - calls * copy.cost) * 1e-9
    return tuple(
        Site(site.function, caller, site.step.equations, float(np.median(spent)), float(spent.min()), round(n), int(a))
        for (caller, site), spent, n, a in zip(copy.sites, times.T, calls[0], adds[0], strict=True)
        if n
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Steps are not cut meanwhile, and BLAS has one thread."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        with threadpool_limits(1):
            yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before


# ---------------------------------------------------------------- what it takes besides


def kernels_of(sites: Mapping[str, Sequence[CallSite]]) -> dict[str, tuple[int, int]]:
    """For each entry how many kernels it is made of, and how many products it calls."""
    names: dict[str, set[str]] = {}
    products: dict[str, int] = {}
    for function, found in sites.items():
        entry = entry_of(function)
        called = [site.function for site in found]
        names.setdefault(entry, set()).update(name for name in called if name not in PRODUCTS)
        products[entry] = products.get(entry, 0) + sum(map(called.count, PRODUCTS))
    return {entry: (len(names[entry]), products[entry]) for entry in names}


def memory_of(work: Work, program: Program, dims: Mapping[str, int], itemsize: int) -> Memory:
    """Bytes of what a call holds: of a training step's state all arrays, of a prediction its work space."""
    sizes = {Kind.REAL: itemsize, Kind.WHOLE: 8, Kind.BOOL: 1}
    own = sum(sizes[space.kind] * length.value(dims) for space, length in program.work.items())
    if work.state is None:
        return Memory(work.params.flat.nbytes, 0, 0, own, peak())
    parts, seen = Counter[str](), {id(work.params.flat)}
    for name, value in vars(work.state).items():
        for array in arrays_in(value):
            parts[name] += 0 if id(array) in seen else array.nbytes  # workers have some in common
            seen.add(id(array))
    moments, gradients = parts.pop("flat"), parts.pop("d_params", 0) + parts.pop("shares", 0)
    return Memory(work.params.flat.nbytes, gradients, moments, parts.total(), peak())


def arrays_in(value: object) -> Iterator[Array]:
    """An array, or all arrays in lists."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        yield from (array for part in value for array in arrays_in(part))


def sizes_of(arrays: Mapping[str, Array], specs: Sequence[ArraySpec]) -> dict[str, int]:
    """The free dims as these arrays have them."""
    axes = ((axis, size) for spec in specs for axis, size in zip(spec.axes, arrays[spec.name].shape, strict=True))
    return {axis: size for axis, size in axes if isinstance(axis, str) and axis.isidentifier()}


def peak() -> int | None:
    """The most bytes of memory that this process has had; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    resource = importlib.import_module("resource")
    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else most * 1024
