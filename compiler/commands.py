"""What each command of `gradc` does, once `cli.py` has read the command line.

Paths and options -> text on stdout, files, and `GradcError` for what the user can mend. It parses no arguments.
"""

import contextlib
import keyword
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradc import console
from gradc.errors import Diagnostic, GradcWarning, fail, render, unwritable
from gradc.runtime import checkpoint, data, files, retreat, training, weights
from gradc.runtime.build import pipeline
from gradc.runtime.interface import Array
from gradc.runtime.model import Model, compile
from gradc.runtime.progress import Lines, described
from gradc.runtime.session import Settings
from gradc.runtime.training import History, Progress
from gradc.source import read_model

DTYPE = "float32"
"""What real numbers are where nothing is said."""
EMITTED = "Emitted by gradc"
INTERRUPTED = 130
MODULE = ".py"
NEEDED = ("numpy", "numba", "threadpoolctl")
"""What an emitted module imports, beside Python's own modules."""
NOT_SAVED = "weights not saved (--out FILE saves them)"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options of `gradc train`; None where one is not given."""

    epochs: int | None
    batch: int | None
    lr: float | None
    validation: float | None
    seed: int | None
    dtype: str
    data: Path | None
    out: Path | None
    resume: Path | None
    load: Path | None = None
    only: tuple[str, ...] = ()
    missing: str | None = None
    ignore: tuple[str, ...] = ()
    table: Path | None = None


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """The options of `gradc predict`."""

    weights: Path
    data: Path
    out: Path | None
    dtype: str
    seed: int
    ignore: tuple[str, ...]
    table: Path | None


# ------------------------------------------------------------------ compile, new


def compile_model(path: Path, out: Path, dtype: str) -> None:
    """Writes the emitted module: into a folder, under the model's name, or to the .py file that is named."""
    named = out.suffix == MODULE and not out.is_dir()
    if out.suffix and not named and not out.is_dir():
        help = f"-o names a folder or a {MODULE} file; to make a folder of this name: mkdir {out}"
        raise fail("not-a-folder", f"there is no folder {out}", help)
    model = compile(path, dtype)
    own = model.module.NAME if model.module.NAME.isidentifier() else path.stem
    folder, name = (out.parent, out.stem) if named else (out, own)
    if (named and not name.isidentifier()) or keyword.iskeyword(name) or name in (*sys.stdlib_module_names, *NEEDED):
        message = f"a module called {name} would hide Python's own, or could not be imported"
        raise fail("bad-name", message, f"give the model another name: model my_{own}, or the file: -o my_{own}.py")
    target = folder / f"{name}{MODULE}"
    try:
        if target.exists() and EMITTED not in target.read_text(encoding="utf-8", errors="replace"):
            message = f"{target} is there already, and gradc did not write it"
            raise fail("file-exists", message, "choose another folder with -o, or move it away")
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(model.source, encoding="utf-8")
    except OSError as error:
        raise unwritable(target, error) from error
    console.say(f"{target}: {model!r}")


def new_model(name: str, text: str) -> None:
    """Writes a first model file."""
    path = Path(f"{name.removesuffix('.grad')}.grad")
    if not path.stem.isidentifier():
        raise fail("bad-name", f"{path.stem!r} is no name", "letters, digits and _ make one, a digit not first")
    text = text.replace("NAME", path.stem)
    pipeline().emit(text, file=str(path), dtype="float32", lr=None)  # a word of the language is no name
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise fail("file-exists", f"{path} is there already", "choose another name, or move it away") from error
    except OSError as error:
        raise unwritable(path, error) from error
    console.say(f"{path} is written; next: gradc inspect {path}, then gradc train {path} --data FILE")


# ------------------------------------------------------------------ train


