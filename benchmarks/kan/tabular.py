"""Tables: KAN against ridge, boosting, a random forest and a perceptron, nested cross-validation.

Five shuffled outer folds measure, repeated with other shuffles (``--repeats``). Inside every fold
the peers choose their hyperparameters by three inner folds over the grids below (ridge and
logistic regression over 13 penalties); the KAN has its defaults, which choose shape, grid and
smoothness on the rows they are given. No model, scaler or reduction sees a test row before it is
scored. All peers are scikit-learn's; linear models and perceptron see standardised inputs, and
perceptron targets are standardised too. The scores are R2, and minus the log loss for classes,
with the accuracy beside it.

Differences KAN minus peer come with 95% intervals of the corrected resampled t test of Nadeau and
Bengio (2003), whose variance has the factor 1/k + test rows / training rows for the training sets
that overlap. "KAN" or the peer is named where the interval excludes zero, else "no difference".

Data are scikit-learn's own, offline: three tables of small samples, three of Friedman's functions
with noise, and handwritten digits (reduced to 20 principal components of the training rows, for all
models). Two are there for the KAN to lose: "linear", 120 rows of ten columns with more noise than
signal, where the truth is a ridge regression's, and "steps", a noisy sum of thresholds, where it is
a tree's.

    python benchmarks/kan/tabular.py [--tables diabetes friedman1 ...] [--repeats 2]
"""

import argparse
import json
import time
import warnings

import numpy as np
from scipy import stats
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_wine,
    make_friedman1,
    make_friedman2,
    make_friedman3,
)
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo_kan import KANClassifier, KANRegressor


def steps():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.0, 1.0, (1000, 6))
    y = 2.0 * (X[:, 0] > 0.2) - 3.0 * ((X[:, 1] > 0.0) & (X[:, 2] > -0.3)) + (X[:, 3] < -0.5)
    return X, y + 0.3 * rng.normal(size=1000)


def linear():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 10))
    return X, X @ rng.normal(size=10) + 4.0 * rng.normal(size=120)


TABLES = {
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "linear": linear,
    "friedman1": lambda: make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": lambda: make_friedman2(1000, noise=50.0, random_state=0),
    "friedman3": lambda: make_friedman3(1000, noise=0.1, random_state=0),
    "steps": steps,
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
}
CLASSES = ("breast_cancer", "wine", "digits")
REDUCED = ("digits",)
TREES = {"max_leaf_nodes": [7, 31], "learning_rate": [0.03, 0.1]}
FOREST = {"min_samples_leaf": [1, 5]}
PENALTIES = np.logspace(-3, 3, 13)


def searched(model, grid, *, classes):
    folds = (StratifiedKFold if classes else KFold)(3, shuffle=True, random_state=0)
    scoring = "neg_log_loss" if classes else "r2"
    return GridSearchCV(model, grid, cv=folds, scoring=scoring)


def models(classes):
    hidden = [(64, 64)]
    alphas = [1e-3, 1.0]
    if classes:
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        perceptron = make_pipeline(StandardScaler(), MLPClassifier(max_iter=500, random_state=0))
        return {
            "KAN": KANClassifier(random_state=0),
            "linear": searched(linear, {"logisticregression__C": PENALTIES}, classes=True),
            "boosting": searched(
                HistGradientBoostingClassifier(random_state=0, early_stopping=True),
                TREES,
                classes=True,
            ),
            "forest": searched(
                RandomForestClassifier(100, max_features=0.33, random_state=0), FOREST, classes=True
            ),
            "perceptron": searched(
                perceptron,
                {"mlpclassifier__alpha": alphas, "mlpclassifier__hidden_layer_sizes": hidden},
                classes=True,
            ),
        }
    linear = make_pipeline(StandardScaler(), Ridge())
    perceptron = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), MLPRegressor(max_iter=500, random_state=0)),
        transformer=StandardScaler(),
    )
    return {
        "KAN": KANRegressor(random_state=0),
        "linear": searched(linear, {"ridge__alpha": PENALTIES}, classes=False),
        "boosting": searched(HistGradientBoostingRegressor(random_state=0), TREES, classes=False),
        "forest": searched(
            RandomForestRegressor(100, max_features=0.33, random_state=0), FOREST, classes=False
        ),
        "perceptron": searched(
            perceptron,
            {
                "regressor__mlpregressor__alpha": alphas,
                "regressor__mlpregressor__hidden_layer_sizes": hidden,
            },
            classes=False,
        ),
    }


