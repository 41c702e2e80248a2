"""Shorter ways to write a fitted formula, each accepted only if it shortens the description.

Besides round constants (`snap`): a term of a sum is left out, two constants that agree within
their errors become one, and a power whose exponent is close to 0 becomes the logarithm it
imitates, ``c * u ** p = c + c * p * log(u) + ...``. All other constants are refitted every time.

Axes: ``p`` parameters.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import (
    Add,
    Apply,
    Mul,
    Node,
    Parameter,
    Power,
    exponents,
    integer,
    parameters,
    renumber,
    simplify,
    substitute,
)
from zoo_kan.symbolic.hypotheses import Tree
from zoo_kan.symbolic.library import Function
from zoo_kan.symbolic.refit import Fit, Problem, refit
from zoo_kan.symbolic.snap import description_length, round_constants

__all__ = ["shorten"]

Array = NDArray[np.floating]

_MOST_CONSTANTS = 10
_ROUNDS = 6
_SAME = 3.0  # standard errors between constants that may be one
_FLAT = 0.3  # exponent up to which a power may be a logarithm


def shorten(fit: Fit, problem: Problem, library: Sequence[Function]) -> Fit:
    """Round and simplify a formula as long as that shortens its description.

    Parameters
    ----------
    fit : Fit
    problem : Problem
    library : sequence of Function
        Logarithms are written only if it holds one named ``log``.

    Returns
    -------
    Fit
    """
    current = round_constants(fit, problem)
    length = description_length(current, problem)
    for _ in range(_ROUNDS):
        if not 1 <= len(current.theta) <= _MOST_CONSTANTS:
            break
        best: tuple[float, Fit] | None = None
        for node, theta in _simpler(current, library):
            trial = refit(*renumber(simplify(node), theta), problem, max_iter=20)
            reached = description_length(trial, problem)
            if reached < (length if best is None else best[0]):
                best = reached, trial
        if best is None:
            break
        current = round_constants(best[1], problem)
        length = description_length(current, problem)
    return current


def _simpler(fit: Fit, library: Sequence[Function]) -> Iterator[Tree]:
    for node in _without_a_term(fit.node):
        yield node, fit.theta
    yield from _tied(fit)
    for function in library:
        if function.name == "log":
            yield from _as_logarithm(fit, function)


def _without_a_term(node: Node) -> Iterator[Node]:
    """The tree without one of the terms of a sum in it."""
    match node:
        case Add(terms):
            for i in range(len(terms)):
                rest = (*terms[:i], *terms[i + 1 :])
                if rest:
                    yield Add(rest) if len(rest) > 1 else rest[0]
            for i, term in enumerate(terms):
                for changed in _without_a_term(term):
                    yield Add((*terms[:i], changed, *terms[i + 1 :]))
        case Mul(factors):
            for i, factor in enumerate(factors):
                for changed in _without_a_term(factor):
                    yield Mul((*factors[:i], changed, *factors[i + 1 :]))
        case Power(base, exponent):
            for changed in _without_a_term(base):
                yield Power(changed, exponent)
        case Apply(function, argument):
            for changed in _without_a_term(argument):
                yield Apply(function, changed)


def _tied(fit: Fit) -> Iterator[Tree]:
    """The tree with two constants of one size written as one, up to the sign."""
    powers = exponents(fit.node)
    for i, j in itertools.combinations(parameters(fit.node), 2):
        reach = _SAME * math.hypot(fit.spread[i], fit.spread[j])
        for sign in (1, -1):
            if not abs(fit.theta[i] - sign * fit.theta[j]) <= reach < abs(fit.theta[i]):
                continue
            if sign < 0 and j in powers:
                continue
            other: Node = Parameter(i) if sign > 0 else Mul((integer(-1), Parameter(i)))
            yield substitute(fit.node, {Parameter(j): other}), fit.theta


def _as_logarithm(fit: Fit, logarithm: Function) -> Iterator[Tree]:
    """The tree with a term ``c * u ** p`` of the outermost sum written as a logarithm."""
    terms = fit.node.terms if isinstance(fit.node, Add) else (fit.node,)
    for i, term in enumerate(terms):
        factors = term.factors if isinstance(term, Mul) else (term,)
        for k, factor in enumerate(factors):
            if not (isinstance(factor, Power) and isinstance(factor.exponent, Parameter)):
                continue
            power = float(fit.theta[factor.exponent.index])
            if not 0.0 < abs(power) < _FLAT:
                continue
            rest = [f for j, f in enumerate(factors) if j != k]
            scales = [f.index for f in rest if isinstance(f, Parameter)]
            theta = fit.theta.copy()
            # the exponent's place is taken by the coefficient of the logarithm
            theta[factor.exponent.index] = power * math.prod(theta[s] for s in scales)
            kept = [f for f in rest if not isinstance(f, Parameter)]
            written = Mul((factor.exponent, *kept, Apply(logarithm, factor.base)))
            others = (*terms[:i], *terms[i + 1 :])
            yield Add((*others, written)), theta
            if not kept:
                shifted = np.append(theta, math.prod(fit.theta[s] for s in scales))
                yield Add((*others, written, Parameter(len(theta)))), shifted
