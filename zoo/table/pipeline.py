"""From a schema to a scikit-learn pipeline."""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from zoo.table.schema import Schema

__all__ = ["make_pipeline"]


def make_pipeline(schema: Schema, estimator: Any) -> Pipeline:
    """Put the preparation of a table's columns in front of an estimator.

    Missing numbers become the column's median, categories one indicator each. The numbers are
    not scaled: that is left to the estimator.

    Parameters
    ----------
    schema : Schema
        Columns of the table.
    estimator : estimator
        Unfitted, or fitted to the prepared columns.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``"columns"`` and ``"model"``; it takes what `Schema.conform` returns, and its
        model's inputs are `Schema.feature_names`, in that order.
    """
    steps: list[tuple[str, Any, list[str]]] = []
    numbers = schema.of_kind("number", "boolean")
    if numbers:
        imputer = SimpleImputer(strategy="median", keep_empty_features=True)
        steps.append(("numbers", imputer, numbers))
    if schema.text_columns:
        encoder = OneHotEncoder(
            categories=[
                list(column.categories) for column in schema.columns if column.kind == "category"
            ],
            handle_unknown="ignore",
            sparse_output=False,
        )
        steps.append(("categories", encoder, schema.text_columns))
    columns = ColumnTransformer(steps, sparse_threshold=0.0, verbose_feature_names_out=False)
    return Pipeline([("columns", columns), ("model", estimator)])
