"""Search by descent: simplify the law step by step, each step read off the data and verified.

A task is a target with arguments, and how its formula becomes one of the law. Factors are divided
out, pairs and groups of arguments are merged (`symmetry`); what is left is solved as an algebraic
relation (`relation`) or as a function of one variable (`curves`). Every formula found on the way is
refitted as a whole on the law's own data, where it competes with all others.

Axes: ``n`` rows, ``k`` arguments.
"""

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.expression import (
    Add,
    Apply,
    Mul,
    Node,
    Number,
    Parameter,
    Power,
    Variable,
    complexity,
    evaluate,
    substitute,
    variables,
)
from zoo_kan.symbolic.hypotheses import Argument, Tree, formulas, outer_formulas
from zoo_kan.symbolic.powers import pure_powers
from zoo_kan.symbolic.quotient import quotients
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.relation import relations
from zoo_kan.symbolic.scalar import scalar_laws
from zoo_kan.symbolic.structure import Shape, fit_product, fit_sum
from zoo_kan.symbolic.surrogate import Surrogate, fit_surrogate
from zoo_kan.symbolic.symmetry import (
    Reduction,
    companions,
    factor_guesses,
    groups,
    merges,
    monomial,
    pair_guesses,
    peel,
    waves,
)
from zoo_kan.symbolic.terms import linear_terms

if TYPE_CHECKING:
    from zoo_kan.symbolic.search import Search

__all__ = ["descend"]

Array = NDArray[np.floating]
Wrap = Callable[[Node], Node]

_U = Variable(0)
_NOISE = 1e-6  # error of a network from which noise is looked for
_SMOOTH = 1e-7  # error of a surrogate from which data count as noisy
_MOST_ARGUMENTS = 12
_MOST_TASKS = 30
_MOST_BLURRED = 12
_SHORT = 25  # nodes of a formula that need not be replaced by a quotient
_HIGHEST = {1: 4, 2: 5, 3: 4}  # degree of quotients by number of letters
_WORSE = 1.2  # factor by which a step may worsen the surrogate
_BLURRED = 1e-3  # error from which a step must better the surrogate
_HAZY = 1e-5  # error from which pairs are guessed
_MUCH = 0.05  # share of the error that a guess may leave if the surrogate is not a poor one
_BETTER = 0.7  # by this factor
_TRIALS = 6  # merges that are verified
_HALF = Number(0.5, sympy.Rational(1, 2))
_ANGLE = 1.0  # range from which an argument may be an angle
_MOST_LETTERED, _MOST_PRODUCT = 4, 4  # arguments
_SEPARABLE = 1e-2  # error from which a product of curves is no law
_SOME = 0.85
_HOPELESS = 0.1  # error from which a surrogate says nothing


@dataclass
class _Task:
    """Find ``values`` as a formula of ``arguments``; ``wrap`` makes it a formula of the law."""

    values: Array
    arguments: list[Argument]
    wrap: Wrap
    law: Surrogate | None = None


def _plus(wrap: Wrap, term: Node) -> Wrap:
    return lambda node: wrap(Add((node, term)))


def _key(task: _Task) -> Hashable:
    """The same for tasks that differ by a constant factor or the order of their arguments."""
    unit = task.values[int(np.argmax(np.abs(task.values)))] or 1.0
    shown = tuple(float(f"{v:.6e}") for v in task.values[:4] / unit)
    return frozenset(argument.node for argument in task.arguments), shown


def _clearly(simpler: _Task | None, task: _Task) -> bool:
    """Whether a simpler task cannot be a coincidence."""
    if simpler is None or task.law is None:
        return False
    if simpler.law is None:
        return True
    before = task.law.misfit * float(np.sqrt(np.mean(task.values**2)))
    after = simpler.law.misfit * float(np.sqrt(np.mean(simpler.values**2)))
    relative = simpler.law.misfit / max(task.law.misfit, 1e-300)
    return min(after / max(before, 1e-300), relative) < 0.1 or simpler.law.misfit < 1e-9


def _blurred(law: Surrogate) -> bool:
    return law.error > _BLURRED


