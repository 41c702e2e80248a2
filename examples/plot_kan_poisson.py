"""
A differential equation, without a tape
=======================================

Poisson's equation on a square, solved by a Kolmogorov-Arnold network: derivatives of the network
by its inputs and by its weights are closed forms, so every step is one of Gauss and Newton.
"""

# %%
# The equation
# ------------
# ``u_xx + u_yy = f`` on the square from -1 to 1 and ``u = 0`` on its boundary, with ``f`` such that
# ``u = sin(pi x) sin(pi y**2)``: the example of the KAN paper, which reaches a mean squared error
# of about 1e-7 with it. A `Condition` is an equation at points, here Gauss-Legendre points inside
# and equispaced ones around. The paper weights the inside with 0.01.

import matplotlib.pyplot as plt
import numpy as np

from zoo_kan.collocation import Condition, linear, solve_conditions


def solution(x, y):
    return np.sin(np.pi * x) * np.sin(np.pi * y**2)


def source(x, y):
    curved = -(np.pi**2) * (1 + 4 * y**2) * np.sin(np.pi * y**2)
    return np.sin(np.pi * x) * (curved + 2 * np.pi * np.cos(np.pi * y**2))


nodes, _ = np.polynomial.legendre.leggauss(22)
inside = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
t, one = np.linspace(-1, 1, 22), np.ones(22)
sides = [(t, one), (t, -one), (one, t), (-one, t)]
around = np.concatenate([np.column_stack(side) for side in sides])

conditions = [
    Condition(inside, linear(source(*inside.T), second=(1, 1)), weight=0.01),
    Condition(around, linear(0, value=1)),
]

# %%
# Solve
# -----
# Five hidden nodes, splines of order 5 on a grid of 5 intervals: the second derivative of a cubic
# spline would only be piecewise linear.

result = solve_conditions(conditions, hidden=(5,), grids=(5,), n_starts=2, seed=1)
network = result.network
mesh = np.linspace(-1, 1, 101)
x, y = np.meshgrid(mesh, mesh)
found = network.forward(np.column_stack([x.ravel(), y.ravel()])).reshape(x.shape)
error = found - solution(x, y)
print(f"{network.n_parameters} parameters, {result.n_iter} iterations")
print(f"mean squared error {np.mean(error**2):.1e}")

# %%
# Look
# ----
# The peaks of the loss are where hidden nodes have outgrown their grids, which then follow them.

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 2.9), layout="constrained")
image = left.pcolormesh(x, y, found, shading="gouraud", cmap="RdBu_r")
left.set(title="u found", aspect="equal", xlabel="x", ylabel="y")
figure.colorbar(image, ax=left)
image = middle.pcolormesh(x, y, error, shading="gouraud", cmap="RdBu_r")
middle.set(title="error", aspect="equal", xlabel="x")
figure.colorbar(image, ax=middle)
right.semilogy([entry["loss"] for entry in result.history], color="0.2")
right.set(title="loss", xlabel="iteration")

# %%
# The network is an ordinary one: it draws itself, and its derivatives are at hand.

from zoo_kan.jets import derivatives
from zoo_kan.plot import plot_network

jet = derivatives(network, [[0.5, 0.0], [0.5, 0.7]])
print("slopes at two points", jet.first[:, 0].round(5).tolist())
drawing = plot_network(network, X=inside, feature_names=["x", "y"], output_names=["u"])
