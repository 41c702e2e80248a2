"""
Fit, look, read
===============

A regression from noisy samples: the network is an ordinary estimator in a pipeline and a grid
search, is drawn, and read as a formula.
"""

# %%
# The data
# --------
# A thousand samples of ``exp(sin(pi * x1) + x2**2)``, the example of the KAN paper, with 1%
# of noise and a third column that has nothing to do with it.

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

import zoo

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.uniform(-1, 1, (1000, 3)), columns=["x1", "x2", "noise"])
target = np.exp(np.sin(np.pi * X["x1"]) + X["x2"] ** 2)
target = target + 0.01 * target.std() * rng.normal(size=len(X))
X_train, X_test, y_train, y_test = train_test_split(X, target, random_state=0)

# %%
# Fit
# ---

model = zoo.load("kan", random_state=0)
model.fit(X_train, y_train)
print(f"R² on unseen rows {model.score(X_test, y_test):.5f}, layers {model.network_.widths}")

# %%
# Look
# ----
# Every panel is a function that the network learned, over the range of its data; the darker, the
# more of the output runs through it.

figure = model.plot()

# %%
# Read
# ----

formula = model.to_symbolic()
print(formula)
print(f"R² on unseen rows {formula.score(X_test, y_test):.5f}")

# %%
# In a grid search
# ----------------

pipeline = Pipeline([("clean", FunctionTransformer()), ("kan", zoo.load("kan", random_state=0))])
search = GridSearchCV(pipeline, {"kan__hidden": [(), (1,), (3,)]}, cv=3)
search.fit(X_train, y_train)
print(pd.DataFrame(search.cv_results_)[["param_kan__hidden", "mean_test_score", "mean_fit_time"]])

# %%
# Predicted against measured

from zoo_kan.plot import plot_predicted

comparison = plot_predicted(y_test, model.predict(X_test), target_name="target")
