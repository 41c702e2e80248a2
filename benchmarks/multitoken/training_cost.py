"""CPU time and peak memory of a training step: next-token, n heads at once, n heads in turn.

A transformer of width 128 and twelve layers in all (for n parallel heads n - 1 of them are taken
from the trunk, the equal-parameter rule of arXiv 2404.19737, section 2) does steps on 4 windows of
512 tokens in float32 on one thread. "naive" keeps the graphs of all heads until one backward pass;
"in turn" is `losses_with_gradients`, the order of figure 2 of the paper. Gradients of the two are
compared. Times are CPU seconds of the gradient, of steps that take turns within one process, as the
median of ratios round by round. Memory is the growth of the process's peak resident set over what
it holds before the step (weights, gradients and AdamW's state), each in a process of its own.

The paper gives no table of memory, only O(nV + d) against O(V + d), and for the time of n = 4
against next-token 1.22 at 0.3 B and 1.07 at 6.7 B parameters (table S5, FSDP on GPUs).

    python benchmarks/multitoken/training_cost.py [--vocabularies 256 32000] [--heads 4 8] \
        [--rounds 3]

Linux only (``/proc``).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.training.loss import joint_losses, losses_with_gradients

LAYERS, BATCH, LENGTH = 12, 4, 512
VARIANTS = ("next-token", "naive", "in turn")


def build(vocabulary: int, n_heads: int) -> MultiTokenModel:
    return MultiTokenModel(
        ModelConfig(
            vocab_size=vocabulary,
            n_heads=n_heads,
            head="parallel",
            d_model=128,
            n_layers=LAYERS - (n_heads - 1),
            attention_heads=2,
            kv_heads=2,
            d_ff=384,
            context=LENGTH,
        )
    )


def windows(vocabulary: int, n_heads: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, vocabulary, (BATCH, LENGTH + n_heads), generator=generator)


def gradient(model: MultiTokenModel, ids: torch.Tensor, variant: str) -> None:
    """Add the gradient of the plain sum of losses."""
    if variant == "in turn":
        losses_with_gradients(model, ids, (1.0,) * model.config.n_heads)
    else:
        joint_losses(model, ids).sum().backward()


def time_of(variants: dict[str, tuple[MultiTokenModel, torch.Tensor]], rounds: int) -> dict:
    """CPU seconds per variant and round."""
    found: dict[str, list[float]] = {variant: [] for variant in variants}
    for number in range(rounds + 1):
        for variant, (model, ids) in variants.items():
            begun = time.process_time()
            gradient(model, ids, variant)
            if number:
                found[variant].append(time.process_time() - begun)
    return found


def worst_difference(model: MultiTokenModel, ids: torch.Tensor) -> float:
    """Largest difference of a parameter's two gradients, relative to the norm of one."""
    found = []
    for variant in ("naive", "in turn"):
        model.zero_grad()
        gradient(model, ids, variant)
        found.append([parameter.grad.clone() for parameter in model.parameters()])
    model.zero_grad()
    return max(float((a - b).norm() / a.norm()) for a, b in zip(*found, strict=True))


def measure_time(vocabulary: int, n_heads: int, rounds: int) -> dict:
    many, one = build(vocabulary, n_heads), build(vocabulary, 1)
    ids = windows(vocabulary, n_heads)
    difference = worst_difference(many, ids)
    found = time_of(
        {
            "next-token": (one, windows(vocabulary, 1)),
            "naive": (many, ids),
            "in turn": (many, ids),
        },
        rounds,
    )
    return {"seconds": found, "difference": difference, "parameters": many.n_parameters}


def status(field: str) -> float:
    """A field of this process's status, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1000
    raise RuntimeError(f"/proc/self/status has no {field}")


def measure_memory(vocabulary: int, n_heads: int, variant: str) -> dict:
    model = build(vocabulary, n_heads)
    ids = windows(vocabulary, n_heads)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    # A tiny step first, so that libraries, gradients and the optimiser's state are there.
    gradient(model, ids[:1, : n_heads + 8], variant)
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    gradient(model, ids, variant)
    return {"megabytes": status("VmHWM") - before}


def in_a_process(*arguments: object) -> dict:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        # Freed tables go back to the system at once, so that the resident set is what is alive.
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
    }
    if arguments[0] == "time":
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--part", *map(str, arguments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def part(what: str, *arguments: str) -> dict:
    torch.set_num_threads(1)
    if what == "time":
        vocabulary, n_heads, rounds = map(int, arguments)
        return measure_time(vocabulary, n_heads, rounds)
    vocabulary, n_heads = map(int, arguments[:2])
    return measure_memory(vocabulary, n_heads, arguments[2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[256, 32000])
    parser.add_argument("--heads", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", nargs="+", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part is not None:
        print(json.dumps(part(*arguments.part)))
        return
    print(
        f"{'vocabulary':>10} {'n':>2} {'':12} {'CPU s':>7} {'/ naive':>8} {'/ next':>7} "
        f"{'MB':>7} {'/ naive':>8}"
    )
    summary: dict = {"benchmark": "multitoken training cost"}
    for vocabulary in arguments.vocabularies:
        for n_heads in arguments.heads:
            timed = in_a_process("time", vocabulary, n_heads, arguments.rounds)
            seconds = timed["seconds"]
            memory = {
                variant: in_a_process(
                    "memory", vocabulary, 1 if variant == "next-token" else n_heads, variant
                )["megabytes"]
                for variant in VARIANTS
            }
            row: dict = {"gradient_difference": float(f"{timed['difference']:.2g}")}
            for variant in VARIANTS:
                ratios = {
                    other: statistics.median(
                        a / b for a, b in zip(seconds[variant], seconds[other], strict=True)
                    )
                    for other in ("naive", "next-token")
                }
                middle = statistics.median(seconds[variant])
                share = memory[variant] / memory["naive"]
                print(
                    f"{vocabulary:>10} {n_heads:>2} {variant:12} {middle:>7.2f} "
                    f"{ratios['naive']:>8.3f} {ratios['next-token']:>7.3f} "
                    f"{memory[variant]:>7.0f} {share:>8.2f}",
                    flush=True,
                )
                row[variant] = {
                    "cpu_s": round(middle, 3),
                    "time_to_naive": round(ratios["naive"], 3),
                    "time_to_next_token": round(ratios["next-token"], 3),
                    "peak_mb": round(memory[variant]),
                    "memory_to_naive": round(share, 3),
                }
            summary[f"vocabulary {vocabulary}, n = {n_heads}"] = row
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