def train(path: Path, options: TrainOptions) -> int:
    """Trains, shows how it goes, saves. Returns the exit code."""
    model = compile(path, options.dtype, lr=options.lr, seed=options.seed)
    if options.out:
        checkpoint.check_writable(options.out)
    if options.resume:
        model = _resumed(model, path, options)
    if options.load:
        _load(model, options)
    arrays = _training_data(model, path, options.data)
    settings = _settings(model, options)
    total = model.epochs() if options.epochs is None else options.epochs
    left = total - model.session.position.epoch
    if options.resume and left <= 0:
        done = f"{options.resume} has {model.session.position.epoch} epochs behind it"
        raise fail("nothing-to-do", f"{done}, and {total} are wanted", "give --epochs, counted from the start")
    if options.resume:
        _warn_of_departures(model, options.resume, arrays, settings)
    examples = len(next(iter(arrays.values()))) if model.module.BATCH else 1
    console.say(f"{model!r}; {examples:,} examples")
    with told_by_module(model):
        with _saved_before_it_broke(model, options.out):
            history = training.fit(model.session, tuple(arrays.values()), settings, left, _progress())
        target = options.out or (_unused(model.module.NAME) if history.interrupted else None)
        if target:
            checkpoint.save(target, model.session)  # before all else: what is trained is not lost any more
        result = _result(model, history, arrays)
    rate = f"; {history.rate:,.0f} steps/s" if history.rate else ""
    console.say(f"{result}{rate}; {f'weights saved to {target}' if target else NOT_SAVED}")
    if not history.interrupted:
        return 0
    console.say(f"to go on: {_to_go_on(path, options, target)}")
    return INTERRUPTED


def _resumed(model: Model, path: Path, options: TrainOptions) -> Model:
    """The model as the file has it. A learning rate that was given then holds on, unless another is given now."""
    assert options.resume is not None
    before = checkpoint.resume(options.resume, model.session)
    if options.lr is None and before is not None:
        model = compile(path, options.dtype, lr=before)
        checkpoint.resume(options.resume, model.session)
    elif options.lr != before:
        console.say(
            f"from here on lr {options.lr:g}; before: {'that of the model' if before is None else f'{before:g}'}"
        )
    return model


def _warn_of_departures(model: Model, file: Path, arrays: Mapping[str, Array], settings: Settings) -> None:
    """Other data or batches may be meant; that they are other ones has to be seen."""
    found, mixed = training.departures(model.session, tuple(arrays.values()), settings)
    if found:
        message = f"{file} was trained otherwise, so this is not the training that was stopped: {'; '.join(found)}"
        held_back = "what is held back now may have been trained on before; " if mixed else ""
        help = f"{held_back}to start anew from these weights: --load {file}"
        warnings.warn(render(Diagnostic("", message, help=help, severity="warning"), {}), GradcWarning, stacklevel=2)


def _load(model: Model, options: TrainOptions) -> None:
    """Weights to start from; says what came from where."""
    assert options.load is not None
    wanted = weights.choice(options.only or None, options.missing or "error", options.ignore, options.table)
    found = checkpoint.load(options.load, model.session, wanted)
    others = [name for name in model.module.PARAMS if name not in found]
    rest = f"; first values: {', '.join(others)}" if others else ""
    console.say(f"from {options.load}: {', '.join(found) or 'nothing'}{rest}")


def _training_data(model: Model, path: Path, chosen: Path | None) -> dict[str, Array]:
    """The arrays of the file named on the command line, or in the model."""
    file = chosen or model.data_path()
    if file is None:
        hint = f'give --data FILE, or write a line in the model: data "{path.stem}.npz"'
        raise fail("no-data", f"{path} names no data to train on", hint)
    return model.read(file)


def _settings(model: Model, options: TrainOptions) -> Settings:
    """From the command line; else, of a run that is taken up again, its own; else from the model."""
    said = model.session.settings if options.resume else model.settings()
    return Settings(
        said.batch if options.batch is None else options.batch,
        said.validation if options.validation is None else options.validation,
        said.seed if options.seed is None else options.seed,
    )


def _progress() -> Progress:
    if not console.is_terminal(sys.stdout):
        return Lines(console.say)
    bar: Progress = console.progress_bar()
    return bar


def _result(model: Model, history: History, arrays: Mapping[str, Array]) -> str:
    """What the last line says about the weights: on the examples held back, or else on all."""
    if history.interrupted:
        position = model.session.position
        return f"interrupted after step {position.step} of epoch {position.epoch + 1}"
    if history.validation:
        return f"validation: {described(history.validation[-1])}"
    return f"on all examples: {described(training.evaluate(model.session, tuple(arrays.values())))}"


def _to_go_on(path: Path, options: TrainOptions, target: Path | None) -> str:
    """The command that goes on from a file: with what was given and is not in it. Batch, seed and rate are."""
    words = ["gradc", "train", str(path), "--resume", str(target)]
    for name in ("epochs", "data", "out"):
        given = getattr(options, name)
        words += [] if given is None else [f"--{name}", str(given)]
    if options.dtype != DTYPE:
        words += ["--dtype", options.dtype]
    return shlex.join(words)


def _unused(name: str) -> Path:
    """A file to save to that nobody named, in this folder. It takes the place of none."""
    path, count = Path(f"{name}.safetensors"), 1
    while path.exists():
        count += 1
        path = Path(f"{name}_{count}.safetensors")
    return path


