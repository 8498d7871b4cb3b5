"""Forms that overflow → functions that do not, on the user's equations, before they are differentiated.

    p[b, k] = e[b, k] / s[b]        e[b, k] = exp(x[b, k])        s[b] = Σ_j exp(x[b, j])
    p[b, k] = exp(x[b, k] - l[b])                                 l[b] = logsumexp_j x[b, j]

Differentiated first, log(1 + exp(x)) would give inf/inf. Every rule keeps the value where the form as written has one,
and gives its limit where that overflows. The functions are in let-normal form afterwards, as lowering leaves them. Then
products of looked-up rows become products of their table (`lookups.py`), and sums of products pairs (`pairs.py`).
"""

from dataclasses import replace

import sympy
from sympy import Integer, Rational

from gradc.graph.nodes import Equation, Graph, Read, Reducer, reads_of, substitute
from gradc.graph.prune import pruned
from gradc.graph.scalar import EXP, EXPM1, LOG, LOG1P, SIGMOID, SOFTPLUS, TANH, WHERE

from .engine import BodyRule, Measure, Phase, Rewritten, Rule, Site, nodes_of, rewrite
from .lookups import IN_PLACE, LOOKUPS, multiplied_looked_up
from .normal import let_normal_form
from .pairs import PAIRS, unpaired
from .views import behind, exponent_of, mentions, negative, same, sum_of_exponentials, two_exponents
from .work import Work

HALF = Rational(1, 2)


def stabilise(graph: Graph) -> Graph:
    """The graph with stable functions where the user wrote them out."""
    return stabilised(graph).graph


def stabilised(graph: Graph) -> Rewritten:
    """The same, and which rules fired where."""
    result = rewrite(graph, PHASES)
    return (
        replace(result, graph=let_normal_form(_without_leftovers(result.graph, graph), graph)) if result.log else result
    )


# ---------------------------------------------------------------- quotients


def _split(body: sympy.Expr) -> tuple[list[sympy.Expr], list[tuple[sympy.Expr, int]]]:
    """A product as factors, and the bases and exponents of what it is divided by."""
    above: list[sympy.Expr] = []
    below: list[tuple[sympy.Expr, int]] = []
    for factor in sympy.Mul.make_args(body):
        match factor:
            case sympy.Pow(args=(base, sympy.Integer() as power)) if power < 0:
                below.append((base, -int(power)))
            case _:
                above.append(factor)
    return above, below


def _product(above: list[sympy.Expr], below: list[tuple[sympy.Expr, int]], *more: sympy.Expr) -> sympy.Expr:
    return sympy.Mul(*above, *(base**-power for base, power in below), *more)


def _without(things: list[sympy.Expr], place: int) -> list[sympy.Expr]:
    return [*things[:place], *things[place + 1 :]]


def _lowered(below: list[tuple[sympy.Expr, int]], place: int) -> list[tuple[sympy.Expr, int]]:
    base, power = below[place]
    return [*below[:place], *([(base, power - 1)] if power > 1 else []), *below[place + 1 :]]


