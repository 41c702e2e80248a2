"""A formula as a wiring of sums and products, before any number is computed.

Every node is an input, a sum of one-variable functions of nodes below it, or a product of two such
sums. So ``exp(sin(x) + y**2)`` is the function exp of a node that sums ``sin(x)`` and ``y**2``,
and ``m * v**2 / sqrt(1 - v**2 / c**2)`` is a product of ``m * v**2`` and a function of another
product, ``v**2 * c**-2``. Equal nodes are one node.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import sympy
from sympy.core.function import AppliedUndef

__all__ = ["T", "WiredNode", "WiredSum", "Wiring"]

T = sympy.Dummy("t")
Edge = tuple["WiredNode", sympy.Expr]


@dataclass
class WiredSum:
    """A constant plus functions of one variable ``T``, one for each node they are applied to."""

    terms: dict["WiredNode", sympy.Expr] = field(default_factory=dict)
    constant: sympy.Expr = sympy.S.Zero

    @property
    def level(self) -> int:
        """Highest level among its nodes; -1 for a constant."""
        return max((node.level for node in self.terms), default=-1)

    def times(self, factor: sympy.Expr) -> "WiredSum":
        """The sum times a number."""
        terms = {node: factor * function for node, function in self.terms.items()}
        return WiredSum(terms, factor * self.constant)


@dataclass(eq=False)
class WiredNode:
    """An input (no sums), a sum (one) or a product (two).

    Attributes
    ----------
    expression : sympy.Expr
        What it computes, in the variables.
    sums : tuple of WiredSum
    """

    expression: sympy.Expr
    sums: tuple[WiredSum, ...] = ()

    def __post_init__(self) -> None:
        self.level: int = 1 + max((part.level for part in self.sums), default=-1)
        if self.sums:
            self.level = max(self.level, 1)


class Wiring:
    """Wires expressions in some variables.

    Parameters
    ----------
    variables : sequence of sympy.Symbol
    """

    def __init__(self, variables: Sequence[sympy.Symbol]) -> None:
        self.inputs = {symbol: WiredNode(symbol) for symbol in variables}
        self._sums: dict[sympy.Expr, WiredNode] = {}
        self._products: dict[frozenset[sympy.Expr], WiredNode] = {}

    def output(self, expression: sympy.Expr) -> WiredNode:
        """Node that computes an expression: a product where that is all there is, else a sum.

        Raises
        ------
        ValueError
            If the expression holds a function of several arguments that vary, or a function that
            has no definition.
        """
        whole = self._sum(expression)
        if len(whole.terms) == 1 and whole.constant == 0:
            node, function = next(iter(whole.terms.items()))
            factor = sympy.simplify(function / T)
            if len(node.sums) == 2 and not factor.free_symbols:
                first, second = node.sums
                return WiredNode(expression, (first.times(factor), second))
        return WiredNode(expression, (whole,))

    def layers(self, outputs: Sequence[WiredNode]) -> list[list[tuple[WiredNode, bool]]]:
        """Nodes per layer above the inputs, each with whether it is only passed on.

        Sums come before products; the outputs, which are the last layer, keep their order.
        """
        needed = list(dict.fromkeys(outputs))
        result: list[list[tuple[WiredNode, bool]]] = []
        for level in range(max(node.level for node in outputs), 0, -1):
            rows = [(node, node.level < level) for node in needed]
            if result:
                rows.sort(key=lambda row: len(row[0].sums) == 2 and not row[1])
            result.insert(0, rows)
            below: dict[WiredNode, None] = {}
            for node, passed in rows:
                for part in node.sums if not passed else ():
                    below.update(dict.fromkeys(part.terms))
                if passed:
                    below[node] = None
            needed = list(below)
        return result

    def _sum(self, expression: sympy.Expr) -> WiredSum:
        total = WiredSum()
        for term in sympy.Add.make_args(expression):
            if not term.free_symbols:
                total.constant += term
                continue
            node, function = self._edge(term)
            total.terms[node] = total.terms.get(node, sympy.S.Zero) + function
        return total

    def _edge(self, term: sympy.Expr) -> Edge:
        """Node and function of it that make up a term with variables."""
        symbols = term.free_symbols
        if len(symbols) == 1:
            symbol = next(iter(symbols))
            if term.atoms(AppliedUndef):
                raise ValueError(f"from_symbolic does not know the function in {term}.")
            return self.inputs[symbol], term.subs(symbol, T)
        if term.is_Add:
            return self._node_of_sum(term)
        if term.is_Mul:
            return self._product(term)
        if isinstance(term, AppliedUndef):
            raise ValueError(f"from_symbolic does not know the function in {term}.")
        if term.is_Pow and term.base.free_symbols and term.exp.free_symbols:
            return self._edge(sympy.exp(term.exp * sympy.log(term.base), evaluate=False))
        varying = [argument for argument in term.args if argument.free_symbols]
        if len(varying) > 1:
            raise ValueError(
                f"Functions of from_symbolic must have one argument that varies. Got {term}, in "
                f"which {' and '.join(map(str, varying))} vary."
            )
        node, inner = self._edge(varying[0])
        arguments = [inner if argument is varying[0] else argument for argument in term.args]
        return node, term.func(*arguments)

    def _node_of_sum(self, expression: sympy.Expr) -> Edge:
        whole = self._sum(expression)
        if len(whole.terms) == 1:
            node, function = next(iter(whole.terms.items()))
            return node, function + whole.constant
        if expression not in self._sums:
            self._sums[expression] = WiredNode(expression, (whole,))
        return self._sums[expression], T

    def _product(self, term: sympy.Expr) -> Edge:
        number: sympy.Expr = sympy.S.One
        factors: dict[WiredNode, sympy.Expr] = {}
        for factor in term.args:
            if not factor.free_symbols:
                number *= factor
                continue
            node, function = self._edge(factor)
            factors[node] = factors.get(node, sympy.S.One) * function
        while len(factors) > 1:
            # the two lowest first, which keeps the network flat
            parts = sorted(factors.items(), key=lambda part: self._as_sum(part).level)
            node = self._times(parts[0], parts[1])
            factors = dict(parts[2:])
            factors[node] = factors.get(node, sympy.S.One) * T
        node, function = factors.popitem()
        return node, number * function

    def _times(self, left: Edge, right: Edge) -> WiredNode:
        values = [function.subs(T, node.expression) for node, function in (left, right)]
        key = frozenset(values)
        if key not in self._products:
            sums = (self._as_sum(left), self._as_sum(right))
            self._products[key] = WiredNode(values[0] * values[1], sums)
        return self._products[key]

    @staticmethod
    def _as_sum(part: Edge) -> WiredSum:
        """A factor: a sum is multiplied as it stands, without a node of its own."""
        node, function = part
        return node.sums[0] if len(node.sums) == 1 and function == T else WiredSum({node: function})
