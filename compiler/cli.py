"""The command line: options and their help. What commands do is in `commands.py`, imported when one runs.

Exit codes: 0 done; 1 the model or the data is wrong, told on stderr; 2 the command line is wrong; 130 interrupted.
"""

import errno
import functools
import importlib
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TextIO

import click

from gradc import console
from gradc.errors import GradcError, GradcWarning

WRONG = 1
INTERRUPTED = 130
MISSING = ("error", "init")
MODEL = ".grad"
DATA = (".npz", ".csv", ".tsv")
STAGES = ("syntax", "graph", "gradient", "simplified", "program", "python")

FIRST_MODEL = """\
# NAME.grad: a small network that tells classes apart. Change it; then
#   gradc inspect NAME.grad                        shows the Python it becomes
#   gradc train NAME.grad --data FILE              trains it
model NAME

dim batch                                    # no size: whatever is passed, one example or a million
dim features = 4, classes = 3

input  x[batch, features]                    # in the data: an array x, or columns x_0 .. x_3
target y[batch] : int(classes)               # whole numbers 0, 1, 2

h      = relu(dense(x, 16))                  # makes the parameters h.weight and h.bias
logits = dense(h, classes)

predict p = softmax(logits)
loss    mean(cross_entropy(logits, y))
metric  accuracy = mean(argmax(logits) == y)

optimize adam(lr = 1e-2)
fit      epochs = 50, batch = 32, validation = 0.2
# data   "NAME.npz"                          # the data to train on, beside this file; then --data is not needed
"""


class _Program(click.Group):
    """Tells errors of the user as diagnostics, wherever in a command they come up."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _warnings_told():
                return super().invoke(ctx)
        except GradcError as error:
            console.tell(str(error))
            ctx.exit(WRONG)
        except MemoryError as error:
            console.tell(f"error: there is not enough memory: {error or 'of the model or its data'}")
            console.tell("     = make the batch smaller (--batch), or the sizes of the model")
            ctx.exit(WRONG)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # no path but the user's can be
                raise
            console.tell(f"error: {error.filename} is too long a path")
            ctx.exit(WRONG)
        except KeyboardInterrupt:
            console.tell("interrupted")
            ctx.exit(INTERRUPTED)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0].endswith(MODEL) and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"{args[0]} is no command: write gradc train {args[0]}, or another command before it.")
        return super().resolve_command(ctx, args)


class _OnData(click.Command):
    """A command that is given data by an option, and may be given it without."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        before = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            files = [arg for arg in before if arg.endswith(DATA)]
            if "extra argument" in error.message and files:
                ctx.fail(f"{error.message}: data is given by an option, --data {files[0]}")
            raise


class _Number(click.ParamType):  # type: ignore[type-arg]  # not generic in older versions of click
    """A number of the command line; `wanted` is what is said of a text that is none."""

    def __init__(self, kind: Any, wanted: str) -> None:
        self.kind = kind
        self.name = wanted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or an error that says what is wanted."""
        try:
            return self.kind.convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not {self.name}.", param, ctx)


COUNT = _Number(click.IntRange(min=1), "a whole number of at least 1")
SEED = _Number(click.IntRange(min=0), "a whole number of at least 0")
RATE = _Number(click.FloatRange(min=0.0), "a number of at least 0, such as 0.001 or 1e-3")
SECONDS = _Number(click.FloatRange(min=0.0, max=3600.0), "a number of seconds from 0 to 3600")
FRACTION = _Number(click.FloatRange(0.0, 1.0, max_open=True), "a fraction from 0 to below 1, such as 0.2")


class _Size(click.ParamType):  # type: ignore[type-arg]  # not generic in older versions of click
    """NAME=N."""

    name = "NAME=N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name and the number."""
        name, sign, size = str(value).partition("=")
        if not sign or not name.strip():
            self.fail(f"{value!r} is not a dim and its size, such as time=64.", param, ctx)
        return name.strip(), COUNT.convert(size, param, ctx)


SIZE = _Size()


