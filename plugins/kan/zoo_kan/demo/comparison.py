"""Cross-validation of several models on the same splits."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import get_scorer

from zoo_kan.demo.chapter import Finding, Table

__all__ = ["Comparison", "Metric", "compare_models"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Metric:
    """A score: its name for readers, scikit-learn's name, and the sign that makes it readable."""

    name: str
    scorer: str
    sign: int = 1


@dataclass(frozen=True)
class Comparison:
    """Scores of several models on the same splits.

    Attributes
    ----------
    metrics : list of Metric
        The first decides.
    scores : dict of str to ndarray of shape (n_splits, n_metrics)
        By name of the model, our own first, those derived from it next; higher is better.
    seconds : dict of str to ndarray of shape (n_splits,)
        Time to fit.
    unseen : dict of str to ndarray of shape (n_samples,)
        Predictions for rows that the model was not fitted to, from the first round of splits; of
        classifiers the probability of the second class.
    test_share : float
        Rows to score on, relative to rows to fit to.
    """

    metrics: list[Metric]
    scores: dict[str, Array]
    seconds: dict[str, Array]
    unseen: dict[str, Array]
    test_share: float

    def table(self, caption: str) -> Table:
        """Mean and standard deviation over the splits."""
        rows = []
        for name, scores in self.scores.items():
            cells = [
                f"{metric.sign * mean:.3f} ± {deviation:.3f}"
                for metric, mean, deviation in zip(
                    self.metrics, scores.mean(axis=0), scores.std(axis=0, ddof=1), strict=True
                )
            ]
            seconds = float(np.median(self.seconds[name]))
            rows.append([name, *cells, f"{seconds:.2f} s" if seconds >= 0.01 else "< 0.01 s"])
        columns = ["model", *(metric.name for metric in self.metrics), "fit"]
        return Table(columns=columns, rows=rows, caption=caption)

    def verdicts(self, *, leave_out: Sequence[str] = ()) -> list[Finding]:
        """Our model against each rival by the first metric, with the error of the difference.

        The standard error is corrected for the overlap of the splits' training parts (Nadeau and
        Bengio 2003). Models in ``leave_out`` are no rivals.
        """
        own, *others = self.scores
        findings = []
        for rival in others:
            if rival in leave_out:
                continue
            difference = self.scores[own][:, 0] - self.scores[rival][:, 0]
            mean = float(difference.mean())
            spread = difference.var(ddof=1) * (1 / len(difference) + self.test_share)
            error = float(np.sqrt(spread))
            relation = "as good as"
            if abs(mean) > 2 * error:
                relation = "better than" if mean > 0 else "worse than"
            findings.append(
                Finding(
                    f"{own} is {relation} {rival}: {self.metrics[0].name} differs by {mean:+.3f}, "
                    f"with a standard error of {error:.3f}.",
                    holds=relation != "worse than",
                )
            )
        return findings


def compare_models(
    models: Mapping[str, Any],
    X: Any,
    y: NDArray,
    *,
    splitter: Any,
    folds: int,
    metrics: list[Metric],
    probabilities: bool,
    derived: Mapping[str, Callable[[Any], Any]],
    step: Callable[[], None],
) -> Comparison:
    """Fit and score every model on every split.

    Parameters
    ----------
    models : mapping of str to estimator
        Unfitted; our own first.
    X : DataFrame of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    splitter : cross-validation splitter
    folds : int
        Splits that cover all rows once.
    metrics : list of Metric
    probabilities : bool
        Keep the probability of the second class instead of predictions.
    derived : mapping of str to callable
        Models made from our own fitted one, by name; their time is added to its own.
    step : callable
        Called after every split.

    Returns
    -------
    Comparison
    """
    own, *rivals = models
    names = [own, *derived, *rivals]
    scores: dict[str, list[list[float]]] = {name: [] for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    unseen = {name: np.full(len(y), np.nan) for name in names}
    share = 0.0
    for number, (fit_rows, test_rows) in enumerate(splitter.split(X, y)):
        share = len(test_rows) / len(fit_rows)
        X_test, y_test = X.iloc[test_rows], y[test_rows]
        fitted: dict[str, Any] = {}
        for name in names:
            start = time.perf_counter()
            if name in derived:
                fitted[name] = derived[name](fitted[own])
            else:
                fitted[name] = clone(models[name]).fit(X.iloc[fit_rows], y[fit_rows])
            before = seconds[own][-1] if name in derived else 0.0
            seconds[name].append(before + time.perf_counter() - start)
            scores[name].append(
                [get_scorer(m.scorer)(fitted[name], X_test, y_test) for m in metrics]
            )
            if number < folds:
                unseen[name][test_rows] = (
                    fitted[name].predict_proba(X_test)[:, 1]
                    if probabilities
                    else fitted[name].predict(X_test)
                )
        step()
    return Comparison(
        metrics=metrics,
        scores={name: np.array(values) for name, values in scores.items()},
        seconds={name: np.array(values) for name, values in seconds.items()},
        unseen=unseen,
        test_share=share,
    )
