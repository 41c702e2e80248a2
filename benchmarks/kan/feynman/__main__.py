"""Laws of physics from 1,000 samples: how many formulas are exactly right, and how good the fit is.

120 laws of the Feynman Lectures with the sampling ranges of AI Feynman (arXiv 1905.11481,
2006.10782) and 20 laws outside them, all in ``laws.csv``. Noise is normal with a standard deviation
of gamma times the root mean square of y, on the training rows only, as SRBench has it. Columns:

``solved``  SRBench's criterion (`criterion`), the only count of right formulas
``formula``, ``network``  R2 on 2,000 held-out rows without noise
``outside``  R2 of the formula on rows outside the sampled box
``nodes``   complexity of the formula over that of the law
``tried``   hypotheses fitted; ``fit s``, ``search s`` wall time; ``cpu s`` processor time of both

A crash or a run stopped by ``--limit`` counts as a failure in every rate. Published figures are
SRBench's ground-truth track (arXiv 2107.14351, 116 laws, 10,000 rows, ten repeats), so they are an
indication, not the same experiment.

    python benchmarks/kan/feynman [--noise 0 0.01] [--seeds 1] [--every 4] [--jobs 1]
        [--problems I.6.2 Hill] [--peers gplearn] [--resume runs.jsonl]

The search stops after a wall time: on a busy machine give it more with ``--time-limit``.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import sympy
from criterion import agrees_up_to_a_constant, symbolic_solution
from laws import Law, load_laws
from methods import METHODS
from sklearn.metrics import r2_score

from zoo_kan.symbolic import LIBRARY

N_ROWS = 1000
N_TEST = 2000
ACCURATE = 0.999
PUBLISHED = {  # symbolic solutions in % at gamma 0, 0.001, 0.01; R2 > 0.999 in % at gamma 0
    "AIFeynman": (55.8, 1.5, 0.0, 78.5),
    "AFP_FE": (27.0, 15.9, 6.1, 59.1),
    "GP-GOMEA": (26.8, 1.6, 0.0, 71.6),
    "DSR": (19.7, 16.8, 8.4, 25.0),
    "Operon": (16.6, 0.3, 0.1, 86.2),
    "gplearn": (16.3, 15.8, 13.2, 32.8),
    "EPLEX": (12.4, 10.0, 8.8, 47.0),
    "MRGP": (0.0, 0.0, 0.0, 93.1),
}


@dataclass(frozen=True)
class Task:
    """One run."""

    method: str
    law: Law
    noise: float
    seed: int
    options: dict[str, float]

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What tells the run from others."""
        return self.method, self.law.name, self.noise, self.seed


def score(y: np.ndarray, predict, X: np.ndarray) -> float | None:
    """R2 of predictions; None without rows or where they are undefined."""
    if len(y) < 2:
        return None
    try:
        value = np.asarray(predict(X), dtype=float)
    except ValueError:
        return None
    return float(r2_score(y, value)) if np.isfinite(value).all() else None


def perform(task: Task, channel: Connection) -> None:
    """Run a task; sends a row without ``solved``, then whether it is solved."""
    law = task.law
    rng = np.random.default_rng(task.seed)
    X, clean = law.sample(N_ROWS, rng)
    y = clean + task.noise * np.sqrt(np.mean(clean**2)) * rng.normal(size=len(clean))
    X_test, y_test = law.sample(N_TEST, rng)
    X_out, y_out = law.sample_outside(N_TEST, rng)
    row = {
        "method": task.method,
        "law": law.name,
        "group": law.group,
        "noise": task.noise,
        "seed": task.seed,
        "solved": False,
        "failure": None,
    }
    try:
        outcome = METHODS[task.method](X, y, list(law.ranges), task.seed, **task.options)
    except Exception as error:
        channel.send({**row, "failure": f"{type(error).__name__}: {error}"[:200]})
        return
    found, truth = outcome.expression, law.expression
    formula_r2 = score(y_test, outcome.predict, X_test)
    row.update(
        found=str(found),
        formula_r2=formula_r2,
        network_r2=None if outcome.network is None else score(y_test, outcome.network, X_test),
        outside_r2=score(y_out, outcome.predict, X_out),
        nodes=sum(1 for _ in sympy.preorder_traversal(found)),
        true_nodes=sum(1 for _ in sympy.preorder_traversal(truth)),
        tried=outcome.tried,
        shape=outcome.shape,
        fit_s=round(outcome.fit_s, 2),
        formula_s=round(outcome.formula_s, 2),
        cpu_s=round(outcome.cpu_s, 2),
    )
    channel.send(row)
    solved = (
        formula_r2 is not None
        and agrees_up_to_a_constant(np.asarray(outcome.predict(X_test), dtype=float), y_test)
        and symbolic_solution(found, truth, law.ranges, formula_r2)
    )
    channel.send({**row, "solved": bool(solved)})


