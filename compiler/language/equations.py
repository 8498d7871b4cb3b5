"""Equations: a left side and a right side → a tensor and `core` equations. Each is elaborated when it is first needed.

The index equations of one name in a block make one tensor. First its extents are found, from the left sides and what
tells about their indices, so that others can read it; then its values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gradc.errors import Span
from gradc.graph.index import ZERO, IndexExpr, index

from . import core, syntax
from .arithmetic import as_number, hull
from .call_names import plan_calls
from .core import Bounds, Kind
from .cycles import cycle_refusal, in_one_cycle, measuring, recurrence_of, waits_for
from .extents import solve
from .foreseen import foreseen
from .mends import no_tensor
from .places import Context, Place
from .refusal import Echo, Refused
from .scopes import Entry, Given, Group, Part, Returning, Size, Thunk, Written
from .settle import undetermined
from .tensors import store, tensor_value
from .values import POISON, Array, Element, Items, Several, Subscripts, Value, described
from .variables import Variable
from .walk import alone_in, has_dots, nodes, without_binders
from .world import World
from .writes import check_writes


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An index equation whose indices are known: where it writes, the place of its right side, and those indices of
    which only a tensor of its own recurrence told."""

    written: Written
    place: Place
    indices: tuple[core.Index, ...]
    write: Subscripts
    names: tuple[str, ...]
    told: tuple[Variable, ...]


def force(world: World, entry: Entry) -> Value:
    """The value of what a name means."""
    match entry:
        case Given(value=value):
            return value
        case Size(value=value):
            raise AssertionError(f"a size is no equation: {value}")
        case Part(whole=whole_entry, at=at):
            result = force(world, whole_entry)
            return result.values[at] if isinstance(result, Several) else POISON
        case Thunk():
            return _force_thunk(world, entry)
        case Group():
            return _force_group(world, entry)
        case Returning():
            return POISON


# ---------------------------------------------------------------- whole-tensor equations


def _force_thunk(world: World, thunk: Thunk) -> Value:
    if thunk.state == "forcing":
        raise cycle_refusal(thunk)
    if thunk.state == "waiting":
        thunk.state = "forcing"
        world.begin(thunk)
        try:
            thunk.result = _whole_equation(world, thunk)
        except Refused as refused:
            world.report(refused, thunk.scope.frame)
        finally:
            world.forcing.pop()
            thunk.state = "done"
    return thunk.result


def _whole_equation(world: World, thunk: Thunk) -> Value:
    frame = thunk.scope.frame
    context = Context(thunk.name, frame, thunk.order, world.text(thunk.span), world.span(thunk.span, frame))
    context.taken |= world.names_in(thunk.value)
    context.internal = {name: name for name in context.taken}
    context.direct = (id(_outermost_call(thunk.value)), thunk.targets)
    place = Place(thunk.scope, thunk.position, context)
    plan_calls(world, context, [thunk.value], place, between=False)
    solve(world, place, (), (), thunk.value)
    value = world.value(thunk.value, place)
    if value is POISON:
        return POISON
    if len(thunk.targets) > 1:
        return _several(world, thunk, value, context)
    if isinstance(value, Several):
        raise Refused("several-values", f"the right side gives {len(value.values)} values for {thunk.targets[0]}",
                      thunk.value.span, help="write a, b = … for two")  # fmt: skip
    return named(world, value, thunk.targets[0], context, thunk.value)


def _outermost_call(node: syntax.Expression) -> syntax.Expression:
    """The node that names the call whose value the expression is: in `x |> f` it is f."""
    return node.right if isinstance(node, syntax.Binary) and node.operator == "|>" else node


def named(world: World, value: Value, name: str, context: Context, node: syntax.Expression) -> Value:
    """The value under a name: a tensor that has one already, a known number, a list, or a new tensor."""
    if value is POISON or isinstance(value, Items):
        return value
    if not isinstance(value, Element | Array):
        raise _no_tensor(value, node.span)
    if isinstance(value, Array) and value.name is not None:
        return value
    if isinstance(value, Element) and (value.known or value.size is not None or is_scalar_tensor(value)):
        return value
    return store(world, value, name, context, context.order)


