"""The syntax errors, as a table: when, what is said, how to mend it, examples. `messages` chooses and fills in.

A row is either found elsewhere, by `layout`, `build` or `parse`, which give its code, or it is the parser's: then its
fields say where the parser stopped, and the first row that fits counts. What is in braces is filled in: `found` and
`text` the wrong word, `before` the one before it, `first` the line's first, `expected` what could stand there, `hint`
the row's word for any of these, `near` a word of the language that is like the first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

NONE: frozenset[str] = frozenset()


def of(words: str) -> frozenset[str]:
    """A set of words, written with blanks between them."""
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of mistake. An empty condition asks nothing."""

    code: str
    message: str
    help: str
    examples: tuple[str, ...]
    found: bool = False  # not by the parser
    at: frozenset[str] = NONE  # kinds of the wrong word
    texts: frozenset[str] = NONE  # the wrong word itself
    before: frozenset[str] = NONE  # kinds of the word before it
    before_texts: frozenset[str] = NONE
    starts: frozenset[str] = NONE  # kinds of the line's first word
    first_texts: frozenset[str] = NONE
    wants: frozenset[str] = NONE  # kinds that could all stand there
    refuses: frozenset[str] = NONE  # kinds none of which could
    absent: frozenset[str] = NONE  # kinds none of which follows in the line
    place: int | None = None  # which word of the line it is, from 0
    inside: tuple[str, ...] | None = None  # the open bracket is one of these
    touching: bool = False  # no blank before it
    points_before: bool = False  # the caret goes under the word before
    label: str = "expected {expected}"
    hints: Mapping[str, str] = field(default_factory=dict)


VALUE_ENDS = of("NAME FULL_NAME NUMBER LOSS RPAR RSQB")
VALUE_BEGINS = of("NAME FULL_NAME NUMBER LOSS LPAR LSQB GUARDED")
BINARY = of(
    "PLUS MINUS STAR SLASH FLOOR_DIVIDE PERCENT AT CIRCUMFLEX PIPE AND OR EQUAL NOT_EQUAL LESSTHAN AT_MOST MORETHAN "
    "AT_LEAST"
)
STATEMENTS = of(
    "MODEL USE DIM INPUT TARGET PARAM STATE UPDATE RETURN PREDICT METRIC OPTIMIZE FREEZE FIT DATA DEF SHARED OPTIMIZER "
    "FOR REPEAT"
)
RESERVED = STATEMENTS | of("LOSS IF THEN ELSE AND OR NOT IN")
HEADS = of("DEF SHARED OPTIMIZER FOR REPEAT IF ELSE")
ENDS = of("_NEWLINE RPAR RSQB COMMA COLON")

# ---------------------------------------------------------------- found by layout, build and parse

