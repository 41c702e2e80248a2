"""Poisson's equation by a KAN and by a perceptron, with the loss of the KAN paper.

Section 3.4 of arXiv 2404.19756: u_xx + u_yy = f on the square from -1 to 1, zero on its boundary,
f such that u = sin(pi x) sin(pi y^2). The loss is 0.01 times the mean squared residual of the
equation plus the mean square on the boundary, as in the paper. Its figures, read from the text: a
2-layer KAN of width 10 reaches a mean squared error of about 1e-7 with about 100 parameters, a
4-layer perceptron of width 100 about 1e-5 with about 10,000. pykan's own notebook (Example_7, the
easier u = sin(pi x) sin(pi y), [2,2,1], grids 5, 10, 20) logs 3.1e-3, 1.0e-3 and 1.7e-4.

Here the KAN has splines of order 5 and is trained by Levenberg-Marquardt on Gauss-Legendre points
(`zoo_kan.collocation`). The perceptron (torch, float64, tanh, Glorot start) has four hidden layers
of 100 nodes, the same points and loss, Adam with a decaying rate and then L-BFGS with a strong
Wolfe search; its Laplacian is carried forward layer by layer, which is faster than differentiating
twice. Its error is printed at several budgets. Errors of both are on 101 x 101 points. Wall times
are of this run; processor seconds say more on a shared machine.

    python benchmarks/kan/poisson.py [--seeds 3] [--adam 600] [--lbfgs 1200] [--study] [--no-mlp]
"""

import argparse
import itertools
import json
import statistics
import time

import numpy as np

from zoo_kan.collocation import Condition, linear, solve_conditions

ALPHA = 0.01
PAPER = {"KAN [2,10,1]": 1e-7, "MLP 4x100": 1e-5}


def solution(X):
    return np.sin(np.pi * X[:, 0]) * np.sin(np.pi * X[:, 1] ** 2)


def source(X):
    """Laplacian of `solution`."""
    x, y = X.T
    curved = -(np.pi**2) * (1 + 4 * y**2) * np.sin(np.pi * y**2)
    return np.sin(np.pi * x) * (curved + 2 * np.pi * np.cos(np.pi * y**2))


def product(z):
    return np.stack(np.meshgrid(z, z, indexing="ij"), axis=-1).reshape(-1, 2)


def inner_points(count, kind):
    """Points (count^2, 2) of the square: Gauss-Legendre nodes, or equispaced ones inside it."""
    if kind == "gauss":
        return product(np.polynomial.legendre.leggauss(count)[0])
    return product(np.linspace(-1.0, 1.0, count + 2)[1:-1])


def boundary_points(count):
    """Points (4 count, 2), equispaced on the four sides."""
    t, one = np.linspace(-1.0, 1.0, count), np.ones(count)
    sides = [(t, one), (t, -one), (one, t), (-one, t)]
    return np.concatenate([np.stack(side, axis=1) for side in sides])


TEST = product(np.linspace(-1.0, 1.0, 101))


def mean_squared_error(predict):
    return float(np.mean((predict(TEST) - solution(TEST)) ** 2))


def run_kan(width, order, grids, seed, *, points=30, kind="gauss", alpha=ALPHA):
    """One solution by a [2, width, 1] network: its error, size and time."""
    inside, boundary = inner_points(points, kind), boundary_points(points)
    conditions = [
        Condition(inside, linear(source(inside), second=1.0), weight=alpha),
        Condition(boundary, linear(value=1.0), directions=np.zeros((0, 2))),
    ]
    start, used = time.perf_counter(), time.process_time()
    result = solve_conditions(conditions, hidden=(width,), grids=grids, order=order, seed=seed)
    return {
        "mse": mean_squared_error(lambda X: result.network.forward(X)[:, 0]),
        "loss": result.loss,
        "parameters": result.network.n_parameters,
        "iterations": result.n_iter,
        "wall_s": time.perf_counter() - start,
        "cpu_s": time.process_time() - used,
    }


def kan_rows(cases, seeds):
    """Run every case on every seed and print one line for each case."""
    print(f"\n{'KAN':44} par.  MSE per seed{'':{max(0, 9 * seeds - 12)}}  median    loss  cpu s")
    rows = []
    for label, case in cases:
        runs = [run_kan(**case, seed=seed) for seed in range(seeds)]
        row = {
            "label": label,
            "parameters": runs[0]["parameters"],
            "mse": [run["mse"] for run in runs],
            "median_mse": statistics.median(run["mse"] for run in runs),
            "median_cpu_s": round(statistics.median(run["cpu_s"] for run in runs), 2),
            "median_wall_s": round(statistics.median(run["wall_s"] for run in runs), 2),
        }
        rows.append(row)
        errors = "  ".join(f"{value:.1e}" for value in row["mse"])
        loss = statistics.median(run["loss"] for run in runs)
        print(
            f"{label:44} {row['parameters']:>4}  {errors}  {row['median_mse']:.1e}  {loss:.0e} "
            f"{row['median_cpu_s']:>6.1f}",
            flush=True,
        )
    return rows