def is_scalar_tensor(value: Element) -> bool:
    """Whether a scalar has a tensor of its own."""
    return isinstance(value.expression, core.Read) and not value.expression.subscripts


def _no_tensor(value: Value, span: Span) -> Refused:
    message = f"an equation makes a tensor, and this is {described(value)}"
    return Refused("not-a-tensor", message, span, help=no_tensor(value))


def _several(world: World, thunk: Thunk, value: Value, context: Context) -> Value:
    if not isinstance(value, Several | Items) or len(value.values) != len(thunk.targets):
        count = len(value.values) if isinstance(value, Several | Items) else 1
        raise Refused(
            "several-values",
            f"the right side gives {count} value{'s' * (count != 1)}, and {len(thunk.targets)} names stand on the left",
            thunk.span,
            help="write a name for each value; a whole tensor is one value",
        )
    results = [named(world, part, full, replace(context, name=full), thunk.value)
               for part, full in zip(value.values, thunk.targets, strict=True)]  # fmt: skip
    return Several(tuple(results))


# ---------------------------------------------------------------- index equations


def axes_of(world: World, entry: Entry) -> tuple[core.Axis, ...] | None:
    """The axes of what index equations make; None where they are just being found, or are wrong."""
    if not isinstance(entry, Group):
        value = force(world, entry)
        return value.axes if isinstance(value, Array) else None
    if entry.state == "waiting":
        _measure_in_turn(world, entry)
    return entry.axes


def _measure_in_turn(world: World, group: Group) -> None:
    """Its extents, for whichever of a recurrence they are asked first. Where they need those of a tensor that is being
    measured, what asks goes by what is known of them meanwhile, and they wait for their turn; one whose turn it is lets
    the others of its recurrence go first."""
    if in_one_cycle(world, group, measuring(world)):
        if group.tried < world.measured and _measure(world, group):
            group.tried = world.measured
        return
    refused = _measure(world, group)
    while refused:
        others = [e for e in recurrence_of(world, group) if e is not group and e.state == "waiting"]
        if all([_measure(world, other) for other in others]):
            for each in (group, *others):
                each.state = "done"
            break
        refused = _measure(world, group)
    for written, error in refused:
        world.report(error, written.scope.frame)


def _measure(world: World, group: Group) -> list[tuple[Written, Refused]]:
    """Finds its extents, unless they need others' of its own recurrence that are not known: then says which do."""
    group.state = "measuring"
    world.begin(group)
    refused: list[tuple[Written, Refused]] = []
    try:
        prepared, refused = _prepared(world, group)
        group.prepared = list(prepared)
        group.axes = None if len(prepared) < len(group.equations) else check_writes(
            world, group.shown, [(p.written, p.place, p.indices, p.write, p.names) for p in prepared])  # fmt: skip
    except Refused as caught:
        world.report(caught, group.equations[0].scope.frame)
    finally:
        world.forcing.pop()
        group.state = "measured" if group.axes is not None else "done"
    if refused and all(error.diagnostic.code == "cycle" for _, error in refused):
        group.state = "waiting"
        return refused
    for written, error in refused:
        world.report(error, written.scope.frame)
    return []


def _prepared(world: World, group: Group) -> tuple[list[Prepared], list[tuple[Written, Refused]]]:
    """The equations with their indices, and those that are refused. One of a recurrence may be told of by another: it
    is tried again after that."""
    found: dict[int, Prepared] = {}
    group.ends.clear()
    waiting = list(enumerate(group.equations))
    while waiting:
        refused: list[tuple[int, Written, Refused]] = []
        for at, written in waiting:
            try:
                found[at] = _prepare(world, group, written)
            except Refused as caught:
                refused.append((at, written, caught))
            else:
                world.measured += at not in group.known
                group.known.add(at)
                most = (found[at].place.ranges.most(place) for place in found[at].write)
                group.ends.append(tuple(None if m is None or m.indices or m.gathers else m + 1 for m in most))
        if len(refused) == len(waiting):
            return [found[at] for at in sorted(found)], [(written, error) for _, written, error in refused]
        waiting = [(at, written) for at, written, _ in refused]
    return [found[at] for at in sorted(found)], []


