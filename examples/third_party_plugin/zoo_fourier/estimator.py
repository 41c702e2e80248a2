"""Ridge regression on random Fourier features (Rahimi and Recht, NeurIPS 2007, algorithm 1).

Departures from the paper: features and target are standardised inside, with weights, and the
intercept is not penalised.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from zoo.onnx import OnnxExportMixin
from zoo.persistence import FittedState, PretrainedMixin

__all__ = ["FourierRegressor"]


class FourierRegressor(OnnxExportMixin, PretrainedMixin, RegressorMixin, BaseEstimator):
    """Kernel ridge regression with a Gaussian kernel, approximated by random features.

    Parameters
    ----------
    n_components : int, default=100
        Number of random features.
    bandwidth : float, default=3.0
        Width of the kernel, in standard deviations of a feature.
    alpha : float, default=1.0
        Strength of the ridge penalty.
    random_state : int, RandomState instance or None, default=None
        Seed of the features.

    Attributes
    ----------
    frequencies_ : ndarray of shape (n_features, n_components)
        Frequencies of the random features.
    phases_ : ndarray of shape (n_components,)
        Their phases.
    mean_, scale_ : ndarray of shape (n_features,)
        What the features are standardised with.
    coef_ : ndarray of shape (n_components,)
        Weights of the random features.
    intercept_ : float
        Value where all of them vanish.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, when all are strings.
    """

    def __init__(
        self,
        *,
        n_components: int = 100,
        bandwidth: float = 3.0,
        alpha: float = 1.0,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.bandwidth = bandwidth
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Target.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights; a row of weight 0 counts as absent.

        Returns
        -------
        FourierRegressor
            Itself.
        """
        for name in ("n_components", "bandwidth", "alpha"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"The parameter {name!r} of FourierRegressor must be positive. "
                    f"Got {getattr(self, name)!r}."
                )
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        rng = check_random_state(self.random_state)
        self.mean_ = np.average(X, axis=0, weights=weight)
        scale = np.sqrt(np.average((X - self.mean_) ** 2, axis=0, weights=weight))
        self.scale_ = np.where(scale > 0, scale, 1.0)
        self.frequencies_ = rng.normal(size=(X.shape[1], self.n_components)) / self.bandwidth
        self.phases_ = rng.uniform(0.0, 2.0 * np.pi, size=self.n_components)
        features = self._features(X)
        centre = np.average(features, axis=0, weights=weight)
        mean = np.average(y, weights=weight)
        centred = features - centre
        gram = (centred.T * weight) @ centred + self.alpha * np.eye(self.n_components)
        self.coef_ = np.linalg.solve(gram, (centred.T * weight) @ (y - mean))
        self.intercept_ = float(mean - centre @ self.coef_)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self._features(X) @ self.coef_ + self.intercept_

    def _features(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.cos((X - self.mean_) / self.scale_ @ self.frequencies_ + self.phases_)

    def _get_fitted_state(self) -> FittedState:
        names = getattr(self, "feature_names_in_", None)
        values = {
            "intercept": self.intercept_,
            "feature_names": None if names is None else [str(name) for name in names],
        }
        arrays = {
            "frequencies": self.frequencies_,
            "phases": self.phases_,
            "mean": self.mean_,
            "scale": self.scale_,
            "coef": self.coef_,
        }
        return FittedState(values, arrays)

    def _set_fitted_state(self, state: FittedState) -> None:
        n_features, n_components = state.arrays["frequencies"].shape
        shapes = {"phases": n_components, "mean": n_features, "scale": n_features}
        for name, size in {**shapes, "coef": n_components}.items():
            if state.arrays[name].shape != (size,):
                raise ValueError(f"{name} must have shape ({size},)")
        for name, array in state.arrays.items():
            setattr(self, f"{name}_", array)
        self.intercept_ = state.values["intercept"]
        self.n_features_in_ = n_features
        if state.values["feature_names"] is not None:
            self.feature_names_in_ = np.array(state.values["feature_names"], dtype=object)