@dataclass
class Running:
    """A task in a process of its own."""

    task: Task
    process: Process
    channel: Connection
    deadline: float
    row: dict | None = None


def run_all(tasks: list[Task], *, jobs: int, limit: float, proof: float) -> Iterator[dict]:
    """Rows of all tasks as they finish; a task is stopped ``limit`` seconds after its start.

    The criterion has ``proof`` seconds more; a formula not proven by then is not solved.
    """
    waiting, running = list(tasks), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            task = waiting.pop(0)
            channel, other = Pipe(duplex=False)
            process = Process(target=perform, args=(task, other))
            process.start()
            other.close()
            running[channel] = Running(task, process, channel, time.monotonic() + limit)
        soonest = min(run.deadline for run in running.values()) - time.monotonic()
        ready = set(wait(list(running), timeout=max(soonest, 0.0)))
        for channel, run in list(running.items()):
            finished = False
            if channel in ready:
                try:
                    message = channel.recv()
                    finished = run.row is not None or message["failure"] is not None
                    run.row, run.deadline = message, time.monotonic() + proof
                except EOFError:
                    finished = True
            if finished or time.monotonic() > run.deadline:
                run.process.kill()
                run.process.join()
                channel.close()
                del running[channel]
                yield run.row or lost(run.task, finished=finished)


def lost(task: Task, *, finished: bool) -> dict:
    """Row of a task that sent nothing."""
    return {
        "method": task.method,
        "law": task.law.name,
        "group": task.law.group,
        "noise": task.noise,
        "seed": task.seed,
        "solved": False,
        "failure": "the process died" if finished else "time limit",
    }


def rate(rows: list[dict], *columns: str) -> float:
    """Percentage of rows in which one of the columns is above 0.999."""
    good = sum(any((row.get(c) or -math.inf) > ACCURATE for c in columns) for row in rows)
    return round(100.0 * good / len(rows), 1)


def summarise(rows: list[dict]) -> dict:
    """Figures of one method at one noise level."""
    done = [row for row in rows if row["failure"] is None]
    seconds = [row["fit_s"] + row["formula_s"] for row in done] or [math.nan]
    by_seed: dict[int, int] = {}
    for row in rows:
        by_seed[row["seed"]] = by_seed.get(row["seed"], 0) + row["solved"]
    solved = sum(by_seed.values())
    return {
        "runs": len(rows),
        "solved": solved,
        "solved_by_seed": by_seed,
        "solved_percent": round(100.0 * solved / len(rows), 1),
        "formula_accurate_percent": rate(rows, "formula_r2"),
        "network_accurate_percent": rate(rows, "network_r2"),
        "either_accurate_percent": rate(rows, "formula_r2", "network_r2"),
        "outside_accurate_percent": rate(rows, "outside_r2"),
        "median_nodes_ratio": round(
            statistics.median([row["nodes"] / row["true_nodes"] for row in done] or [math.nan]), 2
        ),
        "median_tried": statistics.median([row["tried"] for row in done] or [math.nan]),
        "median_s": round(statistics.median(seconds), 2),
        "longest_s": round(max(seconds), 2),
        "median_cpu_s": round(statistics.median([r["cpu_s"] for r in done] or [math.nan]), 2),
        "failures": len(rows) - len(done),
    }