def laplacian(layers, X):
    """Output (n,) of a tanh perceptron and its Laplacian, carried forward through the layers."""
    import torch

    a = X
    first = [torch.zeros_like(X) for _ in range(2)]
    for axis in range(2):
        first[axis][:, axis] = 1.0
    bent = torch.zeros_like(X)
    for layer in layers[:-1]:
        z = layer(a)
        first = [slope @ layer.weight.T for slope in first]
        bent = bent @ layer.weight.T
        a = torch.tanh(z)
        gain = 1.0 - a**2
        bent = gain * bent - 2.0 * a * gain * (first[0] ** 2 + first[1] ** 2)
        first = [gain * slope for slope in first]
    return layers[-1](a)[:, 0], (bent @ layers[-1].weight.T)[:, 0]


def run_mlp(adam, lbfgs, seed, *, points=30):
    """Train a 4x100 perceptron and note its error at a quarter, half and all of each budget."""
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    widths = [2, 100, 100, 100, 100, 1]
    layers = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in itertools.pairwise(widths))
    for layer in layers:
        torch.nn.init.xavier_normal_(layer.weight, gain=1.0)
        torch.nn.init.zeros_(layer.bias)
    inside = torch.from_numpy(inner_points(points, "gauss"))
    boundary = torch.from_numpy(boundary_points(points))
    f = torch.from_numpy(source(inside.numpy()))

    def value(X):
        for layer in layers[:-1]:
            X = torch.tanh(layer(X))
        return layers[-1](X)[:, 0]

    def loss():
        residual = laplacian(layers, inside)[1] - f
        return ALPHA * (residual**2).mean() + (value(boundary) ** 2).mean()

    def predict(X):
        with torch.no_grad():
            return value(torch.from_numpy(X)).numpy()

    start, used = time.perf_counter(), time.process_time()
    rows = []

    def note(optimiser, steps):
        with torch.no_grad():
            reached = float(loss())
        rows.append(
            {
                "budget": f"{optimiser} {steps}",
                "mse": mean_squared_error(predict),
                "loss": reached,
                "wall_s": round(time.perf_counter() - start, 1),
                "cpu_s": round(time.process_time() - used, 1),
            }
        )
        row = rows[-1]
        print(
            f"MLP 4x100 seed {seed}, {row['budget']:24} MSE {row['mse']:.1e}  "
            f"loss {row['loss']:.0e}  {row['cpu_s']:>6.1f} cpu s",
            flush=True,
        )

    optimiser = torch.optim.Adam(layers.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, adam), eta_min=1e-5)
    for step in range(1, adam + 1):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        schedule.step()
        if step in (adam // 2, adam):
            note("Adam", step)
    done = 0
    optimiser = torch.optim.LBFGS(
        layers.parameters(),
        max_iter=max(1, lbfgs // 4),
        history_size=100,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimiser.zero_grad()
        reached = loss()
        reached.backward()
        return reached

    while done < lbfgs:
        optimiser.step(closure)
        done += max(1, lbfgs // 4)
        note(f"Adam {adam} + L-BFGS", done)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="random starts of every KAN")
    parser.add_argument("--adam", type=int, default=600, help="steps of the perceptron's Adam")
    parser.add_argument("--lbfgs", type=int, default=1200, help="steps of its L-BFGS afterwards")
    parser.add_argument("--mlp-seeds", type=int, default=1)
    parser.add_argument("--no-mlp", action="store_true")
    parser.add_argument(
        "--study", action="store_true", help="order, points and alpha varied one at a time"
    )
    arguments = parser.parse_args()
    print(
        "paper: KAN [2,10,1] about 1e-7 with about 100 parameters, MLP 4x100 about 1e-5; loss "
        f"{ALPHA} * mean(equation^2) + mean(boundary^2), 30 x 30 points inside, 4 x 30 around"
    )
    base = {"width": 10, "order": 5, "grids": (5,)}
    cases = [
        ("[2,3,1] order 5, grid 5", {**base, "width": 3}),
        ("[2,5,1] order 5, grid 5", {**base, "width": 5}),
        ("[2,10,1] order 5, grid 5", base),
        ("[2,10,1] order 5, grids 5, 10", {**base, "grids": (5, 10)}),
    ]
    if arguments.study:
        cases += [
            ("[2,10,1] order 5, grids 5, 10, 20", {**base, "grids": (5, 10, 20)}),
            ("[2,10,1] order 4, grids 5, 10", {**base, "order": 4, "grids": (5, 10)}),
            ("[2,10,1] order 3, grids 5, 10", {**base, "order": 3, "grids": (5, 10)}),
            ("[2,10,1] order 5, grid 5, equispaced points", {**base, "kind": "equispaced"}),
            ("[2,10,1] order 5, grid 5, 20 x 20 points", {**base, "points": 20}),
            ("[2,10,1] order 5, grid 5, alpha 1", {**base, "alpha": 1.0}),
            ("[2,10,1] order 5, grid 5, alpha 1e-4", {**base, "alpha": 1e-4}),
        ]
    kans = kan_rows(cases, arguments.seeds)
    perceptrons = []
    if not arguments.no_mlp:
        print()
        for seed in range(arguments.mlp_seeds):
            perceptrons.append(run_mlp(arguments.adam, arguments.lbfgs, seed))
    summary = {"benchmark": "kan poisson", "paper": PAPER, "alpha": ALPHA, "kan": kans}
    if perceptrons:
        last = [rows[-1] for rows in perceptrons]
        summary["mlp"] = perceptrons
        summary["mlp_parameters"] = 30_701
        summary["mse_ratio_mlp_to_kan"] = statistics.median(row["mse"] for row in last) / next(
            row["median_mse"] for row in kans if row["label"] == "[2,10,1] order 5, grid 5"
        )
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
