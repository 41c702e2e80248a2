"""Sparse algebraic relations between a target and its arguments.

A law ``T(y) = P(u) / Q(u)`` with polynomials ``P`` and ``Q`` satisfies the linear relation
``P(u) - T(y) * Q(u) = 0`` in the monomials: its coefficients are a null vector of the matrix of
all monomials. For data without noise that null vector is as exact as the arithmetic, so quotients
of sums and roots of them are found by one singular value decomposition per transform ``T``.

Axes: ``n`` rows, ``m`` monomials.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import (
    Add,
    Apply,
    Mul,
    Node,
    Number,
    Parameter,
    Power,
    integer,
    raised,
)
from zoo_kan.symbolic.hypotheses import Argument, Tree
from zoo_kan.symbolic.library import Function
from zoo_kan.symbolic.polynomial import monomials

__all__ = ["VIEWS", "Terms", "View", "quotient_tree", "relations"]

Array = NDArray[np.floating]

_NULL = 1e-11  # singular value of normalised columns below which there is a relation
_EXACT = 1e-12  # what a relation with only the terms kept may leave of its largest term
_FAINT = 1e-6  # share of the largest term below which a term is rounding
_MOST_TERMS = 12
_MOST_CONSTANTS = 4  # that are no whole numbers: many make a good approximation, no law
_MOST_COLUMNS = 130
_HALF_PI = Number(0.5 * math.pi, sympy.pi / 2)
_MINUS_ONE = integer(-1)


@dataclass(frozen=True)
class View:
    """An invertible transform of the target.

    Attributes
    ----------
    name : str
    needs : str
        Name of the function in the library that undoes it, if it takes one.
    usable : callable
        Whether the target lies where the transform can be undone.
    transform : callable
    undo : callable
        ``undo(node, sign, function)``: the target's tree from that of its transform.
    """

    name: str
    needs: str
    usable: Callable[[Array], bool]
    transform: Callable[[Array], Array]
    undo: Callable[[Node, float, Function | None], Node]


def _one_sign(y: Array) -> bool:
    return bool(y.min() > 0.0 or y.max() < 0.0)


def _signed(node: Node, sign: float) -> Node:
    return node if sign > 0.0 else Mul((_MINUS_ONE, node))


def _root(exponent: float) -> Callable[[Node, float, Function | None], Node]:
    return lambda node, sign, function: _signed(raised(node, exponent), sign)


def _applied(node: Node, sign: float, function: Function | None) -> Node:
    if function is None:
        raise TypeError("The transform needs a function of the library.")
    return Apply(function, node)


VIEWS: tuple[View, ...] = (
    View("identity", "", lambda y: True, lambda y: y, lambda node, sign, function: node),
    View("square", "", _one_sign, np.square, _root(0.5)),
    View("root", "", _one_sign, lambda y: np.sqrt(np.abs(y)), _root(2.0)),
    View(
        "log",
        "exp",
        _one_sign,
        lambda y: np.log(np.abs(y)),
        lambda node, sign, function: _signed(_applied(node, sign, function), sign),
    ),
    View("exp", "log", lambda y: bool(np.abs(y).max() < 30.0), np.exp, _applied),
    View("sin", "arcsin", lambda y: bool(np.abs(y).max() <= 0.5 * math.pi), np.sin, _applied),
    View(
        "cos",
        "arcsin",
        lambda y: bool(y.min() >= 0.0 and y.max() <= math.pi),
        np.cos,
        lambda node, sign, function: Add(
            (_HALF_PI, Mul((_MINUS_ONE, _applied(node, sign, function))))
        ),
    ),
    View("tan", "arctan", lambda y: bool(np.abs(y).max() < 0.5 * math.pi), np.tan, _applied),
)


@dataclass
class Terms:
    """Monomials of some letters."""

    letters: Sequence[Argument]
    exponents: list[tuple[int, ...]]
    values: Array

    @classmethod
    def of(cls, letters: Sequence[Argument], degree: int, single: Sequence[int]) -> "Terms":
        """All monomials up to a total degree, those in ``single`` at most to the first power."""
        k = len(letters)
        exponents = [
            e
            for total in range(degree + 1)
            for e in monomials(k, total)
            if all(e[j] <= 1 for j in single)
        ]
        table = [
            np.prod([a.values**p for a, p in zip(letters, e, strict=True) if p], axis=0)
            * np.ones(len(letters[0].values))
            for e in exponents
        ]
        return cls(letters, exponents, np.column_stack(table))


def _null_vector(P: Array, TP: Array) -> Array | None:
    """Coefficients (2m,) of a relation ``P a + TP b = 0`` with ``b`` not 0, columns of size 1."""
    q, r = np.linalg.qr(P)
    inner = q.T @ TP
    rest = TP - q @ inner
    rest -= q @ (q.T @ rest)
    small = np.linalg.qr(rest, mode="r")
    _, values, vectors = np.linalg.svd(small)
    nullity = int(np.sum(values < _NULL))
    if not nullity or nullity == len(values):
        return None
    b = vectors[-nullity:].T
    try:
        a = -np.linalg.lstsq(r, inner @ b, rcond=1e-13)[0]
    except np.linalg.LinAlgError:
        return None
    basis = np.concatenate([a, b])
    # of several relations, that without the monomials of highest degree
    m = P.shape[1]
    order = [c for j in range(m - 1, -1, -1) for c in (j, m + j)]
    for column in order:
        if basis.shape[1] == 1:
            break
        row = basis[column]
        pivot = int(np.argmax(np.abs(row)))
        if abs(row[pivot]) < 1e-6 * np.abs(basis).max():
            continue
        basis = np.delete(basis - np.outer(basis[:, pivot], row / row[pivot]), pivot, axis=1)
        basis /= np.abs(basis).max(axis=0)
    return basis[:, 0]


def _sparse(columns: Array, vector: Array, m: int) -> tuple[list[int], Array] | None:
    """Terms that a relation keeps and their coefficients, or None if it is not one."""
    chosen = np.flatnonzero(np.abs(vector) > _FAINT * np.abs(vector).max())
    if not 2 <= len(chosen) <= _MOST_TERMS or not (chosen >= m).any() or not (chosen < m).any():
        return None
    if len(chosen) > max(6, m):  # any smooth function is close to a quotient of full polynomials
        return None
    anchor = max((c for c in chosen if c >= m), key=lambda c: abs(vector[c]))
    others = [int(c) for c in chosen if c != anchor]
    coef, *_ = np.linalg.lstsq(columns[:, others], -columns[:, anchor], rcond=1e-14)
    left = columns[:, others] @ coef + columns[:, anchor]
    if not float(np.sqrt(left @ left)) < _EXACT:
        return None
    return [*others, int(anchor)], np.append(coef, 1.0)


def _number(value: float, tolerance: float) -> Number | None:
    near = round(value)
    close = abs(value - near) < tolerance * max(1.0, min(abs(near), 4.0)) and abs(near) <= 12
    return integer(near) if near and close else None


def _polynomial(
    terms: Terms,
    parts: Sequence[tuple[int, float]],
    theta: list[float],
    shift: Sequence[int],
    tolerance: float,
) -> Node:
    nodes: list[Node] = []
    for index, coef in parts:
        factors: list[Node] = []
        number = _number(coef, tolerance)
        if number is None:
            factors.append(Parameter(len(theta)))
            theta.append(coef)
        elif number.value != 1.0:
            factors.append(number)
        for letter, own, other in zip(terms.letters, terms.exponents[index], shift, strict=True):
            power = own - other
            if power:
                factors.append(letter.node if power == 1 else _power(letter.node, power))
        if not factors:
            factors.append(integer(1))
        nodes.append(Mul(tuple(factors)) if len(factors) > 1 else factors[0])
    return Add(tuple(nodes)) if len(nodes) > 1 else nodes[0]


def _power(node: Node, power: int) -> Node:
    return Power(node, integer(power))


def quotient_tree(
    terms: Terms, chosen: Sequence[int], coef: Array, *, tolerance: float = 1e-6
) -> Tree:
    """``P / Q`` from a relation ``P - T Q = 0``, scaled so that many constants are whole."""
    m = len(terms.exponents)
    above = [(c, -float(v)) for c, v in zip(chosen, coef, strict=True) if c < m]
    below = [(c - m, float(v)) for c, v in zip(chosen, coef, strict=True) if c >= m]
    every = [value for _, value in above + below]
    unit = max(every, key=lambda u: sum(_number(v / u, tolerance) is not None for v in every))
    above = [(c, v / unit) for c, v in above]
    below = [(c, v / unit) for c, v in below]
    theta: list[float] = []
    if len(below) == 1:
        index, value = below[0]
        above = [(c, v / value) for c, v in above]
        return _polynomial(terms, above, theta, terms.exponents[index], tolerance), np.array(theta)
    nothing = (0,) * len(terms.letters)
    if len(above) == 1:
        index, value = above[0]
        below = [(c, v / value) for c, v in below]
        if not _one_sign(terms.values[:, index]):  # 1 / (Q / P) is not a number where P is zero
            top = _polynomial(terms, [(index, 1.0)], theta, nothing, tolerance)
            bottom = _polynomial(terms, below, theta, nothing, tolerance)
            return Mul((top, Power(bottom, _MINUS_ONE))), np.array(theta)
        inner = _polynomial(terms, below, theta, terms.exponents[index], tolerance)
        return Power(inner, _MINUS_ONE), np.array(theta)
    top = _polynomial(terms, above, theta, nothing, tolerance)
    bottom = _polynomial(terms, below, theta, nothing, tolerance)
    return Mul((top, Power(bottom, _MINUS_ONE))), np.array(theta)


def relations(
    letters: Sequence[Argument],
    y: Array,
    library: Sequence[Function],
    *,
    highest: int = 4,
    lowest: int = 1,
    single: Sequence[int] = (),
    views: Sequence[View] = VIEWS,
) -> Iterator[Tree]:
    """Laws ``y = T^-1(P(letters) / Q(letters))`` that hold exactly, lowest degree first.

    Parameters
    ----------
    letters : sequence of Argument
        Their trees must have no free constants.
    y : ndarray of shape (n,)
    library : sequence of Function
    highest, lowest : int
        Total degree of the polynomials.
    single : sequence of int
        Letters that occur to the first power only, such as a sine beside its cosine.
    views : sequence of View

    Yields
    ------
    (node, theta)
    """
    named = {function.name: function for function in library}
    sign = 1.0 if y.max() > 0.0 else -1.0
    targets = []
    with np.errstate(all="ignore"):
        for view in views:
            if (view.needs and view.needs not in named) or not view.usable(y):
                continue
            target = view.transform(y)
            if np.isfinite(target).all() and np.ptp(target) > 0.0:
                targets.append((view, target))
    found = False
    for degree in range(lowest, highest + 1):
        count = math.comb(len(letters) + degree, degree)
        if count > min(_MOST_COLUMNS, len(y) // 4) or found:
            return
        terms = Terms.of(letters, degree, single)
        sizes = np.sqrt(np.einsum("nm,nm->m", terms.values, terms.values))
        if not np.isfinite(sizes).all() or not (sizes > 0.0).all():
            return
        P = terms.values / sizes
        for view, target in targets:
            product = P * target[:, None]
            own = np.sqrt(np.einsum("nm,nm->m", product, product))
            if not (own > 0.0).all():
                continue
            TP = product / own
            vector = _null_vector(P, TP)
            if vector is None:
                continue
            sparse = _sparse(np.concatenate([P, TP], axis=1), vector, len(sizes))
            if sparse is None:
                continue
            chosen, coef = sparse
            raw = coef / np.concatenate([sizes, sizes * own])[chosen]
            if not (np.isfinite(raw).all() and (raw != 0.0).all()):
                continue
            # P a + T P b = 0, so T = -(P a) / (P b)
            node, theta = quotient_tree(terms, chosen, raw)
            if len(theta) > _MOST_CONSTANTS:
                continue
            found = True
            yield view.undo(node, sign, named.get(view.needs)), theta
