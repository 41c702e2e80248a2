"""What it costs to draw: processor time of scenes and portraits on one thread.

    python benchmarks/instantfamily/drawing.py [--repeats 3]

Least of the repeats. There is no peer; the figure to keep is that drawing a training batch costs
less than training on it.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch

from zoo_instantfamily.drawing import DrawnFaces


def least(call: Callable[[], object], repeats: int) -> float:
    """Least processor time of ``call`` in milliseconds."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(1000 * (time.process_time() - start))
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    faces = DrawnFaces(0)
    result = {}
    for n, people, side in ((48, 2, 48), (48, 2, 64), (24, 4, 64), (12, 8, 96), (1, 5, 512)):
        family = faces.identities(n * people).view(n, people, -1)
        taken = least(lambda f=family, s=side: faces.scenes(f, size=(s, s)), repeats)
        name = f"{n} scenes of {people} at {side} px"
        result[name] = round(taken, 1)
        print(f"{name:28} {taken:8.1f} ms  {taken / n / people:6.2f} ms per person")
    for size in (32, 48, 64, 128):
        crowd = faces.identities(128)
        taken = least(lambda c=crowd, s=size: faces.portraits(c, size=s), repeats)
        name = f"128 portraits at {size} px"
        result[name] = round(taken, 1)
        print(f"{name:28} {taken:8.1f} ms  {taken / 128:6.2f} ms per person")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
