"""Signature of a knot from three numbers of its cusp: a network of 59 parameters, and its formula.

Davies et al. (Nature 600, 70-74, 2021) trained a perceptron of three layers of 300 sigmoids, and
found that the signature of a hyperbolic knot is close to half its natural slope, a function of the
meridional and longitudinal translations mu (complex) and lambda of its cusp. The KAN paper (arXiv
2404.19756, Section 4.3) reports on their table of 243,000 knots: perceptron 78.0 % (17 inputs,
3e5 parameters), KAN 81.6 % (17 inputs, 200 parameters), KAN of these three inputs 78.2 %; formulas
of these three: lambda mu_r / (mu_r^2 + mu_i^2) 83.1 %, its own best one 84.0 %.

Here: 11,998 knots of at most 14 crossings (`knots_data.py` regenerates them), random splits of 80
and 20 %. All predict the signature itself, an even integer: regressions are rounded to the nearest
one. ``rule`` is half the slope, ``rule, scaled`` the best multiple of it plus a constant. The
formula is what `to_symbolic` returns for the network, its constants fitted to the training rows;
parameters of a formula are its constants that are not 1. Accuracies are on the test rows, mean and
standard deviation over splits; ``- KAN`` is the mean difference to the KAN on the same splits with
its standard error. Times are the processor's.

The mirror image of a knot has the opposite signature and the opposite mu_r. ``mirrored`` models are
trained on knots of which those with negative mu_r have been replaced by their mirror images, and
asked the same way: they are exactly odd in mu_r, and no parameter is spent on learning it.

The lengths are those of the maximal cusp, as in Davies et al. (Geometry & Topology 28, 2313-2343,
2024). Before SnapPy is asked to grow it, the cusp of every knot has the area 3 sqrt(3) / 8;
``--equal-areas`` brings the lengths to that, which keeps the slope and forgets the size.

    python benchmarks/kan/knots.py [--splits 10] [--first-split 0] [--seeds 2] [--data knots.csv]
        [--equal-areas] [--without formula perceptron]

A single split says little: the accuracy of a model differs by 1 % from one to the next. On the
first split of this sample of 7,998 knots all models do better than they do on average:

    python benchmarks/kan/knots_data.py knots8000.csv --sample 8000 --seed 1
    python benchmarks/kan/knots.py --data knots8000.csv --equal-areas --first-split 0 --splits 1
"""

import argparse
import csv
import gzip
import json
import time
import warnings
from pathlib import Path

import numpy as np
import sympy
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from zoo_kan import KANRegressor
from zoo_kan.datasets import load_knots

KAN = {"hidden": 2, "grid": 4, "base": "none"}
AREA = 3.0**1.5 / 8.0  # of a cusp as SnapPy starts with it


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A table that `knots_data.py` wrote."""
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    rows = np.array([list(map(float, row)) for row in list(csv.reader(text.splitlines()))[1:]])
    return rows[:, :3], rows[:, 3].astype(int)


def half_slope(X: np.ndarray) -> np.ndarray:
    """Half the natural slope Re(lambda / mu)."""
    return 0.5 * (X[:, 2] / (X[:, 0] + 1j * X[:, 1])).real


def equal_areas(X: np.ndarray) -> np.ndarray:
    """Lengths of cusps of one area in place of the maximal ones."""
    return X * np.sqrt(AREA / (X[:, 1] * X[:, 2]))[:, None]


def mirror(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows with non-negative mu_r, and the sign of the signature that this costs."""
    sign = np.where(X[:, 0] < 0.0, -1.0, 1.0)
    return np.column_stack([sign * X[:, 0], X[:, 1:]]), sign


def accuracy(predicted: np.ndarray, y: np.ndarray) -> float:
    """Share of signatures that are right after rounding to even integers."""
    return float(np.mean(2 * np.rint(predicted / 2) == y))


def n_constants(expression: sympy.Expr) -> int:
    """Numbers in a formula other than 1 and -1, counted where they stand."""
    numbers = [e for e in sympy.preorder_traversal(expression) if e.is_Number]
    return sum(abs(number) != 1 for number in numbers)


def size_of(network: MLPClassifier) -> int:
    return sum(part.size for part in (*network.coefs_, *network.intercepts_))


def models(split: int, seeds: int, without: list[str]) -> list[tuple]:
    """Names, estimators and how to count their parameters."""
    found: list[tuple] = [
        ("KAN", KANRegressor(**KAN, random_state=seed), lambda model: model.network_.n_parameters)
        for seed in range(seeds)
    ]
    if "perceptron" not in without:
        perceptron = MLPClassifier(
            (300, 300, 300), activation="logistic", max_iter=60, random_state=split
        )
        pipeline = make_pipeline(StandardScaler(), perceptron)
        found.append(("perceptron 3 x 300", pipeline, lambda model: size_of(model[-1])))
    forest = RandomForestRegressor(min_samples_leaf=10, random_state=split)
    found.append(("boosting", HistGradientBoostingRegressor(random_state=split), None))
    found.append(("random forest", forest, None))
    return found


