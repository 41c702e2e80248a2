"""How long a fit with default parameters takes as the table grows.

Normal inputs, ``sin(x0) * x1 + x2**2`` with noise of standard deviation 0.1: seconds of the fit,
the shape it chose, and R2 on the rows it was fitted to.

    python benchmarks/kan/scaling.py [--tables 5000x10 20000x20]
"""

import argparse
import json
import time

import numpy as np

from zoo_kan import KANRegressor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=["5000x10", "20000x20"])
    rng = np.random.default_rng(0)
    results = []
    for table in parser.parse_args().tables:
        n_rows, n_columns = map(int, table.split("x"))
        X = rng.normal(size=(n_rows, n_columns))
        y = np.sin(X[:, 0]) * X[:, 1] + X[:, 2] ** 2 + 0.1 * rng.normal(size=n_rows)
        start = time.perf_counter()
        model = KANRegressor(random_state=0).fit(X, y)
        seconds = round(time.perf_counter() - start, 1)
        shape, r2 = model.network_.widths, round(model.score(X, y), 4)
        print(f"{table:>10}  {seconds:6.1f} s  {model.solver_}  {shape}  R2 {r2}", flush=True)
        results.append({"table": table, "seconds": seconds, "shape": shape, "r2": r2})
    print(json.dumps({"benchmark": "kan_scaling", "results": results}))


if __name__ == "__main__":
    main()
