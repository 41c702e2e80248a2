"""Search by descent: simplify the law step by step, each step read off the data and verified.

A task is a target with arguments, and how its formula becomes one of the law. Factors are divided
out, pairs and groups of arguments are merged (`symmetry`); what is left is solved as an algebraic
relation (`algebra`) or as a function of one variable (`curves`). Every formula found on the way is
refitted as a whole on the law's own data, where it competes with all others.

Axes: ``n`` rows, ``k`` arguments.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.endings import Endings
from zoo_kan.symbolic.descent.surrogate import Surrogate, fit_surrogate
from zoo_kan.symbolic.descent.symmetry import (
    Reduction,
    factor_guesses,
    groups,
    merges,
    monomial,
    pair_guesses,
    peel,
)
from zoo_kan.symbolic.descent.task import Task
from zoo_kan.symbolic.descent.terms import linear_terms
from zoo_kan.symbolic.expression import Parameter
from zoo_kan.symbolic.hypotheses import Argument

if TYPE_CHECKING:
    from zoo_kan.symbolic.search import Search

__all__ = ["descend"]

Array = NDArray[np.floating]

_MOST_ARGUMENTS = 12
_MOST_TASKS = 30
_WORSE = 1.2  # factor by which a step may worsen the surrogate
_BLURRED = 1e-3  # error from which a step must better the surrogate
_HAZY = 1e-5  # error from which pairs are guessed
_MUCH = 0.05  # share of the error that a guess may leave if the surrogate is not a poor one
_BETTER = 0.7  # by this factor
_TRIALS = 6  # merges that are verified
_SOME = 0.85
_NOISE_FLOOR = 0.8  # of the noise that the network leaves, below which no error lies
_HOPELESS = 0.1  # error from which a surrogate says nothing


def _clearly(simpler: Task | None, task: Task) -> bool:
    """Whether a simpler task cannot be a coincidence."""
    if simpler is None or task.law is None:
        return False
    if simpler.law is None:
        return True
    before = task.law.misfit * task.size
    after = simpler.law.misfit * simpler.size
    relative = simpler.law.misfit / max(task.law.misfit, 1e-300)
    return min(after / max(before, 1e-300), relative) < 0.1 or simpler.law.misfit < 1e-9


def _blurred(law: Surrogate) -> bool:
    return law.error > _BLURRED


class _Descent:
    """One descent; see `descend`."""

    def __init__(self, search: "Search") -> None:
        self.search = search
        self.endings = Endings(search)
        self.deferred: list[Task] = []
        self.n_tasks = 0
        self.seen: set[Hashable] = set()

    @property
    def over(self) -> bool:
        """Whether to stop: time is up, enough was tried, or nothing is left to find."""
        return self.n_tasks > _MOST_TASKS or self.endings.over

    def surrogate(self, values: Array, arguments: Sequence[Argument]) -> Surrogate | None:
        """Surrogate of values (n,) as a function of arguments."""
        columns = [argument.values for argument in arguments]
        return fit_surrogate(columns, values, self.search.problem.weight)

    def solve(self, task: Task) -> None:
        """Simplify as far as symmetries allow, then look for closed forms."""
        if self.over or not np.isfinite(task.values).all():
            return
        if task.key in self.seen:
            return
        self.seen.add(task.key)
        self.n_tasks += 1
        if not task.arguments or not np.ptp(task.values) > 1e-9 * np.abs(task.values).max():
            self.endings.propose(
                task, (Parameter(0), np.array([float(np.mean(task.values))])), "monomial"
            )
            return
        if len(task.arguments) == 1:
            self.endings.univariate(task)
            self.deferred.append(task)
            return
        if task.law is None:
            task.law = self.surrogate(task.values, task.arguments)
        simpler = self.peeled(task)
        remainder = None if _clearly(simpler, task) else self.remainder(task)
        if remainder is not None and _clearly(remainder, task):
            self.solve(remainder)
            remainder = None
        if not self.over:
            simpler = simpler or self.merged(task) or self.paired(task)
            if simpler is not None:
                self.solve(simpler)
        if not self.over:
            self.endings.related(task)
        if remainder is not None:
            self.solve(remainder)
        for grouped in [] if self.over else self.grouped(task):
            self.solve(grouped)
            if self.over:
                return
        if not self.over:
            self.endings.related_letters(task)
        if not self.over:
            self.endings.products(task)

    def verified(self, before: Surrogate, task: Task) -> bool:
        """Whether a surrogate of the simpler task is as good as that of the task before."""
        if not task.arguments:
            left = float(np.std(task.values)) / max(task.size, 1e-300)
            return left <= _WORSE * before.misfit + 1e-9
        task.law = self.surrogate(task.values, task.arguments)
        if task.law is None:
            return False
        allowed = _BETTER if _blurred(before) else _WORSE
        return bool(
            task.law.misfit <= allowed * before.misfit + 1e-9
            or task.law.error <= allowed**2 * before.error
        )

    def peeled(self, task: Task) -> Task | None:
        """The task with as many factors divided out as are verified."""
        law = task.law
        if law is None:
            return None
        exponents = peel(task.arguments, task.values, law)
        alive = [j for j, exponent in enumerate(exponents) if exponent]
        choices = [alive] if len(alive) > 1 else []
        for chosen in [*choices, *([j] for j in alive)]:
            factor = monomial([task.arguments[j] for j in chosen], [exponents[j] for j in chosen])
            rest = [a for j, a in enumerate(task.arguments) if j not in chosen]
            reduced = task.divided(factor, rest)
            if reduced is not None and self.verified(law, reduced):
                return reduced
        if not _blurred(law):
            return None
        sine = self.endings.named.get("sin")
        guesses = factor_guesses(task.arguments, task.values, law, sine)
        return self.best_guess(task, guesses, _SOME)

    def best_guess(self, task: Task, reductions: Iterable[Reduction], share: float) -> Task | None:
        """The reduced task that has the best surrogate, if it is clearly better than before."""
        if task.law is None or self.in_the_noise(task, share * task.law.error):
            return None
        best: Task | None = None
        reached = share * task.law.error
        for reduction in reductions:
            if self.over:
                break
            reduced = task.divided(reduction.factor, reduction.arguments)
            if reduced is None or not reduced.arguments:
                continue
            reduced.law = self.surrogate(reduced.values, reduced.arguments)
            if reduced.law is not None and reduced.law.error < reached:
                best, reached = reduced, reduced.law.error
                if reached < 1e-3 * task.law.error:
                    break
        return best

    def in_the_noise(self, task: Task, error: float) -> bool:
        """Whether no surrogate of noisy values can come down to an error."""
        law, search = task.law, self.search
        if law is None or not law.noisy or law.view != "identity":
            return False
        variance = search.attainable * search.problem.scale**2
        return error < _NOISE_FLOOR * task.noise(variance, search.problem.columns)

    def merged(self, task: Task) -> Task | None:
        """The task with a pair of arguments merged into one."""
        law = task.law
        if law is None or law.error > _HOPELESS:
            return None
        for count, arguments in enumerate(merges(task.arguments, law)):
            if count >= _TRIALS:
                break
            reduced = Task(task.values, arguments, task.wrap)
            if self.verified(law, reduced):
                return reduced
        return None

    def paired(self, task: Task) -> Task | None:
        """The task with the pair merged that helps most, where the surrogate is a poor one."""
        if task.law is None or task.law.error < _HAZY:
            return None
        share = _BETTER**2 if _blurred(task.law) else _MUCH
        return self.best_guess(task, pair_guesses(task.arguments), share)

    def grouped(self, task: Task) -> list[Task]:
        """The task on fewer, dimensionless groups."""
        law = task.law
        if law is None or law.error > _HOPELESS:
            return []
        found: list[Task] = []
        fewest = len(task.arguments)
        for count, reduction in enumerate(groups(task.arguments, task.values, law)):
            if count >= 3 * _TRIALS or len(found) >= 3:
                break
            if found and len(reduction.arguments) > fewest:
                break
            reduced = task.divided(reduction.factor, reduction.arguments)
            if reduced is not None and self.verified(law, reduced):
                found.append(reduced)
                fewest = len(reduction.arguments)
        return found

    def remainder(self, task: Task) -> Task | None:
        """The task without a term in which alone one of the arguments occurs."""
        law = task.law
        if law is None:
            return None
        before = law.misfit * task.size
        best: Task | None = None
        reached = _WORSE * before
        for term, rest in linear_terms(task.arguments, law):
            if self.over:
                break
            reduced = task.less(term, rest)
            reduced.law = self.surrogate(reduced.values, rest)
            if reduced.law is None:
                continue
            left = reduced.law.misfit * reduced.size
            if left < reached:
                best, reached = reduced, 0.5 * left
        return best


def descend(search: "Search", arguments: Sequence[Argument]) -> None:
    """Enter the formulas that a descent finds into the competition.

    Parameters
    ----------
    search : Search
    arguments : sequence of Argument
    """
    if search.problem.logistic or not 2 <= len(arguments) <= _MOST_ARGUMENTS:
        return
    search.report("descent")
    descent = _Descent(search)
    task = Task(search.problem.target, list(arguments), lambda node: node)
    with np.errstate(all="ignore"):  # what is not finite is left out
        descent.endings.factored(task)
        if not descent.over:
            descent.solve(task)
        for late in descent.deferred[:2]:
            if not descent.endings.over:
                descent.endings.curves(late)
