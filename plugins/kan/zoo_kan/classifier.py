"""Classification by Kolmogorov-Arnold networks (arXiv 2404.19756)."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from zoo_kan._base import BaseKAN
from zoo_kan._training import Rows
from zoo_kan._validation import check_parameters
from zoo_kan.solvers.loss import probabilities

if TYPE_CHECKING:
    from zoo_kan.symbolic import Boundary

__all__ = ["KANClassifier"]

Array = NDArray[np.floating]


class KANClassifier(ClassifierMixin, BaseKAN):
    """Classification by a Kolmogorov-Arnold network whose outputs are logits.

    Two classes have one logit, more classes one each. See `KANRegressor` for what both share.

    Parameters
    ----------
    hidden, grid, order, base, solver, smoothness, sparsity, max_iter, tol
        As in `KANRegressor`; the shape is chosen by Akaike's criterion.
    early_stopping, validation_fraction, warm_start, keep_rows, solver_params, random_state, verbose
        As in `KANRegressor`. The held-out part has its share of every class.
    class_weight : "balanced", dict or None, default=None
        Weight of each class, multiplied with the sample weights; classes that a dict does not name
        have weight 1.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    loss_ : float
        Mean log loss on the training rows.
    rows_ : dict of ndarray
        Training rows kept; "y" holds indices into ``classes_``.
    network_, solver_, n_iter_, history_, converged_, smoothness_, effective_parameters_, net_
    feature_importances_
        As in `KANRegressor`.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Defined if X has feature names that are all strings.
    """

    _loss = "logistic"
    classes_: NDArray

    def __init__(
        self,
        *,
        hidden: Any = "auto",
        grid: Any = "auto",
        order: int = 3,
        base: str = "silu",
        solver: str = "auto",
        smoothness: Any = "auto",
        sparsity: float = 0.0,
        max_iter: int = 200,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        class_weight: Any = None,
        keep_rows: int = 2000,
        solver_params: dict[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden = hidden
        self.grid = grid
        self.order = order
        self.base = base
        self.solver = solver
        self.smoothness = smoothness
        self.sparsity = sparsity
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.keep_rows = keep_rows
        self.solver_params = solver_params
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Classes: numbers, strings or booleans.
        sample_weight : array-like of shape (n_samples,), optional
            Frequencies: a row of weight 2 counts as two rows, one of weight 0 not at all.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is not what it may be, the data are not finite numbers, or there are
            fewer than two classes.
        """
        check_parameters(type(self).__name__, self.get_params(deep=False))
        rows, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        kept, weight = self._positive_rows(rows, sample_weight)
        rows, labels, weight = rows[kept], labels[kept], weight[kept]
        classes, indices = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of at least two classes. Got one class, "
                f"{classes.tolist()[0]!r}."
            )
        if self.warm_start and not np.array_equal(getattr(self, "classes_", classes), classes):
            raise ValueError(
                f"warm_start=True of {type(self).__name__} needs the classes of the earlier fit, "
                f"{self.classes_.tolist()}. Got {classes.tolist()}."
            )
        self.classes_ = classes
        training = Rows(rows, self._as_targets(indices), weight)
        return self._train(training, indices, indices, self._class_weights(indices, weight))

    def _class_weights(self, indices: NDArray, weight: Array) -> Array:
        """Weight (n,) of every row by its class."""
        if self.class_weight is None:
            return np.ones(len(indices))
        if self.class_weight == "balanced":
            counts = np.bincount(indices, weights=weight)
            per_class = weight.sum() / (len(counts) * counts)
        else:
            per_class = np.array([self.class_weight.get(label, 1.0) for label in self.classes_])
        return per_class[indices]

    def predict_proba(self, X: ArrayLike) -> Array:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        return probabilities(self._raw(X))

    def predict(self, X: ArrayLike) -> NDArray:
        """Predict classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def to_boundary(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, **options: Any
    ) -> "Boundary":
        """Find the equation of the boundary between two classes.

        Where `to_symbolic` looks for the logit, this looks for its zeros, which may have a law
        though the logit has none.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Rows whose labels decide; by default those kept from training (``rows_``). The more
            rows near the boundary, the sharper the constants.
        y : array-like of shape (n_samples,), optional
            Their classes.
        **options
            Passed on to `zoo_kan.symbolic.find_boundary`.

        Returns
        -------
        Boundary

        Raises
        ------
        ValueError
            If there are not two classes, only one of X and y is given, or neither and no rows
            were kept.
        """
        rows, indices, weight = self._rows_or_kept(X, y)
        if len(self.classes_) != 2:
            raise ValueError(
                f"to_boundary of {type(self).__name__} needs a classifier of two classes. "
                f"Got {len(self.classes_)}."
            )
        from zoo_kan.symbolic import find_boundary

        return find_boundary(
            rows,
            self.classes_[indices],
            **{
                "network": self.network_,
                "weight": weight,
                "feature_names": self._feature_names(),
                **options,
            },
        )

    def _encode(self, y: NDArray) -> NDArray:
        unknown = sorted(set(y.tolist()) - set(self.classes_.tolist()), key=str)
        if unknown:
            raise ValueError(
                f"y of {type(self).__name__} must hold classes of the fit, "
                f"{self.classes_.tolist()}. Got {unknown}."
            )
        return np.searchsorted(self.classes_, y)

    def _as_targets(self, y: NDArray) -> Array:
        if len(self.classes_) == 2:
            return y[:, None].astype(np.float64)
        return np.eye(len(self.classes_))[y]

    def _output_names(self) -> list[str] | None:
        names = [str(label) for label in self.classes_]
        return names[1:] if len(names) == 2 else names
