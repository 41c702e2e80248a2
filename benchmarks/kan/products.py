"""Product nodes: what they save, and how exact a compiled formula is.

First table: `KANRegressor` on 1,000 samples without noise, all parameters but ``hidden`` at their
defaults, with sums only (``"auto"`` and two nodes) and with one product of two sums. The error is
the root mean square on 10,000 fresh samples relative to the standard deviation of the target;
medians and extremes over the seeds. A quotient is a product whose second factor has learned 1/y:
the last column says how far y times that factor is from constant, at most, over the inner 90% of
its range.

Second table: formulas compiled by `zoo_kan.from_symbolic` with 50 intervals and nothing trained,
largest and root mean square error on 10,000 samples, relative to the standard deviation.

Neither KAN 2.0 (arXiv 2408.10205, Sections 3.1 and 3.2) nor its code gives figures for either;
its example is f = x * y, which a KAN without product nodes writes as ((x + y)**2 - (x - y)**2) / 4.

    python benchmarks/kan/products.py [--seeds 5] [--first-seed 0]
"""

import argparse
import json
import statistics
import time

import numpy as np
import sympy

from zoo_kan import KANRegressor, from_symbolic

N_SAMPLES, N_FRESH = 1000, 10_000
SHAPES = ["auto", (2,), ((0, 1),)]
UNIT, POSITIVE = (-1.0, 1.0), (0.5, 3.0)
LAWS = [
    ("x*y", {"x": UNIT, "y": UNIT}),
    ("(x + y)*z", {"x": UNIT, "y": UNIT, "z": UNIT}),
    ("x/y", {"x": UNIT, "y": POSITIVE}),
]
COMPILED = [
    ("exp(sin(pi*x) + y**2)", {"x": UNIT, "y": UNIT}),
    ("m*v**2/(2*sqrt(1 - v**2/c**2))", {"m": (1.0, 5.0), "v": (1.0, 2.0), "c": (3.0, 10.0)}),
    ("x/y", {"x": UNIT, "y": POSITIVE}),
    ("sqrt((a - b)**2 + (c - d)**2 + 1)", dict.fromkeys("abcd", (0.0, 1.0))),
    ("(u + v)/(1 + u*v)", {"u": (0.0, 0.9), "v": (0.0, 0.9)}),
    ("x**y", {"x": (1.0, 2.0), "y": (0.0, 2.0)}),
]


def law(text, ranges):
    """A formula, its variables and it as a function of rows."""
    variables = sympy.symbols(list(ranges))
    expression = sympy.sympify(text, locals=dict(zip(ranges, variables, strict=True)))
    compute = sympy.lambdify(variables, expression, "numpy")
    return expression, variables, lambda X: compute(*X.T)


def draw(ranges, n, rng):
    low, high = np.array(list(ranges.values())).T
    return rng.uniform(low, high, (n, len(ranges)))


def reciprocal_error(network):
    """How far y times a factor of y is from constant, for the factor where it is least so."""
    X = np.zeros((200, 2))
    X[:, 1] = np.linspace(0.625, 2.875, 200)
    layer = network.layers[0]
    factors = layer.sums(layer.features(network.standardise(X)))
    scaled = factors * X[:, 1:]
    return float((np.abs(scaled / scaled.mean(axis=0) - 1.0)).max(axis=0).min())


def fit_law(text, ranges, hidden, seed):
    _, _, function = law(text, ranges)
    rng = np.random.default_rng(seed)
    X, fresh = draw(ranges, N_SAMPLES, rng), draw(ranges, N_FRESH, rng)
    started = time.perf_counter()
    model = KANRegressor(hidden=hidden, random_state=seed).fit(X, function(X))
    seconds = time.perf_counter() - started
    truth = function(fresh)
    error = float(np.sqrt(np.mean((model.predict(fresh) - truth) ** 2)) / truth.std())
    quotient = text == "x/y" and any(model.network_.products)
    return {
        "error": error,
        "parameters": model.network_.n_parameters,
        "seconds": seconds,
        "reciprocal": reciprocal_error(model.network_) if quotient else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Product nodes and compiled formulas.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    report = {"trained": [], "compiled": [], "failed": 0}

    print(
        f"{'law':12}{'hidden':12}{'parameters':>12}{'median':>10}{'best':>10}{'worst':>10}", end=""
    )
    print(f"{'seconds':>9}{'1/y':>10}")
    for text, ranges in LAWS:
        for hidden in SHAPES:
            runs = []
            for seed in seeds:
                try:
                    runs.append(fit_law(text, ranges, hidden, seed))
                except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
                    report["failed"] += 1
                    print(f"{text} {hidden} seed {seed} failed: {error}")
            if not runs:
                continue
            errors = sorted(run["error"] for run in runs)
            row = {
                "law": text,
                "hidden": str(hidden),
                "parameters": statistics.median(run["parameters"] for run in runs),
                "errors": errors,
                "seconds": statistics.median(run["seconds"] for run in runs),
                "reciprocal": [run["reciprocal"] for run in runs if run["reciprocal"] is not None],
            }
            report["trained"].append(row)
            worst = f"{max(row['reciprocal']):10.1e}" if row["reciprocal"] else f"{'':>10}"
            print(
                f"{text:12}{hidden!s:12}{row['parameters']:12.0f}{statistics.median(errors):10.1e}"
                f"{errors[0]:10.1e}{errors[-1]:10.1e}{row['seconds']:9.1f}{worst}",
                flush=True,
            )

    print(f"\n{'formula':36}{'nodes':>14}{'products':>12}{'rmse':>10}{'largest':>10}")
    for text, ranges in COMPILED:
        expression, variables, function = law(text, ranges)
        network = from_symbolic(expression, variables, bounds=list(ranges.values()), grid=50)
        X = draw(ranges, N_FRESH, np.random.default_rng(options.first_seed))
        truth = function(X)
        error = np.abs(network.forward(X)[:, 0] - truth) / truth.std()
        row = {
            "formula": text,
            "nodes": network.widths,
            "products": network.products,
            "rmse": float(np.sqrt(np.mean(error**2))),
            "largest": float(error.max()),
        }
        report["compiled"].append(row)
        print(
            f"{text:36}{network.widths!s:>14}{network.products!s:>12}"
            f"{row['rmse']:10.1e}{row['largest']:10.1e}"
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
