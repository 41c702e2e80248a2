"""Regression by Kolmogorov-Arnold networks (arXiv 2404.19756).

Departures from the paper: training is by Levenberg-Marquardt where that is affordable, the shape
grows from the additive model upwards instead of being pruned from a large one, and how smooth each
edge is follows from the data. Everything fitted is numpy arrays and plain Python.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.validation import validate_data

from zoo_kan._partial import PartialFitMixin
from zoo_kan._training import Rows
from zoo_kan._validation import check_parameters, generator
from zoo_kan.solvers import TrainingResult

if TYPE_CHECKING:
    pass

__all__ = ["KANRegressor"]

Array = NDArray[np.floating]


class KANRegressor(RegressorMixin, PartialFitMixin):
    """Regression by a Kolmogorov-Arnold network: a learned function on every edge.

    Inputs and targets are standardised inside the network. Beyond the range of the training data
    an edge continues along its tangent. Fitting is deterministic for a given ``random_state``, and
    a sample weight of 2 is the same as the row twice.

    Parameters
    ----------
    hidden : "auto", int or tuple of (int or pair of int), default="auto"
        Hidden nodes per layer. ``()`` is the additive model. A pair is a number of nodes that add
        and a number that multiply two sums each: ``((5, 2),)`` is one layer of five sums and two
        products (KAN 2.0, arXiv 2408.10205). ``"auto"`` starts with the additive model and adds
        nodes, nodes that multiply where the data are all but free of noise, and layers, for as
        long as generalised cross-validation expects a lower error on new data. Of more than 2,000
        rows a part chooses the shape; it is chosen by "lm" for the other solvers as well.
    grid : "auto" or int, default="auto"
        Intervals of each edge's grid. ``"auto"`` lets "lm" refine 3, 6, 12, 24, 48 while it helps,
        and is 8 for the others. To a number "lm" goes by way of the coarser of these.
    order : int, default=3
        Degree of the splines, 1 to 5.
    base : {"silu", "linear", "none"}, default="silu"
        Function beside the spline on every edge.
    solver : {"auto", "lm", "lbfgs", "adam"}, default="auto"
        Levenberg-Marquardt, full-batch L-BFGS, or Adam on minibatches of a skorch net. ``"lm"``
        solves its equations directly, or by conjugate gradients where there are too many
        parameters for that. ``"auto"`` is "lm" up to 3e8 rows times parameters, then "adam".
    smoothness : "auto" or float, default="auto"
        Price of the squared second derivative of the edges. ``"auto"`` lets "lm" learn one for
        every edge; "lbfgs" does so too, less exactly, and "adam" takes 3e-5.
    sparsity : float, default=0.0
        Price of the edges' L1 norm and entropy, which leaves fewer of them alive.
    max_iter : int, default=200
        Most iterations per shape tried; epochs for "adam".
    tol : float, default=1e-4
        Stop when the objective falls by a smaller share than this; "lbfgs", whose steps are
        smaller, takes a thousandth of it and "adam" does all its epochs.
    early_stopping : bool, default=False
        Whether a part of the rows is held out, to stop and to choose shape and grid by.
    validation_fraction : float, default=0.1
        That part.
    warm_start : bool, default=False
        Whether a further ``fit`` goes on from the present network. Where its rows lie beyond the
        range of the earlier ones, "lm" starts again on coarse grids, against random starts.
    keep_rows : int, default=2000
        How many training rows to keep in ``rows_``, for `to_symbolic`, `prune` and `plot`. They
        are saved along with the estimator; 0 keeps none.
    solver_params : dict, optional
        ``"progress"``: a function called with every entry of ``history_``. With "adam" further
        arguments of ``skorch.NeuralNet``, such as ``callbacks``, ``batch_size``, ``lr``, and
        ``dtype``, "float32" or "float64".
    random_state : int, RandomState, Generator or None, default=None
    verbose : int, default=0
        Print every iteration.

    Attributes
    ----------
    network_ : KANNetwork
        The fitted network, which predicts in numpy.
    solver_ : str
        The solver that was used; "formula" after `from_symbolic`.
    n_iter_ : int
        Iterations of all shapes tried.
    loss_ : float
        Mean squared error of the standardised targets on the training rows.
    history_ : list of dict
        One entry per iteration of the shape that was kept.
    converged_ : bool
        Whether ``tol`` was reached before ``max_iter``.
    smoothness_ : float
        Smoothness price, the geometric mean over edges where it was learned.
    effective_parameters_ : float
        Parameters that the data, rather than the smoothness, determine.
    rows_ : dict of ndarray
        Training rows kept: "X" (k, n_features), "y" (k,) or (k, n_outputs), "weight" (k,).
    feature_importances_ : ndarray of shape (n_features,)
        Share of each input in the spread of the outputs, by `attribute`.
    net_ : skorch.NeuralNet or None
        The skorch net of the solver "adam". It is not pickled.
    n_outputs_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Defined if X has feature names that are all strings.

    Examples
    --------
    >>> import numpy as np
    >>> from zoo_kan import KANRegressor
    >>> X = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    >>> y = np.exp(np.sin(np.pi * X[:, 0]) + X[:, 1] ** 2)
    >>> KANRegressor(random_state=0).fit(X, y).score(X, y) > 0.9999
    True
    """

    _loss = "squared"
    n_outputs_: int

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
        self.keep_rows = keep_rows
        self.solver_params = solver_params
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            Frequencies: a row of weight 2 counts as two rows, one of weight 0 not at all.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is not what it may be, or the data are not finite numbers.
        """
        check_parameters(type(self).__name__, self.get_params(deep=False))
        rows, target = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, multi_output=True, ensure_min_samples=2
        )
        if target.ndim == 2 and target.shape[1] == 1:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected.",
                DataConversionWarning,
                stacklevel=2,
            )
            target = target.ravel()
        kept, weight = self._positive_rows(rows, sample_weight)
        target = target.astype(np.float64)[kept]
        self.n_outputs_ = 1 if target.ndim == 1 else target.shape[1]
        training = Rows(rows[kept], self._as_targets(target), weight[kept])
        groups = np.zeros(len(target), dtype=int)
        return self._train(training, target, groups, np.ones(len(target)))

    @classmethod
    def from_symbolic(
        cls,
        expression: Any,
        variables: Sequence[Any],
        *,
        bounds: Any = None,
        X: ArrayLike | None = None,
        grid: int | str = "auto",
        tolerance: float = 1e-6,
        **params: Any,
    ) -> Self:
        """Build a fitted estimator from a formula, without training.

        With ``warm_start=True`` among the parameters, ``fit`` goes on from the formula.

        Parameters
        ----------
        expression, variables, bounds, X, grid, tolerance
            As in `zoo_kan.from_symbolic`.
        **params
            Parameters of the estimator; ``order`` and ``base`` are those of the network.

        Returns
        -------
        KANRegressor
            ``rows_`` holds rows of ``X``, or drawn evenly from the box, with the formula's values.

        Raises
        ------
        ValueError
            As `zoo_kan.from_symbolic` does, or if a parameter is not what it may be.
        """
        from zoo_kan.formula import compile_formula

        model = cls(**params)
        check_parameters(cls.__name__, model.get_params(deep=False))
        network, rows, values = compile_formula(
            expression,
            variables,
            bounds=bounds,
            X=X,
            grid=grid,
            tolerance=tolerance,
            order=model.order,
            base=model.base,
        )
        model.n_features_in_, model.n_outputs_ = rows.shape[1], values.shape[1]
        model._adopt(
            TrainingResult(
                network=network,
                n_iter=0,
                loss=float(np.mean(((network.forward(rows) - values) / network.output_scale) ** 2)),
                converged=True,
                effective_parameters=float(network.n_parameters),
            )
        )
        target = values[:, 0] if model.n_outputs_ == 1 else values
        model._keep(rows, target, np.ones(len(rows)), generator(model.random_state))
        model.solver_, model.net_ = "formula", None
        return model

    def predict(self, X: ArrayLike) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        values = self._raw(X)
        return values[:, 0] if self.n_outputs_ == 1 else values

    def _encode(self, y: NDArray) -> NDArray:
        return y.astype(np.float64)

    def _as_targets(self, y: NDArray) -> Array:
        return y[:, None] if y.ndim == 1 else y

    def _output_names(self) -> list[str] | None:
        return None