def _prepare(world: World, group: Group, written: Written) -> Prepared:
    frame = written.scope.frame
    own = group if group.shown != "return" else None
    context = Context(group.base, frame, written.order, world.text(written.span), world.span(written.span, frame),
                      indexed=True, own=own)  # fmt: skip
    context.taken |= world.names_in(*written.subscripts, written.value)
    context.internal = {name: name for name in context.taken}
    place = Place(written.scope, written.position, context)
    plan_calls(world, context, [written.value], place, between=group.shown == "return")
    names = _index_names(world, written, place)
    fewest = 0 if len(group.equations) > 1 else 1
    solution = solve(world, place, written.subscripts, names, written.value, fewest)
    place = place.among(solution.left)
    dotted = has_dots(*written.subscripts)
    if dotted:
        place = _with_rest(place, solution.rest, written)
    write, shown_names = _write(world, written, place)
    return Prepared(written, place, _in_order(solution.left, place, written), write, shown_names, solution.told)


def _index_names(world: World, written: Written, place: Place) -> list[syntax.Expression]:
    """The names and binders on a left side that are indices: not sizes, not numbers."""
    alone = alone_in(written.subscripts, written.value)
    found: list[syntax.Expression] = []
    for node in nodes(*written.subscripts):
        if isinstance(node, syntax.Binder) or (
            isinstance(node, syntax.Name) and _is_index(world, node.name, alone, place)
        ):
            found.append(node)
        elif isinstance(node, syntax.Subscript | syntax.Call | syntax.Conditional | syntax.Comparison):
            raise Refused("left-side", "the left side holds indices, sizes and numbers alone", node.span,
                          help="write it as a sum: out[n] = sum[e](if dst[e] == n then m[e] else 0)")  # fmt: skip
    extents = {id(n) for b in found if isinstance(b, syntax.Binder) for n in nodes(b.extent)}
    return [node for node in found if id(node) not in extents]


def _is_index(world: World, name: str, alone: set[str], place: Place) -> bool:
    entry = place.scope.find(name, place.position, False)
    if isinstance(entry, Given) and entry.number:
        return False
    if isinstance(entry, Size) or name in alone:
        return name in alone
    value = force(world, entry) if isinstance(entry, Thunk | Part) else None
    return not (isinstance(value, Element) and value.known)


def _with_rest(place: Place, rest: tuple[core.Index, ...] | None, written: Written) -> Place:
    if rest is None:
        raise Refused("undetermined-index", "nothing says which axes ... stands for", written.span,
                      help="read a tensor at [...] on the right")  # fmt: skip
    return replace(place.among({f"...{i.name}": i for i in rest}), rest=rest, indices=place.indices)


def _write(world: World, written: Written, place: Place) -> tuple[Subscripts, tuple[str, ...]]:
    """The places an equation writes, and the names of the axes."""
    write: list[IndexExpr] = []
    names: list[str] = []
    for node in written.subscripts:
        if isinstance(node, syntax.Ellipsis):
            rest = place.rest or ()
            write.extend(index(i.name) for i in rest)
            names.extend(place.context.rest_names)
            continue
        element = world.value(without_binders(node), place)
        if not isinstance(element, Element) or element.index is None or element.kind is not Kind.WHOLE:
            if element is POISON:
                raise Echo
            raise Refused(
                "left-side",
                "the left side holds indices, sizes and numbers alone",
                node.span,
                help="write y[i, 2*k + 1] = …; to places in data: y[v] = sum[e](if to[e] == v then x[e] else 0)",
            )
        write.append(element.index)
        names.append(node.name if isinstance(node, syntax.Name | syntax.Binder) else "")
    return tuple(write), tuple(names)


