"""The demonstration: what ``zoo demo`` runs."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import MissingDependencyError

if TYPE_CHECKING:
    from rich.console import Console

    from zoo_kan.demo.chapter import Chapter

__all__ = ["run"]


def run(folder: Path, console: "Console") -> None:
    """Run the demonstration on three kinds of real data.

    Kepler's third law from published orbits, scikit-learn's diabetes regression and its breast
    cancer classification: each fitted, compared with the usual models, read as a formula, exported
    to ONNX and run without torch.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files go, ``report.html`` among them; made if it is absent. Files of an earlier
        run are replaced.
    console : rich.console.Console
        Where progress and the summary are printed.

    Raises
    ------
    zoo.errors.MissingDependencyError
        matplotlib, pandas or onnxruntime is missing.
    zoo.errors.VerificationError
        An exported folder cannot be run, or computes other numbers.
    """
    _require("matplotlib", "pandas", "onnxruntime")
    from threadpoolctl import threadpool_limits

    import zoo
    from zoo_kan.demo import kepler, tabular
    from zoo_kan.demo.report import write_report
    from zoo_kan.demo.summary import print_summary, progress

    start = time.perf_counter()
    parts: list[tuple[str, str, int, Callable[[Path, Callable[[], None]], Chapter]]] = [
        ("kepler", "Orbits: a law", kepler.STEPS, kepler.run),
        ("diabetes", "Diabetes: a regression", tabular.STEPS, tabular.run_diabetes),
        (
            "breast_cancer",
            "Breast cancer: a classification",
            tabular.STEPS,
            tabular.run_breast_cancer,
        ),
    ]
    chapters = []
    zoo.load("kan")  # loads the libraries whose threads are limited next
    bars = progress(console, [(title, steps) for _, title, steps, _ in parts])
    # one thread, for times that compare, and because small matrices only lose by more
    with threadpool_limits(limits=1), bars as advance:
        for number, (name, _, _, part) in enumerate(parts):
            home = folder / name
            home.mkdir(parents=True, exist_ok=True)
            chapters.append(part(home, partial(advance, number)))
    seconds = time.perf_counter() - start
    report = folder / "report.html"
    write_report(chapters, report, seconds=seconds)
    print_summary(console, chapters, report, seconds=seconds)


def _require(*packages: str) -> None:
    import importlib.util

    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"The demonstration needs {', '.join(missing)}, not installed: "
            "pip install 'zoo-kan[plot]' 'zoo-estimators[onnx,table]'."
        )