def run_split(
    X: np.ndarray, y: np.ndarray, split: int, seeds: int, without: list[str]
) -> list[dict]:
    order = np.random.default_rng(split).permutation(len(X))
    train, test = np.split(order, [int(0.8 * len(order))])
    rows: list[dict] = []

    def add(name: str, predicted: np.ndarray, parameters: int | None, seconds: float) -> None:
        row = {"split": split, "model": name, "accuracy": accuracy(predicted, y[test])}
        row["r2"] = 1.0 - float(np.mean((predicted - y[test]) ** 2) / np.var(y[test]))
        rows.append({**row, "parameters": parameters, "seconds": seconds})

    add("rule", half_slope(X[test]), 0, 0.0)
    slope = half_slope(X)[:, None]
    scaled = LinearRegression().fit(slope[train], y[train])
    add("rule, scaled", scaled.predict(slope[test]), 2, 0.0)
    folded, sign = mirror(X)
    for suffix, table, turned in (("", X, np.ones(len(X))), (", mirrored", folded, sign)):
        for name, model, parameters in models(split, seeds, without):
            started = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(table[train], turned[train] * y[train])
            seconds = time.process_time() - started
            predicted = turned[test] * model.predict(table[test])
            add(name + suffix, predicted, parameters(model) if parameters else None, seconds)
            network = model if name == "KAN" and not suffix else None
            if network is None or model.random_state or "formula" in without:
                continue
            started = time.process_time()
            formula = network.to_symbolic(
                X[train], y[train], feature_names=["mu_r", "mu_i", "lambda"], time_limit=600.0
            )
            seconds = time.process_time() - started
            expression = formula.expressions_[0]
            add("formula", formula.predict(X[test]), n_constants(expression), seconds)
            rows[-1]["expression"] = str(expression)
    return rows


def summarise(rows: list[dict], name: str) -> dict:
    """Mean, spread and difference to the KAN on the same splits."""
    own = [row for row in rows if row["model"] == name]
    splits = sorted({row["split"] for row in own})

    def by_split(model: str) -> np.ndarray:
        return np.array(
            [
                np.mean([r["accuracy"] for r in rows if (r["split"], r["model"]) == (split, model)])
                for split in splits
            ]
        )

    values, difference = by_split(name), by_split(name) - by_split("KAN")
    spread = 1 if len(splits) > 1 else 0
    return {
        "accuracy": round(float(values.mean()), 4),
        "sd": round(float(values.std(ddof=spread)), 4),
        "best_split": round(float(values.max()), 4),
        "minus_kan": round(float(difference.mean()), 4),
        "se": round(float(difference.std(ddof=spread) / np.sqrt(len(splits))), 4),
        "r2": round(float(np.mean([row["r2"] for row in own])), 4),
        "parameters": own[0]["parameters"],
        "cpu_s": round(float(np.median([row["seconds"] for row in own])), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first-split", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, help="another table of knots_data.py")
    parser.add_argument("--equal-areas", action="store_true", help="scale all cusps to one area")
    parser.add_argument(
        "--without", nargs="*", default=[], choices=["formula", "perceptron"], help="left out"
    )
    arguments = parser.parse_args()
    if arguments.data is None:
        knots = load_knots()
        X, y = knots.data, knots.target
    else:
        X, y = read(arguments.data)
    if arguments.equal_areas:
        X = equal_areas(X)
    print(f"{len(X)} knots, signatures {y.min()} to {y.max()}")
    rows: list[dict] = []
    for split in range(arguments.first_split, arguments.first_split + arguments.splits):
        rows += run_split(X, y, split, arguments.seeds, arguments.without)
        for row in rows:
            if (row["split"], row["model"]) == (split, "formula"):
                shown = f"{row['accuracy']:.2%}  signature = {row['expression']}"
                print(f"split {split}: {shown}", flush=True)
    names = list(dict.fromkeys(row["model"] for row in rows))
    table = {name: summarise(rows, name) for name in names}
    print(f"\n{'model':28} accuracy    sd   best  - KAN    (se)     R2 parameters  cpu s")
    for name, row in table.items():
        size = "-" if row["parameters"] is None else f"{row['parameters']:,}"
        print(
            f"{name:28} {row['accuracy']:8.2%} {row['sd']:5.2%} {row['best_split']:6.2%} "
            f"{row['minus_kan']:+7.2%} {row['se']:7.2%} {row['r2']:6.3f} {size:>10} "
            f"{row['cpu_s']:6.2f}"
        )
    print("\n" + json.dumps({"benchmark": "kan knots", "knots": len(X), **table}))


if __name__ == "__main__":
    main()
