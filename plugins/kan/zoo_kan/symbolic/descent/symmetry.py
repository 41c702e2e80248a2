"""Symmetries of a law, read off the gradient of a smooth surrogate: fewer and simpler arguments.

``peel``    a factor ``x ** p``: the logarithmic derivative by ``x`` is the constant ``p``
``merge``   two arguments that enter as one, ``u ** a + r * v ** b`` or ``u ** c * v ** d``: the
            ratio of the two derivatives is that of the pair, whatever the rest of the law is
``groups``  dimensionless groups: the logarithmic derivatives of all rows lie in a subspace, so the
            law is a monomial times a function of fewer monomials (Buckingham's theorem, with the
            dimensions read off the data)

Each proposal is verified: a surrogate of the reduced law must be no worse than before.

Axes: ``n`` rows, ``k`` arguments.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.surrogate import Surrogate
from zoo_kan.symbolic.expression import Add, Apply, Mul, Node, Number, Power, integer
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.library import Function

__all__ = [
    "Reduction",
    "companions",
    "factor_guesses",
    "groups",
    "merges",
    "monomial",
    "pair_guesses",
    "peel",
    "waves",
]

Array = NDArray[np.floating]

_ONE = integer(1)
_HALF_PI = Number(0.5 * math.pi, sympy.pi / 2)
_PEEL_SPREAD = 0.35  # interquartile range of a logarithmic derivative that may be constant
_CLOSE = 0.12  # distance of a measured exponent from a multiple of 1/2
_PAIR_SPREAD = 0.12  # of the logarithm of the ratio of two derivatives
_EXPONENTS = (1.0, 2.0, -1.0, 0.5, -2.0, 3.0)
_RATIOS = tuple(
    sorted(
        {Fraction(p, q) for p in range(1, 5) for q in range(1, 5)},
        key=lambda f: f.numerator + f.denominator,
    )
)


@dataclass(frozen=True)
class Reduction:
    """A law as ``factor * F(arguments)``.

    Attributes
    ----------
    factor : Argument
    arguments : list of Argument
    """

    factor: Argument
    arguments: list[Argument]


def _fraction(value: Fraction | float) -> Number:
    exact = Fraction(value).limit_denominator(12)
    return Number(float(exact), sympy.Rational(exact.numerator, exact.denominator))


def monomial(arguments: Sequence[Argument], exponents: Sequence[Fraction | float]) -> Argument:
    """Product of powers of arguments; those with exponent 0 are left out."""
    factors: list[Node] = []
    values = np.ones(len(arguments[0].values))
    for argument, exponent in zip(arguments, exponents, strict=True):
        if not exponent:
            continue
        power = float(exponent)
        values = values * (
            argument.values ** int(power)
            if power == int(power) and power > 0
            else argument.values**power
        )
        if exponent == 1:
            factors.append(argument.node)
        else:
            factors.append(Power(argument.node, _fraction(exponent)))
    node = Mul(tuple(factors)) if len(factors) > 1 else factors[0] if factors else _ONE
    return Argument(node, (), values)


def _one_sign(values: Array) -> bool:
    return bool(values.min() > 0.0 or values.max() < 0.0)


def _elasticities(arguments: Sequence[Argument], y: Array, law: Surrogate) -> tuple[Array, Array]:
    """``x dy/dx`` of every argument, (n, k), and the target; in units of the target's size.

    Where the surrogate is one of the logarithm, all are divided by the target: that is what it
    knows best.
    """
    rows = law.rows
    scaled = law.gradient * np.column_stack([a.values[rows] for a in arguments])
    target = y[rows]
    size = np.abs(target)
    if law.view == "log" or (_one_sign(target) and size.max() < 1e3 * size.min()):
        return scaled / target[:, None], np.ones(len(rows))
    unit = float(np.sqrt(np.mean(target**2))) or 1.0
    return scaled / unit, target / unit


def peel(arguments: Sequence[Argument], y: Array, law: Surrogate) -> list[float]:
    """Exponent of every argument that may enter as a factor, else 0; (k,)."""
    found = []
    for j, (low, middle, high) in enumerate(_quartiles(arguments, y, law)):
        exponent = round(2.0 * middle) / 2.0
        near = abs(middle - exponent) < _CLOSE and high - low < _PEEL_SPREAD
        found.append(exponent if near and _may_divide(arguments[j], exponent) else 0.0)
    return found


def _quartiles(arguments: Sequence[Argument], y: Array, law: Surrogate) -> Array:
    """Of the logarithmic derivative by every argument; (k, 3)."""
    scaled, target = _elasticities(arguments, y, law)
    heavy = np.abs(target) >= 0.3
    return np.percentile(scaled[heavy] / target[heavy, None], [25, 50, 75], axis=0).T


def _may_divide(argument: Argument, exponent: float) -> bool:
    if exponent == 0.0:
        return False
    return _one_sign(argument.values) or (exponent > 0.0 and exponent == int(exponent))


def factor_guesses(
    arguments: Sequence[Argument], y: Array, law: Surrogate, sine: Function | None
) -> Iterator[Reduction]:
    """Factors worth a try where the gradient is only roughly known."""
    for j, (_, middle, _) in enumerate(_quartiles(arguments, y, law)):
        rest = [a for i, a in enumerate(arguments) if i != j]
        for exponent in (1, -1, 2, -2):
            if abs(exponent - middle) < 0.75 and _may_divide(arguments[j], exponent):
                yield Reduction(monomial([arguments[j]], [exponent]), rest)
    if sine is None or _one_sign(y):
        return
    for j, argument in enumerate(arguments):
        if np.ptp(argument.values) > 1.0:
            rest = [a for i, a in enumerate(arguments) if i != j]
            for wave in waves(argument, sine):
                yield Reduction(wave, rest)


def waves(argument: Argument, sine: Function) -> tuple[Argument, Argument]:
    """Cosine and sine of an argument."""
    shifted = Add((argument.node, _HALF_PI))
    return (
        Argument(Apply(sine, shifted), (), np.cos(argument.values)),
        Argument(Apply(sine, argument.node), (), np.sin(argument.values)),
    )


def pair_guesses(arguments: Sequence[Argument]) -> Iterator[Reduction]:
    """Merged pairs worth a try where the gradient is not known."""
    one = monomial(arguments, [0] * len(arguments))
    for i, j in itertools.combinations(range(len(arguments)), 2):
        rest = [a for k, a in enumerate(arguments) if k not in (i, j)]
        first, second = arguments[i], arguments[j]
        pairs = [_pair(first, second, (1.0, 1.0), Fraction(sign)) for sign in (-1, 1)]
        pairs.append(monomial([first, second], [1, 1]))
        if _one_sign(second.values):
            pairs.append(monomial([first, second], [1, -1]))
        for pair in pairs:
            yield Reduction(one, [pair, *rest])


def companions(arguments: Sequence[Argument]) -> Iterator[list[Argument]]:
    """Arguments with one replaced by what it and another, which stays, may enter the law as."""
    for i, j in itertools.permutations(range(len(arguments)), 2):
        first, second = arguments[i], arguments[j]
        rest = [a for k, a in enumerate(arguments) if k != i]
        yield [monomial([first, second], [1, 1]), *rest]
        if _one_sign(second.values):
            yield [monomial([first, second], [1, -1]), *rest]
        for sign in (-1, 1):
            yield [_pair(first, second, (1.0, 1.0), Fraction(sign)), *rest]


def _pair(a: Argument, b: Argument, powers: tuple[float, float], ratio: Fraction) -> Argument:
    """``a ** powers[0] + ratio * b ** powers[1]``."""
    first = monomial([a], [powers[0]])
    second = monomial([b], [powers[1]])
    term = second.node if ratio == 1 else Mul((_fraction(ratio), second.node))
    return Argument(Add((first.node, term)), (), first.values + float(ratio) * second.values)


def _ratio(value: float, spread: float) -> Fraction | None:
    """A simple ratio near a measured one."""
    for ratio in _RATIOS:
        if abs(np.log(abs(value) / float(ratio))) < max(3.0 * spread / 10.0, 3e-3):
            return ratio if value > 0.0 else -ratio
    return None


def merges(arguments: Sequence[Argument], law: Surrogate) -> Iterator[list[Argument]]:
    """Arguments with one pair replaced by what it may enter the law as, most likely first."""
    limit = min(_PAIR_SPREAD + 6.0 * float(np.sqrt(law.error)), 0.5)
    found: list[tuple[float, int, int, Argument]] = []
    values = [argument.values[law.rows] for argument in arguments]
    with np.errstate(all="ignore"):
        slopes = np.log(np.abs(law.gradient))
        logs = [np.log(np.abs(v)) for v in values]
        for i, j in itertools.combinations(range(len(arguments)), 2):
            weak = np.minimum(
                np.abs(law.gradient[:, i]) / np.sqrt(np.mean(law.gradient[:, i] ** 2)),
                np.abs(law.gradient[:, j]) / np.sqrt(np.mean(law.gradient[:, j] ** 2)),
            )
            rows = weak > 0.05
            if rows.sum() < 20:
                continue
            sign = np.sign(law.gradient[rows, i] * law.gradient[rows, j])
            measured = slopes[rows, i] - slopes[rows, j]
            for spread, argument in _pairs(
                arguments[i],
                arguments[j],
                (values[i][rows], values[j][rows]),
                (logs[i][rows], logs[j][rows]),
                measured,
                sign,
                limit,
            ):
                found.append((spread, i, j, argument))
    found.sort(key=lambda row: row[0])
    for _, i, j, argument in found:
        rest = [a for k, a in enumerate(arguments) if k not in (i, j)]
        yield [argument, *rest]


def _pairs(
    first: Argument,
    second: Argument,
    values: tuple[Array, Array],
    logs: tuple[Array, Array],
    measured: Array,
    sign: Array,
    limit: float,
) -> list[tuple[float, Argument]]:
    """What two arguments may enter as, with how badly the ratio of their slopes fits."""
    found: list[tuple[float, Argument]] = []
    signed = [_one_sign(first.values), _one_sign(second.values)]

    def consider(expected: Array, direction: Array, shape: tuple[float, float]) -> None:
        left = measured - expected
        middle = float(np.median(left))
        spread = float(np.median(np.abs(left - middle)))
        if not spread < limit:
            return
        agreement = float(np.mean(sign * direction))
        if abs(agreement) < 0.8:
            return
        size = np.exp(middle) * np.sign(agreement)
        if shape == (0.0, 0.0):  # c / d of u ** c * v ** d
            ratio = _ratio(size, spread)
            if ratio is None:
                return
            powers = [Fraction(ratio.numerator), Fraction(ratio.denominator)]
            for one, power in zip(signed, powers, strict=True):
                if not one and power < 0:
                    powers = [-p for p in powers]
            if any(not one and power < 0 for one, power in zip(signed, powers, strict=True)):
                return
            found.append((spread, monomial([first, second], powers)))
            return
        ratio = _ratio(shape[0] / (shape[1] * size), spread)
        if ratio is not None:
            found.append((spread * 1.1, _pair(first, second, shape, ratio)))

    direction = np.sign(values[0] * values[1])
    consider(logs[1] - logs[0], direction, (0.0, 0.0))
    for a, b in itertools.product(_EXPONENTS, repeat=2):
        if (not signed[0] and (a < 0 or a != int(a))) or (not signed[1] and (b < 0 or b != int(b))):
            continue
        expected = (a - 1.0) * logs[0] - (b - 1.0) * logs[1]
        turned = np.sign(values[0]) ** (int(a) - 1) * np.sign(values[1]) ** (int(b) - 1)
        consider(expected, turned, (a, b))
    found.sort(key=lambda row: row[0])
    return found[:2]


def _echelon(rows: Array, order: Sequence[int]) -> tuple[Array, list[int]]:
    """Reduced row echelon form with pivots taken from ``order`` first where they are sound."""
    table, pivots = rows.copy(), []
    for row in range(len(table)):
        open_columns = [c for c in order if c not in pivots]
        sizes = np.abs(table[row:, open_columns]).max(axis=0)
        usable = [c for c, s in zip(open_columns, sizes, strict=True) if s > 0.3 * sizes.max()]
        column = usable[0]
        best = row + int(np.argmax(np.abs(table[row:, column])))
        table[[row, best]] = table[[best, row]]
        table[row] /= table[row, column]
        for other in range(len(table)):
            if other != row:
                table[other] -= table[other, column] * table[row]
        pivots.append(column)
    return table, pivots


def _rationals(table: Array) -> list[list[Fraction]] | None:
    """Simple fractions near all entries of a table, or None."""
    found = []
    for row in table:
        exact = [_rational(float(value)) for value in row]
        if any(entry is None for entry in exact):
            return None
        found.append([entry for entry in exact if entry is not None])
    return found


def _rational(value: float) -> Fraction | None:
    for denominator in (1, 2, 3, 4):
        numerator = round(value * denominator)
        if abs(value - numerator / denominator) < 0.06 and abs(numerator) <= 6 * denominator:
            return Fraction(numerator, denominator)
    return None


def groups(arguments: Sequence[Argument], y: Array, law: Surrogate) -> Iterator[Reduction]:
    """The law as a monomial times a function of fewer monomials, fewest arguments first."""
    k = len(arguments)
    scaled, target = _elasticities(arguments, y, law)
    mean = target @ scaled / (target @ target)
    left = scaled - np.outer(target, mean)
    size = np.abs(left).sum(axis=1)
    kept = size <= np.quantile(size, 0.98)  # the surrogate is worst in the corners
    left = left[kept]
    _, values, vectors = np.linalg.svd(left, full_matrices=False)
    if not values[0] > 0.0:
        return
    must_pivot = [j for j, a in enumerate(arguments) if not _one_sign(a.values)]
    influence = np.argsort(-np.abs(left).sum(axis=0))
    seen = set()
    for rank in range(max(1, len(must_pivot)), k):
        if values[rank] > 0.1 * values[0]:
            continue
        for start in range(k):
            rest = [int(j) for j in influence if j not in must_pivot]
            turned = rest[start % len(rest) :] + rest[: start % len(rest)] if rest else []
            table, pivots = _echelon(vectors[:rank], [*must_pivot, *turned])
            if any(j not in pivots for j in must_pivot):
                continue
            entries = _rationals(table)
            if entries is None:
                continue
            exact = np.array([[float(entry) for entry in row] for row in entries])
            powers = _rationals((mean - mean[pivots] @ exact)[None])
            if powers is None:
                continue
            key = (tuple(map(tuple, entries)), tuple(powers[0]))
            if key in seen:
                continue
            seen.add(key)
            with np.errstate(all="ignore"):
                merged = [monomial(arguments, row) for row in entries]
                factor = monomial(arguments, powers[0])
            if all(np.isfinite(a.values).all() for a in (factor, *merged)):
                yield Reduction(factor, merged)
