"""Formulas under construction: trees whose constants are free parameters.

A tree is immutable and holds the *numbers* of its parameters; their values live beside it in a
vector ``theta``. Values and derivatives by the parameters come from one pass through the tree.

Axes: ``n`` rows, ``p`` parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.library import Function

__all__ = [
    "Add",
    "Apply",
    "Mul",
    "Node",
    "Number",
    "Parameter",
    "Power",
    "Variable",
    "apply",
    "complexity",
    "evaluate",
    "evaluate_with_slopes",
    "exponents",
    "integer",
    "leaves",
    "parameters",
    "raised",
    "renumber",
    "simplify",
    "substitute",
    "to_sympy",
    "variables",
]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Number:
    """A constant that is no longer fitted; ``exact`` is how it is written."""

    value: float
    exact: sympy.Expr


@dataclass(frozen=True)
class Parameter:
    """A free constant: its place in ``theta``."""

    index: int


@dataclass(frozen=True)
class Variable:
    """An input column."""

    index: int


@dataclass(frozen=True)
class Add:
    """Sum."""

    terms: tuple["Node", ...]


@dataclass(frozen=True)
class Mul:
    """Product."""

    factors: tuple["Node", ...]


@dataclass(frozen=True)
class Power:
    """``base ** exponent``."""

    base: "Node"
    exponent: "Number | Parameter"


@dataclass(frozen=True)
class Apply:
    """A function of the library."""

    function: Function
    argument: "Node"


Node = Number | Parameter | Variable | Add | Mul | Power | Apply

ZERO = Number(0.0, sympy.Integer(0))
ONE = Number(1.0, sympy.Integer(1))


def apply(function: Function, argument: Node) -> Node:
    """Function of ``argument``; powers become `Power`, so that exponents can be treated alike."""
    if function.exponent is None:
        return Apply(function, argument)
    exact = sympy.Rational(function.exponent.numerator, function.exponent.denominator)
    return Power(argument, Number(float(function.exponent), exact))


def integer(value: int) -> Number:
    """An exact integer."""
    return Number(float(value), sympy.Integer(value))


def raised(base: Node, exponent: float) -> Node:
    """``base`` to a fixed power, a multiple of 1/4."""
    exact = sympy.Rational(round(4 * exponent), 4)
    return Power(base, Number(float(exact), exact))


def _raise(base: Array, exponent: float) -> Array:
    if exponent == int(exponent) and 0 < exponent < 16:
        return np.power(base, int(exponent))
    return np.power(base, exponent)


def evaluate(node: Node, columns: Sequence[Array], theta: Array) -> Array:
    """Value (n,) of a tree at ``columns``, a sequence of arrays (n,)."""
    match node:
        case Number(value):
            return np.full(len(columns[0]), value)
        case Parameter(index):
            return np.full(len(columns[0]), theta[index])
        case Variable(index):
            return columns[index]
        case Add(terms):
            total = evaluate(terms[0], columns, theta)
            for term in terms[1:]:
                total = total + evaluate(term, columns, theta)
            return total
        case Mul(factors):
            total = evaluate(factors[0], columns, theta)
            for factor in factors[1:]:
                total = total * evaluate(factor, columns, theta)
            return total
        case Power(base, exponent):
            power = exponent.value if isinstance(exponent, Number) else theta[exponent.index]
            return _raise(evaluate(base, columns, theta), float(power))
        case Apply(function, argument):
            return function.evaluate(evaluate(argument, columns, theta))


def evaluate_with_slopes(
    node: Node, columns: Sequence[Array], theta: Array
) -> tuple[Array, dict[int, Array]]:
    """Value (n,) of a tree and its derivative (n,) by each parameter it holds."""
    match node:
        case Number() | Variable():
            return evaluate(node, columns, theta), {}
        case Parameter(index):
            return evaluate(node, columns, theta), {index: np.ones(len(columns[0]))}
        case Add(terms):
            return _add_slopes(terms, columns, theta)
        case Mul(factors):
            return _multiply_slopes(factors, columns, theta)
        case Power(base, exponent):
            return _power_slopes(base, exponent, columns, theta)
        case Apply(function, argument):
            value, inner = evaluate_with_slopes(argument, columns, theta)
            result = function.evaluate(value)
            if inner:
                factor = function.slope(value)
                inner = {index: slope * factor for index, slope in inner.items()}
            return result, inner


def _add_slopes(
    terms: Sequence[Node], columns: Sequence[Array], theta: Array
) -> tuple[Array, dict[int, Array]]:
    total: Array = np.zeros(len(columns[0]))
    slopes: dict[int, Array] = {}
    for term in terms:
        value, inner = evaluate_with_slopes(term, columns, theta)
        total = total + value
        for index, slope in inner.items():
            slopes[index] = slopes[index] + slope if index in slopes else slope
    return total, slopes


def _multiply_slopes(
    factors: Sequence[Node], columns: Sequence[Array], theta: Array
) -> tuple[Array, dict[int, Array]]:
    total, slopes = evaluate_with_slopes(factors[0], columns, theta)
    for factor in factors[1:]:
        value, inner = evaluate_with_slopes(factor, columns, theta)
        slopes = {index: slope * value for index, slope in slopes.items()}
        for index, slope in inner.items():
            own = slope * total
            slopes[index] = slopes[index] + own if index in slopes else own
        total = total * value
    return total, slopes


def _power_slopes(
    base: Node, exponent: Number | Parameter, columns: Sequence[Array], theta: Array
) -> tuple[Array, dict[int, Array]]:
    value, inner = evaluate_with_slopes(base, columns, theta)
    power = float(theta[exponent.index] if isinstance(exponent, Parameter) else exponent.value)
    result = _raise(value, power)
    slopes = {}
    if inner:
        factor = power * _raise(value, power - 1.0)
        slopes = {index: slope * factor for index, slope in inner.items()}
    if isinstance(exponent, Parameter):
        own = result * np.log(np.where(value > 0, value, np.nan))
        slopes[exponent.index] = slopes.get(exponent.index, np.zeros(len(own))) + own
    return result, slopes


def _map(node: Node, leaf: Callable[[Node], Node]) -> Node:
    match node:
        case Add(terms):
            return Add(tuple(_map(term, leaf) for term in terms))
        case Mul(factors):
            return Mul(tuple(_map(factor, leaf) for factor in factors))
        case Power(base, exponent):
            mapped = leaf(exponent)
            if not isinstance(mapped, Number | Parameter):
                raise TypeError("The exponent of a Power must stay a constant.")
            return Power(_map(base, leaf), mapped)
        case Apply(function, argument):
            return Apply(function, _map(argument, leaf))
        case _:
            return leaf(node)


def substitute(node: Node, replacements: dict[Node, Node]) -> Node:
    """Replace leaves (parameters, variables, numbers) by nodes."""
    return _map(node, lambda leaf: replacements.get(leaf, leaf))


def leaves(node: Node) -> list[Node]:
    """Leaves of a tree, left to right."""
    match node:
        case Add(children) | Mul(children):
            return [leaf for child in children for leaf in leaves(child)]
        case Power(base, exponent):
            return [*leaves(base), exponent]
        case Apply(_, argument):
            return leaves(argument)
        case _:
            return [node]


def parameters(node: Node) -> list[int]:
    """Numbers of the parameters in a tree, each once, in order of first appearance."""
    return list(dict.fromkeys(leaf.index for leaf in leaves(node) if isinstance(leaf, Parameter)))


def exponents(node: Node) -> set[int]:
    """Numbers of the parameters that are exponents."""
    match node:
        case Add(children) | Mul(children):
            return set().union(*(exponents(child) for child in children))
        case Power(base, Parameter(index)):
            return exponents(base) | {index}
        case Power(base, _):
            return exponents(base)
        case Apply(_, argument):
            return exponents(argument)
        case _:
            return set()


def variables(node: Node) -> list[int]:
    """Numbers of the variables in a tree, sorted."""
    return sorted({leaf.index for leaf in leaves(node) if isinstance(leaf, Variable)})


def renumber(node: Node, theta: Array, start: int = 0) -> tuple[Node, Array]:
    """Number the parameters ``start, start + 1, ...``; the tree and their values (p,)."""
    used = parameters(node)
    mapping: dict[Node, Node] = {
        Parameter(old): Parameter(start + new) for new, old in enumerate(used)
    }
    return substitute(node, mapping), np.array([theta[index] for index in used], dtype=float)


def simplify(node: Node) -> Node:
    """Fold exact zeros and ones and nested sums and products."""
    match node:
        case Add(terms):
            flat: list[Node] = []
            for term in map(simplify, terms):
                flat.extend(term.terms if isinstance(term, Add) else [term])
            flat = [term for term in flat if not (isinstance(term, Number) and term.value == 0.0)]
            return ZERO if not flat else flat[0] if len(flat) == 1 else Add(tuple(flat))
        case Mul(factors):
            flat = []
            for factor in map(simplify, factors):
                flat.extend(factor.factors if isinstance(factor, Mul) else [factor])
            if any(isinstance(factor, Number) and factor.value == 0.0 for factor in flat):
                return ZERO
            flat = [part for part in flat if not (isinstance(part, Number) and part.value == 1.0)]
            return ONE if not flat else flat[0] if len(flat) == 1 else Mul(tuple(flat))
        case Power(base, exponent):
            inner = simplify(base)
            if isinstance(exponent, Number) and exponent.value == 0.0:
                return ONE
            if isinstance(exponent, Number) and exponent.value == 1.0:
                return inner
            return Power(inner, exponent)
        case Apply(function, argument):
            return Apply(function, simplify(argument))
        case _:
            return node


def complexity(node: Node) -> int:
    """Number of nodes."""
    match node:
        case Add(children) | Mul(children):
            return len(children) - 1 + sum(complexity(child) for child in children)
        case Power(base, _):
            return 2 + complexity(base)
        case Apply(function, argument):
            return function.complexity + complexity(argument)
        case _:
            return 1


def to_sympy(
    node: Node, symbols: Sequence[sympy.Expr], constants: Sequence[sympy.Expr]
) -> sympy.Expr:
    """The tree in sympy, with ``symbols`` for the columns and ``constants`` for ``theta``."""
    match node:
        case Number(_, exact):
            return exact
        case Parameter(index):
            return constants[index]
        case Variable(index):
            return symbols[index]
        case Add(terms):
            return sympy.Add(*(to_sympy(term, symbols, constants) for term in terms))
        case Mul(factors):
            return sympy.Mul(*(to_sympy(factor, symbols, constants) for factor in factors))
        case Power(base, exponent):
            return sympy.Pow(
                to_sympy(base, symbols, constants), to_sympy(exponent, symbols, constants)
            )
        case Apply(function, argument):
            return function.symbolic(to_sympy(argument, symbols, constants))
