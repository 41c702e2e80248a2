"""Physical units of columns, and what they say about a formula.

Only dimensions count: ``km`` and ``m`` are the same, for numbers in a formula are free to turn one
into the other. A dimension is a row of exponents of base units, as in AI Feynman (arXiv 1905.11481,
Section II.B).

Axes: ``k`` columns, ``b`` base units.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from zoo_kan.symbolic.expression import Add, Apply, Mul, Node, Number, Parameter, Power, Variable

__all__ = ["BASE_UNITS", "Dimension", "Units", "UnitsLike", "parse_units"]

Dimension = tuple[Fraction, ...]
UnitsLike = str | Mapping[str, float]

BASE_UNITS = ("m", "kg", "s", "A", "K", "mol", "cd")
_DERIVED = {  # exponents of BASE_UNITS
    "g": (0, 1),
    "N": (1, 1, -2),
    "J": (2, 1, -2),
    "eV": (2, 1, -2),
    "W": (2, 1, -3),
    "Pa": (-1, 1, -2),
    "bar": (-1, 1, -2),
    "Hz": (0, 0, -1),
    "C": (0, 0, 1, 1),
    "V": (2, 1, -3, -1),
    "F": (-2, -1, 4, 2),
    "ohm": (2, 1, -3, -2),
    "S": (-2, -1, 3, 2),
    "Wb": (2, 1, -2, -1),
    "T": (0, 1, -2, -1),
    "H": (2, 1, -2, -2),
    "L": (3,),
    "M": (-3, 0, 0, 0, 0, 1),
    "lm": (0, 0, 0, 0, 0, 0, 1),
    "lx": (-2, 0, 0, 0, 0, 0, 1),
    "Bq": (0, 0, -1),
    "Gy": (2, 0, -2),
    "min": (0, 0, 1),
    "h": (0, 0, 1),
    "d": (0, 0, 1),
    "rad": (),
    "sr": (),
    "deg": (),
    "%": (),
}
_PREFIXES = ("", "da", *"QRYZEPTGMkhdcmuµnpfazyrq")
_TOKEN = re.compile(
    r"\s*(?:(?P<unit>[A-Za-zµ%]+)|(?P<number>[+-]?\d+(?:\.\d+)?)|(?P<sign>\*\*|[\^*/()·]))"
)
_LARGEST = 24  # denominator of an exponent
_NO_BASE: dict[str, Fraction] = {}


def _known() -> dict[str, dict[str, Fraction]]:
    table = {unit: {unit: Fraction(1)} for unit in BASE_UNITS}
    for unit, exponents in _DERIVED.items():
        pairs = zip(BASE_UNITS, exponents, strict=False)
        table[unit] = {base: Fraction(power) for base, power in pairs if power}
    prefixed = {
        prefix + unit: powers
        for unit, powers in table.items()
        if unit not in ("%", "min", "h", "d", "deg")
        for prefix in _PREFIXES
    }
    return {**prefixed, **table}


_KNOWN = _known()


def _times(
    a: Mapping[str, Fraction], b: Mapping[str, Fraction], power: Fraction
) -> dict[str, Fraction]:
    """``a * b ** power``."""
    total = {base: a.get(base, Fraction(0)) + power * b.get(base, Fraction(0)) for base in {*a, *b}}
    return {base: exponent for base, exponent in sorted(total.items()) if exponent}


class _Parser:
    """Reader of products, quotients and powers of units; see `parse_units`."""

    def __init__(self, text: str, owner: str) -> None:
        self.text, self.owner = text, owner
        self.tokens: list[tuple[str, str]] = []
        place = 0
        stripped = text.rstrip()
        while place < len(stripped):
            match = _TOKEN.match(stripped, place)
            if match is None:
                raise self.error(f"{stripped[place:].strip()[0]!r} is not part of a unit")
            kind = str(match.lastgroup)
            self.tokens.append((kind, match.group(kind)))
            place = match.end()
        self.place = 0

    def error(self, reason: str) -> ValueError:
        return ValueError(
            f"{self.owner} must be a product of units and their powers such as 'kg*m/s^2', or '1'. "
            f"Got {self.text!r}: {reason}."
        )

    @property
    def next(self) -> tuple[str, str]:
        """Kind and text of the next token."""
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.next
        self.place += 1
        return token

    def whole(self) -> dict[str, Fraction]:
        found = self.product()
        if self.next[0] != "end":
            raise self.error(f"{self.next[1]!r} does not fit there")
        return found

    def product(self) -> dict[str, Fraction]:
        found = self.power()
        while self.next[0] in ("unit", "number") or self.next[1] in ("*", "·", "/", "("):
            turned = Fraction(1)
            if self.next[1] in ("*", "·", "/"):
                turned = Fraction(-1 if self.take()[1] == "/" else 1)
            found = _times(found, self.power(), turned)
        return found

    def power(self) -> dict[str, Fraction]:
        base = self.atom()
        if self.next[1] in ("^", "**"):
            self.take()
            return _times(_NO_BASE, base, self.exponent())
        return base

    def exponent(self) -> Fraction:
        kind, text = self.take()
        if kind == "number":
            return Fraction(text)
        if text != "(":
            raise self.error(f"an exponent must be a number, not {text or 'nothing'!r}")
        kind, text = self.take()
        if kind != "number":
            raise self.error(f"an exponent must be a number, not {text or 'nothing'!r}")
        value = Fraction(text)
        if self.next[1] == "/":
            self.take()
            kind, text = self.take()
            if kind != "number" or not Fraction(text):
                raise self.error(f"an exponent must be a number, not {text or 'nothing'!r}")
            value /= Fraction(text)
        if self.take()[1] != ")":
            raise self.error("a bracket is not closed")
        return value

    def atom(self) -> dict[str, Fraction]:
        kind, text = self.take()
        if kind == "unit":
            if text not in _KNOWN:
                raise self.error(
                    f"{text!r} is none of the units {', '.join([*BASE_UNITS, *_DERIVED])}, with or "
                    "without a prefix; units of your own go into a mapping such as {'euro': 1}"
                )
            return _KNOWN[text]
        if (kind, text) == ("number", "1"):
            return {}
        if text == "(":
            inner = self.product()
            if self.take()[1] != ")":
                raise self.error("a bracket is not closed")
            return inner
        raise self.error(f"{text or 'nothing'!r} stands where a unit is expected")


def parse_units(given: UnitsLike, owner: str = "units") -> dict[str, Fraction]:
    """Exponents of base units.

    Parameters
    ----------
    given : str or mapping of str to float
        A product of SI units and their powers such as ``"kg*m/s^2"``, ``"kg m s^-2"``, ``"N"`` or
        ``"1"``; or exponents by unit, such as ``{"m": 1, "s": -2}``. Units that SI does not know
        are base units of their own in a mapping: ``{"euro": 1, "kWh": -1}``.
    owner : str
        What has these units, for errors.

    Returns
    -------
    dict of str to Fraction
        Without zeros.

    Raises
    ------
    ValueError
        If the text is no product of known units, or an exponent is no simple fraction.
    TypeError
        If it is neither a string nor a mapping.
    """
    if isinstance(given, str):
        return _Parser(given, owner).whole() if given.strip() else {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{owner} must be a string such as 'kg*m/s^2' or a mapping of units to exponents. "
            f"Got {given!r}."
        )
    found: dict[str, Fraction] = {}
    for unit, power in given.items():
        try:
            exact = Fraction(power).limit_denominator(_LARGEST)
        except (TypeError, ValueError, OverflowError):
            exact = None
        if exact is None or abs(float(exact) - float(power)) > 1e-6 or not isinstance(unit, str):
            raise ValueError(
                f"{owner} must map names of units to exponents that are simple fractions. "
                f"Got {unit!r}: {power!r}."
            )
        found = _times(found, _KNOWN.get(unit, {unit: Fraction(1)}), exact)
    return found


@dataclass(frozen=True)
class Units:
    """Dimensions of the columns and of the target.

    Attributes
    ----------
    columns : tuple of tuple of Fraction
        Exponents, (k, b).
    target : tuple of Fraction, optional
        Exponents (b,); None if the target's units are not known.
    """

    columns: tuple[Dimension, ...]
    target: Dimension | None

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        columns: Mapping[str, UnitsLike],
        target: UnitsLike | None,
    ) -> "Units":
        """Units of named columns.

        Parameters
        ----------
        names : sequence of str
            Of all columns.
        columns : mapping of str to (str or mapping)
            Units of every column; see `parse_units`.
        target : str or mapping, optional

        Raises
        ------
        ValueError
            If a column is missing or unknown, or units are malformed.
        TypeError
            If ``columns`` is no mapping, or units are neither strings nor mappings.
        """
        if not isinstance(columns, Mapping):
            raise TypeError(
                f"units of to_symbolic must be a mapping of column names to units. Got {columns!r}."
            )
        unknown = [name for name in columns if name not in names]
        missing = [name for name in names if name not in columns]
        if unknown or missing:
            wrong = f"unknown: {unknown}" if unknown else f"missing: {missing}"
            raise ValueError(
                f"units of to_symbolic must name every column once, '1' if it has no units: "
                f"{', '.join(names)}. Got {wrong}."
            )
        parsed = [parse_units(columns[name], f"units of column {name!r}") for name in names]
        goal = None if target is None else parse_units(target, "target_units of to_symbolic")
        bases = sorted({base for powers in [*parsed, goal or {}] for base in powers})

        def row(powers: Mapping[str, Fraction]) -> Dimension:
            return tuple(powers.get(base, Fraction(0)) for base in bases)

        return cls(tuple(row(p) for p in parsed), None if goal is None else row(goal))

    def misfits(self, node: Node) -> int:
        """Numbers of a formula, written or not, that must have units for its units to agree.

        A sum of terms in different units, a function of something that has units and a free power
        of it each count one, and so does a result in other units than the target.

        Parameters
        ----------
        node : Node
            In the columns.
        """
        found, count = self._dimension(node)
        return count + (self.target is not None and found is not None and found != self.target)

    def _dimension(self, node: Node) -> tuple[Dimension | None, int]:
        """Dimension of a tree, None for any (zero), and its misfits."""
        nothing = (Fraction(0),) * len(self.columns[0])
        match node:
            case Number(value):
                return (None if value == 0.0 else nothing), 0
            case Parameter():
                return nothing, 0
            case Variable(index):
                return self.columns[index], 0
            case Add(terms):
                return self._sum(terms)
            case Mul(factors):
                total, count = nothing, 0
                zero = False
                for factor in factors:
                    own, misfits = self._dimension(factor)
                    count += misfits
                    zero = zero or own is None
                    if own is not None:
                        total = tuple(a + b for a, b in zip(total, own, strict=True))
                return (None if zero else total), count
            case Power(base, exponent):
                own, count = self._dimension(base)
                if own is None or not any(own):
                    return own, count
                if isinstance(exponent, Parameter):
                    return nothing, count + 1
                power = Fraction(exponent.value).limit_denominator(_LARGEST)
                return tuple(power * entry for entry in own), count
            case Apply(function, argument):
                own, count = self._dimension(argument)
                if own is not None and function.exponent is not None:
                    return tuple(function.exponent * entry for entry in own), count
                if own is not None and function.name == "abs":
                    return own, count
                return nothing, count + (own is not None and any(own))

    def _sum(self, terms: Sequence[Node]) -> tuple[Dimension | None, int]:
        parts = [self._dimension(term) for term in terms]
        count = sum(misfits for _, misfits in parts)
        seen = [own for own, _ in parts if own is not None]
        if not seen:
            return None, count
        common = max(dict.fromkeys(seen), key=seen.count)
        if self.target is not None and self.target in seen:
            common = self.target
        return common, count + sum(own != common for own in seen)
