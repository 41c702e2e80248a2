"""Search by descent: simplify the law step by step, each step read off the data and verified.

A task is a target with arguments, and how its formula becomes one of the law. Factors are divided
out, pairs and groups of arguments are merged (`symmetry`); what is left is solved as an algebraic
relation (`relation`) or as a function of one variable (`curves`). Every formula found on the way is
refitted as a whole on the law's own data, where it competes with all others.

Axes: ``n`` rows, ``k`` arguments.
"""

import math
from collections.abc import Callable, Sequence
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
    evaluate,
    substitute,
    variables,
)
from zoo_kan.symbolic.hypotheses import Argument, Tree, outer_formulas
from zoo_kan.symbolic.quotient import quotients
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.relation import relations
from zoo_kan.symbolic.scalar import scalar_laws
from zoo_kan.symbolic.structure import fit_sum
from zoo_kan.symbolic.surrogate import Surrogate, fit_surrogate
from zoo_kan.symbolic.symmetry import groups, merges, monomial, peel

if TYPE_CHECKING:
    from zoo_kan.symbolic.search import Search

__all__ = ["descend"]

Array = NDArray[np.floating]
Wrap = Callable[[Node], Node]

_U = Variable(0)
_NOISE = 1e-6  # error of a network from which noise is looked for
_SMOOTH = 1e-7  # error of a surrogate from which data count as noisy
_MOST_ARGUMENTS = 12
_WORSE = 1.5  # factor by which a step may worsen the surrogate
_TRIALS = 6  # merges that are verified
_HALF = Number(0.5, sympy.Rational(1, 2))
_HALF_PI = Number(0.5 * math.pi, sympy.pi / 2)
_HOPELESS = 0.3  # misfit from which a surrogate says nothing


@dataclass
class _Task:
    """Find ``values`` as a formula of ``arguments``; ``wrap`` makes it a formula of the law."""

    values: Array
    arguments: list[Argument]
    wrap: Wrap
    law: Surrogate | None = None


class _Descent:
    """One descent; see `descend`."""

    def __init__(self, search: "Search") -> None:
        self.search = search
        self.weight = search.problem.weight
        self.deferred: list[_Task] = []

    @property
    def over(self) -> bool:
        return self.search.late or self.search.explains(0.0)

    def surrogate(self, values: Array, arguments: Sequence[Argument]) -> Surrogate | None:
        return fit_surrogate([a.values for a in arguments], values, self.weight)

    def propose(self, task: _Task, tree: Tree, origin: str) -> None:
        node, theta = tree
        self.search.try_tree((task.wrap(node), theta), f"descent: {origin}")

    def solve(self, task: _Task) -> None:
        """Simplify as far as symmetries allow, then look for closed forms."""
        if self.over or not np.isfinite(task.values).all():
            return
        if not task.arguments or not np.ptp(task.values) > 1e-9 * np.abs(task.values).max():
            self.propose(task, (Parameter(0), np.array([float(np.mean(task.values))])), "monomial")
            return
        if len(task.arguments) == 1:
            self.univariate(task)
            return
        if task.law is None:
            task.law = self.surrogate(task.values, task.arguments)
        peeled = self.peeled(task)
        if peeled is not None:
            self.solve(peeled)
            return
        merged = self.merged(task)
        if merged is not None:
            self.solve(merged)
            if self.over:
                return
        self.related(task)
        if self.over:
            return
        for grouped in self.grouped(task):
            self.solve(grouped)
            if self.over:
                return
        self.related_letters(task)

    def verified(self, before: Surrogate, task: _Task) -> bool:
        """Whether a surrogate of the simpler task is as good as that of the task before."""
        if not task.arguments:
            left = float(np.std(task.values)) / max(float(np.sqrt(np.mean(task.values**2))), 1e-300)
            return left <= _WORSE * before.misfit + 1e-9
        task.law = self.surrogate(task.values, task.arguments)
        return task.law is not None and task.law.misfit <= _WORSE * before.misfit + 1e-9

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
        if law is None or law.misfit > _HOPELESS:
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
        return None

    def merged(self, task: _Task) -> _Task | None:
        """The task with a pair of arguments merged into one."""
        law = task.law
        if law is None or law.misfit > _HOPELESS:
            return None
        for count, arguments in enumerate(merges(task.arguments, law)):
            if count >= _TRIALS:
                break
            reduced = _Task(task.values, arguments, task.wrap)
            if self.verified(law, reduced):
                return reduced
        return None

    def grouped(self, task: _Task) -> list[_Task]:
        """The task on fewer, dimensionless groups."""
        law = task.law
        if law is None or law.misfit > _HOPELESS:
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

    def related(self, task: _Task) -> None:
        """Algebraic relations between the target and the arguments."""
        for tree in relations(task.arguments, task.values, self.search.library):
            self.propose(task, tree, "relation")
            if self.over:
                return
        self.blurred(task, task.arguments)

    def blurred(
        self, task: _Task, letters: Sequence[Argument], single: Sequence[int] = (), highest: int = 3
    ) -> None:
        """Algebraic relations that data with noise support."""
        search = self.search
        known = search.explains(1.05 * search.attainable) and len(letters) > 2
        if search.attainable < _NOISE or known:
            return
        slope = self.slope(task)
        if slope is None:
            return
        weight = self.weight * slope**2
        weight *= search.problem.total / weight.sum()
        noise = search.attainable * search.problem.scale**2
        goal = 1.2 * noise * search.problem.total / float(self.weight @ slope**2)
        for tree in quotients(
            letters, task.values, weight, search.library, single=single, highest=highest, goal=goal
        ):
            self.propose(task, tree, "quotient")

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
        if len(task.arguments) > 4:
            return
        named = {function.name: function for function in self.search.library}
        for j, argument in enumerate(task.arguments):
            rest = [a for i, a in enumerate(task.arguments) if i != j]
            u = argument.values
            with np.errstate(all="ignore"):
                choices: list[tuple[list[Argument], tuple[int, ...]]] = []
                if "sin" in named:
                    sine = Argument(Apply(named["sin"], argument.node), (), np.sin(u))
                    shifted = Add((argument.node, _HALF_PI))
                    cosine = Argument(Apply(named["sin"], shifted), (), np.cos(u))
                    choices.append(([cosine, sine], (1,)))
                for name in ("exp", "log"):
                    if name in named:
                        value = named[name].evaluate(u)
                        if np.isfinite(value).all():
                            letter = Argument(Apply(named[name], argument.node), (), value)
                            choices.append(([argument, letter], ()))
                if u.min() > 0.0:
                    root = Argument(Power(argument.node, _HALF), (), np.sqrt(u))
                    choices.append(([root], ()))
            for letters, single in choices:
                if self.search.late:
                    return
                for tree in relations(
                    [*letters, *rest], task.values, self.search.library, highest=3, single=single
                ):
                    self.propose(task, tree, "relation of functions")
                    if self.over:
                        return
                self.blurred(task, [*letters, *rest], single, highest=2)

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
    descent.solve(_Task(search.problem.target, list(arguments), lambda node: node))
    for task in descent.deferred[:2]:
        if not descent.over:
            descent.curves(task)
