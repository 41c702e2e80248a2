"""Kepler's third law from published orbits: 66 planets and moons around eight bodies.

The periods span five orders of magnitude, the masses eight, and the errors of the table are
relative, so the network sees logarithms of everything; sympy turns its formula back into natural
variables. What the fit has to find is that log T needs nothing but a function of log a plus one of
log M, that both are straight lines, and their slopes. The law itself appears only in `judge`,
which compares what was found with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

import zoo
from zoo.onnx import export_pipeline
from zoo_kan.datasets import load_orbits
from zoo_kan.demo.chapter import Chapter, Finding, Formula, Picture, Table
from zoo_kan.demo.figures import plot_orbits
from zoo_kan.demo.parity import measure
from zoo_kan.plot import plot_network, plot_predicted

__all__ = ["STEPS", "PowerLaw", "Slopes", "judge", "read_power_law", "run", "simplest_fraction"]

Array = NDArray[np.floating]

STEPS = 11  # one per central body and three more

_KM_PER_AU = 149_597_870.7  # IAU 2012
_DAYS_PER_YEAR = 365.25
_A, _M = sympy.symbols("a M", positive=True)
_CODE = """
import numpy as np, pandas as pd, zoo, zoo.onnx
from sklearn.compose import TransformedTargetRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from zoo_kan.datasets import load_orbits

orbits = load_orbits()
au, suns = orbits.data[:, 0] / 149597870.7, orbits.data[:, 1] / 1988400
X = pd.DataFrame({"a": au, "M": suns})
logs = FunctionTransformer(np.log, feature_names_out="one-to-one").set_output(transform="pandas")
model = TransformedTargetRegressor(
    make_pipeline(logs, zoo.load("kan")), func=np.log, inverse_func=np.exp
).fit(X, orbits.target / 365.25)
print(model.regressor_[-1].to_symbolic())  # of the logarithms
zoo.onnx.export_pipeline(model, X, "kepler/onnx")
"""


@dataclass(frozen=True)
class PowerLaw:
    """``T = constant * a ** p * M ** q``, exact where sympy's numbers are."""

    constant: sympy.Expr
    p: sympy.Expr
    q: sympy.Expr

    def __str__(self) -> str:
        """As text, with four digits where a number is not exact."""
        numbers = [value if value.is_Rational else value.evalf(4) for value in (self.p, self.q)]
        factor = "" if self.constant == 1 else f"{self.constant.evalf(4)} · "
        return f"T = {factor}a^({numbers[0]}) · M^({numbers[1]})"


def read_power_law(expression: sympy.Expr) -> PowerLaw | None:
    """Read a formula for ``ln T`` in ``log_a`` and ``log_M`` as a power law.

    Returns
    -------
    PowerLaw or None
        None if the formula is not linear in both logarithms: then it is no power law.
    """
    symbols = {symbol.name: symbol for symbol in expression.free_symbols}
    if not set(symbols) <= {"log_a", "log_M"}:
        return None
    slopes = []
    for name in ("log_a", "log_M"):
        slope = sympy.simplify(sympy.diff(expression, symbols.get(name, sympy.Symbol(name))))
        if slope.free_symbols:
            return None
        slopes.append(slope)
    rest = expression.subs(dict.fromkeys(symbols.values(), 0))
    return PowerLaw(sympy.exp(rest), *slopes)


def simplest_fraction(value: float, error: float) -> Fraction:
    """Find the fraction with the smallest denominator within three standard errors of a value."""
    for denominator in range(1, 1000):
        candidate = Fraction(round(value * denominator), denominator)
        if abs(float(candidate) - value) <= 3 * error:
            return candidate
    return Fraction(value)


@dataclass(frozen=True)
class Slopes:
    """The slopes of ``ln T`` by ``ln a`` and ``ln M`` as networks have them, before any rounding.

    Attributes
    ----------
    all_bodies : ndarray of shape (2,)
        Of the network fitted to all bodies, averaged over them.
    left_out : ndarray of shape (n_centres, 2)
        Of the networks fitted without one central body each.
    """

    all_bodies: Array
    left_out: Array

    @property
    def errors(self) -> Array:
        """Standard errors (2,) by the jackknife over central bodies."""
        n_centres = len(self.left_out)
        scatter = np.sum((self.left_out - self.left_out.mean(axis=0)) ** 2, axis=0)
        return np.sqrt(scatter * (n_centres - 1) / n_centres)


