"""Accuracy of `KANRegressor` and `KANClassifier` with their defaults.

First the toy function of the KAN paper, ``exp(sin(pi*x) + y**2)`` on the square from -1 to 1, from
1,000 samples without noise: error on 10,000 fresh samples and the time of the fit, per seed. Then
tables, each cross-validated on five shuffled folds beside ridge or logistic regression and
histogram gradient boosting: mean and standard deviation over the folds, and seconds per fit. All
models have their defaults but for inputs scaled and strength of penalty cross-validated for the
linear ones.

    python benchmarks/kan/accuracy.py [--seeds 5] [--tables diabetes friedman1 ...]
"""

import argparse
import json
import time

import numpy as np
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_wine,
    make_friedman1,
    make_friedman2,
    make_friedman3,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo_kan import KANClassifier, KANRegressor

TABLES = {
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "friedman1": lambda: make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": lambda: make_friedman2(1000, noise=50.0, random_state=0),
    "friedman3": lambda: make_friedman3(1000, noise=0.1, random_state=0),
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
}
CLASSES = ("breast_cancer", "wine")


def toy(rows, seed):
    X = np.random.default_rng(seed).uniform(-1.0, 1.0, (rows, 2))
    return X, np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)


def measure_toy(seeds):
    errors, seconds = [], []
    for seed in range(seeds):
        X, y = toy(1000, seed)
        start = time.perf_counter()
        model = KANRegressor(random_state=seed).fit(X, y)
        seconds.append(time.perf_counter() - start)
        V, w = toy(10_000, 10_000 + seed)
        errors.append(float(np.sqrt(np.mean((model.predict(V) - w) ** 2))))
        print(
            f"toy seed {seed}: test RMSE {errors[-1]:.1e} in {seconds[-1]:.2f} s, "
            f"shape {model.network_.widths}, grid {model.network_.layers[0].grid}",
            flush=True,
        )
    return {"rmse": errors, "seconds": [round(value, 3) for value in seconds]}


def models(name):
    if name in CLASSES:
        linear = LogisticRegressionCV(
            Cs=10, l1_ratios=(0.0,), use_legacy_attributes=False, scoring="neg_log_loss",
            max_iter=1000,
        )  # fmt: skip
        boosting = HistGradientBoostingClassifier(random_state=0)
        return {
            "KAN": KANClassifier(random_state=0),
            "logistic": make_pipeline(StandardScaler(), linear),
            "boosting": boosting,
        }
    return {
        "KAN": KANRegressor(random_state=0),
        "ridge": make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13))),
        "boosting": HistGradientBoostingRegressor(random_state=0),
    }


def measure_table(name):
    X, y = TABLES[name]()
    folds = (StratifiedKFold if name in CLASSES else KFold)(5, shuffle=True, random_state=0)
    measured = {}
    for label, model in models(name).items():
        scores, losses, seconds, shapes = [], [], [], []
        for fit_rows, test_rows in folds.split(X, y):
            start = time.perf_counter()
            fitted = clone(model).fit(X[fit_rows], y[fit_rows])
            seconds.append(time.perf_counter() - start)
            predicted = fitted.predict(X[test_rows])
            metric = accuracy_score if name in CLASSES else r2_score
            scores.append(metric(y[test_rows], predicted))
            if name in CLASSES:
                losses.append(log_loss(y[test_rows], fitted.predict_proba(X[test_rows])))
            if label == "KAN":
                shapes.append("-".join(map(str, fitted.network_.widths)))
        measured[label] = {
            "mean": round(float(np.mean(scores)), 4),
            "sd": round(float(np.std(scores, ddof=1)), 4),
            "seconds": round(float(np.median(seconds)), 3),
            **({"log_loss": round(float(np.mean(losses)), 4)} if losses else {}),
        }
        row = measured[label]
        print(
            f"{name:14} {label:9} {row['mean']:.4f} ± {row['sd']:.4f}  {row['seconds']:6.2f} s"
            + (f"  log loss {row['log_loss']:.4f}" if losses else "")
            + (f"  shapes {', '.join(sorted(set(shapes)))}" if shapes else ""),
            flush=True,
        )
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="fits of the toy function")
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    arguments = parser.parse_args()
    result = {"benchmark": "kan_accuracy", "toy": measure_toy(arguments.seeds)}
    print("\ntable          model     R2 or accuracy   median fit")
    result["tables"] = {name: measure_table(name) for name in arguments.tables}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
