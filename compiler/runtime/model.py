"""A compiled model: what `gradc.compile` returns.

Model text -> `Model`, with its module, weights and training. It joins the parts of this package and holds none of
their logic; single steps go straight to the emitted module.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gradc.errors import GradcError, fail, located
from gradc.source import read_model

from . import checkpoint, data, files, training, weights
from .build import Options, build, pipeline
from .cache import Loaded
from .interface import Array, ArraySpec, Emitted, Flat, State, array_specs, input_specs, renamed
from .session import Session, Settings, Snapshot, go_to, snapshot, start
from .training import History, Progress

DEFAULT_EPOCHS = 10


def compile(path: str | Path, dtype: str = "float32", *, lr: float | None = None, seed: int | None = None) -> "Model":
    """Compiles a model file, or takes it from the cache.

    Args:
        path: the model file, usually *.grad.
        dtype: of all real numbers: "float32" or "float64".
        lr: a learning rate that takes the place of the optimizer's.
        seed: of the parameters' first values and of training; the model's `fit` line or 0 otherwise.

    Raises:
        GradcError: the file cannot be read, or is not a model. `str(error)` shows all places that are wrong.
    """
    if "\n" in str(path) and not str(path).endswith(".grad"):
        raise fail("not-a-path", "this is a model's text, not its path", "gradc.compile_text(text) compiles it")
    file = Path(path)
    return _compiled(read_model(file), file, Options(dtype, lr), seed)


def compile_text(
    text: str, name: str = "model", dtype: str = "float32", *, lr: float | None = None, seed: int | None = None
) -> "Model":
    """Compiles a model text, as `compile` a file. `name` is the model's, unless the text has a `model` line.

    Raises:
        GradcError: the text is not a model.
    """
    if not isinstance(text, str):
        message = f"a model's text is a str, and this is of the type {type(text).__name__}"
        raise fail("not-a-text", message, "gradc.compile(path) compiles a file; bytes have .decode()")
    if text.endswith(".grad") and "\n" not in text:
        raise fail(
            "not-a-text", f"{text} is the path of a model, not its text", f"gradc.compile({text!r}) compiles a file"
        )
    return _compiled(text, Path(f"{name}.grad"), Options(dtype, lr), seed)


def _compiled(text: str, file: Path, options: Options, seed: int | None) -> "Model":
    return Model(text, file, options, build(text, file, options), seed)


def _unpickled(text: str, file: Path, options: Options, reached: Snapshot) -> "Model":
    model = _compiled(text, file, options, None)
    go_to(model.session, reached)
    return model


class Model:
    """A compiled model with its weights, made by `gradc.compile` or `gradc.compile_text`.

    Arrays are NumPy arrays or what NumPy makes arrays of, given in the order of declaration (inputs, then targets) or
    by name. What a single call is given is checked by the emitted module, which raises ValueError or TypeError with
    the array's name; `fit` checks all data, NaN included, before it starts.
    """

    def __init__(self, text: str, file: Path, options: Options, loaded: Loaded, seed: int | None = None) -> None:
        self._text = text
        self._file = file
        self._options = options
        self._loaded = loaded
        self._renamed = renamed(loaded.module)
        self.restart(seed)

    # ------------------------------------------------------------------ what it is

    @property
    def module(self) -> Emitted:
        """The emitted module: plain Python functions on NumPy arrays."""
        return self._loaded.module

    @property
    def source(self) -> str:
        """The emitted module's Python source. It says what it needs; gradc is not of it."""
        return self._loaded.source

    @property
    def params(self) -> Flat:
        """Parameters and state tensors by name, in order of appearance: `params["h.weight"]` is a view, writable."""
        return self._session.params

    @property
    def state(self) -> State:
        """What training carries besides: the optimizers' moments, the number of steps, the seed."""
        return self._session.state

    @property
    def session(self) -> Session:
        """Weights, state and the place in the data together, as `save` writes them."""
        return self._session

    @property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """The inputs, then the targets, as declared."""
        return array_specs(self.module)

    def __repr__(self) -> str:
        size = f"{self.params.flat.size:,}".replace(",", "\u202f")
        takes = ", ".join(map(str, self.arrays))
        gives = ", ".join((*self.module.PREDICTIONS, "loss", *self.module.METRICS))
        return f"<gradc model {self.module.NAME}: {takes} -> {gives}; {size} parameters, {self.module.DTYPE}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Model":
        """A model at the same place in training, which goes on apart from this one."""
        model = Model(self._text, self._file, self._options, self._loaded)
        go_to(model.session, snapshot(self._session))
        return model

    def __reduce__(self) -> tuple[Any, ...]:
        """The text and the numbers: where it is unpickled, the module is taken from the cache, or made again there."""
        return _unpickled, (self._text, self._file, self._options, snapshot(self._session))

    # ------------------------------------------------------------------ single calls

    def train_step(self, *arrays: Any, **named: Any) -> float:
        """One step of the optimizer on one batch, in place. Returns the loss before it.

        Raises:
            ValueError: an array's shape does not fit, or a target is outside its range; nothing is changed then.
            TypeError: an array is missing, unknown or of a wrong dtype.
            FloatingPointError: the loss is not finite; the message names the step. It has been taken all the same:
                parameters and state hold what came of it, mostly NaN. Who wants to go back keeps a copy, as `fit` does.
        """
        try:
            return self.module.train_step(self.params, self.state, *arrays, **self._in_python(named))
        except TypeError as error:
            raise self._told(error, "train_step", self.arrays, arrays, named) from None

    def loss_and_gradients(self, *arrays: Any, **named: Any) -> tuple[float, Flat]:
        """The loss, and its gradient by every parameter: `gradients["h.weight"]`, all of them in `gradients.flat`.

        `seed=` sets the random numbers of a model that has some. Raises as `train_step`.
        """
        try:
            return self.module.loss_and_gradients(self.params, *arrays, **self._in_python(named))
        except TypeError as error:
            raise self._told(error, "loss_and_gradients", self.arrays, arrays, named) from None

    def predict(self, *arrays: Any, **named: Any) -> Any:
        """The prediction for inputs: an array, or a dict of arrays by name where the model has several.

        `seed=` sets the random numbers of a model that has some. Raises as `train_step`.
        """
        try:
            return self.module.predict(self.params, *arrays, **self._in_python(named))
        except TypeError as error:
            raise self._told(error, "predict", input_specs(self.module), arrays, named) from None

    def evaluate(self, *arrays: Any, **named: Any) -> dict[str, float]:
        """The loss and every metric, by name. All examples are evaluated at once.

        `seed=` sets the random numbers of a model that has some. Raises as `train_step`.
        """
        try:
            return self.module.evaluate(self.params, *arrays, **self._in_python(named))
        except TypeError as error:
            raise self._told(error, "evaluate", self.arrays, arrays, named) from None

    def _told(self, error: TypeError, call: str, specs: Sequence[ArraySpec], arrays: Sequence[Any],
              named: Mapping[str, Any]) -> TypeError:  # fmt: skip
        """What is said of a call with too few arrays, too many or others: Python counts `params` and `state` too."""
        wanted = [spec.name for spec in specs]
        given = [*wanted[: len(arrays)], *(name for name in named if name in wanted or name != "seed")]
        if len(arrays) <= len(specs) and sorted(given) == sorted(wanted):
            return error
        came = [f"{len(arrays)} by position"] * bool(arrays) + [f"{name} by name" for name in named]
        takes = f"{call} takes {', '.join(map(str, specs)) or 'no arrays'}; given: {', '.join(came) or 'none'}"
        return TypeError(f"{takes}. Pass each once, in this order or by name")

    def _in_python(self, named: dict[str, Any]) -> dict[str, Any]:
        """Arrays under the names that the module's functions have for them."""
        return {self._renamed.get(name, name): array for name, array in named.items()} if self._renamed else named

    # ------------------------------------------------------------------ training

    def fit(
        self,
        *arrays: Any,
        epochs: int | None = None,
        batch_size: int | None = None,
        validation: float | None = None,
        seed: int | None = None,
        progress: bool | Progress | None = True,
        **named: Any,
    ) -> History:
        """Trains for some epochs, going on from where the last fit ended. Ctrl-C ends it after the call
        of compiled code that it is in: one step, or as many as take about 50 ms.

        Without arrays it trains on the file that the model's `data` line names.

        Args:
            *arrays: inputs and targets, whole data sets, in order of declaration; or by name.
            epochs: how many; the model's `fit` line, or 10, otherwise. So are the next three, or 32, 0 and 0.
            batch_size: examples in a batch; the last of an epoch may have fewer.
            validation: the fraction of the examples held back, and evaluated after each epoch.
            seed: of the split and of the order of examples.
            progress: True shows a bar in a terminal or notebook; or an object to be told.

        Raises:
            GradcError: arrays do not fit, hold NaN, infinity or whole numbers outside their range (nothing has been
                changed), or a setting makes no sense.
            FloatingPointError: the loss of a step is not finite, or weights have become NaN behind a loss that is.
                Parameters, state and place in training are again what they were at the end of an epoch at most 100
                steps and one epoch before.
        """
        ready = self._own_data() if not arrays and not named else None
        if ready is None:
            with self._declarations_shown():
                ready = data.prepare(self.module, self.arrays, data.by_name(self.arrays, arrays, named))
        said = self.settings()
        settings = Settings(
            said.batch if batch_size is None else batch_size,
            said.validation if validation is None else validation,
            said.seed if seed is None else seed,
        )
        count = self.epochs() if epochs is None else epochs
        return training.fit(self._session, tuple(ready.values()), settings, count, _shown(progress))

    def settings(self) -> Settings:
        """What the model's `fit` line says about batches, validation and seed, and the defaults for what it leaves."""
        said = self.module.FIT
        plain = Settings()
        batch, validation = said.get("batch", plain.batch), said.get("validation", plain.validation)
        return Settings(int(batch), float(validation), self._default_seed())

    def epochs(self) -> int:
        """How many epochs the model's `fit` line says, or 10."""
        return int(self.module.FIT.get("epochs", DEFAULT_EPOCHS))

    def data_path(self) -> Path | None:
        """The file that the model's `data` line names, if it has one.

        Raises:
            GradcError: the path leaves the model file's folder.
        """
        return None if self.module.DATA is None else files.inside_folder(self._file, self.module.DATA)

    def restart(self, seed: int | None = None) -> None:
        """Fresh parameters and state, as after compiling."""
        self._session = start(self.module, self._default_seed() if seed is None else seed, self._options.lr)

    def _default_seed(self) -> int:
        return int(self.module.FIT.get("seed", 0))

    def read(self, path: str | Path, *, targets: bool = True) -> dict[str, Array]:
        """The arrays of a data file, by name, checked and as the model takes them: `model.fit(**model.read("a.npz"))`.

        Args:
            path: an .npz with an array under each name, or a .csv whose columns are found by name.
            targets: False for what `predict` takes: the inputs alone.

        Raises:
            GradcError: the file cannot be read, or what it holds is not what the model declares.
        """
        specs = self.arrays if targets else input_specs(self.module)
        others = () if targets else tuple(self.module.TARGETS)
        with self._declarations_shown():
            found = files.read(Path(path), specs, others)
            return data.prepare(self.module, specs, found.arrays, found.source)

    def _own_data(self) -> dict[str, Array] | None:
        path = self.data_path()
        return None if path is None else self.read(path)

    @contextmanager
    def _declarations_shown(self) -> Iterator[None]:
        """Errors about arrays show what the model declares. The compiler is imported to find it, only then."""
        try:
            yield
        except GradcError as error:
            if not any(one.about for one in error.diagnostics):
                raise
            file = str(self._file)
            declared = pipeline().declared(self._text, file=file)
            raise located(error, declared, {file: self._text}) from error.__cause__

    # ------------------------------------------------------------------ files, derivations

    def save(self, path: str | Path) -> None:
        """Writes parameters, optimizer state and the place in training to one safetensors file, atomically.

        Raises:
            GradcError: the file cannot be written.
        """
        checkpoint.save(Path(path), self._session)

    def load(
        self,
        path: str | Path,
        *,
        only: str | Sequence[str] | None = None,
        missing: str = "error",
        ignore: str | Sequence[str] = (),
        table: str | Path | Mapping[str, object] | None = None,
    ) -> None:
        """Takes over what `save` wrote, or parameters from any safetensors file.

        Of a file of another model text, and where only a part is wanted, parameters alone: training starts anew.

        Args:
            path: a safetensors file.
            only: a pattern, as "backbone.*", or several. Parameters that fit none stay as they are.
            missing: "init" gives parameters that the file lacks their first values; "error" refuses the file.
            ignore: a pattern, or several, of tensors in the file that may be left over.
            table: for a file of another program: a TOML file, or a dict, that says where each parameter stands and how
                its axes lie, as {"h.weight": "fc1.weight: o i -> i o"}. docs/weights.md has the whole of it.

        Raises:
            GradcError: there is no such file, it holds no weights, or names, shapes or dtypes differ: all that do are
                listed, and nothing is changed.
        """
        checkpoint.load(Path(path), self._session, weights.choice(only, missing, ignore, table))

    def derive(self, name: str) -> Any:
        """The derivation of a parameter's gradient: the chain rule step by step, with the model's own names.

        Raises:
            GradcError: the model has no such parameter.
        """
        return pipeline().derive(self._text, file=str(self._file), of=name)


TOLD = ("start", "steps", "epoch", "finish")
"""What one who watches a fit is told."""


def _shown(progress: bool | Progress | None) -> Progress | None:
    """A bar where someone can see it. Rich is imported only then."""
    if progress is None or progress is False:
        return None
    if progress is True:
        console = importlib.import_module("rich.console").Console()
        visible = console.is_terminal or console.is_jupyter
        return importlib.import_module("gradc.runtime.bar").Bar(console) if visible else None
    if not all(callable(getattr(progress, told, None)) for told in TOLD):
        message = f"progress is True, False or an object with {', '.join(TOLD)}, not {progress!r}"
        raise fail("bad-progress", message, "progress = False shows nothing")
    return progress
