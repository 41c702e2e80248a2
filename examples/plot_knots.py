"""
What geometry says about a knot
===============================

The signature of a knot is computed from a drawing of it. In 2021 a network showed that it can be
guessed from the geometry of the space around the knot
(`Davies et al. <https://doi.org/10.1038/s41586-021-04086-x>`_). Here is that discovery again, with
a network small enough to be looked at.
"""

# %%
# The data
# --------
# For each of 11,998 hyperbolic knots: the meridional translation ``mu`` of its cusp, a complex
# number, the longitudinal one ``lambda``, and the signature, an even integer.

import numpy as np
from sklearn.model_selection import train_test_split

import zoo
from zoo_kan.datasets import load_knots

knots = load_knots()
X_train, X_test, y_train, y_test = train_test_split(
    knots.data, knots.target, test_size=0.2, random_state=0
)


def accuracy(predicted):
    """Share of signatures that are right after rounding to even integers."""
    return np.mean(2 * np.rint(predicted / 2) == y_test)


# %%
# What was found in 2021
# ----------------------
# The signature is close to half the natural slope, the real part of ``lambda / mu``.

slope = (X_test[:, 2] / (X_test[:, 0] + 1j * X_test[:, 1])).real
print(f"half the slope: {accuracy(slope / 2):.1%}")

# %%
# A network of two hidden nodes
# -----------------------------

model = zoo.load("kan", hidden=2, grid=4, base="none", random_state=0)
model.fit(X_train, y_train)
print(f"network: {accuracy(model.predict(X_test)):.1%}, {model.network_.n_parameters} parameters")
figure = model.plot(feature_names=knots.feature_names, output_names=["signature"])

# %%
# A formula
# ---------
# The search knows nothing of the slope. It is no law: the signature is not a function of these
# three numbers.

formula = model.to_symbolic(feature_names=knots.feature_names)
print(formula)
print(f"formula: {accuracy(formula.predict(X_test)):.1%}")

# %%
# How far it goes wrong, knot by knot

from zoo_kan.plot import plot_predicted

comparison = plot_predicted(y_test, model.predict(X_test), target_name="signature")