def judge(law: PowerLaw | None, slopes: Slopes, others: Sequence[PowerLaw | None]) -> list[Finding]:
    """Compare a power law found with Kepler's, ``T = a ** (3/2) / M ** (1/2)``.

    An exponent that the search left unrounded counts as the simplest fraction within three
    standard errors of the network's slopes.

    Parameters
    ----------
    law : PowerLaw or None
        Found on all bodies; None if the formula is no power law.
    slopes : Slopes
        Of the networks.
    others : sequence of PowerLaw or None
        Found without one central body each.

    Returns
    -------
    list of Finding
        The first says whether the law was found.
    """
    if law is None:
        return [Finding("The formula is not a power law: Kepler's law was not found.", holds=False)]
    kept = sum(_is_keplers(other, slopes.errors) for other in others)
    found = _is_keplers(law, slopes.errors)
    unit = "in years, astronomical units and solar masses"
    (p, q), (p_error, q_error) = slopes.all_bodies, slopes.errors
    return [
        Finding(
            f"Kepler's third law, found: {law} {unit}."
            if found
            else f"Kepler's third law was not found: {law} {unit} is another law.",
            holds=found,
        ),
        Finding(
            f"The network's own slopes, before any rounding, are {p:.4f} ± {p_error:.4f} and "
            f"{q:.4f} ± {q_error:.4f} (standard errors from leaving out one central body at a "
            "time)."
        ),
        Finding(
            f"Without one of the {len(others)} central bodies and all that orbits it, the same law "
            f"is found {kept} times out of {len(others)}."
        ),
    ]


def _is_keplers(law: PowerLaw | None, errors: Array) -> bool:
    if law is None:
        return False
    p, q = (
        exponent
        if exponent.is_Rational
        else sympy.Rational(simplest_fraction(float(exponent), float(error)))
        for exponent, error in zip((law.p, law.q), errors, strict=True)
    )
    same = sympy.simplify(_A**p * _M**q - sympy.sqrt(_A**3 / _M)) == 0
    return bool(same) and abs(float(law.constant) - 1) < 0.01


def run(folder: Path, step: Callable[[], None]) -> Chapter:
    """Run this part.

    Parameters
    ----------
    folder : Path
        Where its files go; it exists.
    step : callable
        Called `STEPS` times, for the progress bar.

    Returns
    -------
    Chapter
    """
    import pandas as pd

    orbits = load_orbits()
    sun = orbits.data[orbits.central_body == "Sun", 1][0]
    X = pd.DataFrame({"a": orbits.data[:, 0] / _KM_PER_AU, "M": orbits.data[:, 1] / sun})
    years = orbits.target / _DAYS_PER_YEAR

    model = _in_logarithms(zoo.load("kan", random_state=0)).fit(X, years)
    symbolic = model.regressor_[-1].to_symbolic()
    step()

    predicted = {name: np.empty_like(years) for name in ("KAN", "its formula", *_rivals())}
    hidden = model.regressor_[-1].network_.hidden  # as chosen on all bodies
    others, left_out = [], []
    for centre in dict.fromkeys(orbits.central_body.tolist()):
        unseen = orbits.central_body == centre
        kan = zoo.load("kan", hidden=hidden, random_state=0)
        part = _in_logarithms(kan).fit(X[~unseen], years[~unseen])
        read = part.regressor_[-1].to_symbolic()
        others.append(read_power_law(read.expressions_[0]))
        left_out.append(_slopes(part, X[~unseen]))
        predicted["KAN"][unseen] = part.predict(X[unseen])
        predicted["its formula"][unseen] = _predict(read, part, X[unseen])
        for name, rival in _rivals().items():
            predicted[name][unseen] = rival.fit(X[~unseen], years[~unseen]).predict(X[unseen])
        step()

    law = read_power_law(symbolic.expressions_[0])
    slopes = Slopes(_slopes(model, X), np.array(left_out))
    expression = _natural(symbolic.expressions_[0])
    formula = Formula(
        name="The period T in years, a in astronomical units, M in solar masses",
        symbol=sympy.Symbol("T"),
        expression=expression,
        note=_typical(_predict(symbolic, model, X), years),
        digits=5,
    )
    formula.write(folder)
    chapter = Chapter(
        name="kepler",
        title="A law of physics from measurements",
        question="Given the orbits of 66 planets and moons as NASA and JPL publish them, what law "
        "do their periods follow?",
        data="The table ships with the plugin, with its sources: semi-major axis a, mass M of the "
        "body in the middle, period T, for 66 bodies around eight centres. Periods span five "
        "orders of magnitude, masses eight, and errors are relative, so the model sees the "
        "logarithms of all three. Once that is done the law is a plane, and a linear regression "
        "would do; the network was free to bend, and the question is whether it finds that it "
        "need not.",
        findings=judge(law, slopes, others),
        formula=formula,
        tables=[_table(predicted, years)],
        code=_CODE,
    )
    chapter.pictures = _pictures(folder, model, X, years, orbits.central_body, expression)
    export_pipeline(model, X, folder / "onnx", overwrite=True)
    step()
    columns = {name: X[name].to_numpy() for name in X}
    chapter.onnx = measure(folder / "onnx", columns, "predict", lambda: model.predict(X))
    step()
    return chapter


