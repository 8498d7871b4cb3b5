"""What needs each other in a graph of any kind: its strongly connected components."""

from collections.abc import Iterator, Sequence


def components(needs: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The strongly connected components, each after those it needs (Tarjan 1972), without recursion."""
    found: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    done: set[int] = set()
    for root in range(len(needs)):
        if root in found:
            continue
        path = [(root, iter(needs[root]))]
        found[root] = low[root] = len(found)
        stack.append(root)
        while path:
            node, children = path[-1]
            for child in children:
                if child not in found:
                    found[child] = low[child] = len(found)
                    stack.append(child)
                    path.append((child, iter(needs[child])))
                    break
                if child not in done:
                    low[node] = min(low[node], found[child])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == found[node]:
                    component = [stack.pop()]
                    while component[-1] != node:
                        component.append(stack.pop())
                    done.update(component)
                    yield sorted(component) if len(component) > 1 else component