class _Descent:
    """One descent; see `descend`."""

    def __init__(self, search: "Search") -> None:
        self.search = search
        self.weight = search.problem.weight
        self.deferred: list[_Task] = []
        self.n_tasks = 0
        self.n_blurred = 0
        self.seen: set[Hashable] = set()
        self.named = {function.name: function for function in search.library}

    @property
    def over(self) -> bool:
        return self.search.late or self.n_tasks > _MOST_TASKS or self.search.settled()

    def surrogate(self, values: Array, arguments: Sequence[Argument]) -> Surrogate | None:
        return fit_surrogate([a.values for a in arguments], values, self.weight)

    def propose(self, task: _Task, tree: Tree, origin: str) -> None:
        node, theta = tree
        self.search.try_tree((task.wrap(node), theta), f"descent: {origin}")

    def solve(self, task: _Task) -> None:
        """Simplify as far as symmetries allow, then look for closed forms."""
        if self.over or not np.isfinite(task.values).all():
            return
        key = _key(task)
        if key in self.seen:
            return
        self.seen.add(key)
        self.n_tasks += 1
        if not task.arguments or not np.ptp(task.values) > 1e-9 * np.abs(task.values).max():
            self.propose(task, (Parameter(0), np.array([float(np.mean(task.values))])), "monomial")
            return
        if len(task.arguments) == 1:
            self.univariate(task)
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
            self.related(task)
        if remainder is not None:
            self.solve(remainder)
        for grouped in [] if self.over else self.grouped(task):
            self.solve(grouped)
            if self.over:
                return
        if not self.over:
            self.related_letters(task)
        if not self.over:
            self.products(task)

    def verified(self, before: Surrogate, task: _Task) -> bool:
        """Whether a surrogate of the simpler task is as good as that of the task before."""
        if not task.arguments:
            left = float(np.std(task.values)) / max(float(np.sqrt(np.mean(task.values**2))), 1e-300)
            return left <= _WORSE * before.misfit + 1e-9
        task.law = self.surrogate(task.values, task.arguments)
        if task.law is None:
            return False
        allowed = _BETTER if _blurred(before) else _WORSE
        return bool(
            task.law.misfit <= allowed * before.misfit + 1e-9
            or task.law.error <= allowed**2 * before.error
        )

    def divided(self, task: _Task, factor: Argument, arguments: list[Argument]) -> _Task | None:
        """The task for ``values / factor``."""
        with np.errstate(all="ignore"):
            values = task.values / factor.values
        if not np.isfinite(values).all():
            return None
        wrap = task.wrap
        if not variables(factor.node):
            return _Task(values, arguments, wrap)
        return _Task(values, arguments, lambda node: wrap(Mul((node, factor.node))))

    def peeled(self, task: _Task) -> _Task | None:
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
            reduced = self.divided(task, factor, rest)
            if reduced is not None and self.verified(law, reduced):
                return reduced
        if not _blurred(law):
            return None
        sine = self.named.get("sin")
        guesses = factor_guesses(task.arguments, task.values, law, sine)
        return self.best_guess(task, guesses, _SOME)

    def best_guess(
        self, task: _Task, reductions: Iterable[Reduction], share: float
    ) -> _Task | None:
        """The reduced task that has the best surrogate, if it is clearly better than before."""
        if task.law is None:
            return None
        best: _Task | None = None
        reached = share * task.law.error
        for reduction in reductions:
            if self.over:
                break
            reduced = self.divided(task, reduction.factor, reduction.arguments)
            if reduced is None or not reduced.arguments:
                continue
            reduced.law = self.surrogate(reduced.values, reduced.arguments)
            if reduced.law is not None and reduced.law.error < reached:
                best, reached = reduced, reduced.law.error
                if reached < 1e-3 * task.law.error:
                    break
        return best

    def merged(self, task: _Task) -> _Task | None:
        """The task with a pair of arguments merged into one."""
        law = task.law
        if law is None or law.error > _HOPELESS:
            return None
        for count, arguments in enumerate(merges(task.arguments, law)):
            if count >= _TRIALS:
                break
            reduced = _Task(task.values, arguments, task.wrap)
            if self.verified(law, reduced):
                return reduced
        return None

    def paired(self, task: _Task) -> _Task | None:
        """The task with the pair merged that helps most, where the surrogate is a poor one."""
        if task.law is None or task.law.error < _HAZY:
            return None
        share = _BETTER**2 if _blurred(task.law) else _MUCH
        return self.best_guess(task, pair_guesses(task.arguments), share)

    def grouped(self, task: _Task) -> list[_Task]:
        """The task on fewer, dimensionless groups."""
        law = task.law
        if law is None or law.error > _HOPELESS:
            return []
        found: list[_Task] = []
        fewest = len(task.arguments)
        for count, reduction in enumerate(groups(task.arguments, task.values, law)):
            if count >= 3 * _TRIALS or len(found) >= 3:
                break
            if found and len(reduction.arguments) > fewest:
                break
            reduced = self.divided(task, reduction.factor, reduction.arguments)
            if reduced is not None and self.verified(law, reduced):
                found.append(reduced)
                fewest = len(reduction.arguments)
        return found

    def remainder(self, task: _Task) -> _Task | None:
        """The task without a term in which alone one of the arguments occurs."""
        law = task.law
        if law is None:
            return None
        before = law.misfit * float(np.sqrt(np.mean(task.values**2)))
        best: _Task | None = None
        reached = _WORSE * before
        for term, rest in linear_terms(task.arguments, law):
            if self.over:
                break
            values = task.values - term.values
            reduced = _Task(values, rest, _plus(task.wrap, term.node))
            reduced.law = self.surrogate(values, rest)
            if reduced.law is None:
                continue
            left = reduced.law.misfit * float(np.sqrt(np.mean(values**2)))
            if left < reached:
                best, reached = reduced, 0.5 * left
        return best

    def related(self, task: _Task) -> None:
        """Algebraic relations between the target and the arguments."""
        noisy = task.law is not None and task.law.noisy
        library = self.search.library
        for tree in () if noisy else relations(task.arguments, task.values, library):
            self.propose(task, tree, "relation")
            if self.over:
                return
        self.blurred(task, task.arguments)

    def blurred(
        self,
        task: _Task,
        letters: Sequence[Argument],
        single: Sequence[int] = (),
        highest: int | None = None,
    ) -> None:
        """Algebraic relations that data with noise support."""
        search = self.search
        short = complexity(search.best.fit.node) <= _SHORT
        known = search.explains(1.05 * search.attainable) and short and len(letters) > 2
        law = task.law
        smooth = law is not None and not law.noisy and law.error < 0.3 * search.attainable
        if search.attainable < _NOISE or known or smooth or self.n_blurred >= _MOST_BLURRED:
            return
        self.n_blurred += 1
        if highest is None:
            highest = _HIGHEST.get(len(letters), 3)
        slope = self.slope(task)
        if slope is None:
            return
        weight = self.weight * slope**2
        weight *= search.problem.total / weight.sum()
        reached = 2.0 * search.best.fit.loss / search.problem.total
        noise = min(search.attainable, reached) * search.problem.scale**2
        goal = 1.2 * noise * search.problem.total / float(self.weight @ slope**2)
        goal = goal if len(letters) > 2 else 0.0
        for tree in quotients(
            letters, task.values, weight, search.library, single=single, highest=highest, goal=goal
        ):
            self.propose(task, tree, "quotient")

    def factored(self, task: _Task) -> None:
        """Quotients beside the powers that noisy data show to be factors."""
        if self.search.attainable < _NOISE:
            return
        columns = [argument.values for argument in task.arguments]
        exponents = pure_powers(columns, task.values, self.weight)
        rest = [a for a, exponent in zip(task.arguments, exponents, strict=True) if not exponent]
        if len(rest) == len(task.arguments) or not rest:
            return
        reduced = self.divided(task, monomial(task.arguments, exponents), rest)
        if reduced is not None:
            self.blurred(reduced, rest)

    def slope(self, task: _Task) -> Array | None:
        """Derivative (n,) of the law by the values of a task; None where that is not finite."""
        columns = [*self.search.problem.columns, task.values]
        node = task.wrap(Variable(len(columns) - 1))
        step = 1e-5 * np.abs(task.values) + 1e-9 * float(np.abs(task.values).max())
        sides = []
        with np.errstate(all="ignore"):
            for shifted in (task.values + step, task.values - step):
                sides.append(evaluate(node, [*columns[:-1], shifted], np.zeros(0)))
            slope = (sides[0] - sides[1]) / (2.0 * step)
        return slope if np.isfinite(slope).all() and slope.any() else None

    def related_letters(self, task: _Task) -> None:
        """Algebraic relations in which functions of an argument stand for it."""
        k = len(task.arguments)
        if k > _MOST_LETTERED:
            return
        choices = [self.letters(argument) for argument in task.arguments]
        noisy = task.law is not None and task.law.noisy
        picks = itertools.product(*(range(len(choice)) for choice in choices))
        for pick in sorted(picks, key=lambda pick: sum(1 for index in pick if index)):
            replaced = sum(1 for index in pick if index)
            if replaced == 0 or replaced > (2 if k <= 3 else 1):
                continue
            letters: list[Argument] = []
            single: list[int] = []
            for choice, index in zip(choices, pick, strict=True):
                chosen, sine = choice[index]
                single += [len(letters) + 1] if sine else []
                letters += chosen
            if self.over:
                return
            exact = relations(letters, task.values, self.search.library, highest=3, single=single)
            for tree in () if noisy else exact:
                self.propose(task, tree, "relation of functions")
                if self.over:
                    return
            if replaced == 1:
                self.blurred(task, letters, single, highest=2)

    def letters(self, argument: Argument) -> list[tuple[list[Argument], bool]]:
        """What may stand for an argument, itself first, and whether that is a cosine and a sine."""
        found: list[tuple[list[Argument], bool]] = [([argument], False)]
        u = argument.values
        if "sin" in self.named and np.ptp(u) > _ANGLE:
            found.append((list(waves(argument, self.named["sin"])), True))
        if u.min() > 0.0:
            found.append(([Argument(Power(argument.node, _HALF), (), np.sqrt(u))], False))
        for name in ("exp", "log"):
            if name in self.named:
                with np.errstate(all="ignore"):
                    value = self.named[name].evaluate(u)
                if np.isfinite(value).all():
                    letter = Argument(Apply(self.named[name], argument.node), (), value)
                    found.append(([argument, letter], False))
        return found

    def products(self, task: _Task) -> None:
        """A product of curves, on the arguments or with one replaced by a pair."""
        if len(task.arguments) > _MOST_PRODUCT:
            return
        ranked: list[tuple[float, int, Shape, list[Argument]]] = []
        for arguments in [task.arguments, *companions(task.arguments)]:
            if self.over:
                return
            if all(np.isfinite(a.values).all() and np.ptp(a.values) > 0.0 for a in arguments):
                shape = fit_product([a.values for a in arguments], task.values, self.weight)
                ranked.append((shape.error, len(ranked), shape, arguments))
        ranked.sort(key=lambda row: row[:2])
        sub = Problem(self.search.problem.columns, task.values, self.weight)
        for error, _, shape, arguments in ranked[:2]:
            if error > _SEPARABLE:
                return
            for tree in formulas(shape, arguments, sub, self.search.library, width=8):
                self.propose(task, tree, "product")
                if self.over:
                    return

    def univariate(self, task: _Task) -> None:
        """Closed forms of one variable, as they are and beside a power of it."""
        argument = task.arguments[0]
        self.related(task)
        u = argument.values
        law = task.law or self.surrogate(task.values, task.arguments)
        if law is None or law.error < _SMOOTH:
            for turned in (1, -1):
                if turned < 0 and not (u.min() > 0.0 or u.max() < 0.0):
                    continue
                letter = monomial([argument], [turned])
                for node, theta in scalar_laws(letter.values, task.values, self.search.library):
                    self.propose(task, (substitute(node, {_U: letter.node}), theta), "one variable")
                    if self.over:
                        return
        self.deferred.append(task)

    def curves(self, task: _Task) -> None:
        """Closed forms of one variable that need not be exact."""
        argument = task.arguments[0]
        shape = fit_sum([argument.values], task.values, self.weight)
        sub = Problem(self.search.problem.columns, task.values, self.weight)
        attainable = shape.error if shape.error > _SMOOTH else 0.0
        for tree in outer_formulas(
            (argument.node, np.zeros(0)), sub, self.search.library, attainable
        ):
            self.propose(task, tree, "one variable")
            if self.over:
                return


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
    task = _Task(search.problem.target, list(arguments), lambda node: node)
    descent.factored(task)
    if not descent.over:
        descent.solve(task)
    for task in descent.deferred[:2]:
        if not (search.late or search.settled()):
            descent.curves(task)
