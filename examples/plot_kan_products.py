"""
Nodes that multiply
===================

A law with a product in it: learned with a product node, asked for its symmetries, and compiled to a
network from its formula.
"""

# %%
# The law
# -------
# The voltage over two resistors in series is the current times the sum of the resistances. Nodes of
# a KAN add; to multiply they have to take squares of sums apart.

import numpy as np
import pandas as pd
import sympy

import zoo
from zoo_kan import from_symbolic

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.uniform([-2, 1, 1], [2, 5, 5], (1000, 3)), columns=["I", "R", "r"])
voltage = X["I"] * (X["R"] + X["r"])

# %%
# With and without product nodes
# ------------------------------
# An entry of ``hidden`` may be a pair: so many sums, and so many products of two sums each.

fresh = pd.DataFrame(rng.uniform([-2, 1, 1], [2, 5, 5], (5000, 3)), columns=X.columns)
truth = fresh["I"] * (fresh["R"] + fresh["r"])
models = {}
for hidden in [(2,), ((0, 1),)]:
    model = zoo.load("kan", hidden=hidden, random_state=0).fit(X, voltage)
    error = np.sqrt(np.mean((model.predict(fresh) - truth) ** 2)) / truth.std()
    size = model.network_.n_parameters
    print(f"hidden={hidden!s:10} {size:4d} parameters, error {error:.1e} of a standard deviation")
    models[hidden] = model

# %%
# In the picture a product stands on its two factors. Weak edges are pruned first.

model = models[((0, 1),)].prune(threshold=0.03)
figure = model.plot(output_names=["voltage"])

# %%
# Who matters
# -----------
# The attribution of KAN 2.0: how much of the output's spread runs through each input.

print(model.attribute())
bars = model.attribute().plot()

# %%
# Separability and symmetry
# -------------------------
# The network has exact derivatives, so that it can be asked whether two inputs enter as a sum, a
# difference, separate factors and so on. A score of 0 is exact. Here ``R`` and ``r`` enter as
# ``x+y`` only, and the current is a factor of its own.

relations = model.relations()
print(relations)
matrices = relations.plot()

# %%
# A network from a formula
# ------------------------
# The other way round: no training, every function of the formula on an edge, every product a node.
# The kinetic energy of a fast particle, in a box of speeds below that of light:

m, v, c = sympy.symbols("m v c")
formula = m * v**2 / (2 * sympy.sqrt(1 - v**2 / c**2))
network = from_symbolic(formula, [m, v, c], bounds={m: (1, 5), v: (1, 2), c: (3, 10)})
rows = rng.uniform([1, 1, 3], [5, 2, 10], (1000, 3))
expected = sympy.lambdify([m, v, c], formula)(*rows.T)
print(f"largest error {np.abs(network.forward(rows)[:, 0] / expected - 1).max():.1e}")

from zoo_kan.plot import plot_network

compiled = plot_network(network, feature_names=["m", "v", "c"], output_names=["energy"], X=rows)
