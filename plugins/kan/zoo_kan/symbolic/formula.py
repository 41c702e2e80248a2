"""The formula of a network, with how well it does and what else was in the running."""

import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_array

from zoo.errors import DataError
from zoo_kan.symbolic.latex import latex_formula, latex_name
from zoo_kan.symbolic.numeric import evaluate_expression, n_nodes
from zoo_kan.symbolic.pareto import FormulaRow, format_table, formula_text

__all__ = ["SymbolicKAN", "verdict"]

Array = NDArray[np.floating]


def verdict(score: float, network_score: float, measure: str) -> str:
    """Say in one sentence how a formula compares with the network it comes from.

    Parameters
    ----------
    score, network_score : float
        Coefficient of determination, or accuracy.
    measure : str
        What that is called.

    Returns
    -------
    str
    """
    pair = f"{measure} {score:.4f} against {network_score:.4f}"
    short = network_score - score
    if measure == "R2" and score < 0.1:
        if network_score < 0.1:
            return f"No formula found, and the network explains nothing either: {pair}."
        return f"No formula found: the best one explains little of what the network does, {pair}."
    if short > max(0.002, 0.05 * (1.0 - network_score)):
        return f"The formula falls short of the network: {pair}."
    if short < -max(0.002, 0.05 * (1.0 - score)):
        return f"The formula explains the data better than the network: {pair}."
    return f"The formula explains the data as well as the network: {pair}."


