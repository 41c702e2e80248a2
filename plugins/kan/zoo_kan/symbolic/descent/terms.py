"""Terms ``c * m(rest) * x`` of a law, with a monomial ``m``, in which alone ``x`` occurs.

The derivative by such an ``x`` is the monomial, read off the gradient of a smooth surrogate. What
is left when the term is subtracted does not depend on ``x``. Only round ``c`` are tried: an exact
one leaves an exact remainder.

Axes: ``n`` rows, ``k`` arguments.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.surrogate import Surrogate
from zoo_kan.symbolic.descent.symmetry import monomial
from zoo_kan.symbolic.expression import Mul, Node
from zoo_kan.symbolic.hypotheses import Argument
from zoo_kan.symbolic.snap import round_candidates

__all__ = ["linear_terms"]

Array = NDArray[np.floating]

_CLOSE = 0.1  # distance of a measured exponent from a multiple of 1/2
_SPREAD = 0.3  # interquartile range of the logarithm of what should be constant
_CHOICES = 6
_MOST_NATS, _NOISY_NATS = 12.0, 6.0  # of a constant that is not fitted afterwards


def linear_terms(
    arguments: Sequence[Argument], law: Surrogate
) -> Iterator[tuple[Argument, list[Argument]]]:
    """Terms that may be subtracted, each with the arguments that are left.

    Parameters
    ----------
    arguments : sequence of Argument
    law : Surrogate
        Of the target as a function of them.

    Yields
    ------
    (term, rest)
    """
    for j, argument in enumerate(arguments):
        rest = [a for i, a in enumerate(arguments) if i != j]
        powers = _exponents(rest, law.gradient[:, j], law.rows)
        if powers is None:
            continue
        factor = monomial(rest, powers)
        with np.errstate(all="ignore"):
            ratio = law.gradient[:, j] / factor.values[law.rows]
        low, middle, high = np.percentile(ratio, [25, 50, 75])
        if not high - low < _SPREAD * abs(middle):
            continue
        share, most_nats = (1.0, _NOISY_NATS) if law.noisy else (0.2, _MOST_NATS)
        reach = max(share * float(high - low), 1e-9 * abs(middle))
        numbers = sorted(round_candidates(float(middle), reach), key=lambda row: row[1])
        for number, nats in numbers[:_CHOICES]:
            if not number.value or nats > most_nats:
                continue
            factors: list[Node] = [number] if number.value != 1.0 else []
            factors += [factor.node] if any(powers) else []
            factors.append(argument.node)
            node = Mul(tuple(factors)) if len(factors) > 1 else factors[0]
            yield Argument(node, (), number.value * factor.values * argument.values), rest


def _exponents(
    arguments: Sequence[Argument], slope: Array, rows: NDArray[np.intp]
) -> list[float] | None:
    """Exponents of the monomial that a slope (n,) is, or None if it is not one."""
    usable = [a.values.min() > 0.0 or a.values.max() < 0.0 for a in arguments]
    share = float(np.mean(slope > 0.0))
    if min(share, 1.0 - share) > 0.05:
        return None
    with np.errstate(all="ignore"):
        logs = [np.log(np.abs(a.values[rows])) for a, u in zip(arguments, usable, strict=True) if u]
        target = np.log(np.abs(slope))
    design = np.column_stack([*logs, np.ones(len(slope))])
    kept = np.isfinite(target)
    coef = np.zeros(design.shape[1])
    for _ in range(3):
        if kept.sum() < 2 * design.shape[1]:
            return None
        coef = np.linalg.lstsq(design[kept], target[kept], rcond=None)[0]
        left = np.abs(design @ coef - target)
        kept = left <= np.nanquantile(left, 0.8)
    powers = [round(2.0 * float(c)) / 2.0 for c in coef[:-1]]
    if any(abs(p - c) > _CLOSE for p, c in zip(powers, coef, strict=False)):
        return None
    measured = iter(powers)
    return [next(measured) if u else 0.0 for u in usable]
