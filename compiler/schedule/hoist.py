"""What is made of scalars alone leaves the loops: computed once, and in float64.

    p[n] = p[n] - 0.001*m[n]/((1 - a)*(sqrt(v[n]/(1 - b)) + ε))
    becomes     scale = 1/(1 - b);  scale_2 = 0.001/(1 - a);  p[n] = p[n] - scale_2*m[n]/(sqrt(scale*v[n]) + ε)

In float32, 1 - 0.999^t alone would lose two and a half digits.
"""

from dataclasses import dataclass, field, replace

import sympy

from gradc.graph.nodes import Equation, Graph, Head, Named, Read, Reducer, Tensor, Value
from gradc.graph.tensors import Kind


def hoist_scalars(graph: Graph) -> Graph:
    """The graph with the scalar parts of bodies over indices as scalars of their own."""
    work = _Hoist(graph, dict(graph.tensors))
    with sympy.core.parameters.distribute(False):
        equations = [work.equation(equation) for equation in graph.equations]
    return Graph(work.tensors, (*work.made, *equations), graph.outputs)


@dataclass
class _Hoist:
    graph: Graph
    tensors: dict[str, Tensor]
    made: list[Equation] = field(default_factory=list)
    names: dict[sympy.Expr, str] = field(default_factory=dict)

    def equation(self, equation: Equation) -> Equation:
        real = self.graph.tensors[equation.target].kind is Kind.REAL
        if not equation.indices or not real or all(self.tensors[read.tensor].axes for read in equation.reads):
            return equation
        body = self.hoisted(equation.body, equation)
        return replace(equation, body=body) if body != equation.body else equation

    def hoisted(self, body: sympy.Expr, equation: Equation) -> sympy.Expr:
        """The body with every part that is made of scalars, and is more than a leaf, as one read."""
        if isinstance(body, Read | Value | Named | sympy.Rational):
            return body
        if self.is_scalar(body):
            return self.scalar(body, equation) if body.atoms(Read) else body
        if isinstance(body, sympy.Add | sympy.Mul):
            return self.parted(body, equation)
        return body.func(*(self.hoisted(argument, equation) for argument in body.args))

    def parted(self, body: sympy.Expr, equation: Equation) -> sympy.Expr:
        scalars = [argument for argument in body.args if self.is_scalar(argument)]
        rest = [self.hoisted(argument, equation) for argument in body.args if not self.is_scalar(argument)]
        part = body.func(*scalars)
        if part.atoms(Read) and not isinstance(part, Read) and not isinstance(-part, Read):
            # the sign stays in the loop: p - scale·m reads better than p + scale·m with a negative scale
            sign = -1 if isinstance(body, sympy.Mul) and part.as_coeff_Mul()[0] < 0 else 1
            part = sign * self.scalar(sign * part, equation)
        return body.func(part, *rest)

    def is_scalar(self, body: sympy.Expr) -> bool:
        """Whether it is the same everywhere: made of scalars of the model, numbers and dims."""
        for leaf in body.atoms(Read, Value):
            if isinstance(leaf, Value):
                if leaf.value.indices or leaf.value.gathers:
                    return False
            elif self.tensors[leaf.tensor].axes or self.tensors[leaf.tensor].kind is not Kind.REAL:
                return False
        return not (isinstance(body, Head) and body.row_name in ("lt", "le", "eq", "ne", "and", "or", "not"))

    def scalar(self, body: sympy.Expr, equation: Equation) -> Read:
        if body not in self.names:
            name = self.fresh(f"{equation.target}.{'offset' if isinstance(body, sympy.Add) else 'scale'}")
            self.names[body] = name
            self.tensors[name] = Tensor(name, (), Kind.REAL, equation.origin)
            self.made.append(Equation(name, (), (), (), Reducer.SUM, body, equation.origin))
        return Read(self.names[body], ())

    def fresh(self, name: str) -> str:
        count, candidate = 1, name
        while candidate in self.tensors:
            count += 1
            candidate = f"{name}_{count}"
        return candidate
