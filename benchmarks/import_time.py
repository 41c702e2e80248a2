"""What ``import zoo`` and ``zoo list`` cost above a bare interpreter.

Each command runs in a new process; the commands take turns, so that a slow moment of the machine
hits all of them. Reported are medians, in milliseconds. The targets are 50 ms for ``import zoo``
and 150 ms for ``zoo list``.

    python benchmarks/import_time.py [--runs 31]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python": ["-c", "pass"],
    "import zoo": ["-c", "import zoo"],
    "zoo.available()": ["-c", "import zoo; zoo.available()"],
    "zoo --help": ["-m", "zoo", "--help"],
    "zoo list": ["-m", "zoo", "list"],
}
TARGETS = {"import zoo": 50.0, "zoo list": 150.0}


def run_once(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=31)
    runs = parser.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, arguments in COMMANDS.items():
            elapsed = run_once(arguments)
            if turn:  # the first turn fills the caches of the disk and of Python
                times[name].append(elapsed)
    bare = statistics.median(times["python"])
    above = {name: statistics.median(values) - bare for name, values in times.items()}
    print(f"{'command':<18}{'median ms':>11}{'above bare':>12}{'target':>9}")
    for name, values in times.items():
        target = f"{TARGETS[name]:.0f}" if name in TARGETS else ""
        print(f"{name:<18}{statistics.median(values):>11.1f}{above[name]:>12.1f}{target:>9}")
    print(
        json.dumps(
            {
                "benchmark": "import_time",
                "runs": runs,
                "bare_python_ms": round(bare, 1),
                "above_bare_ms": {n: round(v, 1) for n, v in above.items() if n != "python"},
                "target_ms": TARGETS,
                "met": all(above[name] < target for name, target in TARGETS.items()),
            }
        )
    )


if __name__ == "__main__":
    main()
