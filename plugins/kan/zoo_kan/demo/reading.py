"""The formula of a fitted pipeline as an estimator, to be scored like any other."""

from typing import Any

from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.pipeline import Pipeline

__all__ = ["FormulaClassifier", "FormulaRegressor", "read_formula"]


class _Formula(BaseEstimator):
    """Predicts by a formula alone.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted; all but its last step prepare the columns.
    formula : SymbolicKAN
        What its last step was read as.
    """

    def __init__(self, pipeline: Pipeline, formula: Any) -> None:
        self.pipeline = pipeline
        self.formula = formula

    def predict(self, X: Any) -> NDArray:
        """Predict by the formula."""
        return self.formula.predict(self.pipeline[:-1].transform(X))


class FormulaRegressor(RegressorMixin, _Formula):
    """Of a regression."""


class FormulaClassifier(ClassifierMixin, _Formula):
    """Of a classification."""

    @property
    def classes_(self) -> NDArray:
        """The classes."""
        return self.pipeline.classes_

    def predict_proba(self, X: Any) -> NDArray:
        """Class probabilities by the formula."""
        return self.formula.predict_proba(self.pipeline[:-1].transform(X))


def read_formula(pipeline: Pipeline) -> FormulaRegressor | FormulaClassifier:
    """Read the KAN at the end of a fitted pipeline as a formula."""
    formula = pipeline[-1].to_symbolic()
    kind = FormulaRegressor if formula.classes_ is None else FormulaClassifier
    return kind(pipeline, formula)
