"""What the KAN estimators share: training, saving, formulas, plots, pruning."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from zoo.onnx.export import OnnxExportMixin
from zoo.persistence import FittedState, PretrainedMixin
from zoo_kan._state import restore, snapshot
from zoo_kan._training import Rows, hold_out, train
from zoo_kan._validation import generator
from zoo_kan.attribution import Attribution, attribute
from zoo_kan.network import KANNetwork
from zoo_kan.prune import prune_network
from zoo_kan.relations import Relations, relations
from zoo_kan.solvers import TrainingResult, fit_lm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from zoo_kan.symbolic import SymbolicKAN

__all__ = ["BaseKAN"]

Array = NDArray[np.floating]

_PREDICT_ENTRIES = 4_000_000  # features held at a time while predicting


class BaseKAN(OnnxExportMixin, PretrainedMixin, BaseEstimator):
    """What the regressor and the classifier share."""

    network_: KANNetwork
    rows_: dict[str, NDArray]
    n_features_in_: int
    _loss: str

    def _raw(self, X: ArrayLike) -> Array:
        """Outputs (n, n_outputs) of the fitted network."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        widest = max(layer.n_in * (layer.coef.shape[2] + 1) for layer in self.network_.layers)
        size = max(1, _PREDICT_ENTRIES // widest)
        parts = [
            self.network_.forward(rows[start : start + size]) for start in range(0, len(rows), size)
        ]
        return np.concatenate(parts)

    def _positive_rows(
        self, X: Array, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[np.bool_], Array]:
        """Which rows have weight, and the weights (n,) of all."""
        if sample_weight is None:
            return np.ones(len(X), dtype=bool), np.ones(len(X))
        weight = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True, copy=True
        )
        if not weight.any():
            raise ValueError(
                f"sample_weight of {type(self).__name__} must hold at least one non-zero number: "
                "all weights are zero."
            )
        return weight > 0.0, weight

    def _train(self, rows: Rows, y: NDArray, groups: NDArray, class_weight: Array) -> Self:
        params = self.get_params(deep=False)
        rng = generator(self.random_state)
        start = getattr(self, "network_", None) if self.warm_start else None
        widths = (rows.X.shape[1], rows.T.shape[1])
        if start is not None and (start.widths[0], start.widths[-1]) != widths:
            raise ValueError(
                f"warm_start=True of {type(self).__name__} needs the features and outputs of the "
                f"earlier fit, {start.widths[0]} and {start.widths[-1]}. Got {widths[0]} and "
                f"{widths[1]}."
            )
        weighted = Rows(rows.X, rows.T, rows.weight * class_weight)
        held = None
        if self.early_stopping:
            kept, out = hold_out(groups, self.validation_fraction, rng)
            weighted, held = weighted[kept], weighted[out]
        trained = train(
            params,
            weighted,
            owner=type(self).__name__,
            loss=self._loss,
            rng=rng,
            held=held,
            start=start,
        )
        self._adopt(trained.result)
        self.solver_ = trained.solver
        self.net_ = trained.net
        self._keep(rows.X, y, rows.weight, rng)
        return self

    def _keep(self, X: Array, y: NDArray, weight: Array, rng: np.random.Generator) -> None:
        """Keep at most `keep_rows` of some rows in `rows_`."""
        chosen = np.arange(len(X))
        if len(chosen) > self.keep_rows:
            chosen = np.sort(rng.choice(len(chosen), self.keep_rows, replace=False))
        self.rows_ = {"X": X[chosen], "y": y[chosen], "weight": weight[chosen]}

    def _adopt(self, result: TrainingResult) -> None:
        self.network_ = result.network
        self.n_iter_ = result.n_iter
        self.loss_ = result.loss
        self.history_ = result.history
        self.converged_ = result.converged
        self.smoothness_ = result.smoothness
        self.effective_parameters_ = result.effective_parameters

    def _rows_or_kept(
        self, X: ArrayLike | None, y: ArrayLike | None
    ) -> tuple[Array, NDArray, Array]:
        """Rows given by the user, else those kept from training: X, y and weights."""
        check_is_fitted(self)
        if (X is None) != (y is None):
            raise ValueError(
                f"X and y of {type(self).__name__} must be given together, or neither of them. "
                f"Got only {'y' if X is None else 'X'}."
            )
        if X is None:
            if not len(self.rows_["X"]):
                raise ValueError(
                    f"{type(self).__name__} kept no training rows (keep_rows=0): X and y must be "
                    "given."
                )
            return self.rows_["X"], self.rows_["y"], self.rows_["weight"]
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return rows, self._encode(np.asarray(y)), np.ones(len(rows))

    def _encode(self, y: NDArray) -> NDArray:
        raise NotImplementedError

    def _as_targets(self, y: NDArray) -> Array:
        raise NotImplementedError

    def _feature_names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            return [str(name) for name in names]
        return [f"x{number}" for number in range(self.n_features_in_)]

    def _output_names(self) -> list[str] | None:
        raise NotImplementedError

    def to_symbolic(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, **options: Any
    ) -> "SymbolicKAN":
        """Find a closed-form expression for the fitted function.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Rows to fit the expression to; by default those kept from training (`rows_`).
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            Their targets.
        **options
            Passed on to `zoo_kan.symbolic.to_symbolic`: ``library``, ``units``, ``target_units``,
            ``time_limit``, ``random_state``, ``n_jobs``, ``progress``, ``feature_names``.

        Returns
        -------
        SymbolicKAN

        Raises
        ------
        ValueError
            If only one of X and y is given, or neither and no rows were kept.
        """
        rows, targets, weight = self._rows_or_kept(X, y)
        from zoo_kan.symbolic import to_symbolic

        return to_symbolic(
            self.network_,
            rows,
            targets,
            weight=weight,
            task="regression" if self._loss == "squared" else "classification",
            **{
                "feature_names": self._feature_names(),
                "classes": getattr(self, "classes_", None),
                **options,
            },
        )

    def attribute(self, X: ArrayLike | None = None, *, output: int | None = None) -> Attribution:
        """Hand the spread of the outputs back to the inputs, nodes and edges.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Rows to measure on; by default those kept from training, or an even covering of the
            inputs' ranges where none were kept.
        output : int, optional
            The output (or the class with a logit) to explain; by default all of them.

        Returns
        -------
        Attribution
            `zoo_kan.attribution.attribute` says what the scores are.

        Raises
        ------
        ValueError
            If X does not have the estimator's features or there is no such output.
        """
        rows, weight = self._inputs_or_kept(X)
        return attribute(
            self.network_, rows, weight=weight, output=output, feature_names=self._feature_names()
        )

    def relations(
        self, X: ArrayLike | None = None, *, output: int = 0, tolerance: float = 0.05
    ) -> Relations:
        """Test every pair of inputs for separability and symmetry.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Rows to measure on; by default as in `attribute`.
        output : int, default=0
            The output (or the class with a logit) to look at.
        tolerance : float, default=0.05
            Score below which a relation is said to hold.

        Returns
        -------
        Relations
            `zoo_kan.relations.relations` says what is tested.

        Raises
        ------
        ValueError
            If X does not have the estimator's features, or there is no such output.
        """
        rows, _ = self._inputs_or_kept(X)
        return relations(
            self.network_,
            rows,
            output=output,
            feature_names=self._feature_names(),
            tolerance=tolerance,
        )

    def _inputs_or_kept(self, X: ArrayLike | None) -> tuple[Array | None, Array | None]:
        """Rows given, else those kept from training with their weights, else none."""
        check_is_fitted(self)
        if X is not None:
            return validate_data(self, X, dtype=np.float64, reset=False), None
        if len(self.rows_["X"]):
            return self.rows_["X"], self.rows_["weight"]
        return None, None

    @property
    def feature_importances_(self) -> Array:
        """Attribution of the inputs, which sums to 1; (n_features,)."""
        return self.attribute().importances

    def plot(self, ax: "Axes | None" = None, **options: Any) -> "Figure":
        """Draw the network with the function of every edge.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default a figure of its own.
        **options
            Passed on to `zoo_kan.plot.plot_network`.

        Returns
        -------
        matplotlib.figure.Figure
        """
        check_is_fitted(self)
        from zoo_kan.plot import plot_network

        kept = self.rows_["X"]
        return plot_network(
            self.network_,
            **{
                "feature_names": self._feature_names(),
                "output_names": self._output_names(),
                "X": kept if len(kept) else None,
                "ax": ax,
                **options,
            },
        )

    def prune(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        threshold: float = 0.01,
    ) -> Self:
        """Remove edges and nodes that carry little, then fit the rest again.

        A removed edge leaves its mean in the bias; hidden nodes without edges disappear.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Rows to measure the edges on and to fit to; by default those kept from training.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), optional
            Their targets.
        threshold : float, default=0.01
            Smallest share of an output's spread that an edge must carry to stay.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If threshold is not between 0 and 1, or rows are missing.
        """
        if not 0.0 <= threshold < 1.0:
            raise ValueError(
                f"The 'threshold' parameter of {type(self).__name__}.prune must be a float of at "
                f"least 0 and below 1. Got {threshold!r} instead."
            )
        rows, targets, weight = self._rows_or_kept(X, y)
        pruned = prune_network(self.network_, rows, weight, threshold=threshold)
        result = fit_lm(
            pruned,
            rows,
            self._as_targets(targets),
            weight,
            loss=self._loss,
            smoothness=self.smoothness,
            max_iter=self.max_iter,
            trained=True,
        )
        self._adopt(result)
        self.net_ = None
        return self

    def _get_fitted_state(self) -> FittedState:
        return snapshot(self)

    def _set_fitted_state(self, state: FittedState) -> None:
        restore(self, state)

    def __getstate__(self) -> dict[str, Any]:
        # the skorch net holds optimiser state and user callbacks; `history_` and `network_` stay
        state = dict(super().__getstate__())
        if "net_" in state:
            state["net_"] = None
        return state

    def _html_repr(self) -> str:
        html = str(super()._html_repr())
        network = getattr(self, "network_", None)
        if network is None:
            return html
        from zoo_kan.svg import network_svg

        picture = network_svg(network, self._feature_names(), output_names=self._output_names())
        return f'{html}<div style="max-width: 32em">{picture}</div>'
