"""Cost of one training step of a KAN, divided by that of perceptrons.

All networks get the same rows, mean squared error, float32 and ``torch.optim.Adam(foreach=True)``.
The perceptrons have SiLU between linear layers: one as wide as the KAN (``equal width``), one with
hidden layers wide enough for as many parameters (``equal parameters``, what the ratios divide by,
compiled by compiled). Rounds are short and interleaved, so that a busy moment hits all of them.
Times are the least of all rounds. Ratios of steps are given twice: of the least times, and the
median over rounds, with quartiles, of the ratio within each round; where the two differ the machine
was busy. ``saved`` is what a forward pass leaves for the backward pass, the features in the layers'
work memory among it. On a CPU it is the processor time of the one thread that works;
``--clock wall`` measures elapsed time instead, which other work on the machine makes longer. On a
GPU (``--device cuda``) elapsed time is measured between synchronisations.

- ``kan`` is `zoo_kan.layer.KANModule` as the solver uses it, ``kan compiled`` the same under
  ``torch.compile`` (needs a C++ compiler, or Triton on a GPU), ``kan bfloat16`` with bfloat16
  weights, ``kan plain`` without the hand-written backward pass;
- ``recursion`` evaluates the same splines by the recursion of de Boor and Cox with automatic
  derivatives, as efficient-kan (github.com/Blealtan/efficient-kan) and pykan do;
- ``pykan`` (``--peers``, 0.2.8 from PyPI) is ``kan.KAN(...).speed()``, its fastest mode; it keeps
  float32 and its symbolic branch is off.

Liu et al. (2024, arXiv 2404.19756) give KANs as typically 10 times slower to train than
perceptrons; that is the claim to be measured. The last line is JSON.

    python benchmarks/kan/speed.py [--rounds 25] [--peers] [--no-compile] [--device cuda]
        [--clock wall] [--threads 1] [--cases 0 1]
"""

import argparse
import contextlib
import copy
import io
import itertools
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_kan.layer import KANLayer, KANModule
from zoo_kan.network import EdgeLayer

CASES = [
    ([64, 64, 64, 10], 5, 1024),
    ([784, 64, 10], 5, 256),
    ([64, 64, 10], 20, 1024),
    ([4, 5, 1], 5, 1024),
]
ORDER = 3
SLICE = 0.03  # seconds that one figure of one round takes, at least one call


def edge_layers(widths: list[int], grid: int) -> list[EdgeLayer]:
    """Random layers on grids from -1 to 1."""
    rng = np.random.default_rng(0)
    return [
        EdgeLayer(
            lower=-np.ones(n_in),
            upper=np.ones(n_in),
            coef=rng.normal(scale=0.1 / n_in**0.5, size=(n_out, n_in, grid + ORDER)),
            base_weight=rng.uniform(-1.0, 1.0, (n_out, n_in)) / n_in**0.5,
            bias=np.zeros(n_out),
            mask=np.ones((n_out, n_in), dtype=bool),
            order=ORDER,
        )
        for n_in, n_out in itertools.pairwise(widths)
    ]


