"""
Finer grids, step by step
=========================

A trained network moves to a finer grid without forgetting: the staircase of the KAN paper, and how
the error falls with the number of grid intervals.
"""

# %%
# Train, extend, train on
# -----------------------
# ``exp(sin(pi x) + y**2)`` from 1,000 samples, the network ``[2, 1, 1]`` that has its structure.
# `regrid` fits a finer spline to the coarser one, so the loss starts each step where the last one
# ended and falls within a few iterations of Levenberg-Marquardt.

import matplotlib.pyplot as plt
import numpy as np

from zoo_kan.solvers import fit_lm, initial_network, regrid


def sample(rows, seed):
    X = np.random.default_rng(seed).uniform(-1, 1, (rows, 2))
    return X, np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)[:, None]


X, y = sample(1000, 0)
X_test, y_test = sample(10_000, 1)
grids = [3, 5, 10, 20, 50]
network = initial_network(X, y, [2, 1, 1], grid=grids[0], rng=np.random.default_rng(2))
penalty, history, errors = None, [], []
for grid in grids:
    network = regrid(network, X, grid=grid)
    result = fit_lm(network, X, y, penalty=penalty, max_iter=40)
    network, penalty = result.network, result.penalty
    history += result.history
    errors.append(np.sqrt(np.mean((network.forward(X_test) - y_test) ** 2)))
    print(f"{grid:>3} intervals, {network.n_parameters:>3} parameters: test RMSE {errors[-1]:.1e}")

# %%
# The stairs, and the exponent
# ----------------------------
# Cubic splines err by the fourth power of the interval. The paper measures the third power for the
# mean error on this function, and the fourth only for the median.

exponent = np.polyfit(np.log(grids[1:]), np.log(errors[1:]), 1)[0]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
loss = np.sqrt([entry["loss"] for entry in history])
left.semilogy(loss, color="0.2")
starts = np.flatnonzero(np.diff([0, *(entry["grid"] for entry in history)]))
for start, grid in zip(starts, grids, strict=True):
    left.axvline(start, color="0.8", zorder=0)
    left.annotate(f" {grid}", (start, loss.max()), va="top")
left.set(xlabel="iteration", ylabel="training RMSE", title="one stair per grid")
right.loglog(grids, errors, "o", color="0.2")
line = errors[-1] * (np.array(grids) / grids[-1]) ** -4.0
right.loglog(grids, line, color="0.7", zorder=0, label="fourth power")
right.set_xticks(grids, [str(grid) for grid in grids])
right.minorticks_off()
right.set(xlabel="grid intervals", ylabel="test RMSE", title=f"exponent {exponent:.2f}")
legend = right.legend(frameon=False)