@contextmanager
def _warnings_told() -> Iterator[None]:
    """gradc's own warnings as diagnostics, without the line of Python that gave them; all others as ever."""
    usual = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, GradcWarning):
            usual(message, category, filename, lineno, file, line)
            return
        text = str(message)
        console.tell(text if "warning: " in text.split("\n", 1)[0] else f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", GradcWarning)
        warnings.showwarning = show
        yield


def _commands() -> ModuleType:
    """What the commands do. Imported late, so that --help answers at once."""
    return importlib.import_module("gradc.commands")


def _model_argument(function: Any) -> Any:
    return click.argument("model", type=click.Path(path_type=Path))(function)


def _dtype_option(function: Any) -> Any:
    choice = click.Choice(["float32", "float64"])
    return click.option("--dtype", type=choice, default="float32", show_default=True, help="Of all real numbers.")(
        function
    )


FILE = click.Path(path_type=Path)
TABLE = click.option(
    "--table", type=FILE, metavar="FILE.toml", help="Where a file of PyTorch's has each parameter: docs/weights.md."
)
IGNORE = click.option(
    "--ignore", metavar="PATTERN", multiple=True, help="Tensors in the file of weights that may be left over."
)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gradc", prog_name="gradc")
def program() -> None:
    """Compile a model, written as equations, to one Python file that trains it and that you can read.

    \b
    gradc new flowers                        write a small model file to start from
    gradc train digits.grad                  train on the data that the model names
    gradc inspect digits.grad                read the Python it becomes
    gradc derive digits.grad --of h.weight   read how one gradient comes about
    gradc compile digits.grad -o .           write digits.py, which needs NumPy and Numba only
    gradc bench digits.grad --profile        see how long a step takes, and where the time goes

    Exit codes: 0 done, 1 the model or the data is wrong, 2 the command line is wrong, 130 interrupted.
    Compiled models are kept in the user's cache folder, or in the one that GRADC_CACHE names.
    """


@program.command("compile", short_help="Write the Python module that a model becomes.")
@_model_argument
@click.option("-o", "--out", type=FILE, default=".", help="Folder, or .py file, to write to.  [default: this folder]")
@_dtype_option
def compile_command(model: Path, out: Path, dtype: str) -> None:
    """Write the Python module that MODEL becomes: into a folder, under the model's name, or to a .py file.

    \b
    gradc compile digits.grad -o generated
    python -c "import digits; params = digits.init(seed=0)"
    """
    _commands().compile_model(model, out, dtype)


@program.command(cls=_OnData, short_help="Train a model.")
@_model_argument
@click.option("--data", type=FILE, metavar="FILE", help="An .npz or .csv to train on, instead of the model's own.")
@click.option("--epochs", type=COUNT, metavar="N", help="Passes over the data, in all.")
@click.option("--batch", type=COUNT, metavar="N", help="Examples in a step.")
@click.option("--lr", type=RATE, metavar="X", help="Learning rate, instead of the optimizer's.")
@click.option("--validation", type=FRACTION, metavar="X", help="Fraction of the data held back.")
@click.option("--seed", type=SEED, metavar="N", help="Of first weights, split and order of examples.")
@click.option("--out", type=FILE, metavar="FILE", help="Save the weights here (.safetensors) at the end.")
@click.option("--resume", type=FILE, metavar="FILE", help="Go on from a saved file, as if training had never stopped.")
@click.option("--load", type=FILE, metavar="FILE", help="Start from the weights in a file, of this or another model.")
@click.option("--only", metavar="PATTERN", multiple=True, help="Load only parameters that fit, as 'backbone.*'.")
@click.option("--missing", type=click.Choice(MISSING), help="Whether a parameter the file lacks may be as it is drawn.")
@IGNORE
@TABLE
@_dtype_option
def train(model: Path, **options: Any) -> None:
    """Train MODEL, and show loss and metrics as it goes.

    What is not given here is taken from the model's `fit`, `data` and `optimize` lines; without those it is 10 epochs,
    batches of 32, nothing held back, seed 0.

    \b
    gradc train digits.grad
    gradc train digits.grad --epochs 100 --lr 3e-4 --out digits.safetensors
    gradc train digits.grad --resume digits.safetensors --epochs 200
    gradc train digits.grad --data other.csv --validation 0.1
    gradc train head.grad --load digits.safetensors --only 'backbone.*'

    An .npz has an array for each input and target, under its name. A .csv starts with a line of names: y[batch] is
    the column y; x[batch, 3] the columns x_0, x_1, x_2 (or counted from 1, or without _), or all columns that belong
    to nothing else.

    Weights are saved only with --out. Ctrl-C ends training after the call it is in, of one step or as many as take
    about 50 ms, and saves in any case: to --out, or to a new file NAME.safetensors in this folder. A second Ctrl-C
    ends at once.
    """
    if options["resume"] and options["seed"] is not None:
        raise click.UsageError("--seed cannot be changed with --resume: the file has the seed it was trained with")
    if options["load"] and options["resume"]:
        raise click.UsageError("--resume goes on with all that a file has; --load starts anew with its weights")
    for name in ("only", "missing", "ignore", "table"):
        if options[name] and not options["load"]:
            raise click.UsageError(f"--{name} says what is taken from a file of weights: give --load FILE too")
    commands = _commands()
    sys.exit(commands.train(model, commands.TrainOptions(**options)))


@program.command(cls=_OnData, short_help="Predict with trained weights.")
@_model_argument
@click.option("--weights", type=FILE, metavar="FILE", required=True, help="What `gradc train --out` saved.")
@click.option("--data", type=FILE, metavar="FILE", required=True, help="An .npz or .csv with the inputs.")
@click.option("--out", type=FILE, metavar="FILE.npz", help="Write arrays here, instead of lines on the screen.")
@click.option("--seed", type=SEED, default=0, metavar="N", show_default=True, help="Of random numbers in the model.")
@IGNORE
@TABLE
@_dtype_option
def predict(model: Path, **options: Any) -> None:
    """Predict with MODEL for every example of a data file. Targets in it are not looked at.

    \b
    gradc predict digits.grad --weights digits.safetensors --data new.csv > predictions.csv
    gradc predict digits.grad --weights digits.safetensors --data new.npz --out predictions.npz
    gradc predict digits.grad --weights torch.safetensors --table names.toml --data new.npz
    """
    if options["out"] and options["out"].suffix != ".npz":
        raise click.UsageError(f"--out is an .npz file, not {options['out']}")
    commands = _commands()
    commands.predict(model, commands.PredictOptions(**options))


@program.command("bench", cls=_OnData, short_help="Time a model, and show where the time goes.")
@_model_argument
@click.option("--data", type=FILE, metavar="FILE", help="An .npz or .csv to take a batch of, instead of the model's.")
@click.option("--batch", type=COUNT, metavar="N", help="Examples in a step.")
@click.option("--dim", type=SIZE, metavar="NAME=N", multiple=True, help="Size of a free dim, for data drawn at random.")
@click.option("--predict", is_flag=True, help="Time predictions, not training steps.")
@click.option("--profile", is_flag=True, help="Show kernel by kernel and line by line where the time goes.")
@click.option("--seconds", type=SECONDS, default=1.0, show_default=True, metavar="X", help="For each measurement.")
@_dtype_option
def bench_command(model: Path, dtype: str, **options: Any) -> None:
    """Time the training steps of MODEL: by all threads and by one, beside what its matrix products alone take.

    \b
    gradc bench digits.grad
    gradc bench digits.grad --batch 256 --profile
    gradc bench text.grad --dim time=64 --dim batch=8
    gradc bench digits.grad --predict --batch 1

    A step is timed on one batch of the model's data, if they are there, or on numbers drawn at random; sizes that are
    not given are those of `fit`, or 32. The products alone and the profile are timed in one thread, on a copy of the
    module with a clock around every call.
    """
    options["dims"] = dict(options.pop("dim"))
    if options["dims"] and options["data"]:
        raise click.UsageError("--dim is for data drawn at random; of a file, --batch says how much is taken")
    _commands().bench(model, dtype, options)


@program.command(short_help="Compare gradients with central differences.")
@_model_argument
def check(model: Path) -> None:
    """Compare the gradient of every parameter of MODEL with central differences, in float64.

    Prints a table; exit code 1 where one differs.
    """
    sys.exit(_commands().check(model))


@program.command(short_help="Show a model at a stage on its way to Python.")
@_model_argument
@click.option("--stage", type=click.Choice(STAGES), default="python", show_default=True, help="Where on the way.")
@click.option("--of", metavar="NAME", help="Only what makes the gradient of one parameter.")
@_dtype_option
def inspect(model: Path, stage: str, of: str | None, dtype: str) -> None:
    """Show MODEL at a stage on its way to Python.

    \b
    gradc inspect digits.grad                          the Python module
    gradc inspect digits.grad --of h.weight            only the lines that make one gradient
    gradc inspect digits.grad --stage gradient         the equations, differentiated
    """
    _commands().inspect(model, stage, of, dtype)


@program.command(short_help="Show how a gradient is derived, step by step.")
@_model_argument
@click.option("--of", metavar="NAME", required=True, help="The parameter, as h.weight.")
@click.option("--latex", is_flag=True, help="As LaTeX.")
def derive(model: Path, of: str, latex: bool) -> None:
    """Show how the gradient of one parameter of MODEL is derived: the chain rule, step by step.

    \b
    gradc derive digits.grad --of h.weight
    """
    _commands().derive(model, of, latex=latex)


@program.command(short_help="Show what needs what in a model.")
@_model_argument
@click.option("--dot", is_flag=True, help="For Graphviz.")
def graph(model: Path, dot: bool) -> None:
    """Show what needs what in MODEL: from the loss, the predictions and the metrics down to inputs and parameters.

    \b
    gradc graph digits.grad
    gradc graph digits.grad --dot | dot -Tsvg > digits.svg
    """
    _commands().graph(model, dot=dot)


@program.command(short_help="Write a small model file to start from.")
@click.argument("name")
def new(name: str) -> None:
    """Write NAME.grad, a small model with comments, to start from."""
    _commands().new_model(name, FIRST_MODEL)


def main() -> None:
    """Runs the command line of this process."""
    pressed = False

    @functools.wraps(signal.default_int_handler)
    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, press)
    try:
        program()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ImportError:
        if not pressed:
            raise
        console.tell("interrupted")  # modules written in C may hand on an interrupt of theirs as an import that failed
        sys.exit(INTERRUPTED)
    finally:
        if usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)
