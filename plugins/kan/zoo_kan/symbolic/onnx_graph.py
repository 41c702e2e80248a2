"""A formula as an ONNX graph of plain operators.

Axes: ``n_samples`` rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import sympy
from numpy.typing import ArrayLike

from zoo.errors import ExportError
from zoo.onnx.builder import GraphBuilder
from zoo.onnx.labels import graph_classes

__all__ = ["build_formula_graph"]

_OPERATORS: dict[type, str] = {
    sympy.exp: "Exp",
    sympy.log: "Log",
    sympy.sin: "Sin",
    sympy.cos: "Cos",
    sympy.tanh: "Tanh",
    sympy.Abs: "Abs",
    sympy.sign: "Sign",
}


class _Writer:
    """Writes expressions into a graph, each subexpression once."""

    def __init__(self, builder: GraphBuilder, symbols: Sequence[sympy.Symbol], x: str) -> None:
        self.builder = builder
        self.known: dict[sympy.Expr, str] = {}
        self.places = {symbol: place for place, symbol in enumerate(symbols)}
        self.x = x

    def write(self, expression: sympy.Expr) -> str:
        """Name of the value of an expression; shape (n_samples, 1), or (1, 1) for a constant."""
        if expression not in self.known:
            self.known[expression] = self._write(expression)
        return self.known[expression]

    def _write(self, expression: sympy.Expr) -> str:
        builder = self.builder
        if expression.is_Symbol:
            place = self.places[expression]
            index = builder.weight(f"column_{place}", [place], np.int64)
            return builder.node("Gather", [self.x, index], f"input_{place}", axis=1)
        if not expression.free_symbols:
            return builder.weight("constant", [[float(sympy.N(expression, 17))]])
        if expression.is_Add or expression.is_Mul:
            operator = "Add" if expression.is_Add else "Mul"
            total = self.write(expression.args[0])
            for argument in expression.args[1:]:
                total = builder.node(operator, [total, self.write(argument)], operator.lower())
            return total
        if expression.is_Pow:
            return self._power(self.write(expression.base), expression)
        composed = _COMPOSED.get(expression.func)
        if composed is not None:
            return composed(self, self.write(expression.args[0]))
        operator = _OPERATORS.get(expression.func, "")
        if not operator or len(expression.args) != 1:
            known = sorted(kind.__name__ for kind in (*_OPERATORS, *_COMPOSED))
            raise ExportError(
                f"A formula in ONNX may hold arithmetic and {known}. "
                f"Got {expression.func.__name__}."
            )
        return builder.node(operator, [self.write(expression.args[0])], operator.lower())

    def _power(self, base: str, expression: sympy.Expr) -> str:
        builder, exponent = self.builder, expression.exp
        if exponent == 2:
            return builder.node("Mul", [base, base], "square")
        if exponent == -1:
            return builder.node("Reciprocal", [base], "reciprocal")
        if exponent == sympy.Rational(1, 2):
            return builder.node("Sqrt", [base], "sqrt")
        return builder.node("Pow", [base, self.write(exponent)], "power")


def _tan(writer: _Writer, x: str) -> str:
    builder = writer.builder
    return builder.node(
        "Div", [builder.node("Sin", [x], "sin"), builder.node("Cos", [x], "cos")], "tan"
    )


def _hyperbolic(operator: str, name: str) -> Callable[[_Writer, str], str]:
    def write(writer: _Writer, x: str) -> str:
        builder = writer.builder
        rising = builder.node("Exp", [x], "exp")
        falling = builder.node("Exp", [builder.node("Neg", [x], "neg")], "exp")
        whole = builder.node(operator, [rising, falling], f"twice_{name}")
        return builder.node("Mul", [whole, writer.write(sympy.Rational(1, 2))], name)

    return write


def _arctangent(writer: _Writer, x: str) -> str:
    """``2 * atan(h)`` with ``h = x / (1 + sqrt(1 + x^2))``, in float64 as well.

    onnxruntime has the operator in float32 only: two Newton steps on ``sin(y) = h * cos(y)`` bring
    its result to the precision of float64.
    """
    builder = writer.builder
    limit = 1e18 if builder.dtype == np.float32 else 1e150
    low, high = builder.weight("lowest", -limit), builder.weight("highest", limit)
    x = builder.node("Clip", [x, low, high], "clipped")
    one = writer.write(sympy.Integer(1))
    root = builder.node(
        "Sqrt", [builder.node("Add", [builder.node("Mul", [x, x], "square"), one], "add")], "sqrt"
    )
    half = builder.node("Div", [x, builder.node("Add", [root, one], "add")], "half")
    return _twice_arctangent(writer, half)


def _twice_arctangent(writer: _Writer, half: str) -> str:
    builder = writer.builder
    two = writer.write(sympy.Integer(2))
    if builder.dtype == np.float32:
        return builder.node("Mul", [builder.node("Atan", [half], "atan"), two], "twice")
    rough = builder.node("Cast", [half], "rough", to=onnx.TensorProto.FLOAT)
    angle = builder.node("Atan", [rough], "rough_atan")
    angle = builder.node("Cast", [angle], "atan", to=onnx.TensorProto.DOUBLE)
    for _ in range(2):
        sine, cosine = builder.node("Sin", [angle], "sin"), builder.node("Cos", [angle], "cos")
        gap = builder.node("Sub", [sine, builder.node("Mul", [half, cosine], "mul")], "gap")
        angle = builder.node("Sub", [angle, builder.node("Mul", [gap, cosine], "step")], "atan")
    return builder.node("Mul", [angle, two], "twice")


def _arcsine(writer: _Writer, x: str) -> str:
    """``2 * atan(x / (1 + sqrt(1 - x^2)))``."""
    builder = writer.builder
    one = writer.write(sympy.Integer(1))
    left = builder.node("Sub", [one, builder.node("Mul", [x, x], "square")], "sub")
    below = builder.node("Add", [builder.node("Sqrt", [left], "sqrt"), one], "add")
    return _twice_arctangent(writer, builder.node("Div", [x, below], "half"))


def _arccosine(writer: _Writer, x: str) -> str:
    right_angle = writer.write(sympy.pi / 2)
    return writer.builder.node("Sub", [right_angle, _arcsine(writer, x)], "acos")


# Functions that onnxruntime lacks in float64, made of those it has.
_COMPOSED: dict[type, Callable[[_Writer, str], str]] = {
    sympy.tan: _tan,
    sympy.sinh: _hyperbolic("Sub", "sinh"),
    sympy.cosh: _hyperbolic("Add", "cosh"),
    sympy.asin: _arcsine,
    sympy.acos: _arccosine,
    sympy.atan: _arctangent,
}


def build_formula_graph(
    expressions: Sequence[sympy.Expr],
    symbols: Sequence[sympy.Symbol],
    *,
    classes: ArrayLike | None = None,
    dtype: str = "float32",
    opset: int = 20,
) -> onnx.ModelProto:
    """Build the graph of a formula.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
        One per output; for a classifier logits: one for two classes, else one for each.
    symbols : sequence of sympy.Symbol
        In the order of the columns of the input.
    classes : array-like of shape (n_classes,), optional
        Labels, for a classifier.
    dtype : {"float32", "float64"}
        Type of the graph's numbers.
    opset : int
        Version of the ONNX operators.

    Returns
    -------
    onnx.ModelProto
        Input ``X``; output ``prediction``, or ``label`` and ``probabilities``.

    Raises
    ------
    zoo.errors.ExportError
        An expression holds a function that ONNX lacks, or a constant beyond the dtype's range.
    """
    builder = GraphBuilder("formula", dtype=dtype, opset=opset)
    x = builder.input("X", ["n_samples", len(symbols)])
    writer = _Writer(builder, symbols, x)
    shape = builder.node("Shape", [x], "n_rows", start=0, end=1)
    one = builder.weight("one", [1], np.int64)
    column = builder.node("Concat", [shape, one], "column_shape", axis=0)
    columns = [
        builder.node("Expand", [writer.write(expression), column], f"output_{number}")
        for number, expression in enumerate(expressions)
    ]
    raw = columns[0] if len(columns) == 1 else builder.node("Concat", columns, "outputs", axis=1)
    if classes is not None:
        _add_classes(builder, raw, np.asarray(classes), len(expressions))
    elif len(expressions) == 1:
        flat = builder.node("Reshape", [raw, builder.weight("flat", [-1], np.int64)], "flattened")
        builder.output(flat, "prediction", ["n_samples"])
    else:
        builder.output(raw, "prediction", ["n_samples", len(expressions)])
    return builder.model()


def _add_classes(builder: GraphBuilder, logits: str, classes: Any, n_logits: int) -> None:
    if n_logits == 1:
        signs = builder.weight("signs", [[-1.0, 1.0]])
        both = builder.node("Mul", [logits, signs], "both_logits")
        chances = builder.node("Sigmoid", [both], "sigmoid")
    else:
        each = builder.node("Sigmoid", [logits], "sigmoid")
        axis = builder.weight("class_axis", [1], np.int64)
        total = builder.node("ReduceSum", [each, axis], "total", keepdims=1)
        chances = builder.node("Div", [each, total], "normalised")
    best = builder.node("ArgMax", [chances], "best", axis=1, keepdims=0)
    names = graph_classes(classes)
    labels = builder.weight("classes", names, names.dtype)
    label = builder.node("Gather", [labels, best], "best_class", axis=0)
    builder.output(label, "label", ["n_samples"], names.dtype)
    builder.output(chances, "probabilities", ["n_samples", len(classes)])
