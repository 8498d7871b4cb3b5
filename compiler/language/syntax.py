"""The syntax tree of a model file: what is written, nothing resolved. Text → `File`, by `gradc.language.parse`.

Every node carries its span. Expressions know no types, names no meaning: that is the work of `elaborate`.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from gradc.errors import Span

# ---------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Number:
    """`64`, `1e-3`: exact, as written."""

    span: Span
    value: Fraction
    whole: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A string in quotes: a path."""

    span: Span
    value: str


@dataclass(frozen=True, slots=True)
class Name:
    """`x`, or a parameter's full name `h.weight`. `inf pi true false training` are names too."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `not x`."""

    span: Span
    operator: str
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Binary:
    """`+ - * / // % @ ^ and or |>`."""

    span: Span
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`0 <= i < n`: operands one more than operators (`== != < <= > >=`)."""

    span: Span
    operators: tuple[str, ...]
    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """`if c then a else b`."""

    span: Span
    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True, slots=True)
class Ellipsis:
    """`...` between brackets."""

    span: Span


@dataclass(frozen=True, slots=True)
class Binder:
    """`u: 2`: an index that states its extent, in an index list, on a left side or inside arithmetic."""

    span: Span
    name: str
    extent: "Expression"


@dataclass(frozen=True, slots=True)
class Subscript:
    """`x[i, k]`, or with `guarded` `x?[i - 1]`. The base is any whole-tensor expression, most often a name."""

    span: Span
    base: "Expression"
    subscripts: tuple["Expression", ...]
    guarded: bool


@dataclass(frozen=True, slots=True)
class Argument:
    """`64` or `bias = false` in a call."""

    span: Span
    name: str | None
    value: "Expression"


@dataclass(frozen=True, slots=True)
class Call:
    """`dense(x, 64)`, or with `indices` `sum[k](…)`: names, binders, an ellipsis."""

    span: Span
    function: str
    function_span: Span
    indices: tuple["Expression", ...] | None
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class List:
    """`[3, 5]` as an argument."""

    span: Span
    items: tuple["Expression", ...]


Expression: TypeAlias = (
    Number | Text | Name | Unary | Binary | Comparison | Conditional | Ellipsis | Binder | Subscript | Call | List
)

# ---------------------------------------------------------------- statements


@dataclass(frozen=True, slots=True)
class ModelName:
    """`model digits`."""

    span: Span
    name: str


@dataclass(frozen=True, slots=True)
class Use:
    """`use "blocks.grad"`."""

    span: Span
    path: Text


@dataclass(frozen=True, slots=True)
class Dim:
    """`dim n = 64` or `dim batch`; a line with several gives several nodes."""

    span: Span
    name: str
    value: Expression | None


@dataclass(frozen=True, slots=True)
class TypeName:
    """`int(classes)` or `bool`; `int` without a range has none. Argument is the exclusive upper end."""

    span: Span
    name: str
    argument: Expression | None


@dataclass(frozen=True, slots=True)
class Declared:
    """One tensor of an `input` or `target` line: `x[batch, n] : int(classes)`."""

    span: Span
    name: str
    axes: tuple[Expression, ...]
    type: TypeName | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """`input …` or `target …`."""

    span: Span
    target: bool
    tensors: tuple[Declared, ...]


@dataclass(frozen=True, slots=True)
class Param:
    """`param w[n, m] ~ law`, `frozen` after it keeps it fixed; `state …` likewise with `state` set."""

    span: Span
    name: str
    axes: tuple[Expression, ...] | None
    law: Expression
    frozen: bool
    state: bool


@dataclass(frozen=True, slots=True)
class Target:
    """One left side: `h`, or `h[b, o]` with subscripts (`s[]` has an empty tuple)."""

    span: Span
    name: str
    subscripts: tuple[Expression, ...] | None


@dataclass(frozen=True, slots=True)
class Equation:
    """`h = …`, `h[b, o] = …`, `mu, var = moments(x)`; `update mean[c] = …` with `update` set."""

    span: Span
    targets: tuple[Target, ...]
    value: Expression
    update: bool


@dataclass(frozen=True, slots=True)
class Return:
    """`return h`, `return a, b`, `return[..., o] = …`."""

    span: Span
    subscripts: tuple[Expression, ...] | None
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """`predict p = e`, `predict e`, `loss e`, `metric a = e`; role is the word. `loss name = e` is an error."""

    span: Span
    role: str
    target: Target | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Optimize:
    """`optimize head.* with sgd(lr = 0.1), clip_norm = 1.0 for critic_loss`."""

    span: Span
    pattern: str | None
    rule: Call
    options: tuple[Argument, ...]
    loss: Name | None


@dataclass(frozen=True, slots=True)
class Freeze:
    """`freeze backbone.*, embed.*`."""

    span: Span
    patterns: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """`fit epochs = 30, batch = 64`."""

    span: Span
    options: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """`data "digits.npz"`."""

    span: Span
    path: Text


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a definition's header. `x[..., i]` has axes; `padding = valid | same` has choices."""

    span: Span
    name: str
    axes: tuple[Expression, ...] | None
    default: Expression | None
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """`def f(x) = e` has an expression as body, `def f(x[..., i], n): …` statements.

    keyword: def, shared def or optimizer.
    """

    span: Span
    keyword: str
    name: str
    parameters: tuple[Parameter, ...]
    body: "Expression | tuple[Statement, ...]"


@dataclass(frozen=True, slots=True)
class For:
    """`for w in 32, 64: …`, `for k in range(4): …`: the values, or the one expression that gives them."""

    span: Span
    name: str
    values: tuple[Expression, ...]
    body: tuple["Statement", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`repeat 4: …`."""

    span: Span
    count: Expression
    body: tuple["Statement", ...]


@dataclass(frozen=True, slots=True)
class If:
    """`if bias: … else: …`, unfolded at compile time. `else if` nests."""

    span: Span
    condition: Expression
    then: tuple["Statement", ...]
    otherwise: tuple["Statement", ...]


Statement: TypeAlias = (
    ModelName
    | Use
    | Dim
    | Inputs
    | Param
    | Equation
    | Return
    | Output
    | Optimize
    | Freeze
    | Fit
    | Data
    | Definition
    | For
    | Repeat
    | If
)


@dataclass(frozen=True, slots=True)
class File:
    """A parsed file: its name as shown in errors, its text, its statements in order."""

    name: str
    text: str
    statements: tuple[Statement, ...]