FOUND = (
    Row(
        "hidden-character",
        "the character {character} ({called}) is not seen, or changes how the text is seen",
        "delete it: what is read must be what is compiled",
        ("y = x\x0b+ 1", "y = x # \u202e1 + y", "y\u200b = 1", "y = 1\x00", "a = 1\u2028b = 2", 'data "\ud800"'),
        found=True,
    ),
    Row(
        "too-many-words",
        "the text has more than {limit} words and signs",
        "is this a model? `use` takes definitions from other files, `repeat` and `for` write equations for you",
        ("y = 1\n" * 30_000,),
        found=True,
    ),
    Row(
        "too-deep",
        "this statement is nested more than {limit} levels deep; every sign of a long chain is a level",
        "give a part of it a name, in an equation above",
        ("y = " + " + ".join("x" * 400), "y = " + "-" * 300 + "x", "y = " + "if a then b else " * 260 + "c"),
        found=True,
    ),
    Row(
        "brackets-too-deep",
        "more than {limit} brackets are open here",
        "give an inner part a name, in an equation above",
        ("y = " + "(" * 10_000 + "x" + ")" * 10_000, "y = " + "relu(" * 3000 + "x" + ")" * 3000),
        found=True,
    ),
    Row(
        "blocks-too-deep",
        "this block stands inside {limit} others",
        "make a definition of an inner part",
        ("\n".join("\t" * depth + "repeat 1:" for depth in range(60)) + "\n" + "\t" * 60 + "x = x",),
        found=True,
    ),
    Row(
        "unopened-bracket",
        "this `{closer}` closes nothing",
        "delete it, or write the opening bracket before it",
        ("y = relu(x))", "y = x]", "loss mean(a) + b)"),
        found=True,
    ),
    Row(
        "crossed-brackets",
        "`{opener}` is closed by `{closer}`",
        "close the inner bracket first, each by its own kind",
        ("y = relu(x[b, i)]", "y = [1, 2)", "y = x?[i)"),
        found=True,
    ),
    Row(
        "unclosed-bracket",
        "this `{opener}` is never closed",
        "write `{closer}` where it ends: until then, the lines below belong to it",
        ("h = relu(dense(x, 64)\ny = h + 1", "y = sum[i(x)", "dim n = (3\ninput x[n]", "y = x?[i", "loss mean(x"),
        found=True,
    ),
    Row(
        "unfinished-text",
        "the closing quote is missing",
        'a path stands between double quotes, in one line: data "digits.npz"',
        ('use "blocks.grad', 'data "', 'y = f("x)'),
        found=True,
    ),
    Row(
        "uneven-indentation",
        "this line is indented less than its block and more than the one around it",
        "indent it like the block it belongs to",
        ("repeat 2:\n    x = x\n  y = x",),
        found=True,
    ),
    Row(
        "mixed-tabs",
        "the lines of a file are indented by blanks or by tabs, not by both",
        "indent by four blanks for each block",
        ("repeat 2:\n    x = x\n\ty = x", "repeat 2:\n \tx = x"),
        found=True,
    ),
    Row(
        "unexpected-indentation",
        "this line is indented, but no block begins here",
        "a block follows a line that ends in `:`; a long line goes on inside brackets",
        ("x = 1\n    y = 2", "  x = 1", "repeat 2: x = x\n    y = x", "y = a\n    + b"),
        found=True,
    ),
    Row(
        "missing-block",
        "the block of this `{word}` is missing",
        "indent the lines below that belong to it, or write one after the `:`",
        ("def f(x):\nreturn x", "repeat 4:", "if a:\n# nothing\nelse:\n    x = 1", "shared def f(x):\ny = 1"),
        found=True,
    ),
    Row(
        "number-too-long",
        "a number of {length} digits",
        "a real number holds 7 or 16 of them; a table of numbers is an input or a parameter",
        ("y = " + "7" * 500, "y = 0." + "1" * 1000, "y = 1e" + "9" * 500),
        found=True,
    ),
    Row(
        "number-out-of-range",
        "{number} is beyond what a number can be here: 0, or between 1e-400 and 1e308 in size",
        "for a number without bound write inf",
        ("y = 1e999999999", "y = 1e-999999999", "y = 12e308"),
        found=True,
    ),
    Row(
        "pipe-into-value",
        "`|>` hands a value to a function, and this is none",
        "x |> f |> g(2) is g(f(x), 2); put brackets round the whole to go on with its value",
        ("y = x |> f + 1", "y = x |> 3", "y = x |> f == z", "y = x |> (f)[i]"),
        found=True,
    ),
    Row(
        "index-in-list",
        "a list holds values, not indices",
        "write numbers, or names of numbers: [3, 5]",
        ("y = f(x, [..., 2])", "y = f([i: 2])"),
        found=True,
    ),
    Row(
        "no-indices",
        "no index stands between the brackets of {name}[]",
        "name what it goes over, as in {name}[i](…), or leave out the brackets to take the whole tensor",
        ("y = sum[](x)",),
        found=True,
    ),
    Row(
        "index-list",
        "{name}[…](…) lists indices, and this is none",
        "an index is a name, a name with an extent (i: 3) or `...`; to multiply, write `*` before the bracket",
        ("y = sum[2*i](x[i])", "y = sum[i, 3](x[i])", "y[i] = x[i + 1](2)", "y = sum[h.w](x)"),
        found=True,
    ),
    Row(
        "position-after-name",
        "an argument without a name follows one with a name",
        "write those without names first",
        ("y = dense(units = 3, x)",),
        found=True,
    ),
    Row(
        "argument-twice",
        "the argument {name} is given twice",
        "delete one of them",
        ("y = dense(x, units = 3, units = 4)", "fit epochs = 1, epochs = 2", "optimize adam(), clip = 1, clip = 2"),
        found=True,
    ),
)

# ---------------------------------------------------------------- found by the parser: signs of other languages