def interval(differences, share):
    """Mean and half width of the corrected resampled t interval; test rows by training rows."""
    k = len(differences)
    error = np.sqrt(np.var(differences, ddof=1) * (1.0 / k + share))
    return float(np.mean(differences)), float(stats.t.ppf(0.975, k - 1) * error)


def folds_of(X, y, repeats, *, classes):
    """Rows to train on and rows to test on, fold by fold."""
    for repeat in range(repeats):
        folds = (StratifiedKFold if classes else KFold)(5, shuffle=True, random_state=repeat)
        yield from folds.split(X, y)


def measure(name, repeats):
    X, y = TABLES[name]()
    classes = name in CLASSES
    labels = np.unique(y)
    scores, accuracies, seconds, shapes = {}, {}, {}, {}
    for fit_rows, test_rows in folds_of(X, y, repeats, classes=classes):
        known, unseen = X[fit_rows], X[test_rows]
        if name in REDUCED:
            reduction = PCA(20, random_state=0).fit(known)
            known, unseen = reduction.transform(known), reduction.transform(unseen)
        for label, model in models(classes).items():
            start = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted = clone(model).fit(known, y[fit_rows])
            seconds.setdefault(label, []).append(time.process_time() - start)
            if classes:
                proba = fitted.predict_proba(unseen)
                score = -log_loss(y[test_rows], proba, labels=labels)
                right = np.mean(labels[proba.argmax(axis=1)] == y[test_rows])
                accuracies.setdefault(label, []).append(right)
            else:
                score = r2_score(y[test_rows], fitted.predict(unseen))
            scores.setdefault(label, []).append(score)
            if label == "KAN":
                shape = "-".join(map(str, fitted.network_.widths))
                shapes[shape] = shapes.get(shape, 0) + 1
    metric = "log loss" if classes else "R2"
    chosen = ", ".join(f"{shape} ({count})" for shape, count in shapes.items())
    print(f"\n{name}: {X.shape[0]} x {X.shape[1]}, {metric}; shapes {chosen}")
    table = {}
    for label, values in scores.items():
        mean = abs(float(np.mean(values))) if classes else float(np.mean(values))
        row = {"score": round(mean, 4), "cpu_seconds": round(float(np.median(seconds[label])), 2)}
        text = f"  {label:11} {row['score']:8.4f}"
        if classes:
            row["accuracy"] = round(float(np.mean(accuracies[label])), 4)
            text += f" ({row['accuracy']:.4f})"
        text += f"  {row['cpu_seconds']:6.2f} s with its choice"
        if label != "KAN":
            gap, half = interval(np.subtract(scores["KAN"], values), 0.25)
            winner = "no difference" if abs(gap) <= half else "KAN" if gap > 0 else label
            row |= {"kan_ahead_by": round(gap, 4), "half_width": round(half, 4), "better": winner}
            text += f"   KAN ahead by {gap:+.4f} ± {half:.4f}: {winner}"
        table[label] = row
        print(text, flush=True)
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--repeats", type=int, default=2, help="of the five outer folds")
    arguments = parser.parse_args()
    start = time.perf_counter()
    tables = {name: measure(name, arguments.repeats) for name in arguments.tables}
    verdicts = [
        row["better"] for table in tables.values() for row in table.values() if "better" in row
    ]
    better = verdicts.count("KAN")
    equal = verdicts.count("no difference")
    print(
        f"\n{len(verdicts)} comparisons: KAN better in {better}, worse in "
        f"{len(verdicts) - better - equal}, undecided in {equal}; "
        f"{time.perf_counter() - start:.0f} s"
    )
    print(json.dumps({"benchmark": "kan_tabular", "tables": tables}))


if __name__ == "__main__":
    main()