class SymbolicKAN:
    """Formulas that stand for a fitted network.

    Returned by ``to_symbolic``; not meant to be constructed by hand.

    Attributes
    ----------
    expressions_ : list of sympy.Expr
        One per output, in symbols named as the columns, without assumptions. For a classifier
        these are logits: one for two classes, ``P(second class) = 1 / (1 + exp(-expression))``;
        else one for each class against the rest, whose probabilities are normalised.
    feature_names_ : list of str
    classes_ : ndarray of shape (n_classes,) or None
    complexity_ : int
        Nodes of all expressions.
    pareto_ : list of FormulaRow
        Simpler and more accurate formulas per output, simplest first.
    score_, network_score_ : float
        Of the formula and of the network on the data the formula was sought with: coefficient of
        determination, or accuracy.
    verdict_ : str
        One sentence on how they compare.
    consistent_ : bool or None
        Whether the units of the chosen formulas agree without numbers that have units; None if
        `to_symbolic` was not given units.
    n_tried_ : int
        Formulas whose constants were fitted to the data.
    seconds_ : float
        Wall time of the search.
    """

    def __init__(
        self,
        expressions: Sequence[sympy.Expr],
        *,
        feature_names: Sequence[str],
        pareto: Sequence[FormulaRow] = (),
        classes: ArrayLike | None = None,
        sample: ArrayLike | None = None,
        n_tried: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self.expressions_ = list(expressions)
        self.feature_names_ = list(feature_names)
        self.pareto_ = list(pareto)
        self.classes_ = None if classes is None else np.asarray(classes)
        self.sample_ = None if sample is None else np.asarray(sample, dtype=np.float64)
        self.n_tried_ = n_tried
        self.seconds_ = seconds
        self.score_ = float("nan")
        self.network_score_ = float("nan")
        self.verdict_ = ""
        self.consistent_: bool | None = None

    @property
    def complexity_(self) -> int:
        """Nodes of all expressions."""
        return sum(n_nodes(expression) for expression in self.expressions_)

    @property
    def task(self) -> str:
        """``"regression"`` or ``"classification"``."""
        return "regression" if self.classes_ is None else "classification"

    def _columns(self, X: Any) -> Array:
        names = getattr(X, "columns", None)
        if names is not None:
            missing = [name for name in self.feature_names_ if name not in set(map(str, names))]
            if missing:
                raise DataError(
                    f"X of a formula must have the columns {self.feature_names_}. "
                    f"Missing: {missing}."
                )
            order = [list(map(str, names)).index(name) for name in self.feature_names_]
            X = X.iloc[:, order] if list(map(str, names)) != self.feature_names_ else X
        rows = check_array(X, dtype=np.float64)
        if rows.shape[1] != len(self.feature_names_):
            raise DataError(
                f"X of a formula must have {len(self.feature_names_)} features. "
                f"Got {rows.shape[1]}."
            )
        return rows

    def decision_function(self, X: Any) -> Array:
        """Values of the expressions.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_expressions)

        Raises
        ------
        zoo.errors.DataError
            If X has other columns, or rows where the formula is not defined.
        """
        rows = self._columns(X)
        symbols = [sympy.Symbol(name) for name in self.feature_names_]
        columns = dict(zip(symbols, rows.T, strict=True))
        values = np.stack(
            [evaluate_expression(e, columns, len(rows)) for e in self.expressions_], axis=1
        )
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise DataError(
                f"A formula must be defined on all rows of X. It is not on {len(bad)} of "
                f"{len(rows)}, row {bad[0]} first."
            )
        return values

    def predict_proba(self, X: Any) -> Array:
        """Class probabilities (n_samples, n_classes) of a classifier's formula.

        Raises
        ------
        AttributeError
            If the formula is a regression's.
        """
        if self.classes_ is None:
            raise AttributeError("The formula of a regression has no predict_proba.")
        chance = 0.5 * (1.0 + np.tanh(0.5 * self.decision_function(X)))
        if chance.shape[1] == 1:
            return np.concatenate([1.0 - chance, chance], axis=1)
        chance = np.maximum(chance, 1e-300)
        return chance / chance.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> NDArray:
        """Predict with the formula.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Values, or class labels.

        Raises
        ------
        zoo.errors.DataError
            If X has other columns, or rows where the formula is not defined.
        """
        if self.classes_ is not None:
            return self.classes_[self.predict_proba(X).argmax(axis=1)]
        values = self.decision_function(X)
        return values[:, 0] if values.shape[1] == 1 else values

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination, or accuracy, of `predict` on ``X``."""
        if self.classes_ is not None:
            return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))
        return float(r2_score(y, self.predict(X), sample_weight=sample_weight))

    def to_sympy(self) -> sympy.Expr | list[sympy.Expr]:
        """The expression, or the list of them if there are several."""
        return self.expressions_[0] if len(self.expressions_) == 1 else list(self.expressions_)

    @property
    def _left_sides(self) -> list[str]:
        if self.classes_ is None:
            return (
                ["y"]
                if len(self.expressions_) == 1
                else [f"y{j}" for j in range(len(self.expressions_))]
            )
        shown = self.classes_[1:] if len(self.expressions_) == 1 else self.classes_
        return [f"logit P({label})" for label in shown]

    def latex(self) -> str:
        """The formulas in LaTeX, one line each; names that are no identifiers as text."""
        lines = []
        for side, expression in zip(self._left_sides, self.expressions_, strict=True):
            left = side if self.classes_ is None else latex_name(side)
            lines.append(f"{left} = {latex_formula(expression)}")
        return r" \\ ".join(lines)

    def table(self) -> str:
        """Simpler and more accurate formulas as text."""
        return format_table(self.pareto_)

    def __str__(self) -> str:
        lines = [
            f"{side} = {formula_text(expression)}"
            for side, expression in zip(self._left_sides, self.expressions_, strict=True)
        ]
        if self.verdict_:
            lines.append(self.verdict_)
        if self.consistent_ is not None:
            agree = "Its units agree" if self.consistent_ else "Some of its numbers need units"
            lines.append(f"{agree}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<SymbolicKAN\n{self}>"

    def _repr_latex_(self) -> str:
        return f"$$\\begin{{gathered}}{self.latex()}\\end{{gathered}}$$"

    def export_onnx(
        self,
        folder: str | os.PathLike[str],
        X: ArrayLike | None = None,
        *,
        dtype: str = "float32",
        opset: int = 20,
        verify: bool = True,
        overwrite: bool = False,
        files: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Write the formula as a folder that onnxruntime runs.

        Parameters
        ----------
        folder : path-like
            Where to write; whole or absent.
        X : array-like of shape (n_samples, n_features), optional
            Rows to verify on; by default those that the search kept.
        dtype : {"float32", "float64"}
            Type of the graph's numbers.
        opset : int
            Version of the ONNX operators.
        verify : bool, default=True
            Run the graph and the formula on the same rows, and raise where they differ.
        overwrite : bool, default=False
            Replace an exported folder that is there.
        files : mapping of str to bytes, optional
            Further files to put into the folder, by name.

        Returns
        -------
        pathlib.Path
            The folder, for `zoo.load_onnx`.

        Raises
        ------
        zoo.errors.ExportError
            The formula holds a function that ONNX lacks.
        zoo.errors.VerificationError
            The graph computes other numbers. Nothing is left behind.
        """
        from zoo.onnx import Export, write_export
        from zoo.onnx.labels import class_metadata
        from zoo.onnx.reference import predictor_reference
        from zoo_kan.symbolic.onnx_graph import build_formula_graph

        sample = self.sample_ if X is None else self._columns(X)
        if sample is None:
            raise DataError("X of export_onnx must hold rows to verify the formula on. Got None.")
        graph = build_formula_graph(
            self.expressions_,
            [sympy.Symbol(name) for name in self.feature_names_],
            classes=self.classes_,
            dtype=dtype,
            opset=opset,
        )
        tolerance = 1e-4 if dtype == "float32" else 1e-9
        size = float(np.abs(self.decision_function(sample)).max())
        export = Export(
            graphs={"model": graph},
            metadata={**class_metadata(self.classes_), "feature_names": self.feature_names_},
            samples={"X": sample.astype(dtype)},
            reference=predictor_reference(self, self.classes_),
            files=dict(files or {}),
            rtol=tolerance,
            atol=tolerance * max(size, 1e-300),
        )
        return write_export(
            export,
            folder,
            model="kan",
            task=self.task,
            distribution="zoo-kan",
            version=version("zoo-kan"),
            verify=verify,
            overwrite=overwrite,
        )
