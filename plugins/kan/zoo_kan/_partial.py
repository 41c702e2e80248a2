"""Learning new rows without going back to the old ones: ``partial_fit`` of the regressor."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import validate_data

from zoo_kan._base import BaseKAN
from zoo_kan._validation import check_parameters, generator
from zoo_kan.solvers.update import update_network

__all__ = ["PartialFitMixin"]


class PartialFitMixin(BaseKAN):
    """``partial_fit`` by the smallest change of the spline coefficients."""

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn new rows and leave the function elsewhere as it is (Section 3.5 of the paper).

        Only spline coefficients move, and they move as little as the new rows allow. In a network
        without hidden nodes nothing changes more than a few grid intervals away from the rows;
        with hidden nodes edges are shared, and what was learned elsewhere is not safe. Shape,
        grids, standardisation, base functions and biases stay: begin with a ``fit`` to rows that
        span the range to come. ``grid`` has to be fine enough for it, and ``base="none"`` leaves
        everything to the splines.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self
            The first call on an unfitted estimator is `fit`. Later, ``n_iter_``, ``loss_``,
            ``history_`` and ``converged_`` are those of the last call, and ``rows_`` is a sample of
            old and new rows.

        Raises
        ------
        ValueError
            If a parameter is not what it may be, the data are not finite numbers, or y does not
            have the outputs of the fit.
        """
        if getattr(self, "network_", None) is None:
            return self.fit(X, y, sample_weight)
        check_parameters(type(self).__name__, self.get_params(deep=False))
        rows, target = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, multi_output=True, reset=False
        )
        outputs = self.network_.widths[-1]
        target = np.asarray(target, dtype=np.float64).reshape(len(rows), -1)
        if target.shape[1] != outputs:
            raise ValueError(
                f"y of {type(self).__name__}.partial_fit must have the {outputs} output(s) of the "
                f"earlier fit. Got {target.shape[1]}."
            )
        kept, weight = self._positive_rows(rows, sample_weight)
        rows, target, weight = rows[kept], target[kept], weight[kept]
        result = update_network(
            self.network_, rows, target, weight, max_iter=self.max_iter, tol=self.tol
        )
        self.network_ = result.network
        self.n_iter_, self.loss_ = result.n_iter, result.loss
        self.history_, self.converged_ = result.history, result.converged
        self.net_ = None
        self._keep_also(
            {"X": rows, "y": target[:, 0] if outputs == 1 else target, "weight": weight}
        )
        return self

    def _keep_also(self, rows: dict[str, np.ndarray]) -> None:
        """Add rows to those kept from training, and thin them out again."""
        together = {name: np.concatenate([self.rows_[name], rows[name]]) for name in rows}
        chosen = np.arange(len(together["weight"]))
        if len(chosen) > self.keep_rows:
            rng = generator(self.random_state)
            chosen = np.sort(rng.choice(len(chosen), self.keep_rows, replace=False))
        self.rows_ = {name: array[chosen] for name, array in together.items()}
