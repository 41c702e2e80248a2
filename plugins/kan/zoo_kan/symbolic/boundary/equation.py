"""The equation of a boundary between two classes, and what it can do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score
from sklearn.utils import check_array

from zoo.errors import DataError
from zoo_kan.symbolic.latex import latex_formula
from zoo_kan.symbolic.numeric import evaluate_expression, n_nodes
from zoo_kan.symbolic.pareto import formula_text

__all__ = ["Boundary", "BoundaryRow", "expression_values"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class BoundaryRow:
    """One equation of the trade-off between length and accuracy.

    Attributes
    ----------
    complexity : int
        Nodes of the expression.
    accuracy : float
        Share of all rows on the right side of its zeros.
    description_length : float
        Nats by which equations are compared; only differences mean something.
    expression : sympy.Expr
        Positive on the second class.
    """

    complexity: int
    accuracy: float
    description_length: float
    expression: sympy.Expr


class Boundary:
    """The equation ``expression_ = 0`` of the boundary between two classes.

    Returned by `find_boundary`; not meant to be constructed by hand.

    Attributes
    ----------
    expression_ : sympy.Expr
        Zero on the boundary and positive on the side of the second class, in symbols named as the
        columns, without assumptions. Its size means nothing.
    feature_names_ : list of str
    classes_ : ndarray of shape (2,)
    accuracy_ : float
        Share of all rows on the right side.
    network_accuracy_ : float
        The same for the network's predictions; NaN without one.
    verdict_ : str
        One sentence on how well the equation does.
    complexity_ : int
        Nodes of the expression.
    pareto_ : list of BoundaryRow
        Shorter and more accurate equations, shortest first.
    n_tried_ : int
        Equations fitted to the labels.
    seconds_ : float
        Wall time of the search.
    """

    def __init__(
        self,
        expression: sympy.Expr,
        *,
        feature_names: Sequence[str],
        classes: ArrayLike,
        pareto: Sequence[BoundaryRow] = (),
    ) -> None:
        self.expression_ = expression
        self.feature_names_ = list(feature_names)
        self.classes_ = np.asarray(classes)
        self.pareto_ = list(pareto)
        self.accuracy_ = math.nan
        self.network_accuracy_ = math.nan
        self.verdict_ = ""
        self.n_tried_ = 0
        self.seconds_ = 0.0

    @property
    def complexity_(self) -> int:
        """Nodes of the expression."""
        return n_nodes(self.expression_)

    def decision_function(self, X: Any) -> Array:
        """Values of the expression, whose sign is the class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Columns in the order of ``feature_names_``.

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        zoo.errors.DataError
            If X has another number of columns, or rows where the expression is not defined.
        """
        rows = check_array(X, dtype=np.float64)
        if rows.shape[1] != len(self.feature_names_):
            raise DataError(
                f"X of a boundary must have {len(self.feature_names_)} features. "
                f"Got {rows.shape[1]}."
            )
        value = expression_values(self.expression_, self.feature_names_, rows)
        bad = np.flatnonzero(~np.isfinite(value))
        if len(bad):
            raise DataError(
                f"A boundary must be defined on all rows of X. It is not on {len(bad)} of "
                f"{len(rows)}, row {bad[0]} first."
            )
        return value

    def predict(self, X: Any) -> NDArray:
        """Class (n_samples,) of the side on which each row lies.

        Raises
        ------
        zoo.errors.DataError
            If X has another number of columns, or rows where the expression is not defined.
        """
        return self.classes_[(self.decision_function(X) > 0.0).astype(int)]

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy of `predict` on ``X``."""
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    def latex(self) -> str:
        """The equation in LaTeX."""
        return f"{latex_formula(self.expression_)} = 0"

    def table(self) -> str:
        """Shorter and more accurate equations as text."""
        lines = [f"{'nodes':>5} {'accuracy':>8}  equation"]
        for row in self.pareto_:
            text = formula_text(row.expression)
            lines.append(f"{row.complexity:>5} {row.accuracy:>8.5f}  {text} = 0")
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{formula_text(self.expression_)} = 0\n{self.verdict_}".strip()

    def __repr__(self) -> str:
        return f"<Boundary\n{self}>"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


def expression_values(expression: sympy.Expr, names: Sequence[str], rows: Array) -> Array:
    """Values (n,) of an expression on rows (n, n_features)."""
    columns = {sympy.Symbol(name): column for name, column in zip(names, rows.T, strict=True)}
    return evaluate_expression(expression, columns, len(rows))