SIGNS = (
    Row(
        "power-sign",
        "`**` is not a sign of the language",
        "a power is written x^2",
        ("y = x**2", "loss mean(x ** 2)"),
        texts=of("**"),
    ),
    Row(
        "logic-sign",
        "`{text}` is not a sign of the language",
        "{hint}",
        ("y = a && b", "y = a || b", "y = !a", "y = a & b", "y = a | b", "if !a:\n    x = 1"),
        texts=of("&& || ! & |"),
        hints={
            "&&": "write a and b",
            "&": "write a and b",
            "||": "write a or b",
            "|": "write a or b; `|` stands only between the words of a header: padding = valid | same",
            "!": "write not a; for unequal, a != b",
        },
    ),
    Row(
        "augmented-assignment",
        "`{text}` is not a sign of the language",
        "write the whole equation: x = x {sign} …; on the right, x is the one above",
        ("x += 1", "x[i] -= 1", "x *= 2", "x /= 2"),
        texts=of("+= -= *= /="),
    ),
    Row(
        "foreign-sign",
        "`{text}` is not a sign of the language",
        "{hint}",
        ("x := 1", "y = f(x) -> z", "y = a => b", "y = a === b", "y = a <> b", "i++", "y = a =< b"),
        texts=of(":= -> => =< === <> ++"),
        hints={
            ":=": "an equation is written x = …",
            "->": "a condition is written if c then a else b; a definition states no type of its result",
            "=<": "at most is written <=",
            "=>": "at least is written >=; a definition, def f(x) = …",
            "===": "equality is written ==",
            "<>": "inequality is written !=",
            "++": "write x = x + 1",
        },
    ),
    Row(
        "prime",
        "a prime is not a sign of the language",
        "a derivative is written grad(y, x); for a second name write x2",
        ("y = x' + 1", "y' = x"),
        at=of("QUOTED"),
        before=of("NAME RPAR RSQB"),
        touching=True,
    ),
    Row(
        "single-quotes",
        "text stands between double quotes",
        'write "…"',
        ("use 'blocks.grad'", "data 'digits.npz'"),
        at=of("QUOTED"),
        wants=of("STRING"),
    ),
    Row(
        "text-as-value",
        "text in quotes stands only after `use` and `data`",
        "a word is written as it is: padding = same",
        ('y = conv2d(x, 3, padding = "same")', "y = f('same')", 'y = "a"', 'model "digits"'),
        at=of("STRING QUOTED"),
    ),
    Row(
        "several-in-a-line",
        "`;` is not a sign of the language",
        "write every statement on a line of its own",
        ("x = 1; y = 2", "y = 1;"),
        texts=of(";"),
    ),
    Row(
        "braces",
        "`{text}` is not a sign of the language",
        "a block follows a `:`, indented or in the line; indices stand between [ ], arguments between ( )",
        ("def f(x) {\n}", "y = x{i}", "repeat 3 {", "}"),
        texts=of("{ }"),
    ),
    Row(
        "line-goes-on",
        "a backslash is not a sign of the language",
        "a line goes on inside open brackets",
        ("y = a + \\\n    b",),
        texts=of("\\"),
    ),
    Row(
        "method-call",
        "there are no methods",
        "write f(x) or x |> f, transpose(x) for the transpose; a size is the dim's name",
        ("y = f(x).sum()", "y = x[i].T", "y = (a + b).mean()"),
        texts=of("."),
        before=of("RPAR RSQB"),
        touching=True,
    ),
    Row(
        "pattern-without-rule",
        "a pattern of parameter names is followed by `with` and an optimizer",
        "write optimize head.* with sgd(lr = 0.1)",
        ("optimize head.* sgd(lr = 0.1)", "optimize *.bias"),
        at=of("OTHER STAR"),
        starts=of("OPTIMIZE"),
        texts=of(". *"),
    ),
    Row(
        "range-dots",
        "`{text}` stands for nothing here",
        "a number is 0.5; a name in full is h.weight, without blanks; any axes are `...`; a range is i: 10",
        ("y = x[0..9]", "for i in 0..9: x = x", "y = h .weight", "y = h. weight"),
        texts=of("."),
    ),
    Row(
        "dots-outside",
        "`...` stands for any number of axes, between square brackets only",
        "write x[..., i], or mean[...](x[..., c])",
        ("y = ...", "y = f(x, ...)", "y = x + ..."),
        at=of("DOTS"),
    ),
    Row(
        "guard-sign",
        "`?` stands only right before a bracket",
        "x?[i - 1] is a read that gives 0 outside; a condition is if c then a else b",
        ("y = x? [i]", "y = a ? b : c", "y = f?(x)"),
        texts=of("?"),
    ),
    Row(
        "typographic-sign",
        "`{text}` is not a sign of the language",
        "write {hint}",
        ("y = a × b", "y = a − b", "y = a ≤ b", "y = x²", "y = √x", "y = ∞", "y = “a”", "y = a\u00a0+ b", "y = ∂x", "y = x₁"),
        texts=of("× · ⋅ ÷ − – — ≤ ≥ ≠ ² ³ √ ∞ ∑ ∏ → “ ” „ ‘ ’ ¬ ∧ ∨ ∂ ∇ … ₀ ₁ ₂") | {"\u00a0", "\u3000", "\u2009"},
        hints={
            **dict.fromkeys("×·⋅", "a * b, or a @ b for the matrix product"),
            **dict.fromkeys("−–—", "the minus sign of the keyboard, -"),
            **dict.fromkeys("“”„", 'the double quote of the keyboard, "'),
            **dict.fromkeys("‘’", 'no quote, or a path in double quotes, "…"'),
            **dict.fromkeys("\u00a0\u3000\u2009", "a plain blank: this one is of another width"),
            **dict.fromkeys("∂∇", "grad(y, x)"),
            **dict.fromkeys("₀₁₂", "the digit on the line: x1"),
            "÷": "a / b",
            "≤": "a <= b",
            "≥": "a >= b",
            "≠": "a != b",
            "²": "x^2",
            "³": "x^3",
            "√": "sqrt(x)",
            "∞": "inf",
            "∑": "sum[i](x[i])",
            "∏": "prod[i](x[i])",
            "→": "if c then a else b",
            "¬": "not a",
            "∧": "a and b",
            "∨": "a or b",
            "…": "three dots, ...",
        },
    ),
    Row(
        "foreign-character",
        "`{text}` is not a character of the language",
        "names are Latin or Greek letters, digits and `_`",
        ("y = $x", "y = x ☃", "я = 1", "y = `x`"),
        at=of("OTHER"),
    ),
)

