"""Exact recovery of fifteen laws from 1,000 samples, without noise and with 1 % of it.

Every law is sampled uniformly from the ranges that the table prints, noise is normal with a
standard deviation of 0.01 times the root mean square of y (the rule of SRBench), `KANRegressor` is
fitted with its defaults and asked for its formula with the default library. A formula counts only
if it is the law: sympy finds the difference to be zero, or the two expressions have the same
structure and all constants agree to 1e-3. Agreement in numbers alone is shown (``close``), never
counted.

    python benchmarks/kan/recovery.py [--seeds 3] [--first-seed 0] [--noise 0 0.01] [--laws 0 3 14]
"""

import argparse
import itertools
import json
import statistics
import time

import numpy as np
import sympy

from zoo_kan import KANRegressor
from zoo_kan.symbolic import LIBRARY

TOLERANCE = 1e-3
N_SAMPLES = 1000

SIGNED, UNIT, PHYSICAL, PHASE = (-3.0, 3.0), (-1.0, 1.0), (1.0, 5.0), (1.0, 3.0)
LAWS = [
    ("exp(sin(pi*x) + y**2)", {"x": UNIT, "y": UNIT}),
    ("x*y", {"x": SIGNED, "y": SIGNED}),
    ("x/y", {"x": PHYSICAL, "y": PHYSICAL}),
    ("sqrt(x**2 + y**2)", {"x": SIGNED, "y": SIGNED}),
    ("sin(x) + cos(2*y)", {"x": SIGNED, "y": SIGNED}),
    ("exp(-x**2/2)/sqrt(2*pi)", {"x": SIGNED}),
    ("q1*q2/(4*pi*r**2)", {"q1": PHYSICAL, "q2": PHYSICAL, "r": PHYSICAL}),
    ("m*g*h", {"m": PHYSICAL, "g": PHYSICAL, "h": PHYSICAL}),
    ("0.5*m*v**2", {"m": PHYSICAL, "v": PHYSICAL}),
    ("log(x) + y", {"x": PHYSICAL, "y": SIGNED}),
    ("x**3 - 2*x + 1", {"x": (-2.0, 2.0)}),
    ("tanh(x)*y", {"x": SIGNED, "y": SIGNED}),
    ("1/(1 + exp(-x))", {"x": (-5.0, 5.0)}),
    ("(x + y)**2/z", {"x": PHYSICAL, "y": PHYSICAL, "z": PHYSICAL}),
    ("a*sin(w*t)", {"a": PHYSICAL, "w": PHASE, "t": PHASE}),
]


def parse(text: str, names: list[str]) -> sympy.Expr:
    """One of the laws above as an expression in plain symbols."""
    return sympy.nsimplify(sympy.sympify(text, locals={n: sympy.Symbol(n) for n in names}))


def numbers_agree(a: sympy.Expr, b: sympy.Expr) -> bool:
    a, b = complex(a), complex(b)
    return abs(a - b) <= TOLERANCE * max(1.0, abs(b))


def same_structure(a: sympy.Expr, b: sympy.Expr) -> bool:
    """Whether two expressions are one tree whose constants agree to `TOLERANCE`."""
    if not a.free_symbols and not b.free_symbols:
        return numbers_agree(a, b)
    if a.is_Add or a.is_Mul or b.is_Add or b.is_Mul:
        kind = sympy.Add if a.is_Add or b.is_Add else sympy.Mul
        (number_a, parts_a), (number_b, parts_b) = (split(e, kind) for e in (a, b))
        if len(parts_a) != len(parts_b) or len(parts_a) > 6:
            return False
        if not numbers_agree(number_a, number_b) or (parts_a == [a] and parts_b == [b]):
            return False
        return any(
            all(same_structure(p, q) for p, q in zip(parts_a, order, strict=True))
            for order in itertools.permutations(parts_b)
        )
    if a.func != b.func or len(a.args) != len(b.args):
        return False
    if not a.args:
        return a == b
    return all(same_structure(p, q) for p, q in zip(a.args, b.args, strict=True))


def split(expression: sympy.Expr, kind: type) -> tuple[sympy.Expr, list[sympy.Expr]]:
    """The number in a sum or product, and the other parts."""
    parts = list(expression.args) if expression.func == kind else [expression]
    numbers = [part for part in parts if not part.free_symbols]
    return kind(*numbers), [part for part in parts if part.free_symbols]