def _tanh(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    above, below = _split(body)
    for at, (base, _) in enumerate(below):
        total = two_exponents(base, site)
        if total is None:
            continue
        for place, factor in enumerate(above):
            difference = _difference(factor, site)
            if difference is None:
                continue
            for p, q in (total, total[::-1]):
                if same(difference[0], p, site) and same(difference[1], q, site):
                    slope = HALF * sympy.Add(p, negative(q))
                    return _product(_without(above, place), _lowered(below, at), TANH(_halved(slope)))
    return None


def _halved(body: sympy.Expr) -> sympy.Expr:
    """½(2x) is x, whatever the sum within."""
    return sympy.expand(body)


def _difference(body: sympy.Expr, site: Site) -> tuple[sympy.Expr, sympy.Expr] | None:
    """p and q where the body is exp(p) − exp(q), either of them 1."""
    body = behind(body, site)
    if not isinstance(body, sympy.Add) or len(body.args) != 2:  # noqa: PLR2004  (a difference has two terms)
        return None
    for first, second in (body.args, body.args[::-1]):
        p, q = (Integer(0) if term == 1 else exponent_of(term, site) for term in (first, -second))
        if p is not None and q is not None:
            return p, q
    return None


def _sigmoid_quotient(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    above, below = _split(body)
    for at, (base, _) in enumerate(below):
        total = two_exponents(base, site)
        if total is None:
            continue
        for place, factor in enumerate(above):
            exponent = exponent_of(factor, site)
            if exponent is None:
                continue
            for p, q in (total, total[::-1]):
                if same(exponent, p, site):
                    sigmoid = SIGMOID(sympy.Add(p, negative(q)))
                    return _product(_without(above, place), _lowered(below, at), sigmoid)
    return None


def _sigmoid(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    base, power = body.args
    if not isinstance(power, sympy.Integer) or power >= 0:
        return None
    total = two_exponents(base, site)
    return SIGMOID(negative(total[0])) ** -power if total and total[1] == 0 else None


def _softmax(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    above, below = _split(body)
    if not below:
        return None
    exponents = [(factor, exponent_of(factor, site)) for factor in above]
    found = [exponent for _, exponent in exponents if exponent is not None]
    sums = [(base, power) for base, power in below if sum_of_exponentials(base, site)]
    if not found or not sums:
        return None
    rest = [factor for factor, exponent in exponents if exponent is None]
    others = [pair for pair in below if pair not in sums]
    terms = list(found)
    for base, power in sums:
        log = logarithm_of_sum(base, site)
        assert log is not None, "a sum of exponentials has a logarithm"
        terms += [-power * term for term in sympy.Add.make_args(log)]
    return _product(rest, others, EXP(_cancelled(terms, site)))


def _cancelled(terms: list[sympy.Expr], site: Site) -> sympy.Expr:
    """The sum of the terms; one that is itself a cheap sum is opened where that makes it shorter."""
    plain = sympy.Add(*terms)
    opened = sympy.Add(*(_opened(term, site) for term in terms))
    return opened if _length(opened) < _length(plain) else plain


def _opened(term: sympy.Expr, site: Site) -> sympy.Expr:
    found = behind(term, site)
    return found if isinstance(found, sympy.Add) else term


def _length(body: sympy.Expr) -> int:
    return len(sympy.Add.make_args(body))


# ---------------------------------------------------------------- logarithms


def logarithm_of_sum(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    """log Σ exp(u) as a logsumexp of its own, made at the first use; what does not depend on the sum stands outside."""
    found = sum_of_exponentials(body, site)
    if found is None:
        return None
    read, equation, exponent = found
    name, offset = site.work.logarithms.get(read.tensor) or _made_logarithm(site.work, equation, exponent)
    values = {place.bare or "": subscript for place, subscript in zip(equation.write, read.subscripts, strict=True)}
    return sympy.Add(Read(name, read.subscripts), substitute(offset, values))


def _made_logarithm(work: Work, equation: Equation, exponent: sympy.Expr) -> tuple[str, sympy.Expr]:
    reduced = {index.name for index in equation.reduced}
    terms = sympy.Add.make_args(_opened(exponent, Site(work, equation)))
    inner = [term for term in terms if mentions(term, reduced)]
    offset = sympy.Add(*(term for term in terms if not mentions(term, reduced))) if inner else Integer(0)
    body = sympy.Add(*inner) if offset != 0 else exponent
    old = work.tensors[equation.target]
    name = work.fresh(_role(old.name, "logsumexp"))
    origin = equation.origin.after(LOGSUMEXP.name)
    work.declare(replace(old, name=name, origin=origin))
    work.put(name, (replace(equation, target=name, reducer=Reducer.LOGSUMEXP, body=body, origin=origin),))
    work.logarithms[old.name] = (name, offset)
    return name, offset


def _role(name: str, role: str) -> str:
    """`p.sum` in another role: `p.logsumexp`."""
    stem, dot, last = name.rpartition(".")
    return f"{stem}.{role}" if dot and last.rstrip("_0123456789") == Reducer.SUM.value else f"{name}.{role}"


def _log_of_sum(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    return logarithm_of_sum(body.args[0], site)


def _log_of_exp(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    return exponent_of(body.args[0], site)


def _softplus(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    (argument,) = body.args
    if isinstance(body, LOG1P.head):
        exponent = exponent_of(argument, site)
        return None if exponent is None else SOFTPLUS(exponent)
    total = two_exponents(argument, site)
    return SOFTPLUS(total[0]) if total and total[1] == 0 else None


def _log_of_sigmoid(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    inner = behind(body.args[0], site)
    if isinstance(inner, SIGMOID.head):
        return -SOFTPLUS(negative(inner.args[0]))
    terms = sympy.Add.make_args(inner)
    if len(terms) == 2 and terms[0] == 1:  # noqa: PLR2004  (1 − sigmoid)
        taken = behind(-terms[1], site)
        if isinstance(taken, SIGMOID.head):
            return -SOFTPLUS(taken.args[0])
    return None


def _log1p(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    terms = sympy.Add.make_args(behind(body.args[0], site))
    if len(terms) == 1 or terms[0] != 1:
        return None
    return LOG1P(sympy.Add(*terms[1:]))


def _expm1(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    constant, *terms = body.args
    if not isinstance(constant, sympy.Rational):
        return None
    for place, term in enumerate(terms):
        factor, rest = term.as_coeff_Mul()
        if factor == -constant and (exponent := exponent_of(rest, site)) is not None:
            return sympy.Add(*_without(terms, place), factor * EXPM1(exponent))
    return None


def _cancel(body: sympy.Expr, site: Site) -> sympy.Expr | None:
    """m + (l − m), where l is a logsumexp made here: what the user took out of the exponent goes again."""
    made = {name for name, _ in site.work.logarithms.values()}
    if not made:
        _asked_again(body.args, site)
        return None
    opened = []
    for term in body.args:
        inner = _opened(term, site)
        opened.append(inner if any(read.tensor in made for read in reads_of(inner)) else term)
    result = sympy.Add(*opened)
    return result if _length(result) < _length(body) else None


def _asked_again(terms: tuple[sympy.Expr, ...], site: Site) -> None:
    """Says that an answer depends on what is behind these terms, though nothing need be substituted to give it."""
    for term in terms:
        writers = site.work.behind(term.tensor) if isinstance(term, Read) else ()
        if any(isinstance(equation.body, Read | WHERE.head) for equation in writers):
            behind(term, site)


# ---------------------------------------------------------------- the rules


OVERFLOW = "exp overflows above 709 (88 in float32), and inf/inf is NaN"
TANH_RULE: BodyRule = Rule(
    "tanh",
    "(exp(p) - exp(q))/(exp(p) + exp(q))",
    "tanh((p - q)/2)",
    OVERFLOW,
    _tanh,
    nodes=(sympy.Mul,),
    outermost=True,
)
SIGMOID_QUOTIENT: BodyRule = Rule(
    "sigmoid quotient",
    "exp(p)/(exp(p) + exp(q))",
    "sigmoid(p - q)",
    OVERFLOW,
    _sigmoid_quotient,
    nodes=(sympy.Mul,),
    outermost=True,
)
SOFTMAX: BodyRule = Rule(
    "softmax", "exp(a)/sum exp(u)", "exp(a - logsumexp u)", OVERFLOW, _softmax, nodes=(sympy.Mul,), outermost=True
)
SIGMOID_RULE: BodyRule = Rule(
    "sigmoid", "1/(1 + exp(x))", "sigmoid(-x)", "its derivative has exp(x)², which overflows", _sigmoid,
    nodes=(sympy.Pow,),
)  # fmt: skip
LOG_OF_SIGMOID: BodyRule = Rule(
    "log of sigmoid", "log(sigmoid(x)), log(1 - sigmoid(x))", "-softplus(-x), -softplus(x)",
    "sigmoid(x) is 0 below -745 and 1 above 37", _log_of_sigmoid, nodes=(LOG.head,),
)  # fmt: skip
SOFTPLUS_RULE: BodyRule = Rule(
    "softplus", "log(1 + exp(x))", "softplus(x)", OVERFLOW, _softplus, nodes=(LOG.head, LOG1P.head)
)
LOGSUMEXP: BodyRule = Rule("logsumexp", "log(sum exp(u))", "logsumexp u", OVERFLOW, _log_of_sum, nodes=(LOG.head,))
LOG_OF_EXP: BodyRule = Rule("log of exp", "log(exp(x))", "x", OVERFLOW, _log_of_exp, nodes=(LOG.head,))
LOG1P_RULE: BodyRule = Rule("log1p", "log(1 + x)", "log1p(x)", "1 + x loses x below 1e-16", _log1p, nodes=(LOG.head,))
EXPM1_RULE: BodyRule = Rule("expm1", "exp(x) - 1", "expm1(x)", "cancels near 0", _expm1, nodes=(sympy.Add,))
CANCEL: BodyRule = Rule(
    "cancel", "m + (logsumexp u - m)", "logsumexp u", "the maximum is taken out within logsumexp", _cancel,
    nodes=(sympy.Add,),
)  # fmt: skip

RULES: tuple[BodyRule, ...] = (
    TANH_RULE, SIGMOID_QUOTIENT, SOFTMAX, SIGMOID_RULE, LOG_OF_SIGMOID, SOFTPLUS_RULE, LOGSUMEXP, LOG_OF_EXP,
    LOG1P_RULE, EXPM1_RULE, CANCEL,
)  # fmt: skip


def unstable(work: Work) -> Measure:
    """Logarithms, divisions by exponentials and differences with 1, weighted so that every rule takes some away."""
    sites = ((eq.body, Site(work, eq)) for eq in work.equations())
    return (sum(_weight(node, place) for body, site in sites for node, place in nodes_of(body, site)),)


LOG_WEIGHT = 3


def _weight(node: sympy.Expr, site: Site) -> int:
    match node:
        case LOG.head():
            return LOG_WEIGHT
        case LOG1P.head():
            return 1
        case sympy.Pow(args=(base, sympy.Integer() as power)) if power < 0:
            unstable_base = two_exponents(base, site) or sum_of_exponentials(base, site)
            return -int(power) if unstable_base else 0
        case sympy.Add():
            return (_expm1(node, site) is not None) + (_cancel(node, site) is not None)
    return 0


PHASES: tuple[Phase, ...] = (
    Phase("stabilise", unstable, bodies=RULES),
    Phase("lookups", multiplied_looked_up, equations=(LOOKUPS, IN_PLACE)),
    Phase("pairs", unpaired, equations=(PAIRS,)),
)


def _without_leftovers(graph: Graph, before: Graph) -> Graph:
    """Without the tensors that only a form that is gone had read."""
    dead = set(pruned(before).writers) - set(pruned(graph).writers)
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name not in dead}
    return Graph(tensors, tuple(eq for eq in graph.equations if eq.target not in dead), graph.outputs)
