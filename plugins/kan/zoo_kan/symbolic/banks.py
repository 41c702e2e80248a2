"""Variable projection over banks of function arguments.

For one column ``u`` and a target ``v``, the inner constants of ``c0 + c1 * f(a * u + b)`` are
scanned over a bank of values while the outer ones follow by linear regression, which for one
regressor is a correlation: thousands of candidates cost one matrix product.

Axes: ``n`` rows, ``k`` entries of a bank, ``c`` columns that are projected out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import Add, Mul, Node, Number, Parameter, Power, Variable, apply
from zoo_kan.symbolic.library import Function

__all__ = ["Start", "scan", "scan_powers"]

Array = NDArray[np.floating]

_SHIFTS = np.concatenate([[0.0], np.geomspace(1e-3, 30.0, 24)])
_RATES = np.concatenate([-np.geomspace(0.05, 20.0, 60), np.geomspace(0.05, 20.0, 60)])
_STEEPNESS = np.geomspace(0.15, 20.0, 20)
_PLACES = np.linspace(-1.5, 1.5, 25)
_CENTRES = np.linspace(-3.0, 3.0, 61)
_FREQUENCIES = np.linspace(0.15, 40.0, 200)
_EXPONENTS = np.array([p / 4 for p in range(-20, 21) if p not in (0, 4)])
_PER_CONSTANT = 3.0  # banks of more constants come closer by chance
_MINUS_ONE = Number(-1.0, sympy.Integer(-1))
_U = Variable(0)


@dataclass(frozen=True)
class Start:
    """Where to start fitting a function: a tree in ``Variable(0)`` and its constants.

    Attributes
    ----------
    node : Node
    theta : tuple of float
    error : float
        Part of the target's variance that is left after the scan.
    name : str
    """

    node: Node
    theta: tuple[float, ...]
    error: float
    name: str


@dataclass(frozen=True)
class Scan:
    """A regression ``v ~ basis + multiplier * f(...)`` whose fixed parts are projected out once."""

    u: Array
    root: Array
    multiplier: Array | None
    span: Array
    rest: Array
    total: float

    @classmethod
    def prepare(
        cls, u: Array, v: Array, weight: Array, basis: Sequence[Array], multiplier: Array | None
    ) -> "Scan":
        root = np.sqrt(weight)
        span = np.linalg.qr(np.stack(basis, axis=1) * root[:, None])[0]
        centred = (v - weight @ v / weight.sum()) * root
        rest = v * root
        rest = rest - span @ (span.T @ rest)
        return cls(u, root, multiplier, span, rest, float(centred @ centred) + 1e-300)

    def project(self, values: Array) -> Array:
        """Function values (k, n), weighted, without what the basis explains."""
        values = values * (self.root if self.multiplier is None else self.root * self.multiplier)
        return values - (values @ self.span) @ self.span.T

    def errors(self, values: Array) -> Array:
        """Part of the variance (k,) left by each row of ``values`` (k, n) as the regressor."""
        left = self.project(values)
        size = np.einsum("kn,kn->k", left, left)
        raw = np.einsum("kn,kn->k", values, values)
        explained = (left @ self.rest) ** 2 / size
        error = (float(self.rest @ self.rest) - explained) / self.total
        return np.where(np.isfinite(error) & (size > 1e-18 * raw), np.maximum(error, 0.0), np.inf)


def _bank(function: Function, low: float, high: float) -> tuple[Array, Array]:
    """Values ``a`` and ``b`` (k,) of the argument ``a * u + b`` for ``u`` from low to high."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    match function.family:
        case "power" if function.exponent is not None and float(function.exponent) in (
            2.0,
            3.0,
            4.0,
        ):
            b = np.append(-(middle + half * _CENTRES), 0.0)
            a = np.ones_like(b)
        case "power" | "log":
            shift = 2.0 * half * _SHIFTS
            a = np.concatenate([np.ones_like(shift), -np.ones_like(shift)])
            b = np.concatenate([shift - low, shift + high])
            if low > 0.0 or high < 0.0:
                sign = 1.0 if low > 0.0 else -1.0
                a, b = np.append(a, sign), np.append(b, 0.0)
        case "rate":
            a = _RATES / half
            b = np.zeros_like(a)
        case "corner":
            b = -np.linspace(low, high, 41)[1:-1]
            a = np.ones_like(b)
        case _:
            steep, place = (grid.ravel() for grid in np.meshgrid(_STEEPNESS, _PLACES))
            a = np.append(steep / half, _STEEPNESS / half)  # the second part: natural origin
            b = np.append(-steep / half * (middle + half * place), np.zeros_like(_STEEPNESS))
    return a, b