# ---------------------------------------------------------------- the parser's: words at the wrong place

LINES = (
    Row(
        "foreign-statement",
        "`{first}` is not a statement of the language",
        "{hint}",
        (
            "import numpy",
            "from x import y",
            "let y = 1",
            "var y = 1",
            "while a: x = 1",
            "elif a:\n    x = 1",
            "print(x)",
            "class Net:\n    x = 1",
            "function f(x) = x",
            "end",
            "pass",
            "with a: x = 1",
            "lambda x: x",
            "if a:\n    x = 1\nelif b:\n    x = 2",
        ),
        first_texts=of(
            "import from let var const auto int float real tensor while elif print class function func fn end pass with "
            "include switch match lambda try assert global del layer net module"
        ),
        place=1,
        hints={
            **dict.fromkeys(("import", "from", "include"), 'definitions come from another file by use "blocks.grad"'),
            **dict.fromkeys(("let", "var", "const", "auto"), "an equation is written name = value"),
            **dict.fromkeys(
                ("int", "float", "real", "tensor"), "write name = value; what is passed in is an input or a target"
            ),
            "while": "write repeat 4: … or for k in range(4): …; a recurrence is an equation that reads its own past",
            "elif": "write else if",
            "print": "no statement has an effect; `predict` and `metric` name what a model gives",
            **dict.fromkeys(("class", "layer", "net", "module"), "write def name(x[b, i], units): …"),
            **dict.fromkeys(("function", "func", "fn"), "write def f(x) = … or def f(x): …"),
            "lambda": "write def f(x) = … and pass f",
            "end": "a block ends where its indentation ends",
            "pass": "leave the block out",
            "switch": "write if a: … else if b: …",
            "match": "write if a: … else if b: …",
            "with": "`with` stands in optimize head.* with sgd(lr = 0.1) only",
            **dict.fromkeys(("try", "assert", "global", "del"), "leave it out: a model file only declares"),
        },
        points_before=True,
        label="",
    ),
    Row(
        "stray-else",
        "this `else` belongs to no `if`",
        "an else stands right after the block of an if, indented like it",
        ("x = 1\nelse:\n    x = 2", "else: x = 1"),
        at=of("ELSE"),
        place=0,
        label="",
    ),
    Row(
        "loss-assigned",
        "the loss is written without `=`",
        "write loss mean(…); a tensor with a name of its own stands in an equation above: l = …, then loss l",
        ("loss = mean(x)", "loss l = mean(x)", "loss[i] = x[i]"),
        at=of("ASSIGN"),
        starts=of("LOSS"),
    ),
    Row(
        "reserved-word",
        "`{before}` is a word of the language and no name",
        "choose another name for it, such as {before}_1",
        ("data = 3", "state[i] = x[i]", "input = 2"),
        at=of("ASSIGN LSQB"),
        before=RESERVED,
        place=1,
        points_before=True,
        label="expected a name",
    ),
    Row(
        "reserved-word",
        "`{text}` is a word of the language and no name",
        "choose another name for it, such as {text}_1",
        ("dim data = 3", "input x[n], state[n]", "def fit(x) = x", "model model", "def f(x, target) = x", "update loss = 3"),
        at=RESERVED,
        wants=of("NAME"),
        refuses=of("NUMBER _NEWLINE PLUS MODEL"),
    ),
    Row(
        "reserved-word",
        "`{text}` is a word of the language and no name",
        "choose another name for it, such as {text}_1",
        ("y = f(data)", "y = x + state", "y = fit", "predict target"),
        at=STATEMENTS,
        wants=of("NUMBER"),
    ),
    Row(
        "assignment-in-expression",
        "`=` stands once in an equation, after its left side",
        "write an equation for each name; to compare, write ==; an argument's name is one word",
        ("y = a = b", "y = f(x[1] = 3)", "y = (a = 1)", "if x = 1: y = 2", "y = if a = b then c else d"),
        at=of("ASSIGN"),
        wants=of("PLUS"),
    ),
    Row(
        "not-a-statement",
        "a condition of this kind is a value, not a statement",
        "write y = if c then a else b; a block is if c: …",
        ("if a then b else c", "if a then x = 1"),
        at=of("THEN"),
        starts=of("IF"),
        wants=of("COLON"),
    ),
    Row(
        "number-with-name",
        "an operator is missing between {before} and {text}",
        "write `*` to multiply; a number is 0.5, 1e-3 or 100000, and a name begins with a letter",
        ("y = 2x", "y = 1_000", "y = 3pi * r", "y = f(2x)", "x = 0x10", "repeat 2n: x = x", "y = if 2a then b else c"),
        at=of("NAME FULL_NAME"),
        before=of("NUMBER"),
        touching=True,
    ),
    Row(
        "missing-colon",
        "the `:` of this `{first}` is missing",
        "a block follows a `:`, in the line or indented below",
        (
            "def f(x)\n    return x",
            "for k in 1, 2\n    x = x",
            "repeat 4 x = f(x)",
            "if a\n    x = 1",
            "if a:\n    x = 1\nelse\n    x = 2",
            "def f(x) return x",
            "optimizer f(lr = 1)\n    p = p",
        ),
        starts=HEADS,
        wants=of("COLON"),
        absent=of("COLON"),
        inside=("",),
    ),
    Row(
        "comprehension",
        "`for` stands at the start of a line only",
        "an index runs over its extent by itself: sum[i: 3](x[i])",
        ("y = sum(x for i in range(3))", "y = [i for i in 3]", "y = f(x) for x in a"),
        at=of("FOR"),
        wants=of("PLUS"),
    ),
    Row(
        "block-in-line",
        "`{text}` cannot stand in the line of another block",
        "begin a new line for it, and indent it",
        ("repeat 2: if a: x = 1", "for k in 2: def f(x) = x", "if a: if b: x = 1"),
        at=of("IF DEF SHARED OPTIMIZER"),
        before=of("COLON"),
        refuses=of("NUMBER"),
    ),
    Row(
        "several-in-a-line",
        "`{text}` begins a statement",
        "write every statement on a line of its own",
        ("x = 1 dim n = 2", "x = a return x", "dim n = 3 input x[n]"),
        at=STATEMENTS,
        refuses=of("NUMBER NAME"),
    ),
    Row(
        "missing-then",
        "the `then` of this condition is missing",
        "a value with a condition is written if c then a else b",
        ("y = if a b else c", "y = if a: b", "y = f(if a)", "y = if a > 0 else 1"),
        wants=of("THEN"),
        absent=of("THEN"),
    ),
    Row(
        "missing-else",
        "the `else` of this condition is missing",
        "write if c then a else 0: a value is needed in either case",
        ("y = if a then b", "y = f(if a then b, 2)", "y[i] = sum[k](if k < i then x[k])"),
        at=ENDS,
        wants=of("ELSE"),
        absent=of("ELSE"),
    ),
    Row(
        "python-condition",
        "the condition comes first",
        "write if c then a else b",
        ("y = a if c else b", "y = f(a if c else b)"),
        at=of("IF"),
        wants=of("PLUS"),
    ),
    Row(
        "condition-as-operand",
        "a condition inside a sum or a product stands in brackets",
        "write 1 + (if c then a else b)",
        ("y = 1 + if c then a else b", "y = -if c then a else b", "y = not if c then a else b"),
        at=of("IF"),
        wants=of("NUMBER"),
    ),
    Row(
        "not-as-operand",
        "`not` inside a sum, a product or a comparison stands in brackets",
        "write a == (not b)",
        ("y = a == not b", "y = 1 + not b", "y = -not b"),
        at=of("NOT"),
        wants=of("NUMBER"),
    ),
    Row(
        "membership",
        "`in` stands only in for x in 1, 2: …",
        "compare with each: a == 1 or a == 2",
        ("y = a in b", "if a in b: x = 1"),
        at=of("IN"),
    ),
    Row(
        "missing-in",
        "the `in` of this `for` is missing",
        "write for k in 1, 2, 3: … or for k in range(4): …",
        ("for k = 1: x = x", "for k: x = x"),
        starts=of("FOR"),
        wants=of("IN"),
        absent=of("IN"),
    ),
)

