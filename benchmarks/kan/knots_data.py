"""Regenerate the knots: cusp geometry and signature of hyperbolic knots up to 14 crossings.

Davies et al. (Nature 600, 70-74, 2021, doi:10.1038/s41586-021-04086-x) found that the signature of
a knot, an algebraic invariant, follows from the shape of its cusp. Their table has knots of up to
16 crossings; this script computes one of the same kind from the census of Hoste, Thistlethwaite
and Weeks (The Mathematical Intelligencer 20, 33-48, 1998) that comes with SnapPy (Culler, Dunfield,
Goerner, Weeks, https://snappy.computop.org): 59,937 hyperbolic knots of at most 14 crossings.

    pip install snappy==3.3.2
    python benchmarks/kan/knots_data.py knots.csv.gz [--sample 12000] [--seed 0]
    python benchmarks/kan/knots_data.py --check 500

For each knot: ``mu_real``, ``mu_imag``, ``lambda``, the meridional translation (complex) and the
longitudinal one (real) of the maximal cusp, and ``signature``. Geometry and signature come from one
diagram and one orientation: the complement that SnapPy lists must have the meridional translation
of the diagram's own complement, not of its mirror image (mirroring negates ``mu_real`` and the
signature), and knots where it has not, or whose triangulation is not positively oriented, are left
out and counted. The signature is that of V + V^T for a Seifert matrix V, with the sign of Davies et
al., for whom half the natural slope Re(lambda / mu) approximates it.

``--check`` compares the signatures of random alternating knots with an invariant computed in
another way: twice tau of knot Floer homology (Ozsvath, Szabo, Geometry & Topology 7, 615-639,
2003), by the program of Szabo that comes with SnapPy.
"""

import argparse
import csv
import gzip
import io
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

COLUMNS = ["mu_real", "mu_imag", "lambda", "signature"]
SAME = 1e-6  # meridians of one complement, computed from two triangulations


def signature(link) -> int:
    """Signature of a link's diagram, with the sign of Davies et al."""
    from spherogram.links.seifert import seifert_matrix

    seifert = np.array(seifert_matrix(link), dtype=float)
    values = np.linalg.eigvalsh(seifert + seifert.T)
    # |det(V + V^T)| is the determinant of the knot, an odd number: no eigenvalue is zero
    if np.rint(np.abs(np.prod(values))) % 2 != 1:
        raise ArithmeticError(f"The determinant of a knot must be odd. Got {np.prod(values)}.")
    return int((values < 0).sum() - (values > 0).sum())


def translations(manifold) -> tuple[complex, float, float]:
    """Meridional and longitudinal translation of some cusp, and what makes it the maximal one."""
    cusp = manifold.cusp_neighborhood()
    meridian, longitude = cusp.all_translations()[0]
    # growing the cusp itself changes the triangulation, in which SnapPea sometimes fails
    growth = float(np.exp(cusp.stopping_displacement()))
    return complex(meridian), complex(longitude).real, growth


def describe(manifold) -> tuple[float, float, float, int] | str:
    """The row of a knot, or why it has none."""
    if manifold.solution_type() != "all tetrahedra positively oriented":
        return "not positively oriented"
    try:
        meridian, longitude, growth = translations(manifold)
        link = manifold.link()
        other = translations(link.exterior())[0]
    except RuntimeError:
        return "no cusp neighbourhood"
    # cusps that have not been grown have one area
    if abs(meridian - other) > SAME:
        return "diagram and complement differ"
    return meridian.real * growth, meridian.imag * growth, longitude * growth, signature(link)


def check(knots, number: int, rng: np.random.Generator) -> None:
    """Compare signatures with knot Floer homology."""
    compared = different = 0
    for index in rng.permutation(len(knots)):
        link = knots[int(index)].link()
        if not link.is_alternating():
            continue
        compared += 1
        different += signature(link) != -2 * link.knot_floer_homology()["tau"]
        if compared == number:
            break
    print(f"{compared} alternating knots, signature differs from twice tau for {different}")
    if different:
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", help="where to write, .csv or .csv.gz")
    parser.add_argument("--sample", type=int, help="number of knots to draw; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", type=int, default=0, help="alternating knots to check")
    arguments = parser.parse_args()
    import snappy

    knots = snappy.HTLinkExteriors(knots_vs_links="knots")
    rng = np.random.default_rng(arguments.seed)
    if arguments.check:
        check(knots, arguments.check, rng)
    if arguments.file is None:
        return
    size = min(arguments.sample or len(knots), len(knots))
    chosen = np.sort(rng.choice(len(knots), size, replace=False))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    started, left_out = time.perf_counter(), Counter()
    for number, index in enumerate(chosen, start=1):
        row = describe(knots[int(index)])
        if isinstance(row, str):
            left_out[row] += 1
        else:
            *geometry, sign = row
            table.writerow([*(f"{round(value, 4) + 0.0:.4g}" for value in geometry), sign])
        if number % 2000 == 0:
            seconds = time.perf_counter() - started
            print(f"{number} of {len(chosen)} knots, {seconds:.0f} s", flush=True)
    content = text.getvalue().encode()
    if arguments.file.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    arguments.file.write_bytes(content)
    print(f"snappy {snappy.version()}; left out: {dict(left_out) or 'none'}")
    print(f"{size - left_out.total()} knots in {arguments.file}, {len(content) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
