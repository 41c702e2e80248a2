"""The methods of the benchmark: fit rows, hand back a formula.

``kan`` is `zoo_kan.KANRegressor` and its `to_symbolic`, both with their defaults. ``gplearn`` is
genetic programming with the settings SRBench searched around (population 1,000, SRBench's function
set), 20 generations as gplearn's default has it; SRBench itself gave it up to 500,000 evaluations.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray

__all__ = ["METHODS", "Outcome"]

Array = NDArray[np.floating]


@dataclass
class Outcome:
    """What a method made of some rows.

    Attributes
    ----------
    expression : sympy.Expr
        In plain symbols.
    predict : callable
        Of the formula: raises ValueError where it is undefined.
    network : callable or None
        Predictions of the model the formula was read from.
    tried : int
        Hypotheses whose fit to the data was computed.
    fit_s, formula_s : float
        Wall time.
    cpu_s : float
        Processor time of both together.
    shape : list of int
        Of the network.
    """

    expression: sympy.Expr
    predict: Callable[[ArrayLike], Array]
    network: Callable[[ArrayLike], Array] | None
    tried: int
    fit_s: float
    formula_s: float
    cpu_s: float
    shape: list[int]


def kan(X: Array, y: Array, names: list[str], seed: int, **options: Any) -> Outcome:
    """Fit a KAN and search for its formula; options go to `to_symbolic`."""
    from zoo_kan import KANRegressor

    start, used = time.perf_counter(), time.process_time()
    model = KANRegressor(random_state=seed).fit(X, y)
    fitted = time.perf_counter()
    formula = model.to_symbolic(feature_names=names, random_state=seed, **options)
    finished = time.perf_counter()
    return Outcome(
        formula.expressions_[0],
        formula.predict,
        model.predict,
        formula.n_tried_,
        fitted - start,
        finished - fitted,
        time.process_time() - used,
        list(model.network_.widths),
    )


def gplearn(X: Array, y: Array, names: list[str], seed: int, **options: Any) -> Outcome:
    """Genetic programming, which takes no options."""
    from gplearn.genetic import SymbolicRegressor

    start, used = time.perf_counter(), time.process_time()
    model = SymbolicRegressor(
        population_size=1000,
        generations=20,
        function_set=("add", "sub", "mul", "div", "log", "sqrt", "sin", "cos"),
        parsimony_coefficient=0.001,
        feature_names=names,
        random_state=seed,
    ).fit(X, y)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    meaning = {
        **{name: sympy.Symbol(name) for name in names},
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "sqrt": lambda a: sympy.sqrt(sympy.Abs(a)),
        "log": lambda a: sympy.log(sympy.Abs(a)),
    }
    expression = sympy.sympify(str(model._program), locals=meaning)
    tried = 1000 * len(model.run_details_["generation"])
    return Outcome(expression, model.predict, None, tried, 0.0, seconds, cpu, [])


METHODS = {"kan": kan, "gplearn": gplearn}