VALUES = (
    Row(
        "typed-argument",
        "an argument states no type",
        "write its name alone, or its axes: def f(x[b, i], units)",
        ("def f(x: int): return x", "def f(x, n: int) = x", "optimizer f(lr: real):\n    p = p"),
        at=of("COLON"),
        starts=of("DEF SHARED OPTIMIZER"),
        inside=("(",),
    ),
    Row(
        "slice",
        "there are no slices x[1:3]",
        "name the index and its extent: y[i: 2] = x[i + 1] is x[1] and x[2]",
        ("y = x[:, 0]", "y = x[1:3]", "y = x[i, :]", "y = x[n - 1:]", "y[0:2] = x"),
        at=of("COLON"),
        inside=("[",),
    ),
    Row(
        "slice",
        "there are no slices x[1:3]",
        "name the index and its extent: y[i: 2] = x[i + 1] is x[1] and x[2]",
        ("y = x[i:]", "y = x[i:, 2]"),
        at=of("RSQB COMMA"),
        before=of("COLON"),
        inside=("[",),
    ),
    Row(
        "extent-outside",
        "`{before}: …` states the extent of an index, between square brackets or in brackets of its own",
        "write sum[u: 2](x[u]) or x[2*i + (u: 2)]; an argument by name is written with =",
        ("y = f(u: 2)", "y = f(x, u: 2)"),
        at=of("COLON"),
        before=of("NAME"),
        inside=("(",),
    ),
    Row(
        "equal-for-assign",
        "`==` compares",
        "to give a name its value, write =",
        ("y == x + 1", "y[i] == x[i]", "dim n == 3", "fit epochs == 3"),
        at=of("EQUAL"),
        wants=of("ASSIGN"),
    ),
    Row(
        "missing-law",
        "the initial law of a parameter or state follows `~`",
        "write param w[n, m] ~ zeros; what is computed is an equation without the word param",
        ("param w[n] = zeros", "state v = 0", "param w[n] zeros", "param w[n]", "param w"),
        wants=of("TILDE"),
    ),
    Row(
        "input-with-value",
        "input and target have no value in the file",
        "they are passed when the model is called; what is computed is an equation: x[b, i] = …",
        ("input x[b] = 3", "target y = x"),
        at=of("ASSIGN"),
        starts=of("INPUT TARGET"),
        refuses=of("NUMBER PLUS"),
    ),
    Row(
        "missing-text",
        "`{before}` needs a path in double quotes",
        'write use "blocks.grad" or data "digits.npz"',
        ("use blocks", "data digits.npz", "use"),
        wants=of("STRING"),
    ),
    Row(
        "unnamed-metric",
        "a metric has a name",
        "write metric accuracy = …",
        ("metric mean(x)", "metric f(x) + 1", "metric a + b", "metric 3", "metric a.b"),
        starts=of("METRIC"),
        wants=NONE,
        refuses=of("NUMBER PLUS RSQB"),
    ),
    Row(
        "extra-comma",
        "nothing stands after this comma",
        "write what is missing, or delete it",
        ("dim a = 1,", "y = f(a,, b)", "input x[n],", "x, = f(a)", "return a,", "fit epochs = 1,"),
        at=ENDS | of("ASSIGN FOR"),
        before=of("COMMA"),
        points_before=True,
    ),
    Row(
        "extra-comma",
        "nothing stands before this comma",
        "write what is missing, or delete it",
        ("y = f(, a)", "y = x[, i]", "return , a", "y = [, 2]"),
        at=of("COMMA"),
        before=of("LPAR LSQB GUARDED RETURN ASSIGN IN"),
    ),
    Row(
        "unnamed-option",
        "an option here has a name",
        "{hint}",
        ("fit 30", "fit epochs = 3, 4", "optimize adam(), 1.0", "fit"),
        starts=of("FIT OPTIMIZE"),
        wants=of("NAME"),
        refuses=of("NUMBER PLUS FOR"),
        before=of("FIT COMMA"),
        hints={"fit": "write fit epochs = 30, batch = 64", "optimize": "write optimize adam(lr = 1e-3), clip_norm = 1.0"},
    ),
    Row(
        "unknown-statement",
        "`{first}` begins no statement",
        "{near}",
        ("imput x[n]", "y 3", "params w[n] ~ zeros", "losss mean(x)", "predic p = x", "optimise adam()", "metrics a = b"),
        at=of("NAME FULL_NAME NUMBER LOSS"),
        starts=of("NAME"),
        place=1,
        points_before=True,
        label="",
    ),
    Row(
        "missing-equal",
        "the `=` of this equation is missing",
        "write name = value",
        ("h[b, o] relu(x)", "a, b f(x)", "update h[i] x[i]", "update h x"),
        at=of("NAME FULL_NAME NUMBER LOSS LSQB IF NOT"),
        starts=of("NAME UPDATE"),
        wants=of("ASSIGN"),
        inside=("",),
    ),
    Row(
        "not-an-equation",
        "this line gives nothing a name",
        "write name = value; `predict`, `loss` and `metric` name what the model gives",
        ("relu(x)", "x + 1", "x[i] + 1", "x", "x[i]", "h |> relu", "x, y", "x * w", "sum[i](x[i])"),
        starts=of("NAME"),
        wants=of("ASSIGN"),
        inside=("",),
    ),
    Row(
        "not-an-equation",
        "{found} begins no statement",
        "write name = value, or a declaration such as dim, input, param, loss",
        ("3", "(a + b)", "-x", "h.weight = 3", "+ b", "*", "[a, b] = f(x)", "then x", "@decorator"),
        place=0,
        label="",
    ),
    Row(
        "nameless-function",
        "there are no functions without a name",
        "write def f(x) = …, and pass f",
        ("y = map(lambda x: x, z)", "y = lambda x: x"),
        before_texts=of("lambda"),
        points_before=True,
        label="",
    ),
    Row(
        "header-brackets",
        "a definition's arguments stand in brackets after its name",
        "write def f(x, y): …",
        ("def f: return 3", "def f x: return x", "def f = 3", "optimizer sgd:\n    p = p"),
        starts=of("DEF SHARED OPTIMIZER"),
        wants=of("LPAR"),
        refuses=of("NUMBER PLUS"),
    ),
    Row(
        "method-call",
        "there are no methods",
        "write f(x) or x |> f; with a dot go the full names of parameters, h.weight",
        ("y = h.relu(x)", "y = x.mean()"),
        at=of("LPAR"),
        before=of("FULL_NAME"),
    ),
    Row(
        "called-value",
        "the result of a call is no function",
        "a call has its arguments in one pair of brackets; to multiply, write `*`",
        ("y = f(x)(y)", "y = (a + b)(c)", "y = sum[i](x[i])(y)"),
        at=of("LPAR"),
        before=of("RPAR"),
    ),
    Row(
        "indexed-number",
        "a number has no axes",
        "to multiply, write `*`",
        ("y = 2[i]", "y = f(3[0])"),
        at=of("LSQB GUARDED"),
        before=of("NUMBER"),
    ),
    Row(
        "missing-comma",
        "a comma or an operator is missing between {before} and {text}",
        "write a comma between two items, `*` between two factors",
        ("y = f(a b)", "y = x[i j]", "y = f(a, 2 3)", "def f(a b) = a", "y = f(lr = 3 mu = 4)", "y = (a) + f((b) c)"),
        at=VALUE_BEGINS,
        before=VALUE_ENDS,
        wants=of("COMMA"),
        inside=("(", "["),
    ),
    Row(
        "missing-comma",
        "a comma is missing between {before} and {text}",
        "write a comma between two items of a list",
        ("dim a = 1 b = 2", "input x[n] y[n]", "input x[n] : int(3) y[n]", "fit epochs = 3 batch = 4", "dim a b"),
        at=of("NAME"),
        before=VALUE_ENDS,
        starts=of("DIM INPUT TARGET FIT FREEZE"),
        wants=of("COMMA"),
    ),
    Row(
        "missing-operator",
        "an operator is missing between {before} and {text}",
        "write `*` to multiply",
        ("y = a b", "y = (a) b", "y = x[i] y[i]", "loss a b", "y = a 2", "y = f(x) g(x)", "y = (a b)", "param w ~ a b"),
        at=VALUE_BEGINS,
        before=VALUE_ENDS,
        wants=of("PLUS"),
    ),
    Row(
        "missing-right-side",
        "the right side is missing",
        "write a value after `{before}`",
        ("y =", "param w[n] ~", "dim n =", "y[i] = # later", "def f(x) =", "predict p ="),
        at=of("_NEWLINE"),
        before=of("ASSIGN TILDE"),
    ),
    Row(
        "plus-sign",
        "there is no sign + before a value",
        "leave it out",
        ("y = +x", "y = f(+1)", "y = 2 * +x"),
        at=of("PLUS"),
        wants=of("NUMBER"),
    ),
    Row(
        "missing-operand",
        "`{before}` has nothing on its right",
        "write a value there; a line goes on only inside brackets",
        ("y = x +", "y = f(a *)", "y = a and", "y = not", "y = -", "y = x |>", "loss a ==", "y = x[i + ]", "y = a + * b"),
        before=BINARY | of("NOT"),
        wants=of("NUMBER"),
    ),
    Row(
        "missing-operand",
        "`{text}` has nothing on its left",
        "write a value there; a line goes on only inside brackets",
        ("y = * x", "y = f(/ 2)", "predict == 3", "y = x[* 2]", "y = (^ 2)"),
        at=BINARY,
        wants=of("NUMBER"),
    ),
    Row(
        "empty-brackets",
        "nothing stands between these brackets",
        "write a value; a call without arguments is f()",
        ("y = ()", "y = 2 * ()", "input x[n] : int()"),
        at=of("RPAR"),
        before=of("LPAR"),
    ),
    Row(
        "missing-value",
        "a value is missing before {found}",
        "write a number, a name or an expression",
        ("loss", "predict", "return", "y = if then a else b", "y = f(a = )", "for k in : x = 1", "repeat : x = 1"),
        wants=of("NUMBER"),
    ),
    Row(
        "misplaced",
        "{found} cannot stand here",
        "{hint}",
        ("model 3", "dim n : 3", "freeze", "input x[n] :", "optimize", "shared x", "for k, j in a: x = x"),
        hints={
            "model": "write model digits",
            "dim": "write dim n = 64, or dim batch",
            "freeze": "write freeze backbone.*",
            "input": "write input x[batch, n], ids[batch] : int(vocab)",
            "target": "write target y[batch] : int(classes)",
            "optimize": "write optimize adam(lr = 1e-3), or optimize head.* with sgd(lr = 0.1)",
            "for": "write for k in 1, 2, 3: … or for k in range(4): …",
            "shared": "write shared def f(x): …",
        },
    ),
)

MISTAKES = (*FOUND, *SIGNS, *LINES, *VALUES)