def perceptron(widths: list[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def widened(widths: list[int], n_parameters: int) -> list[int]:
    """Hidden widths in the same proportions with about ``n_parameters`` weights and biases."""

    def scaled(factor: float) -> list[int]:
        hidden = [max(1, round(width * factor)) for width in widths[1:-1]]
        return [widths[0], *hidden, widths[-1]]

    def count(sizes: list[int]) -> int:
        return sum((a + 1) * b for a, b in itertools.pairwise(sizes))

    factors = np.geomspace(0.1, 200.0, 5000)
    return min(map(scaled, factors), key=lambda sizes: abs(count(sizes) - n_parameters))


class RecursionLayer(nn.Module):
    """The same layer with the basis functions by recursion, recorded operation by operation."""

    def __init__(self, layer: EdgeLayer) -> None:
        super().__init__()
        width = (layer.upper - layer.lower) / layer.grid
        steps = np.arange(-layer.order, layer.grid + layer.order + 1)
        knots = torch.tensor(layer.lower[:, None] + steps * width[:, None], dtype=torch.float32)
        self.register_buffer("knots", knots)
        self.coef = nn.Parameter(torch.tensor(layer.coef, dtype=torch.float32).flatten(1))
        self.base_weight = nn.Parameter(torch.tensor(layer.base_weight, dtype=torch.float32))
        self.order = layer.order

    def forward(self, x: Tensor) -> Tensor:
        """Output nodes of input nodes."""
        column, knots = x[..., None], self.knots
        basis = ((column >= knots[:, :-1]) & (column < knots[:, 1:])).to(x.dtype)
        for k in range(1, self.order + 1):
            rising = (column - knots[:, : -k - 1]) / (knots[:, k:-1] - knots[:, : -k - 1])
            falling = (knots[:, k + 1 :] - column) / (knots[:, k + 1 :] - knots[:, 1:-k])
            basis = rising * basis[..., :-1] + falling * basis[..., 1:]
        splines = functional.linear(basis.flatten(1), self.coef)
        return functional.linear(functional.silu(x), self.base_weight) + splines


class Contender:
    """A network, its optimiser and the times measured so far.

    Parameters
    ----------
    name : str
    module : Module
    x, y : Tensor
        Rows of inputs and targets.
    """

    def __init__(self, name: str, module: nn.Module, x: Tensor, y: Tensor) -> None:
        self.name, self.module = name, module
        self.x, self.y = x, y
        self.seconds: dict[str, list[float]] = {"forward": [], "both": [], "step": []}
        parameters = [p for p in module.parameters() if p.requires_grad]
        self.n_parameters = sum(p.numel() for p in parameters)
        self.optimiser = torch.optim.Adam(parameters, lr=1e-3, foreach=True)

    def forward(self) -> None:
        """Outputs only."""
        with torch.no_grad():
            self.module(self.x)

    def both(self) -> None:
        """Outputs and gradients."""
        self.optimiser.zero_grad(set_to_none=True)
        functional.mse_loss(self.module(self.x).to(self.y.dtype), self.y).backward()

    def step(self) -> None:
        """One step of the optimiser."""
        self.both()
        self.optimiser.step()

    def saved(self) -> int:
        """Bytes that the forward pass keeps for the backward pass, beside weights and inputs."""
        kept = {}
        known = {t.untyped_storage().data_ptr() for t in self.module.parameters()}
        known |= {t.untyped_storage().data_ptr() for t in self.module.buffers()}
        known.add(self.x.untyped_storage().data_ptr())

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            out = self.module(self.x)
        del out
        layers = [module for module in self.module.modules() if isinstance(module, KANLayer)]
        return sum(kept.values()) + sum(layer.work.nbytes for layer in layers)


class Clock:
    """Seconds of a call, repeated until they can be told.

    Parameters
    ----------
    device : str
    kind : {"cpu", "wall"}
    """

    def __init__(self, device: str, kind: str) -> None:
        self.wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
        self.now = time.process_time if kind == "cpu" else time.perf_counter

    def run(self, call: Callable[[], None], repeats: int) -> float:
        """Seconds of one of so many calls."""
        self.wait()
        start = self.now()
        for _ in range(repeats):
            call()
        self.wait()
        return (self.now() - start) / repeats

    def time(self, call: Callable[[], None]) -> float:
        """Seconds of one call, as many as fit into `SLICE`."""
        once = self.run(call, 1)
        return self.run(call, min(200, max(1, int(SLICE / max(once, 1e-6)))))


def pykan_module(widths: list[int], grid: int) -> nn.Module:
    import kan

    with contextlib.redirect_stdout(io.StringIO()):
        return kan.KAN(width=list(widths), grid=grid, k=ORDER, seed=0, auto_save=False).speed()


def contenders(
    widths: list[int], grid: int, rows: int, options: argparse.Namespace
) -> dict[str, Contender]:
    generator = torch.Generator().manual_seed(0)
    x = (2.0 * torch.rand(rows, widths[0], generator=generator) - 1.0).to(options.device)
    y = torch.randn(rows, widths[-1], generator=generator).to(options.device)
    layers = edge_layers(widths, grid)
    kan = KANModule(layers, torch.float32)
    n_parameters = sum(p.numel() for p in kan.parameters())
    wide = perceptron(widened(widths, n_parameters))
    modules = {
        "perceptron, equal width": perceptron(widths),
        "perceptron, equal parameters": wide,
        "kan": kan,
        "kan plain": KANModule(layers, torch.float32, fused=False),
        "kan bfloat16": KANModule(layers, torch.bfloat16),
        "recursion": nn.Sequential(*map(RecursionLayer, layers)),
    }
    if options.compile:
        modules["perceptron compiled"] = torch.compile(copy.deepcopy(wide))
        modules["kan compiled"] = torch.compile(KANModule(layers, torch.float32))
        modules["recursion compiled"] = torch.compile(nn.Sequential(*map(RecursionLayer, layers)))
    if options.peers:
        modules["pykan"] = pykan_module(widths, grid)
    return {
        name: Contender(name, module.to(options.device), x, y) for name, module in modules.items()
    }


def measure(entrants: dict[str, Contender], clock: Clock, rounds: int) -> dict[str, float]:
    """Fill in all rounds' times; returns the seconds of every first step, compilation included."""
    first = {}
    for name, entrant in entrants.items():
        start = time.perf_counter()
        entrant.step()
        clock.wait()
        first[name] = time.perf_counter() - start
        entrant.forward()
        entrant.step()
    for _ in range(rounds):
        for kind in ("forward", "both", "step"):
            for entrant in entrants.values():
                entrant.seconds[kind].append(clock.time(getattr(entrant, kind)))
    return first


def report(widths: list[int], grid: int, rows: int, options: argparse.Namespace) -> dict:
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = 64  # one graph for each layer's shape
    entrants = contenders(widths, grid, rows, options)
    first = measure(entrants, Clock(options.device, options.clock), options.rounds)
    print(f"\n{widths}, grid {grid}, {rows} rows")
    print(
        f"{'':30}{'parameters':>11}{'forward':>10}{'+ backward':>11}{'step':>9} us"
        f"{'/equal p.':>11}{'median (quartiles)':>21}{'/equal w.':>10}{'saved':>9} MB{'first':>8} s"
    )
    narrow = min(entrants["perceptron, equal width"].seconds["step"])
    table = {}
    for name, entrant in entrants.items():
        compiled = name.endswith("compiled")
        base = entrants["perceptron compiled" if compiled else "perceptron, equal parameters"]
        steps, base_steps = (np.array(each.seconds["step"]) for each in (entrant, base))
        ratio = steps.min() / base_steps.min()
        quarter, median, three_quarters = np.quantile(steps / base_steps, [0.25, 0.5, 0.75])
        saved = None if compiled else entrant.saved() / 1e6
        times = [min(entrant.seconds[kind]) * 1e6 for kind in ("forward", "both", "step")]
        print(
            f"{name:30}{entrant.n_parameters:11d}{times[0]:10.0f}{times[1]:11.0f}{times[2]:9.0f}"
            f"   {ratio:11.2f}{median:9.2f} ({quarter:.2f}-{three_quarters:.2f})"
            f"{steps.min() / narrow:10.1f}{'-' if saved is None else format(saved, '.1f'):>9}"
            f"   {first[name]:8.1f}",
            flush=True,
        )
        table[name] = {
            "us": [round(t, 1) for t in times],
            "step_ratio": round(ratio, 3),
            "step_ratio_quartiles": [round(q, 3) for q in (quarter, median, three_quarters)],
            "saved_mb": saved,
        }
    return {"widths": widths, "grid": grid, "rows": rows, "networks": table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--cases", type=int, nargs="*", default=range(len(CASES)))
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.device == "cuda" or options.threads > 1:
        options.clock = "wall"
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    results = [report(*CASES[number], options) for number in options.cases]
    print(json.dumps({"benchmark": "kan/speed", "clock": options.clock, "cases": results}))


if __name__ == "__main__":
    main()
