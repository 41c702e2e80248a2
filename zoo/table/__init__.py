"""Tables in, trained runs out: what ``zoo fit`` and ``zoo predict`` do, as functions.

Needs the extra ``table`` (pandas, pyarrow, skops). Reading a table and checking it against a
`Schema` loads neither scikit-learn nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from zoo.errors import MissingDependencyError

if TYPE_CHECKING:
    from zoo.table.column import Column
    from zoo.table.inference import infer_schema
    from zoo.table.pipeline import make_pipeline
    from zoo.table.reading import read_table
    from zoo.table.run import Run
    from zoo.table.schema import Schema
    from zoo.table.scores import Score
    from zoo.table.training import fit_table
    from zoo.table.writing import prediction_table, write_table

__all__ = [
    "Column",
    "Run",
    "Schema",
    "Score",
    "fit_table",
    "infer_schema",
    "make_pipeline",
    "prediction_table",
    "read_table",
    "write_table",
]

_HOME = {
    "Column": "zoo.table.column",
    "Run": "zoo.table.run",
    "Schema": "zoo.table.schema",
    "Score": "zoo.table.scores",
    "fit_table": "zoo.table.training",
    "infer_schema": "zoo.table.inference",
    "make_pipeline": "zoo.table.pipeline",
    "prediction_table": "zoo.table.writing",
    "read_table": "zoo.table.reading",
    "write_table": "zoo.table.writing",
}
_EXTRA = ("pandas", "pyarrow", "skops")


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo.table' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(home), name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        raise MissingDependencyError(
            f"Tables need {error.name}, which is not installed: "
            f"pip install 'zoo-estimators[table]'."
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