@contextlib.contextmanager
def _saved_before_it_broke(model: Model, out: Path | None) -> Iterator[None]:
    """Where a loss is not finite, `fit` goes back to the end of an epoch; what was reached there is saved."""
    begun = model.session.state.step
    try:
        yield
    except FloatingPointError as error:
        if out and model.session.state.step > begun:
            checkpoint.save(out, model.session)
            error.add_note(f"what was reached then is saved to {out}")
        error.add_note("a smaller learning rate (--lr) may help, or `clip_norm = 1.0` at the end of the optimize line")
        raise


@contextlib.contextmanager
def told_by_module(model: Model) -> Iterator[None]:
    """What the emitted module itself raises is about the data, and is told as such, and so are weights that have become
    NaN. Any other exception is our bug."""
    try:
        yield
    except (ValueError, TypeError, FloatingPointError) as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        told = (model.module.__file__, retreat.__file__)
        if trace is None or trace.tb_frame.f_code.co_filename not in told:
            raise
        help = "\n".join(getattr(error, "__notes__", ())) or "give it what its input and target lines declare"
        raise fail("refused-by-model", str(error), help) from error


# ------------------------------------------------------------------ predict


def predict(path: Path, options: PredictOptions) -> None:
    """Predictions for a data file: into an .npz, or as lines of comma-separated values on stdout."""
    if options.out and options.out.resolve() == options.data.resolve():
        raise fail("overwrites", f"{options.out} holds the data", "--out names another file")
    model = compile(path, options.dtype)
    checkpoint.load(options.weights, model.session, weights.choice(None, "error", options.ignore, options.table))
    arrays = model.read(options.data, targets=False)
    with told_by_module(model):
        result = model.predict(*arrays.values(), seed=options.seed)
    predictions = result if isinstance(result, dict) else {model.module.PREDICTIONS[0]: np.asarray(result)}
    if options.out:
        files.write_npz(options.out, predictions)
        shapes = ", ".join(f"{name} {data.shown(array)}" for name, array in predictions.items())
        console.say(f"{options.out}: {shapes}")
        return
    for line in _table(predictions):
        console.say(line)


def _table(predictions: Mapping[str, Array]) -> Iterator[str]:
    """A line of names, then one for each example; the names are those that `gradc train` reads from a .csv."""
    lengths = {np.shape(array)[:1] for array in predictions.values()}
    if len(lengths) != 1 or lengths == {()}:
        raise fail("not-a-table", "the predictions are not all one row for each example", "give --out FILE.npz")
    columns: dict[str, Array] = {}
    for name, array in predictions.items():
        flat = array.reshape(len(array), -1)
        columns |= {name: array} if array.ndim == 1 else {f"{name}_{k}": flat[:, k] for k in range(flat.shape[1])}
    yield ",".join(columns)
    for row in zip(*columns.values(), strict=True):
        yield ",".join(map(_field, row))


def _field(value: Any) -> str:
    """A number in the fewest digits that give it back."""
    return repr(value.item()) if value.dtype.kind != "f" else np.format_float_positional(value, trim="-")


# ------------------------------------------------------------------ looking at a model


def check(path: Path) -> int:
    """Compares every gradient with central differences. Exit code 1 where one differs."""
    report = pipeline().check(read_model(path), file=str(path))
    console.say(str(report))
    return 0 if report.passed else 1


def bench(path: Path, dtype: str, options: Mapping[str, Any]) -> None:
    """Times a model, and shows where the time goes. The options are those of `bench_data.Asked`."""
    model = compile(path, dtype)
    with told_by_module(model):
        report = pipeline().bench(model, read_model(path), str(path), pipeline().Asked(**options))
    console.say(report.head)
    for table in report.tables:
        console.show_table(table)


def inspect(path: Path, stage: str, of: str | None, dtype: str) -> None:
    """Shows a model at some stage on its way to Python."""
    text = pipeline().inspect(read_model(path), file=str(path), stage=stage, of=of, dtype=dtype)
    console.show_code(text, "python" if stage == "python" else "text")


def derive(path: Path, of: str, *, latex: bool) -> None:
    """Shows how the gradient of one parameter is derived."""
    derivation = pipeline().derive(read_model(path), file=str(path), of=of, latex=latex)
    console.show_code(str(derivation), "latex" if latex else "text")


def graph(path: Path, *, dot: bool) -> None:
    """Shows what needs what in a model."""
    console.say(pipeline().picture(read_model(path), file=str(path), dot=dot).rstrip("\n"))