def _start(function: Function, a: float, b: float, error: float) -> Start:
    theta: tuple[float, ...]
    match function.family:
        case "power" | "log" | "corner":
            argument: Node = Add((_U if a > 0 else Mul((_MINUS_ONE, _U)), Parameter(0)))
            theta = (b,)
        case "rate":
            argument, theta = Mul((Parameter(0), _U)), (a,)
        case _:
            argument, theta = Add((Mul((Parameter(0), _U)), Parameter(1))), (a, b)
    return Start(apply(function, argument), theta, error, function.name)


def _scan_wave(function: Function, setup: Scan, low: float, high: float) -> Start | None:
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    a = _FREQUENCIES / half
    phase = np.outer(a, setup.u - middle)
    sine = setup.project(function.evaluate(phase))
    cosine = setup.project(function.evaluate(phase + 0.5 * np.pi))
    ss, cc = np.einsum("kn,kn->k", sine, sine), np.einsum("kn,kn->k", cosine, cosine)
    sc = np.einsum("kn,kn->k", sine, cosine)
    s, c = sine @ setup.rest, cosine @ setup.rest
    determinant = ss * cc - sc**2
    along, across = (s * cc - c * sc) / determinant, (c * ss - s * sc) / determinant
    error = (float(setup.rest @ setup.rest) - along * s - across * c) / setup.total
    degenerate = ~np.isfinite(error) | (determinant < 1e-12 * (ss * cc))
    error = np.where(degenerate, np.inf, np.maximum(error, 0.0))
    best = int(np.argmin(error))
    if not np.isfinite(error[best]):
        return None
    shift = float(np.arctan2(across[best], along[best]) - a[best] * middle)
    shift = (shift + np.pi) % (2.0 * np.pi) - np.pi
    return _start(function, float(a[best]), shift, float(error[best]))


def scan(
    library: Sequence[Function],
    u: Array,
    v: Array,
    weight: Array,
    *,
    basis: Sequence[Array],
    multiplier: Array | None = None,
) -> list[Start]:
    """Best entry of each function's bank for ``v ~ basis + multiplier * f(a * u + b)``.

    Parameters
    ----------
    library : sequence of Function
    u, v, weight : ndarray of shape (n,)
    basis : sequence of ndarray of shape (n,)
        Columns fitted along, the constant among them.
    multiplier : ndarray of shape (n,), optional
        Factor of the function.

    Returns
    -------
    list of Start
        Most promising first: by error, more constants counting against a function. Functions that
        are finite nowhere are left out.
    """
    low, high = float(u.min()), float(u.max())
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        return []
    starts = []
    with np.errstate(all="ignore"):
        setup = Scan.prepare(u, v, weight, basis, multiplier)
        for function in library:
            if function.family == "wave":
                start = _scan_wave(function, setup, low, high)
                if start is not None:
                    starts.append(start)
                continue
            a, b = _bank(function, low, high)
            errors = setup.errors(function.evaluate(np.outer(a, u) + b[:, None]))
            best = int(np.argmin(errors))
            if np.isfinite(errors[best]):
                starts.append(_start(function, float(a[best]), float(b[best]), float(errors[best])))
    return sorted(starts, key=lambda start: start.error * _PER_CONSTANT ** len(start.theta))


def scan_powers(u: Array, v: Array, weight: Array, *, basis: Sequence[Array]) -> list[Start]:
    """Best free exponent of ``v ~ basis + u ** p`` for positive ``u``."""
    if not u.min() > 0.0:
        return []
    with np.errstate(all="ignore"):
        setup = Scan.prepare(u, v, weight, basis, None)
        errors = setup.errors((u / u.max()) ** _EXPONENTS[:, None])
    best = int(np.argmin(errors))
    if not np.isfinite(errors[best]):
        return []
    node = Power(_U, Parameter(0))
    return [Start(node, (float(_EXPONENTS[best]),), float(errors[best]), "power")]
