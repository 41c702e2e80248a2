"""The search for one formula: hypotheses about the shape, closed forms, refit, rounding.

1. Shapes with free curves are fitted to the data, on the columns and on pairs of columns reduced
   to one argument (sum, difference, product, quotient, sum of squares): cheap tests of what the
   law may look like.
2. The shapes that explain most are turned into formulas (`hypotheses`), each refitted as a whole.
3. The shortest descriptions have their constants rounded where the data support it.

Everything that was tried competes by description length, the constant and the straight line too.

Axes: ``n`` rows, ``k`` arguments.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zoo_kan.symbolic.descent.descent import descend
from zoo_kan.symbolic.dimensionless import search_groups
from zoo_kan.symbolic.expression import (
    Parameter,
    Variable,
    complexity,
    evaluate,
)
from zoo_kan.symbolic.hypotheses import Argument, Tree, formulas, merge, outer_formulas
from zoo_kan.symbolic.library import Function
from zoo_kan.symbolic.pursuit import pursue
from zoo_kan.symbolic.refit import Fit, Problem, refit
from zoo_kan.symbolic.residual import is_noise
from zoo_kan.symbolic.shorten import shorten
from zoo_kan.symbolic.simple import propose_simple
from zoo_kan.symbolic.snap import description_length, round_constants
from zoo_kan.symbolic.structure import (
    Shape,
    fit_link,
    fit_product,
    fit_sum,
    fit_transformed_sum,
)

__all__ = ["Candidate", "Search"]

Array = NDArray[np.floating]

_FEW_CONSTANTS, _SHORT = 12, 60  # constants and nodes of a formula that may be the last word
_USELESS = 0.1  # what a network leaves that says nothing about the law
_BELOW, _ABOVE = 0.5, 1.3  # what the law leaves in terms of what the network leaves
_SHORTENED = 3  # of the best formulas
_BEAM = 3  # merged sets of arguments that are merged again
MANY = 8  # arguments beyond which formulas are built term by term only


@dataclass
class Candidate:
    """A fitted formula and its description length in nats."""

    fit: Fit
    length: float
    origin: str


@dataclass(order=True)
class Hypothesis:
    """A shape on some arguments, ordered by what it leaves unexplained."""

    error: float
    shape: Shape = field(compare=False)
    arguments: list[Argument] = field(compare=False)
    origin: str = field(compare=False)


@dataclass
class Search:
    """State of one search.

    Attributes
    ----------
    problem : Problem
        The data, by which formulas are judged.
    library : sequence of Function
    deadline : float
        On the clock of `time.monotonic`.
    surrogate : Problem, optional
        What shapes are fitted to, if not the data: the network's logits for a classifier.
    attainable : float
        Part of the variance of the surrogate's target that the network leaves.
    given : list of Shape
        Shapes that the network itself has.
    seed : int
    grouped : bool
        Whether formulas in dimensionless groups are sought: the problem knows its units, and
        columns and target are not shifted.
    report : callable
        Called with a short text at every stage.
    """

    problem: Problem
    library: Sequence[Function]
    deadline: float
    surrogate: Problem | None = None
    attainable: float = np.inf
    given: list[Shape] = field(default_factory=list)
    seed: int = 0
    grouped: bool = False
    report: Callable[[str], None] = lambda text: None
    candidates: list[Candidate] = field(default_factory=list)
    n_tried: int = 0
    _judged: Candidate | None = None
    _judgement: bool = False

    @property
    def late(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.deadline

    @property
    def target(self) -> Problem:
        """What shapes are fitted to."""
        return self.problem if self.surrogate is None else self.surrogate

    @property
    def best(self) -> Candidate:
        """Shortest description so far."""
        return min(self.candidates, key=lambda candidate: candidate.length)

    def try_tree(self, tree: Tree, origin: str) -> Candidate | None:
        """Refit a formula as a whole and enter it into the competition.

        Formulas with more constants than half the rows are refused: they would fit anything.
        """
        node, theta = tree
        self.n_tried += 1
        if len(theta) > max(1.0, (self.problem.total - 1.0) / 2.0):
            return None
        fit = refit(node, theta, self.problem)
        length = description_length(fit, self.problem)
        if not np.isfinite(length):
            return None
        candidate = Candidate(fit, length, origin)
        self.candidates.append(candidate)
        return candidate

    def explains(self, error: float) -> bool:
        """Whether the best formula leaves no more than ``error`` of the variance, or rounding."""
        if self.problem.logistic:
            return False
        left = 2.0 * self.best.fit.loss / self.problem.total
        return left <= max(error, 4.0 * self.problem.floor)

    def settled(self) -> bool:
        """Whether nothing is left to find: the best formula is exact, or short and leaves noise.

        Short is a formula with at most one constant that could not be rounded.
        """
        if self.explains(0.0):
            return True
        best = self.best
        if self.problem.logistic or best is self._judged:
            return self._judgement and not self.problem.logistic
        self._judged, self._judgement = best, False
        node, problem = best.fit.node, self.problem
        long = len(best.fit.theta) > _FEW_CONSTANTS or complexity(node) > _SHORT
        if long or not self.explains(_ABOVE * self.attainable):
            return False
        if self.attainable < _USELESS and self.explains(_BELOW * self.attainable):
            return False  # then the network leaves structure, and nothing says what is noise
        residual = evaluate(node, problem.columns, best.fit.theta) - problem.target
        if is_noise(residual, problem.columns, problem.weight):
            fit = shorten(best.fit, problem, self.library)
            self._judgement = len(fit.theta) <= 1
            if fit is not best.fit:
                self._judged = Candidate(fit, description_length(fit, problem), best.origin)
                self.candidates.append(self._judged)
        return self._judgement

    def run(self) -> list[Candidate]:
        """All formulas that were fitted, shortest description first, constants rounded."""
        self.try_tree((Parameter(0), np.array([self.start_value()])), "constant")
        arguments = self.arguments()
        if arguments and np.ptp(self.problem.target) > 0.0 and len(self.problem.target) >= 4:
            for stage in (self.group, self.simple, self.descend, self.explore):
                if self.settled():
                    break
                try:
                    stage(arguments)
                except np.linalg.LinAlgError:
                    self.report("a regression was singular")
        self.round_best()
        return sorted(self.candidates, key=lambda candidate: candidate.length)

    def arguments(self) -> list[Argument]:
        """Columns that vary, each once."""
        found: list[Argument] = []
        for j, column in enumerate(self.problem.columns):
            repeated = any(np.array_equal(column, argument.values) for argument in found)
            if np.ptp(column) > 0.0 and not repeated:
                found.append(Argument(Variable(j), (), column))
        return found

    def start_value(self) -> float:
        """The best constant, roughly."""
        if not self.problem.logistic:
            return self.problem.mean
        chance = min(max(self.problem.mean, 1e-6), 1.0 - 1e-6)
        return float(np.log(chance / (1.0 - chance)))

    def simple(self, arguments: Sequence[Argument]) -> None:
        """Straight lines, polynomials, power laws."""
        self.report("simple formulas")
        propose_simple(self, arguments)

    def group(self, arguments: list[Argument]) -> None:
        """Formulas in dimensionless numbers."""
        if self.grouped:
            search_groups(self)

    def descend(self, arguments: list[Argument]) -> None:
        """Formulas from symmetries and algebraic relations."""
        if not self.explains(0.0):
            descend(self, arguments)

    def explore(self, arguments: list[Argument]) -> None:
        """Shapes on the columns, then on reduced columns; formulas of the best shapes."""
        if len(arguments) == 1:
            self.univariate(arguments[0])
            return
        varied = np.ptp(self.target.target) > 0.0
        if varied and len(arguments) <= MANY and not self.settled():
            self.report("shapes")
            hypotheses = self.shapes(arguments, "columns", bar=np.inf)
            for shape in self.given:
                own = [h.error for h in hypotheses if h.shape.kind == shape.kind]
                if len(shape.parts) == len(arguments) and shape.error < 0.97 * min(own, default=1):
                    hypotheses.append(Hypothesis(shape.error, shape, arguments, "network"))
            if min(hypotheses).error > 1e-7:
                hypotheses += self.reductions(arguments, min(hypotheses).error)
            self.formulate(sorted(hypotheses))
            goal = 1.2 * min(min(hypotheses).error, self.attainable)
        else:
            goal = self.attainable
        if not (self.late or self.explains(goal) or self.settled()):
            self.report("term by term")
            pursue(self, arguments)

    def univariate(self, argument: Argument) -> None:
        """Closed forms of a single column."""
        self.report("functions of one variable")
        target = self.target
        shape = fit_sum([argument.values], target.target, target.weight)
        identity = (argument.node, np.array(argument.theta))
        trees = outer_formulas(identity, target, self.library, shape.error, keep=8, effort="all")
        for tree in trees:
            self.try_tree(tree, "one variable")

    def formulate(self, hypotheses: Sequence[Hypothesis]) -> None:
        """Formulas of the most promising shapes."""
        floor = min(hypotheses[0].error, self.attainable)
        most = 3 if self.problem.logistic else 8
        done: set[str] = set()
        for rank, hypothesis in enumerate(hypotheses[:most]):
            poor = hypothesis.error > max(2.0 * floor, 30.0 * hypotheses[0].error, 1e-7)
            if self.late or self.settled() or (rank and poor):
                break
            if hypothesis.shape.kind in done and rank > 1 and self.explains(1.01 * floor):
                continue
            done.add(hypothesis.shape.kind)
            origin = f"{hypothesis.origin}: {hypothesis.shape.kind}"
            self.report(origin)
            trees = formulas(
                hypothesis.shape,
                hypothesis.arguments,
                self.target,
                self.library,
                width=6 if self.problem.logistic else 16,
            )
            for tree in trees:
                self.try_tree(tree, origin)
                if self.late or self.explains(0.0):
                    break

    def shapes(self, arguments: list[Argument], origin: str, *, bar: float) -> list[Hypothesis]:
        """Shapes on some arguments; a link only where a cheap test of it stays below ``bar``."""
        y, weight = self.target.target, self.target.weight
        values = [argument.values for argument in arguments]
        additive = fit_sum(values, y, weight)
        if len(arguments) == 1:
            additive.kind = "link"
            return [Hypothesis(additive.error, additive, arguments, origin)]
        found = [additive, fit_product(values, y, weight, seed=self.seed)]
        if found[1].error > 2.0 * additive.error:
            found.append(fit_product(values, y, weight, offset="free", seed=self.seed))
        transformed = fit_transformed_sum(values, y, weight, additive)
        if additive.error > 1e-7 and transformed.error <= bar:
            found.append(fit_link(values, y, weight, transformed))
        return [Hypothesis(shape.error, shape, arguments, origin) for shape in found]

    def reductions(self, arguments: list[Argument], reached: float) -> list[Hypothesis]:
        """Shapes after pairs of arguments were merged into one, several times if need be.

        Parameters
        ----------
        arguments : list of Argument
        reached : float
            Error of the best shape on the arguments themselves.
        """
        found: list[Hypothesis] = []
        level = [arguments]
        while level and len(level[0]) > 1 and not self.late:
            self.report(f"reductions to {len(level[0]) - 1} arguments")
            merged: list[Hypothesis] = []
            for current in level:
                for i, j in itertools.combinations(range(len(current)), 2):
                    rest = [a for k, a in enumerate(current) if k not in (i, j)]
                    for name, pair in merge(current[i], current[j]):
                        if self.late:
                            break
                        merged += self.shapes([pair, *rest], name, bar=0.2 * reached)
            found += merged
            if not merged or min(merged).error <= max(1.05 * self.attainable, 1e-7):
                break
            merged.sort()
            distinct = {id(h.arguments): h.arguments for h in merged}
            level = list(distinct.values())[:_BEAM]
        return found

    def round_best(self) -> None:
        """Round the constants of the formulas that no simpler one describes as well."""
        self.report("constants")
        ranked = sorted(self.candidates, key=lambda candidate: candidate.length)
        chosen = ranked[:5]
        sizes = {complexity(candidate.fit.node) for candidate in chosen}
        for candidate in ranked[5:]:
            size = complexity(candidate.fit.node)
            if size < min(sizes):
                chosen.append(candidate)
                sizes.add(size)
        for rank, candidate in enumerate(chosen[:12]):
            if rank < _SHORTENED:
                fit = shorten(candidate.fit, self.problem, self.library)
            else:
                fit = round_constants(candidate.fit, self.problem)
            length = description_length(fit, self.problem)
            self.candidates.append(Candidate(fit, length, candidate.origin))
