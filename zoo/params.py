"""Python values as JSON and back, without loss and without code.

JSON has no tuple, no key that is not a string and no NaN; constructor parameters have all three.
They are written as objects with one reserved key: ``{"$tuple": [...]}``, ``{"$dict": [[key,
value], ...]}`` and ``{"$float": "nan"}``. Everything else is written as it stands.
"""

import math
from typing import Any

import numpy as np

from zoo.errors import FormatError, ParameterError

__all__ = ["from_json", "to_json"]

_RESERVED = ("$tuple", "$dict", "$float")
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_json(value: object, what: str) -> Any:
    """Turn a value into what strict JSON holds.

    Parameters
    ----------
    value : object
        ``None``, a bool, int, float or str, a numpy scalar of these, or a list, tuple or dict of
        such values. A dict may have any of these as keys.
    what : str
        What it is, for the message: ``"The parameter 'grid' of KANRegressor"``.

    Returns
    -------
    object
        The value as JSON. NaN and the infinities become ``{"$float": ...}``.

    Raises
    ------
    zoo.errors.ParameterError
        It is, or holds, something else, or is nested too deeply.
    """
    try:
        return _encode(value, what)
    except RecursionError:
        raise ParameterError(f"{what} cannot be saved: it is nested too deeply.") from None


def _encode(value: object, what: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": str(float(value))}
    if isinstance(value, list):
        return [_encode(item, what) for item in value]
    if type(value) is tuple:
        return {"$tuple": [_encode(item, what) for item in value]}
    if isinstance(value, dict):
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: _encode(item, what) for key, item in value.items()}
        return {"$dict": [[_encode(key, what), _encode(item, what)] for key, item in value.items()]}
    raise ParameterError(
        f"{what} cannot be saved: it must be None, a bool, int, float, str, or a list, tuple or "
        f"dict of these. Got a {type(value).__module__}.{type(value).__qualname__}."
    )


def from_json(value: object, what: str) -> Any:
    """Turn what `to_json` returned back into the value.

    Parameters
    ----------
    value : object
        Parsed JSON.
    what : str
        What it is, for the message.

    Returns
    -------
    object
        The value.

    Raises
    ------
    zoo.errors.FormatError
        A reserved object is malformed, or the nesting too deep.
    """
    try:
        return _decode(value, what)
    except RecursionError:
        raise FormatError(f"{what} is malformed: it is nested too deeply.") from None


def _decode(value: object, what: str) -> Any:
    if isinstance(value, list):
        return [_decode(item, what) for item in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: _decode(item, what) for key, item in value.items()}
    match value:
        case {"$float": ("nan" | "inf" | "-inf") as text} if len(value) == 1:
            return _FLOATS[text]
        case {"$tuple": list(items)} if len(value) == 1:
            return tuple(_decode(item, what) for item in items)
        case {"$dict": list(pairs)} if len(value) == 1:
            try:
                return {_decode(key, what): _decode(item, what) for key, item in pairs}
            except (TypeError, ValueError):  # a list as key, or no pair
                pass
    raise FormatError(
        f"{what} is malformed: an object with a key that starts with '$' must be one of "
        f"{', '.join(_RESERVED)} with its content. Got the keys {sorted(value)}."
    )
