"""Mobility edges of two quasiperiodic chains as exact equations, from labels of eigenstates.

In the generalised and the modified Aubry-Andre model (GAAM, MAAM) the eigenstates on one side of an
energy are localised, on the other extended. Theory knows the edges:

    GAAM  alpha*E + 2*lambda - 2 = 0            MAAM  E + exp(p) - lambda*cosh(p) = 0

The KAN paper (arXiv 2404.19756, Section 4.4 and Table 6) finds approximations: for GAAM
1.52 E^2 + 21.06 alpha E + 0.66 E + 3.55 alpha^2 + 0.91 alpha + 45.13 lambda - 54.45 = 0, right on
99.0 % of its states (other stages 98.7 to 98.9 %, theory 99.2 %); for MAAM formulas right on 95.4
to 97.7 % (the network 98.4 %, theory 98.6 %).

Here: rings of 377 sites, diagonalised. A state counts as localised if its fractal dimension is
below 1/2. `KANClassifier` learns that from 4,000 states; `to_boundary` gets all states of the same
rings but those between 0.4 and 0.6, which a ring of this size does not decide, and is told which
states belong to one ring. Accuracies are on other rings, all states counted. An equation is exact
if sympy finds its quotient by the law to be a number other than 0. The chains are our own (the
paper's data are not published), so its accuracies compare with ours only roughly. Times are the
processor's.

    python benchmarks/kan/anderson.py [--seeds 5] [--first-seed 0] [--sites 377] [--rings 100]
"""

import argparse
import json
import statistics
import time

import numpy as np
import sympy

from zoo_kan import KANClassifier
from zoo_kan.datasets import make_mobility_edge

LAWS = {"gaam": "alpha*E + 2*lam - 2", "maam": "lam*cosh(p) - E - exp(p)"}
PAPER = {
    "gaam": "theory 99.2, network 98.7, formulas 98.9 to 99.0",
    "maam": "theory 98.6, network 98.4, formulas 95.4 to 97.7",
}
UNDECIDED = (0.4, 0.6)
FIT_ROWS = 4000


def law(model: str) -> sympy.Expr:
    """The edge in the names of the columns, positive where states are localised."""
    names = {name: sympy.Symbol(name) for name in ("E", "alpha", "p")}
    return sympy.sympify(LAWS[model], locals={**names, "lam": sympy.Symbol("lambda")})


def is_exact(found: sympy.Expr, truth: sympy.Expr) -> bool:
    """Whether one expression is the other times a number."""
    if found.atoms(sympy.Float) or found.free_symbols != truth.free_symbols:
        return False
    quotient = sympy.simplify((found / truth).rewrite(sympy.exp))
    return not quotient.free_symbols and quotient.is_nonzero is True


def run_one(model: str, seed: int, sites: int, rings: int, test_rings: int) -> dict:
    started = time.process_time()
    chains = make_mobility_edge(
        model, n_sites=sites, n_realisations=rings + test_rings, random_state=seed
    )
    generated = time.process_time()
    localised = np.where(chains.target < 0.5, "localised", "extended")
    train, test = chains.realisation < rings, chains.realisation >= rings
    names = [name.replace("lambda", "lam") for name in chains.feature_names]
    truth = sympy.lambdify([sympy.Symbol(name) for name in names], LAWS[model])
    theory = (truth(*chains.data[test].T) > 0.0) == (localised[test] == "localised")

    rng = np.random.default_rng(seed)
    rows = rng.choice(np.flatnonzero(train), FIT_ROWS, replace=False)
    network = KANClassifier(hidden=2, random_state=seed).fit(chains.data[rows], localised[rows])
    fitted = time.process_time()
    low, high = UNDECIDED
    decided = train & ((chains.target < low) | (chains.target > high))
    boundary = network.to_boundary(
        chains.data[decided],
        localised[decided],
        groups=chains.realisation[decided],
        feature_names=chains.feature_names,
        random_state=seed,
        time_limit=600.0,
    )
    finished = time.process_time()
    return {
        "model": model,
        "seed": seed,
        "found": str(boundary.expression_),
        "exact": is_exact(boundary.expression_, law(model)),
        "theory": round(float(theory.mean()), 4),
        "equation": round(boundary.score(chains.data[test], localised[test]), 4),
        "network": round(network.score(chains.data[test], localised[test]), 4),
        "parameters": network.network_.n_parameters,
        "tried": boundary.n_tried_,
        "data_s": round(generated - started, 1),
        "fit_s": round(fitted - generated, 1),
        "search_s": round(finished - fitted, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--sites", type=int, default=377)
    parser.add_argument("--rings", type=int, default=100)
    parser.add_argument("--test-rings", type=int, default=40)
    parser.add_argument("--models", nargs="+", default=list(LAWS), choices=list(LAWS))
    arguments = parser.parse_args()
    summary: dict = {"benchmark": "kan anderson", "sites": arguments.sites}
    for model in arguments.models:
        print(f"\n{model.upper()}: {law(model)} = 0.  The paper's accuracies: {PAPER[model]} %")
        print("seed exact  theory equation network  tried data s fit s search s  equation found")
        rows = []
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            row = run_one(model, seed, arguments.sites, arguments.rings, arguments.test_rings)
            rows.append(row)
            print(
                f"{seed:>4} {'yes' if row['exact'] else 'NO':>5} {row['theory']:>7.2%} "
                f"{row['equation']:>8.2%} {row['network']:>7.2%} {row['tried']:>6} "
                f"{row['data_s']:>6} {row['fit_s']:>5} {row['search_s']:>8}  {row['found']} = 0",
                flush=True,
            )
        summary[model] = {
            "exact": sum(row["exact"] for row in rows),
            "of": len(rows),
            **{
                name: round(statistics.mean(row[name] for row in rows), 4)
                for name in ("theory", "equation", "network")
            },
            "median_search_cpu_s": statistics.median(row["search_s"] for row in rows),
        }
    print("\n" + json.dumps(summary))


if __name__ == "__main__":
    main()
