"""Five peaks learned one after another: what is kept of the earlier ones.

Section 3.5 of arXiv 2404.19756: y = sum_i exp(-300 (x - c_i)^2) on the interval from -1 to 1 with
five centres; each phase shows 100 samples around one of them. A KAN [1,1] with 200 grid intervals
keeps every peak, a perceptron forgets all but the last. pykan's notebook (Example_8) does it with
the scale and base functions switched off and logs a training loss (root mean square) of 3.99e-6 in
each phase.

Here `KANRegressor(hidden=(), grid=200, base="none")` is fitted to zeros over the interval, which
lays out its grid, then meets the phases through `partial_fit`. Beside it: splines of order 5, a
coarser grid, a KAN with hidden nodes, whose edges are shared by all phases, and scikit-learn's
perceptrons (tanh, ``--steps`` per phase), one of about as many parameters and a larger one.
``phase`` is the root mean square error on the phase's own samples, ``seen`` that on a fine mesh
over everything shown so far.

    python benchmarks/kan/continual.py [--steps 4000]
"""

import argparse
import json
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from zoo_kan import KANRegressor

CENTRES = 0.4 * (np.arange(5) - 2)
HALF = 0.2
PAPER = {"KAN [1,1] G=200, pykan's notebook": 3.99e-6}
DOMAIN = np.linspace(-1.0, 1.0, 1000)[:, None]


def peaks(x):
    return np.exp(-300.0 * (x[:, None] - CENTRES) ** 2).sum(axis=1)


def phase(centre):
    x = np.linspace(centre - HALF, centre + HALF, 100)
    return x[:, None], peaks(x)


def rms(predict, x):
    return float(np.sqrt(np.mean((predict(x[:, None]) - peaks(x)) ** 2)))


def blank(hidden, grid, order=3):
    """A network that is zero, or nearly so, over the whole interval."""
    model = KANRegressor(
        hidden=hidden, grid=grid, order=order, base="none", solver="lm", random_state=0
    )
    # hidden nodes would die of a target that is exactly zero
    return model.fit(DOMAIN, (1e-3 if hidden else 0.0) * DOMAIN[:, 0])


def perceptron(hidden, solver, steps):
    """A perceptron whose every ``fit`` goes on from the last one; inputs spread over -10 to 10."""
    net = MLPRegressor(
        hidden_layer_sizes=hidden,
        activation="tanh",
        solver=solver,
        learning_rate_init=2e-3,
        batch_size=100,
        alpha=0.0,
        tol=0.0,
        n_iter_no_change=steps,
        max_iter=steps,
        max_fun=2 * steps,
        warm_start=True,
        random_state=0,
    )
    return lambda X, y: net.fit(10.0 * X, y), lambda X: net.predict(10.0 * X)


def learners(steps):
    """By label, how each model meets a phase and how it predicts."""
    kans = {
        "KAN [1,1] G=200": blank((), 200),
        "KAN [1,1] G=200, order 5": blank((), 200, order=5),
        "KAN [1,1] G=50": blank((), 50),
        "KAN [1,3,1] G=50": blank((3,), 50),
    }
    return {label: (model.partial_fit, model.predict) for label, model in kans.items()} | {
        "MLP 12-12 (193 parameters), Adam": perceptron((12, 12), "adam", steps),
        "MLP 64-64 (4,353 parameters), Adam": perceptron((64, 64), "adam", steps),
        "MLP 64-64 (4,353 parameters), L-BFGS": perceptron((64, 64), "lbfgs", steps),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000, help="of the perceptrons, per phase")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the steps are the budget
    print("paper (pykan's notebook, KAN [1,1] G=200): 3.99e-6 in each phase")
    results = {}
    for label, (learn, predict) in learners(arguments.steps).items():
        rows, used = [], time.process_time()
        for centre in CENTRES:
            X, y = phase(centre)
            learn(X, y)
            seen = np.linspace(-1.0, centre + HALF, 2000)
            rows.append({"phase": rms(predict, X[:, 0]), "seen": rms(predict, seen)})
        seconds = time.process_time() - used
        results[label] = {"phases": rows, "cpu_s": round(seconds, 2)}
        print(f"\n{label}  ({seconds:.1f} cpu s)")
        for name in ("phase", "seen"):
            print(f"  {name:6}", "  ".join(f"{row[name]:.1e}" for row in rows), flush=True)
    print(json.dumps({"benchmark": "kan continual", "paper": PAPER, "results": results}))


if __name__ == "__main__":
    main()
