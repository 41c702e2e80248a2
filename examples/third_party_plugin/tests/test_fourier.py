import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge

import zoo
import zoo.testing


@zoo.testing.parametrize_checks("fourier")
def test__fourier__conformance(check):
    check()


def test__fourier__many_components__approach_the_exact_kernel():
    X, y = load_diabetes(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = y - y.mean()
    model = zoo.load("fourier", n_components=5000, alpha=2500.0, random_state=0).fit(X, y)
    # cos(a) cos(b) averages to half the kernel, so 5,000 features give 2,500 times the kernel.
    exact = KernelRidge(alpha=1.0, kernel="rbf", gamma=1 / (2 * 3.0**2)).fit(X, y)
    difference = model.predict(X) - exact.predict(X)
    assert np.std(difference) < 0.1 * np.std(exact.predict(X))


@pytest.mark.parametrize("name", ["n_components", "bandwidth", "alpha"])
def test__fourier__parameter_not_positive__is_refused(name):
    model = zoo.load("fourier", **{name: 0})
    with pytest.raises(ValueError, match=f"'{name}' of FourierRegressor must be positive. Got 0"):
        model.fit([[0.0], [1.0]], [0.0, 1.0])