def show(row: dict) -> str:
    """One line of the printout."""
    if row["failure"] is not None:
        return f"{row['law']:22} {row['seed']:>4} FAILED {row['failure']}"

    def number(value: float | None) -> str:
        return "  undef" if value is None else f"{max(value, -99.0):7.4f}"

    return (
        f"{row['law']:22} {row['seed']:>4} {'yes' if row['solved'] else 'NO':>6} "
        f"{number(row['formula_r2'])} {number(row['network_r2'])} {number(row['outside_r2'])} "
        f"{row['nodes']:>3}/{row['true_nodes']:<3} {row['tried']:>6} {row['fit_s']:>6} "
        f"{row['formula_s']:>8}  {row['found'][:90]}"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take every so many-th law only")
    parser.add_argument("--problems", nargs="+", help="names of laws")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--time-limit", type=float, help="of to_symbolic instead of its default")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for a run")
    parser.add_argument("--proof", type=float, default=40.0, help="seconds for the criterion")
    parser.add_argument("--peers", nargs="+", default=[], choices=["gplearn"])
    parser.add_argument("--resume", type=Path, help="file of JSON lines to continue and add to")
    return parser.parse_args()


def print_summaries(rows: list[dict]) -> dict:
    groups = {"Feynman": ("feynman", "bonus"), "outside": ("outside",)}
    summaries = {}
    print(
        f"\n{'method':8} {'laws':8} {'noise':>6} {'solved':>9} {'%':>6} {'formula':>8} "
        f"{'network':>8} {'either':>7} {'outside':>8} {'nodes':>6} {'tried':>6} {'median s':>9} "
        f"{'longest':>8} {'cpu s':>6} {'failed':>7}   (R2 > {ACCURATE} in %)"
    )
    for method, noise in sorted({(row["method"], row["noise"]) for row in rows}):
        for title, members in groups.items():
            here = [
                row
                for row in rows
                if (row["method"], row["noise"]) == (method, noise) and row["group"] in members
            ]
            if not here:
                continue
            s = summaries[f"{method} {title} {noise:g}"] = summarise(here)
            print(
                f"{method:8} {title:8} {noise:>6g} {s['solved']:>4}/{s['runs']:<4} "
                f"{s['solved_percent']:>6} {s['formula_accurate_percent']:>8} "
                f"{s['network_accurate_percent']:>8} {s['either_accurate_percent']:>7} "
                f"{s['outside_accurate_percent']:>8} {s['median_nodes_ratio']:>6} "
                f"{s['median_tried']:>6g} {s['median_s']:>9} {s['longest_s']:>8} "
                f"{s['median_cpu_s']:>6} {s['failures']:>7}"
            )
    print("\npublished (SRBench): % solved at noise 0, 0.001, 0.01; R2 > 0.999 in % at noise 0")
    for name, (none, little, some, accurate) in PUBLISHED.items():
        print(f"  {name:10} {none:>6} {little:>6} {some:>6} {accurate:>8}")
    return summaries


def main() -> None:
    arguments = parse()
    laws = load_laws()[:: arguments.every]
    if arguments.problems:
        laws = [law for law in load_laws() if law.name in arguments.problems]
    print("library:", ", ".join(function.name for function in LIBRARY))
    print(f"laws: {len(laws)}; ranges and sources in laws.csv")
    options = {} if arguments.time_limit is None else {"time_limit": arguments.time_limit}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    tasks = [
        Task(method, law, noise, seed, options)
        for noise in arguments.noise
        for method in ["kan", *arguments.peers]
        for seed in seeds
        for law in laws
    ]
    rows: list[dict] = []
    if arguments.resume is not None and arguments.resume.exists():
        known = {task.key for task in tasks}
        for line in arguments.resume.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if (row["method"], row["law"], row["noise"], row["seed"]) in known:
                rows.append(row)
        finished = {(row["method"], row["law"], row["noise"], row["seed"]) for row in rows}
        tasks = [task for task in tasks if task.key not in finished]
        print(f"{len(rows)} runs read from {arguments.resume}")
    print(f"{'law':22} seed solved formula network outside nodes    tried  fit s search s  found")
    for row in run_all(tasks, jobs=arguments.jobs, limit=arguments.limit, proof=arguments.proof):
        rows.append(row)
        print(show(row), flush=True)
        if arguments.resume is not None:
            with arguments.resume.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    summaries = print_summaries(rows)
    print(json.dumps({"benchmark": "kan feynman", "seeds": list(seeds), **summaries}))


if __name__ == "__main__":
    main()
