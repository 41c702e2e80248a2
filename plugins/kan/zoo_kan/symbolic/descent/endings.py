"""Closed forms for a task of a descent: algebraic relations, products, functions of one variable.

Axes: ``n`` rows, ``k`` arguments.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import sympy
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.algebra import relations
from zoo_kan.symbolic.descent.powers import pure_powers
from zoo_kan.symbolic.descent.quotient import quotients
from zoo_kan.symbolic.descent.scalar import scalar_laws
from zoo_kan.symbolic.descent.surrogate import fit_surrogate
from zoo_kan.symbolic.descent.symmetry import companions, monomial, waves
from zoo_kan.symbolic.descent.task import Task
from zoo_kan.symbolic.expression import Apply, Number, Power, Variable, complexity, substitute
from zoo_kan.symbolic.hypotheses import Argument, Tree, formulas, outer_formulas
from zoo_kan.symbolic.refit import Problem
from zoo_kan.symbolic.structure import Shape, fit_product, fit_sum

if TYPE_CHECKING:
    from zoo_kan.symbolic.search import Search

__all__ = ["Endings"]

Array = NDArray[np.floating]

_U = Variable(0)
_NOISE = 1e-6  # error of a network from which noise is looked for
_SMOOTH = 1e-7  # error of a surrogate from which data count as noisy
_MOST_BLURRED = 12
_SHORT = 25  # nodes of a formula that need not be replaced by a quotient
_HIGHEST = {1: 4, 2: 5, 3: 4}  # degree of quotients by number of letters
_HALF = Number(0.5, sympy.Rational(1, 2))
_ANGLE = 1.0  # range from which an argument may be an angle
_MOST_LETTERED, _MOST_PRODUCT = 4, 4  # arguments
_SEPARABLE = 1e-2  # error from which a product of curves is no law


class Endings:
    """Ways to end a descent: each proposes formulas for a task to the search.

    Parameters
    ----------
    search : Search
    """

    def __init__(self, search: "Search") -> None:
        self.search = search
        self.weight = search.problem.weight
        self.named = {function.name: function for function in search.library}
        self.n_blurred = 0

    @property
    def over(self) -> bool:
        """Whether the time is up or nothing is left to find."""
        return self.search.late or self.search.settled()

    def propose(self, task: Task, tree: Tree, origin: str) -> None:
        """Enter a formula for a task into the competition, as one for the law."""
        node, theta = tree
        self.search.try_tree((task.wrap(node), theta), f"descent: {origin}")

    def related(self, task: Task) -> None:
        """Algebraic relations between the target and the arguments."""
        noisy = task.noisy
        library = self.search.library
        for tree in () if noisy else relations(task.arguments, task.values, library):
            self.propose(task, tree, "relation")
            if self.over:
                return
        self.blurred(task, task.arguments)

    def blurred(
        self,
        task: Task,
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
        slope = task.slope(search.problem.columns)
        if slope is None:
            return
        weight = self.weight * slope**2
        weight *= search.problem.total / weight.sum()
        reached = 2.0 * search.best.fit.loss / search.problem.total
        noise = min(search.attainable, reached) * search.problem.scale**2
        goal = 1.2 * noise * search.problem.total / float(self.weight @ slope**2)
        goal = goal if len(letters) > 2 else 0.0
        for tree in quotients(
            letters,
            task.values,
            weight,
            search.library,
            single=single,
            highest=highest,
            goal=goal,
            noise=min(search.attainable, reached),
        ):
            self.propose(task, tree, "quotient")

    def factored(self, task: Task) -> None:
        """Quotients beside the powers that noisy data show to be factors."""
        if self.search.attainable < _NOISE:
            return
        columns = [argument.values for argument in task.arguments]
        exponents = pure_powers(columns, task.values, self.weight)
        rest = [a for a, exponent in zip(task.arguments, exponents, strict=True) if not exponent]
        if len(rest) == len(task.arguments) or not rest:
            return
        reduced = task.divided(monomial(task.arguments, exponents), rest)
        if reduced is not None:
            values = [argument.values for argument in rest]
            reduced.law = fit_surrogate(values, reduced.values, self.weight)
            self.blurred(reduced, rest)

    def related_letters(self, task: Task) -> None:
        """Algebraic relations in which functions of an argument stand for it."""
        k = len(task.arguments)
        if k > _MOST_LETTERED:
            return
        choices = [self.letters(argument) for argument in task.arguments]
        noisy = task.noisy
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

    def products(self, task: Task) -> None:
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

    def univariate(self, task: Task) -> None:
        """Closed forms of one variable, as they are and beside a power of it."""
        argument = task.arguments[0]
        self.related(task)
        u = argument.values
        law = task.law or fit_surrogate([u], task.values, self.weight)
        if law is None or law.error < _SMOOTH:
            for turned in (1, -1):
                if turned < 0 and not (u.min() > 0.0 or u.max() < 0.0):
                    continue
                letter = monomial([argument], [turned])
                for node, theta in scalar_laws(letter.values, task.values, self.search.library):
                    self.propose(task, (substitute(node, {_U: letter.node}), theta), "one variable")
                    if self.over:
                        return

    def curves(self, task: Task) -> None:
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
