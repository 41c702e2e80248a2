"""
A mobility edge from labels
===========================

In some quasiperiodic chains electrons of low energy spread over the whole chain while those of high
energy are stuck. What divides them, the mobility edge, is a curve with an equation, and that
equation can be read off labelled eigenstates.
"""

# %%
# The data
# --------
# Eigenstates of 100 rings with random parameters: ``p`` says how fast the hopping decays,
# ``lambda`` how strong the potential is. A state is localised if its fractal dimension is small.

import matplotlib.pyplot as plt
import numpy as np

import zoo
from zoo_kan.datasets import make_mobility_edge

chains = make_mobility_edge("maam", n_sites=377, n_realisations=100, random_state=0)
dimension = chains.target
state = np.where(dimension < 0.5, "localised", "extended")

# %%
# A classifier
# ------------
# It learns the odds. What decides here is not how sure it is, but where it changes its mind.

rng = np.random.default_rng(0)
some = rng.choice(len(state), 3000, replace=False)
model = zoo.load("kan", task="classification", hidden=2, random_state=0)
model.fit(chains.data[some], state[some])
print(f"accuracy on all states: {model.score(chains.data, state):.4f}")

# %%
# The equation
# ------------
# States of middling dimension, which a ring of this size does not decide, are left out. States of
# one ring err together, which is what ``groups`` says. The edge that theory knows for this
# chain is ``E + exp(p) = lambda * cosh(p)`` (Biddle and Das Sarma, 2010).

clear = np.abs(dimension - 0.5) > 0.1
edge = model.to_boundary(
    chains.data[clear],
    state[clear],
    groups=chains.realisation[clear],
    feature_names=chains.feature_names,
)
print(edge)
print(edge.table())

# %%
# What it divides
# ---------------
# Every state by the value of the equation's left side and its fractal dimension.

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
axes.scatter(edge.decision_function(chains.data), dimension, s=3, alpha=0.4, linewidths=0)
axes.axvline(0.0, color="black", linewidth=0.8)
axes.set_xlabel(f"${edge.latex().removesuffix(' = 0')}$")
axes.set_ylabel("fractal dimension")
plt.show()
