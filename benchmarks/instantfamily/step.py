"""One denoising step of Stable Diffusion 1.5 with a ControlNet: what identities add to it.

    python benchmarks/instantfamily/step.py [--pixels 256] [--repeats 3] [--identities 1 2 4 8]

Both networks at their true size (859.5 and 361.3 million weights, random), one image without
guidance, 77 tokens of text and 50 of each identity; identities in strips of half the height. The
base is the same step through diffusers' own processors, with text alone. Processor time on one
thread, least of the interleaved repeats; `first` also projects keys and values and makes the masks,
`next` is every later step. Needs 6 GB of memory.

The figure to keep: a step with 8 identities at most 1.05 times the base; `first` comes once in an
image. Counted in operations at 512 pixels a step is 1.0445 where keys and values are not kept.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0

from zoo_instantfamily.attention import install
from zoo_instantfamily.stack import FamilyStack
from zoo_instantfamily.state import FamilyState

TEXT, LENGTH, CHANNELS = 77, 50, 768


def networks() -> tuple[Any, Any]:
    """UNet and ControlNet of Stable Diffusion 1.5 with random weights."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=CHANNELS)
        controlnet = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    nets = tuple(net.to_empty(device="cpu").eval() for net in (unet, controlnet))
    for net in nets:
        for weight in net.parameters():
            weight.uniform_(-0.02, 0.02)
    return nets


def family(identities: int, side: int) -> FamilyStack:
    """Identities in strips of half the height of the latents."""
    mask = torch.zeros(1, identities, side, side)
    for k in range(identities):
        columns = slice(k * side // identities, (k + 1) * side // identities)
        mask[0, k, side // 4 : 3 * side // 4, columns] = 1
    levels = [mask] + [F.max_pool2d(mask, 2**level) for level in range(1, 4)]
    tokens = torch.randn(1, identities, LENGTH, CHANNELS)
    return FamilyStack(tokens, torch.zeros_like(tokens), levels)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pixels", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--identities", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    side = options.pixels // 8
    with torch.no_grad():
        unet, controlnet = networks()
        latents, control = torch.randn(1, 4, side, side), torch.rand(1, 3, 8 * side, 8 * side)
        text, moment = torch.randn(1, TEXT, CHANNELS), torch.tensor(500)

        def step() -> None:
            down, middle = controlnet(latents, moment, text, control, return_dict=False)
            unet(
                latents,
                moment,
                text,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            )

        def clock(call: Callable[[], object]) -> float:
            start = time.process_time()
            call()
            return time.process_time() - start

        state = FamilyState()
        stacks = {count: family(count, side) for count in options.identities}
        taken: dict[str, list[float]] = {}
        for repeat in range(options.repeats + 1):
            for net in (unet, controlnet):
                net.set_attn_processor(AttnProcessor2_0())
            round_ = {"text": clock(step)}
            install(unet, state, kind="stack", prefix="unet.")
            install(controlnet, state, kind="stack", prefix="controlnet.")
            for count, stack in stacks.items():
                state.start(stack)
                round_[f"{count} first"] = clock(step)
                round_[f"{count} next"] = clock(step)
                state.stop()
            for name, seconds in round_.items() if repeat else ():
                taken.setdefault(name, []).append(seconds)
    least = {name: min(times) for name, times in taken.items()}
    ratios = {name: seconds / least["text"] for name, seconds in least.items()}
    for name, seconds in least.items():
        print(f"{name:8} {seconds:7.2f} s  {ratios[name]:.3f}")
    print(json.dumps({"pixels": options.pixels, **{k: round(v, 4) for k, v in ratios.items()}}))


if __name__ == "__main__":
    main()
