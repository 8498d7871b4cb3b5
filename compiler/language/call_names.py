"""What calls in an equation are called: `h = relu(dense(x, 64))` has h.weight; two dense in it h.dense_1.weight.

h = dense(x, 64) + dense(y, 64)   →   h.dense_1, h.dense_2        counted innermost and leftmost first
"""

from collections import Counter
from collections.abc import Sequence

from . import syntax
from .numeric import called, handed_parameters, has_parameters, is_numeric
from .places import CallName, Context, Place
from .walk import calls_in_order
from .world import World


def plan_calls(world: World, context: Context, roots: Sequence[syntax.Expression], place: Place, between: bool) -> None:
    """Notes in the context what each call in an equation is called.

    Args:
        between: the definition's name comes between in any case, as it does in a `return`.
    """
    found = [
        (
            key,
            definition,
            has_parameters(world, definition) or handed_parameters(world, node, place.scope, place.position),
        )
        for root in roots
        for key, name, node in calls_in_order(root)
        for definition in [called(world, name, node, place.scope, place.position)]
        if definition is not None and not is_numeric(world, definition, {})
    ]
    names = Counter(definition.name for _, definition, _ in found)
    trained = Counter(definition.name for _, definition, has in found if has)
    alone = not between and sum(trained.values()) == 1
    seen: Counter[str] = Counter()
    seen_trained: Counter[str] = Counter()
    base = context.name
    direct = context.direct[0] if context.direct else None
    for key, definition, has in found:
        name = definition.name
        seen[name] += 1
        result = f"{base}.{name}" + (f"_{seen[name]}" if names[name] > 1 else "")
        prefix = base if key == direct and not between and sum(trained.values()) == has else result
        if has:
            seen_trained[name] += 1
            counted = f"_{seen_trained[name]}" if trained[name] > 1 else ""
            prefix = base if alone else f"{base}.{name}{counted}"
        context.plan[key] = CallName(result, prefix + ".")
