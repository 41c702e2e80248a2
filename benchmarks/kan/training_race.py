"""Test error of the solvers against time, on networks of one shape.

From one start each: Levenberg-Marquardt as `fit_lm` chooses its equations (conjugate gradients at
these sizes), L-BFGS, and Adam on minibatches. A row is one complete run with so many iterations:
processor seconds, and root mean squared error on fresh rows. Problems: friedman1 with 20,000 rows
of 20 columns and noise 1 (no model can be better than 1 on noisy rows; the error is to the noisy
target), a smooth function of eight variables without noise learned by [8, 16, 16, 1] from 10,000
rows, two outputs with weights, and three classes (log loss). The paper trains with L-BFGS
(arXiv 2404.19756, Section 2.2).

    python benchmarks/kan/training_race.py [--problems friedman1 smooth outputs classes] [--adam]
"""

import argparse
import json
import time

import numpy as np
from sklearn.datasets import make_friedman1

from zoo_kan.solvers import fit_lm, initial_network
from zoo_kan.solvers.lbfgs import fit_lbfgs
from zoo_kan.solvers.problem import Layout, Problem

STEPS = {"lm": (10, 20, 40), "lbfgs": (50, 200, 800), "adam": (10, 40)}


def smooth(X):
    return (
        np.sin(np.pi * X[:, 0] * X[:, 1])
        + np.exp(-(X[:, 2] ** 2) - X[:, 3] ** 2) * X[:, 4]
        + np.cos(X[:, 5] + X[:, 6] * X[:, 7])
    )


def pose(name):
    """Rows, targets, weights, loss, widths; the last fifth is for testing."""
    rng = np.random.default_rng(0)
    if name == "friedman1":
        X, y = make_friedman1(25_000, 20, noise=1.0, random_state=0)
        return X, y[:, None], np.ones(len(X)), "squared", [20, 10, 1]
    X = rng.uniform(-1.0, 1.0, (12_500, 8))
    if name == "smooth":
        return X, smooth(X)[:, None], np.ones(len(X)), "squared", [8, 16, 16, 1]
    if name == "outputs":
        T = np.column_stack([smooth(X), np.sin(2.0 * X[:, 0] + X[:, 1] ** 2)])
        return X, T, rng.uniform(0.5, 2.0, len(X)), "squared", [8, 16, 2]
    logits = 3.0 * np.column_stack([smooth(X), X[:, 0] * X[:, 1], np.zeros(len(X))])
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return X, np.eye(3)[labels], np.ones(len(X)), "logistic", [8, 16, 3]


def race(name, solvers):
    X, T, weight, loss, widths = pose(name)
    cut = len(X) * 4 // 5
    start = initial_network(
        X[:cut],
        T[:cut],
        widths,
        grid=8,
        standardise_outputs=loss == "squared",
        rng=np.random.default_rng(0),
    )
    size = Layout.of(start).size
    print(f"\n{name}: {cut} rows, shape {widths}, {size} parameters")
    runs = []
    for solver in solvers:
        for steps in STEPS[solver]:
            began = time.process_time()
            data = (start, X[:cut], T[:cut], weight[:cut])
            if solver == "lm":
                result = fit_lm(*data, loss=loss, max_iter=steps, equations="auto")
            elif solver == "lbfgs":
                result = fit_lbfgs(*data, loss=loss, max_iter=steps)
            else:
                from zoo_kan.solvers.adam import fit_adam

                result, _ = fit_adam(*data, seed=0, smoothness=3e-5, loss=loss, max_iter=steps)
            seconds = time.process_time() - began
            network = result.network
            if loss == "squared":
                error = float(np.sqrt(np.mean((network.forward(X[cut:]) - T[cut:]) ** 2)))
            else:
                error = Problem(X[cut:], T[cut:], weight[cut:], loss).value(network)
            print(
                f"  {solver:6} {result.n_iter:5} steps  {seconds:7.1f} s  {error:.4g}", flush=True
            )
            runs.append(
                {
                    "solver": solver,
                    "steps": result.n_iter,
                    "cpu_seconds": round(seconds, 2),
                    "error": error,
                }
            )
    return {"problem": name, "parameters": size, "runs": runs}


def main():
    names = ("friedman1", "smooth", "outputs", "classes")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", default=names, choices=names)
    parser.add_argument("--adam", action="store_true", help="also Adam, which needs torch")
    arguments = parser.parse_args()
    solvers = ["lm", "lbfgs", *(["adam"] if arguments.adam else [])]
    results = [race(name, solvers) for name in arguments.problems]
    print(json.dumps({"benchmark": "kan_training_race", "results": results}))


if __name__ == "__main__":
    main()
