"""One denoising step through onnxruntime against torch, and what computing once per image saves.

    python benchmarks/instantfamily/onnx_step.py [--channels 32 64 64 64] [--pixels 256]

A UNet and a ControlNet in the shape of Stable Diffusion 1.5 with fewer channels (random weights),
two images in one batch as guidance makes them, 77 tokens of text and 50 of each identity, control
images of the full size. `torch` is the step of the pipeline itself: its processors, which keep keys
and values from one step to the next. `onnx` is the step of an exported folder; `context` and
`control` are what it runs once for an image, so `whole` is what its step would take if they ran in
every one. Processor time on one thread, least of the interleaved repeats, all in one process.

The figure to keep: torch / onnx at least 1.5 on the CPU.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from diffusers import ControlNetModel, UNet2DConditionModel

from zoo_instantfamily.attention import install
from zoo_instantfamily.graphs.unet import (
    context_graph,
    control_graph,
    controlnet_graph,
    unet_graph,
)
from zoo_instantfamily.loop import attention_inputs
from zoo_instantfamily.stack import FamilyStack
from zoo_instantfamily.state import FamilyState

TEXT, LENGTH, CHANNELS, BATCH, MOMENT = 77, 50, 64, 2, 500.0


def networks(channels: list[int]) -> tuple[Any, Any]:
    """UNet and ControlNet with random weights."""
    unet = UNet2DConditionModel(
        block_out_channels=tuple(channels),
        cross_attention_dim=CHANNELS,
        attention_head_dim=8,
        norm_num_groups=8,
    ).eval()
    controlnet = ControlNetModel.from_unet(unet, load_weights_from_unet=False).eval()
    for name, weight in controlnet.named_parameters():
        if name.startswith("controlnet_"):
            torch.nn.init.normal_(weight, std=0.02)
    return unet, controlnet


def session(graph: onnx.ModelProto) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A graph as a function of named arrays, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = [value.name for value in opened.get_inputs()]
    outputs = [value.name for value in opened.get_outputs()]

    def run(feeds: dict[str, Any]) -> dict[str, Any]:
        found = opened.run(outputs, {name: feeds[name] for name in inputs})
        return dict(zip(outputs, found, strict=True))

    return run


def masks_of(people: int, side: int) -> list[np.ndarray]:
    """Strips of half the height, at every level."""
    masks = []
    for level in range(4):
        low = side // 2**level
        mask = np.zeros((1, people, low, low), dtype=bool)
        for k in range(people):
            start = min(k * low // people, low - 1)
            stop = max((k + 1) * low // people, start + 1)
            mask[0, k, low // 4 : max(3 * low // 4, low // 4 + 1), start:stop] = True
        masks.append(mask)
    return masks


def clock(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def measure(
    people: int,
    nets: tuple[Any, Any],
    run: dict[str, Callable[[dict[str, Any]], dict[str, Any]]],
    state: FamilyState,
    *,
    pixels: int,
    repeats: int,
) -> dict[str, float]:
    """Milliseconds of each part for a number of identities."""
    unet, controlnet = nets
    side = pixels // 8
    latents = torch.randn(BATCH, 4, side, side)
    control = torch.rand(BATCH, 3, 8 * side, 8 * side)
    text = torch.randn(BATCH, TEXT, CHANNELS)
    masks = masks_of(people, side)
    tokens = torch.randn(1, people, LENGTH, CHANNELS)
    stack = FamilyStack(
        tokens, torch.zeros_like(tokens), [torch.from_numpy(m).float() for m in masks]
    )

    def by_torch() -> torch.Tensor:
        moment = torch.tensor(MOMENT)
        down, middle = controlnet(latents, moment, text, control, return_dict=False)
        return unet(
            latents,
            moment,
            text,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample

    once = {"text": text.numpy(), "identities": stack.context(parts=2).numpy()}
    feeds = {
        "sample": latents.numpy(),
        "timestep": np.array([MOMENT], dtype=np.float32),
        "conditioning_scale": np.ones(1, dtype=np.float32),
        **run["context"](once),
        **run["control"]({"image": control.numpy()}),
    }
    biases = attention_inputs(
        masks, None, kind="stack", variant="masked", text=TEXT, length=LENGTH, parts=2
    )
    feeds |= {f"{n}_bias_{i}": b for n in ("unet", "controlnet") for i, b in enumerate(biases)}

    def by_onnx() -> np.ndarray:
        return run["unet"](feeds | run["controlnet"](feeds))["out_sample"]

    taken: dict[str, list[float]] = {}
    with torch.no_grad():
        state.start(stack)
        wanted = by_torch()  # also projects keys and values
        error = float(np.abs(by_onnx() - wanted.numpy()).max())
        for _ in range(repeats):
            for name, call in (
                ("torch", by_torch),
                ("onnx", by_onnx),
                ("context", lambda: run["context"](once)),
                ("control", lambda: run["control"]({"image": control.numpy()})),
            ):
                taken.setdefault(name, []).append(clock(call))
        state.stop()
    least = {name: 1e3 * min(times) for name, times in taken.items()}
    whole = least["onnx"] + least["context"] + least["control"]
    return {
        "identities": people,
        **least,
        "torch_over_onnx": least["torch"] / least["onnx"],
        "whole_over_onnx": whole / least["onnx"],
        "context_share": least["context"] / least["onnx"],
        "error": error,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, nargs=4, default=[32, 64, 64, 64])
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--identities", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    unet, controlnet = networks(options.channels)
    started = time.process_time()
    kinds = [("unet", unet, "stack"), ("controlnet", controlnet, "stack")]
    graphs = {
        "context": context_graph(kinds, channels=CHANNELS),
        "control": control_graph(controlnet),
        "controlnet": controlnet_graph(controlnet, kind="stack"),
        "unet": unet_graph(unet, kind="stack"),
    }
    built = time.process_time() - started
    run = {name: session(graph) for name, graph in graphs.items()}
    state = FamilyState()
    install(unet, state, kind="stack", prefix="unet.")
    install(controlnet, state, kind="stack", prefix="controlnet.")
    rows = []
    for people in options.identities:
        row = measure(
            people,
            (unet, controlnet),
            run,
            state,
            pixels=options.pixels,
            repeats=options.repeats,
        )
        rows.append(row)
        print(
            f"N={people}  torch {row['torch']:7.1f} ms  onnx {row['onnx']:7.1f} ms  "
            f"ratio {row['torch_over_onnx']:.2f}  once: context {row['context']:.1f} ms, "
            f"control {row['control']:.1f} ms, both in a step {row['whole_over_onnx']:.3f} times  "
            f"error {row['error']:.1e}",
            flush=True,
        )
    print(
        json.dumps(
            {
                "channels": options.channels,
                "pixels": options.pixels,
                "build_seconds": round(built, 2),
                "rows": [
                    {name: float(f"{value:.4g}") for name, value in row.items()} for row in rows
                ],
            }
        )
    )


if __name__ == "__main__":
    main()
