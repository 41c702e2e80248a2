"""Functions of numpy as ONNX operators: what a ``FunctionTransformer`` may apply."""

from typing import Any

import numpy as np

from zoo.onnx.builder import GraphBuilder

__all__ = ["NAMES", "add_function"]

_OPERATORS: dict[Any, str] = {
    np.exp: "Exp",
    np.log: "Log",
    np.sqrt: "Sqrt",
    np.negative: "Neg",
    np.reciprocal: "Reciprocal",
}

#: The functions that `add_function` knows, for messages.
NAMES = "exp, expm1, log, log1p, log2, log10, sqrt, square, negative and reciprocal"


def add_function(builder: GraphBuilder, value: str, function: Any) -> str | None:
    """Add the nodes of a function of numpy.

    Parameters
    ----------
    builder : GraphBuilder
        The graph.
    value : str
        What the function is applied to, element by element.
    function : callable or None
        The function; None is the identity.

    Returns
    -------
    str or None
        The result, None where the function has no operator.
    """
    if function is None:
        return value
    if function is np.square:
        return builder.node("Mul", [value, value], "square")
    if function is np.expm1:
        one = builder.weight("one", 1.0)
        return builder.node("Sub", [builder.node("Exp", [value], "exp"), one], "expm1")
    if function is np.log1p:
        one = builder.weight("one", 1.0)
        return builder.node("Log", [builder.node("Add", [value, one], "plus_one")], "log1p")
    if function in (np.log2, np.log10):
        scale = builder.weight("scale", 1.0 / np.log(2.0 if function is np.log2 else 10.0))
        return builder.node("Mul", [builder.node("Log", [value], "log"), scale], "log_scaled")
    if function in _OPERATORS:
        return builder.node(_OPERATORS[function], [value], function.__name__)
    return None
