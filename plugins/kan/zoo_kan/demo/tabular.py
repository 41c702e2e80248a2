"""Two tables of scikit-learn's: cross-validated, read as a formula, exported as whole pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import zoo
from zoo.onnx import export_pipeline
from zoo_kan.demo.chapter import Chapter, Finding, Formula, OnnxRecord, Picture
from zoo_kan.demo.comparison import Comparison, Metric, compare_models
from zoo_kan.demo.figures import plot_roc
from zoo_kan.demo.parity import measure
from zoo_kan.demo.reading import read_formula
from zoo_kan.plot import plot_network, plot_predicted

__all__ = ["STEPS", "run_breast_cancer", "run_diabetes"]

FOLDS, REPEATS = 5, 2
STEPS = FOLDS * REPEATS + 3

_DIABETES_CODE = """
import zoo, zoo.onnx
from sklearn.datasets import load_diabetes
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
pipeline = make_pipeline(SimpleImputer(), zoo.load("kan"))
pipeline.set_output(transform="pandas").fit(X, y)
print(pipeline[-1].to_symbolic())
zoo.onnx.export_pipeline(pipeline, X, "diabetes/onnx")
"""
_BREAST_CANCER_CODE = """
import zoo, zoo.onnx
from sklearn.datasets import load_breast_cancer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
model = zoo.load("kan", task="classification")
pipeline = make_pipeline(SimpleImputer(), model).set_output(transform="pandas").fit(X, y)
print(pipeline[-1].to_symbolic())
zoo.onnx.export_pipeline(pipeline, X, "breast_cancer/onnx")
"""


def run_diabetes(folder: Path, step: Callable[[], None]) -> Chapter:
    """Run the regression; see `zoo_kan.demo.kepler.run` for the parameters."""
    data = load_diabetes(as_frame=True, scaled=False)
    X, y = data.data, data.target.to_numpy()
    pipeline = _pipeline(zoo.load("kan", random_state=0))
    compared = compare_models(
        {
            "KAN": pipeline,
            "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
            "gradient boosting": HistGradientBoostingRegressor(random_state=0),
        },
        X,
        y,
        splitter=RepeatedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0),
        folds=FOLDS,
        metrics=[Metric("R²", "r2"), Metric("RMSE", "neg_root_mean_squared_error", -1)],
        probabilities=False,
        derived={"its formula": read_formula},
        step=step,
    )
    pipeline.fit(X, y)
    step()
    chapter = Chapter(
        name="diabetes",
        title="A regression on noisy data",
        question="How far will diabetes progress within a year, given ten measurements?",
        data="scikit-learn's load_diabetes: 442 patients, a small and noisy table where flexible "
        "models overfit. The KAN and gradient boosting stand at their defaults, ridge chooses its "
        "penalty by cross-validation.",
        findings=compared.verdicts(leave_out=("its formula",)),
        tables=[compared.table(_caption())],
        code=_DIABETES_CODE,
    )
    _read_formula(
        chapter, pipeline, X, y, compared, folder, "Progression of the disease after one year"
    )
    step()
    chapter.pictures = _save(
        folder,
        {
            "network.png": (
                _draw(pipeline, X, "progression"),
                "The network; the darker an edge, the more of the prediction runs through it.",
            ),
            "predicted.png": (
                plot_predicted(y, compared.unseen["KAN"], target_name="progression"),
                "Predicted against measured progression, of patients not fitted to.",
            ),
        },
    )
    chapter.onnx = _export(pipeline, X, folder, "predict")
    step()
    return chapter


def run_breast_cancer(folder: Path, step: Callable[[], None]) -> Chapter:
    """Run the classification; see `zoo_kan.demo.kepler.run` for the parameters."""
    data = load_breast_cancer(as_frame=True)
    X, y = data.data, data.target_names[data.target.to_numpy()]
    model = zoo.load("kan", task="classification", random_state=0)
    pipeline = _pipeline(model)
    compared = compare_models(
        {
            "KAN": pipeline,
            "logistic regression": make_pipeline(StandardScaler(), LogisticRegression()),
            "gradient boosting": HistGradientBoostingClassifier(random_state=0),
        },
        X,
        y,
        splitter=RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0),
        folds=FOLDS,
        metrics=[
            Metric("accuracy", "accuracy"),
            Metric("area under ROC", "roc_auc"),
            Metric("log loss", "neg_log_loss", -1),
        ],
        probabilities=True,
        derived={"its formula": read_formula},
        step=step,
    )
    pipeline.fit(X, y)
    step()
    malignant = y == pipeline.classes_[1]
    chapter = Chapter(
        name="breast_cancer",
        title="A classification",
        question="Is a tumour benign or malignant, from measurements of its cell nuclei?",
        data="scikit-learn's load_breast_cancer: 569 biopsies, 30 measurements each. All models "
        "stand at their defaults.",
        findings=compared.verdicts(leave_out=("its formula",)),
        tables=[compared.table(_caption())],
        code=_BREAST_CANCER_CODE,
    )
    _read_formula(
        chapter,
        pipeline,
        X,
        y,
        compared,
        folder,
        f"Logarithm of the odds that it is {pipeline.classes_[1]}",
    )
    step()
    chapter.pictures = _save(
        folder,
        {
            "network.png": (
                _draw(pipeline, X, f"log odds of {pipeline.classes_[1]}"),
                "The network; the darker an edge, the more of the prediction runs through it.",
            ),
            "roc.png": (
                plot_roc(malignant, compared.unseen),
                "Receiver operating curves on biopsies not fitted to; only the corner is shown.",
            ),
        },
    )
    chapter.onnx = _export(pipeline, X, folder, "predict_proba")
    step()
    return chapter


def _pipeline(model: Any) -> Pipeline:
    """New rows may miss a value; names and units stay, so the formula is in both."""
    steps = [("impute", SimpleImputer()), ("kan", model)]
    return Pipeline(steps).set_output(transform="pandas")


def _caption() -> str:
    return (
        f"{FOLDS}-fold cross-validation, repeated {REPEATS} times with other splits: mean and "
        "standard deviation over the folds, median time to fit on one thread."
    )


def _read_formula(
    chapter: Chapter,
    pipeline: Pipeline,
    X: Any,
    y: Any,
    compared: Comparison,
    folder: Path,
    name: str,
) -> None:
    model = pipeline[-1]
    seen = pipeline[:-1].transform(X)
    symbolic = model.to_symbolic()
    own, networks = symbolic.score(seen, y), model.score(seen, y)
    score = "accuracy" if "classes_" in vars(model) else "R²"
    chapter.formula = Formula(
        name=name,
        symbol=sympy.Symbol("y"),
        expression=symbolic.expressions_[0],
        note=f"On the data that both were fitted to the formula has {score} {own:.3f}, the "
        f"network {networks:.3f}.",
    )
    chapter.formula.write(folder)
    widths = "-".join(map(str, model.network_.widths))
    used, offered = len(symbolic.expressions_[0].free_symbols), len(seen.columns)
    scores = compared.scores["its formula"][:, 0]
    chapter.findings.append(
        Finding(
            f"The network chose its own shape, {widths}. Read as a formula it needs {used} of "
            f"{offered} measurements; formulas found in the same way in each fold have "
            f"{compared.metrics[0].name} {scores.mean():.3f} on the rows left out."
        )
    )


def _draw(pipeline: Pipeline, X: Any, output: str) -> Any:
    seen = pipeline[:-1].transform(X)
    return plot_network(
        pipeline[-1].network_,
        feature_names=list(seen.columns),
        output_names=[output],
        X=seen.to_numpy(),
        max_edges=12,
    )


def _save(folder: Path, pictures: dict[str, tuple[Any, str]]) -> list[Picture]:
    for name, (figure, _) in pictures.items():
        figure.savefig(folder / name, dpi=150)
    return [Picture(folder / name, caption) for name, (_, caption) in pictures.items()]


def _export(pipeline: Pipeline, X: Any, folder: Path, method: str) -> OnnxRecord:
    export_pipeline(pipeline, X, folder / "onnx", overwrite=True)
    columns = {name: X[name].to_numpy() for name in X}
    return measure(
        folder / "onnx", columns, method, lambda: np.asarray(getattr(pipeline, method)(X))
    )
