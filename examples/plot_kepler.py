"""
A law of physics from measurements
==================================

Kepler published his third law in 1619: the square of a planet's period is proportional to the cube
of its distance from the sun. Newton added that the mass of the body in the middle divides it. Here
a network finds both in the orbits of 66 planets and moons, as NASA and JPL publish them.
"""

# %%
# The measurements
# ----------------
# They come with the plugin, with their rounding and everything that disturbs real orbits. In
# astronomical units, solar masses and years all constants of nature drop out.

import numpy as np
import pandas as pd

import zoo
from zoo_kan.datasets import load_orbits

orbits = load_orbits()
sun = orbits.data[orbits.central_body == "Sun", 1][0]
axis, mass = orbits.data[:, 0] / 149_597_870.7, orbits.data[:, 1] / sun
years = orbits.target / 365.25
print(f"periods from {years.min() * 365.25:.2f} days to {years.max():.0f} years")

# %%
# Periods span five orders of magnitude, masses eight, and errors are relative: that calls for
# logarithms.

X = pd.DataFrame({"log_a": np.log(axis), "log_M": np.log(mass)})
y = np.log(years)
model = zoo.load("kan", random_state=0).fit(X, y)
print(f"nodes per layer: {model.network_.widths}")

# %%
# The network was free to bend. It did not:

figure = model.plot()

# %%
# The formula
# -----------

formula = model.to_symbolic()
print(formula)

# %%
# sympy turns it back into natural variables.

import sympy

a, M = sympy.symbols("a M", positive=True)
logs = {"log_a": sympy.log(a), "log_M": sympy.log(M)}
expression = formula.expressions_[0]
law = sympy.exp(expression.subs({s: logs[s.name] for s in expression.free_symbols}))
print("T =", law)

# %%
# A world that it has never seen
# ------------------------------
# A law holds elsewhere too. Without Jupiter and its moons, how well does the network predict them?

unseen = orbits.central_body == "Jupiter"
part = zoo.load("kan", random_state=0).fit(X[~unseen], y[~unseen])
error = np.abs(np.exp(part.predict(X[unseen]) - y[unseen]) - 1)
for body, off in zip(orbits.body[unseen], error, strict=True):
    print(f"{body:10s} {off:.2%}")