def _in_order(left: Mapping[str, core.Index], place: Place, written: Written) -> tuple[core.Index, ...]:
    """The indices of an equation in the order of its left side."""
    found: dict[str, core.Index] = {}
    for node in nodes(*written.subscripts):
        if isinstance(node, syntax.Ellipsis):
            found |= {i.name: i for i in place.rest or ()}
        elif isinstance(node, syntax.Name | syntax.Binder) and node.name in left:
            found[left[node.name].name] = left[node.name]
    return tuple(found.values())


def _force_group(world: World, group: Group) -> Value:
    axes = axes_of(world, group)
    if group.state == "measuring":
        raise cycle_refusal(group, group.unknown)
    if group.state == "forcing" or (group.state == "measured" and axes is not None and waits_for(world, group)):
        # it reads itself: what it holds is known only when it is done
        kind, bounds = foreseen(world, group)
        return tensor_value(group.equations[0].span, group.name, axes or (), kind, bounds)
    if group.state == "measured" and axes is not None:
        group.state = "forcing"
        world.begin(group)
        try:
            group.result = _values(world, group, axes)
        except Refused as refused:
            world.report(refused, group.equations[0].scope.frame)
        finally:
            world.forcing.pop()
            group.state = "done"
    return group.result


def _of(group: Group) -> list[Prepared]:
    """Its equations, measured."""
    return [p for p in group.prepared if isinstance(p, Prepared)]


def _values(world: World, group: Group, axes: tuple[core.Axis, ...]) -> Value:
    prepared = _of(group)
    for one in prepared:
        _check_told(world, one)
    elements = [_right_side(world, p) for p in prepared]
    if any(element is None for element in elements):
        return POISON
    kind, bounds, known = _joined(prepared, [e for e in elements if e is not None])
    span = prepared[0].place.context.span
    world.add_tensor(prepared[0].written.order, core.Tensor(span, group.name, axes, kind, bounds))
    for one, element in zip(prepared, known, strict=True):
        context = one.place.context
        world.add_equation(one.written.order, core.Equation(
            context.span, group.name, one.write, one.indices, element.expression, context.text))  # fmt: skip
    return tensor_value(span, group.name, axes, kind, bounds)


def _check_told(world: World, one: Prepared) -> None:
    """Refuses an index that goes as far as a tensor of its own recurrence did when only a part of that was known."""
    for variable in one.told:
        entry, at = variable.told_by or (None, 0)
        axes = axes_of(world, entry) if isinstance(entry, Group) else None
        if axes is not None and at < len(axes) and axes[at].extent != variable.extent:
            raise undetermined(variable)


def _right_side(world: World, one: Prepared) -> Element | None:
    value = world.value(one.written.value, one.place)
    if value is POISON or isinstance(value, Element):
        return value if isinstance(value, Element) else None
    frame = one.written.scope.frame
    if isinstance(value, Array):
        world.report(
            Refused(
                "not-an-element",
                f"the right side of an index equation is a number at each place, and this is {described(value)}",
                one.written.value.span,
                help="read it at indices; without brackets on the left the equation is one of whole tensors",
            ),
            frame,
        )
    else:
        world.report(_no_tensor(value, one.written.value.span), frame)
    return None


def _joined(prepared: Sequence[Prepared], elements: list[Element]) -> tuple[Kind, Bounds | None, list[Element]]:
    """The kind and the range of a tensor of several equations; a place that nobody writes is 0."""
    kinds = {element.kind for element in elements}
    if kinds == {Kind.BOOL}:
        return Kind.BOOL, None, elements
    numbers = [as_number(element) for element in elements]
    if any(element.kind is Kind.REAL for element in numbers):
        return Kind.REAL, None, numbers
    ranges = [number.range(one.place.ranges) for number, one in zip(numbers, prepared, strict=True)]
    one = prepared[0]
    covers = len(prepared) == 1 and all(w.bare for w in one.write)
    bounds = ranges[0]
    for other in ranges[1:] if covers else [*ranges[1:], Bounds(ZERO, ZERO)]:
        bounds = hull(bounds, other, one.place.ranges)
    return Kind.WHOLE, bounds, numbers