def _in_logarithms(regressor: Any) -> TransformedTargetRegressor:
    """Make a model from a and M to T out of one from logarithms to a logarithm."""
    logarithm = FunctionTransformer(np.log, feature_names_out=_log_names)
    steps = [("log", logarithm.set_output(transform="pandas")), ("model", regressor)]
    return TransformedTargetRegressor(Pipeline(steps), func=np.log, inverse_func=np.exp)


def _log_names(transformer: FunctionTransformer, names: NDArray) -> list[str]:
    return [f"log_{name}" for name in names]


def _rivals() -> dict[str, Any]:
    boosting = HistGradientBoostingRegressor(min_samples_leaf=3, random_state=0)
    return {
        "linear regression": _in_logarithms(LinearRegression()),
        "gradient boosting": _in_logarithms(boosting),
    }


def _slopes(model: TransformedTargetRegressor, X: Any) -> Array:
    """Mean slopes (2,) of the network at the bodies."""
    logs = model.regressor_[0].transform(X).to_numpy()
    return model.regressor_[-1].network_.gradient(logs)[:, 0].mean(axis=0)


def _predict(symbolic: Any, model: TransformedTargetRegressor, X: Any) -> Array:
    """Periods by the formula."""
    return np.exp(symbolic.predict(model.regressor_[0].transform(X)))


def _natural(expression: sympy.Expr) -> sympy.Expr:
    """A formula for ln T, as one for T."""
    logs = {"log_a": sympy.log(_A), "log_M": sympy.log(_M)}
    return sympy.exp(
        expression.subs({symbol: logs[symbol.name] for symbol in expression.free_symbols})
    )


def _typical(predicted: Array, true: Array) -> str:
    off = np.abs(predicted / true - 1)
    return f"Off by {np.median(off):.2%} in the median and {off.max():.1%} at most."


def _table(predicted: dict[str, Array], years: Array) -> Table:
    rows = []
    for name, values in predicted.items():
        off = np.abs(values / years - 1)
        rows.append([name, *(f"{number:.2%}" for number in (np.median(off), off.max()))])
    return Table(
        columns=["model", "median error of T", "largest error of T"],
        rows=rows,
        caption="Bodies around a centre that the model has never seen: one central body is left "
        "out at a time, the Sun included, whose planets lie far outside the range of all moons.",
    )


def _pictures(
    folder: Path,
    model: TransformedTargetRegressor,
    X: Any,
    years: Array,
    centre: NDArray[np.str_],
    law: sympy.Expr,
) -> list[Picture]:
    logs = model.regressor_[0].transform(X)
    files = {
        "orbits.png": plot_orbits(X["a"].to_numpy(), X["M"].to_numpy(), years, centre, law),
        "network.png": plot_network(
            model.regressor_[-1].network_,
            feature_names=["log a", "log M"],
            output_names=["log T"],
            X=logs.to_numpy(),
        ),
        "predicted.png": plot_predicted(years, model.predict(X), target_name="T (years)", log=True),
    }
    for name, figure in files.items():
        figure.savefig(folder / name, dpi=150)
    captions = (
        "The measurements, and the formula found drawn for each central body: lines of one slope.",
        "The network: its edges could have bent, and did not.",
        "Predicted against measured periods of all bodies.",
    )
    return [Picture(folder / name, text) for name, text in zip(files, captions, strict=True)]