def forms(expression: sympy.Expr) -> list[sympy.Expr]:
    expanded = sympy.expand(expression)
    found = [expression, expanded, sympy.factor_terms(expanded), sympy.powsimp(expression)]
    if not expression.atoms(sympy.Float):
        found.append(sympy.simplify(expression))
    return list(dict.fromkeys(found))


def is_law(found: sympy.Expr, law: sympy.Expr, ranges: dict[str, tuple[float, float]]) -> bool:
    """Whether sympy proves that ``found`` is ``law``, constants to 1e-3."""
    typed = {
        sympy.Symbol(name): sympy.Symbol(name, positive=True)
        if low > 0
        else sympy.Symbol(name, real=True)
        for name, (low, _) in ranges.items()
    }
    found, law = found.xreplace(typed), law.xreplace(typed)
    if found.free_symbols != law.free_symbols:
        return False
    if not found.atoms(sympy.Float) and sympy.simplify(found - law) == 0:
        return True
    return any(same_structure(a, b) for a in forms(found) for b in forms(law))


def run_one(text: str, ranges: dict[str, tuple[float, float]], noise: float, seed: int) -> dict:
    names = list(ranges)
    law = parse(text, names)
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.uniform(*ranges[name], N_SAMPLES) for name in names])
    clean = sympy.lambdify([sympy.Symbol(n) for n in names], law)(*X.T)
    y = clean + noise * np.sqrt(np.mean(clean**2)) * rng.normal(size=N_SAMPLES)
    start, processor = time.perf_counter(), time.process_time()
    model = KANRegressor(random_state=seed).fit(X, y)
    fitted = time.perf_counter()
    formula = model.to_symbolic(feature_names=names, random_state=seed)
    finished, used = time.perf_counter(), time.process_time() - processor
    found = formula.expressions_[0]
    residual = formula.predict(X) - clean
    return {
        "law": text,
        "noise": noise,
        "seed": seed,
        "found": str(found),
        "proven": bool(is_law(found, law, ranges)),
        "close": bool(np.sqrt(np.mean(residual**2)) < (1e-6 + 0.3 * noise) * clean.std()),
        "shape": model.network_.widths,
        "network_r2": formula.network_score_,
        "tried": formula.n_tried_,
        "fit_s": round(fitted - start, 2),
        "formula_s": round(finished - fitted, 2),
        "cpu_s": round(used, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.01])
    parser.add_argument("--laws", type=int, nargs="+", default=list(range(len(LAWS))))
    arguments = parser.parse_args()
    print("library:", ", ".join(function.name for function in LIBRARY))
    print("ranges:")
    for text, ranges in LAWS:
        print(f"  {text:26}", "  ".join(f"{n} in [{a:g}, {b:g}]" for n, (a, b) in ranges.items()))
    rows = []
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for noise in arguments.noise:
        print(f"\nnoise {noise:g}\n{'law':26} seed proven close tried  fit s  formula s  found")
        for index, seed in itertools.product(arguments.laws, seeds):
            row = run_one(*LAWS[index], noise, seed)
            rows.append(row)
            print(
                f"{row['law']:26} {seed:>4} {'yes' if row['proven'] else 'NO':>6} "
                f"{'yes' if row['close'] else 'no':>5} {row['tried']:>5} {row['fit_s']:>6} "
                f"{row['formula_s']:>10}  {row['found'][:70]}",
                flush=True,
            )
    summary = {"benchmark": "kan recovery", "n_laws": len(arguments.laws), "seeds": list(seeds)}
    for noise in arguments.noise:
        here = [row for row in rows if row["noise"] == noise]
        by_seed = [sum(row["proven"] for row in here if row["seed"] == seed) for seed in seeds]
        times = [row["formula_s"] for row in here]
        summary[f"noise {noise:g}"] = {
            "proven_by_seed": by_seed,
            "median_formula_s": round(statistics.median(times), 2),
            "longest_formula_s": max(times),
            "median_cpu_s_with_fit": round(statistics.median(row["cpu_s"] for row in here), 2),
        }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
