"""Tables: KAN against ridge, boosting, a random forest and a perceptron, nested cross-validation.

Five shuffled outer folds measure, repeated with other shuffles (``--repeats``). Inside every fold
the peers choose their hyperparameters by three inner folds over the grids below (ridge and
logistic regression over 13 penalties); the KAN has its defaults, which choose shape, grid and
smoothness on the rows they are given. All peers are scikit-learn's; linear models and perceptron
see standardised inputs, and perceptron targets are standardised too. The scores are R2, and minus
the log loss for classes.

Differences KAN minus peer come with 95% intervals of the corrected resampled t test of Nadeau and
Bengio (2003), whose variance has the factor 1/k + test rows / training rows for the training sets
that overlap. "KAN" or the peer is named where the interval excludes zero, else "no difference".

Data are scikit-learn's own, offline: three tables of small samples, three of Friedman's functions
with noise, handwritten digits (a linear reduction to 20 components first, for all models), and
"steps", a noisy sum of thresholds, chosen because trees should win there.

    python benchmarks/kan/tabular.py [--tables diabetes friedman1 ...] [--repeats 1]
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


def digits():
    X, y = load_digits(return_X_y=True)
    return PCA(20, random_state=0).fit_transform(X), y


TABLES = {
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "friedman1": lambda: make_friedman1(1000, noise=1.0, random_state=0),
    "friedman2": lambda: make_friedman2(1000, noise=50.0, random_state=0),
    "friedman3": lambda: make_friedman3(1000, noise=0.1, random_state=0),
    "steps": steps,
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "digits": digits,
}
CLASSES = ("breast_cancer", "wine", "digits")
TREES = {"max_leaf_nodes": [7, 31], "learning_rate": [0.03, 0.1]}
FOREST = {"min_samples_leaf": [1, 5], "max_features": [0.33, 1.0]}
PENALTIES = np.logspace(-3, 3, 13)


def searched(model, grid, *, classes):
    folds = (StratifiedKFold if classes else KFold)(3, shuffle=True, random_state=0)
    scoring = "neg_log_loss" if classes else "r2"
    return GridSearchCV(model, grid, cv=folds, scoring=scoring)


def models(classes):
    hidden = [(32,), (64, 64)]
    alphas = [1e-3, 1.0]
    if classes:
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        perceptron = make_pipeline(StandardScaler(), MLPClassifier(max_iter=300, random_state=0))
        return {
            "KAN": KANClassifier(random_state=0),
            "linear": searched(linear, {"logisticregression__C": PENALTIES}, classes=True),
            "boosting": searched(
                HistGradientBoostingClassifier(random_state=0, early_stopping=True),
                TREES,
                classes=True,
            ),
            "forest": searched(RandomForestClassifier(100, random_state=0), FOREST, classes=True),
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
        "forest": searched(RandomForestRegressor(100, random_state=0), FOREST, classes=False),
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


def measure(name, repeats):
    X, y = TABLES[name]()
    classes = name in CLASSES
    labels = np.unique(y)
    scores, seconds, shapes = {}, {}, []
    for repeat in range(repeats):
        folds = (StratifiedKFold if classes else KFold)(5, shuffle=True, random_state=repeat)
        for fit_rows, test_rows in folds.split(X, y):
            for label, model in models(classes).items():
                start = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    fitted = clone(model).fit(X[fit_rows], y[fit_rows])
                seconds.setdefault(label, []).append(time.perf_counter() - start)
                if classes:
                    proba = fitted.predict_proba(X[test_rows])
                    score = -log_loss(y[test_rows], proba, labels=labels)
                else:
                    score = r2_score(y[test_rows], fitted.predict(X[test_rows]))
                scores.setdefault(label, []).append(score)
                if label == "KAN":
                    shapes.append("-".join(map(str, fitted.network_.widths)))
    metric = "log loss" if classes else "R2"
    print(f"\n{name}: {X.shape[0]} x {X.shape[1]}, {metric}; shapes {', '.join(shapes)}")
    table = {}
    for label, values in scores.items():
        mean = abs(float(np.mean(values))) if classes else float(np.mean(values))
        row = {"score": round(mean, 4), "seconds": round(float(np.median(seconds[label])), 2)}
        text = f"  {label:11} {row['score']:8.4f}  {row['seconds']:6.2f} s with its choice"
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
    parser.add_argument("--repeats", type=int, default=1, help="of the five outer folds")
    arguments = parser.parse_args()
    start = time.perf_counter()
    tables = {name: measure(name, arguments.repeats) for name in arguments.tables}
    verdicts = [
        row["better"] for table in tables.values() for row in table.values() if len(row) > 2
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
