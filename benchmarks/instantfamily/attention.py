"""One cross-attention layer: several identities in it, against diffusers' loop over masks.

    python benchmarks/instantfamily/attention.py [--repeats 5]

Processor time on one thread of a layer of Stable Diffusion 1.5 at each of its resolutions, batch 2
(guidance), 77 tokens of text and 50 of each identity, whose regions are strips that fill the whole
canvas. Least of the interleaved repeats, as a multiple of the layer with text alone.

- `first`: the first step of an image, which also projects keys and values; `next`: every later one.
- `mask` and `region`: the two ways to compute `next`, one softmax with a mask and region by
  region; the layer takes the second where it saves enough, and only if no regions overlap.
- `own`: decoupled attention, keys and values projected beforehand; `peer` computes the same:
  diffusers 0.42's `IPAdapterAttnProcessor2_0`, one attention over all pixels for each identity.

The figure to keep: `first` at most 1.0 times `peer` from two identities on.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
from diffusers.models.attention_processor import (
    Attention,
    AttnProcessor2_0,
    IPAdapterAttnProcessor2_0,
)

from zoo_instantfamily import attention
from zoo_instantfamily.stack import FamilyStack
from zoo_instantfamily.state import FamilyState

TEXT, LENGTH, CHANNELS, BATCH = 77, 50, 768, 2


def clock(call: Callable[[], object]) -> float:
    """Processor time of ``call`` in milliseconds."""
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def measure(side: int, width: int, identities: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each way to compute one layer."""
    layer = Attention(query_dim=width, cross_attention_dim=CHANNELS, heads=8, dim_head=width // 8)
    hidden = torch.randn(BATCH, side * side, width)
    text = torch.randn(BATCH, TEXT, CHANNELS)
    tokens = torch.randn(1, identities, LENGTH, CHANNELS)
    mask = torch.zeros(1, identities, side, side)
    for k in range(identities):
        mask[0, k, :, k * side // identities : (k + 1) * side // identities] = 1
    stack = FamilyStack(tokens, torch.zeros_like(tokens), [mask])
    state, masking, gathering, decoupled = (FamilyState() for _ in range(4))
    peer = IPAdapterAttnProcessor2_0(width, CHANNELS, num_tokens=(LENGTH,))
    context = stack.context(parts=2)
    pair = (peer.to_k_ip[0](context), peer.to_v_ip[0](context))
    decoupled.start(stack, keys_values={"layer": pair})
    for each in (state, masking, gathering):
        each.start(stack)
    stacked, with_mask, by_region = (
        attention.FamilyAttention("layer", 0, "stack", each) for each in (state, masking, gathering)
    )
    own = attention.FamilyAttention("layer", 0, "decoupled", decoupled)
    plain = AttnProcessor2_0()

    def first() -> None:
        state.start(stack)
        stacked(layer, hidden, text)

    def forced(way: attention.FamilyAttention, limit: int) -> None:
        kept, attention._GATHER_FROM = attention._GATHER_FROM, limit
        way(layer, hidden, text)
        attention._GATHER_FROM = kept

    ways: dict[str, Callable[[], object]] = {
        "text": lambda: plain(layer, hidden, text),
        "first": first,
        "next": lambda: stacked(layer, hidden, text),
        "mask": lambda: forced(with_mask, 10**12),
        "region": lambda: forced(by_region, 0),
        "own": lambda: own(layer, hidden, text),
        "peer": lambda: peer(layer, hidden, (text, [context]), ip_adapter_masks=[mask]),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            taken[name].append(clock(way))
    return {name: min(times[1:]) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result, worst = {}, 0.0
    print("layer       N  text ms   first    next    mask  region     own    peer  first/peer")
    with torch.no_grad():
        for side, width in ((64, 320), (32, 640), (16, 1280)):
            for identities in (1, 2, 4, 8):
                taken = measure(side, width, identities, repeats)
                ratios = {name: taken[name] / taken["text"] for name in taken if name != "text"}
                share = taken["first"] / taken["peer"]
                worst = max(worst, share if identities > 1 else 0.0)
                cells = "".join(f"{value:7.2f}x" for value in ratios.values())
                name = f"{side}x{side} {width}"
                print(f"{name:11} {identities:1} {taken['text']:8.1f}{cells} {share:9.2f}")
                result[f"{name} N={identities}"] = {k: round(v, 3) for k, v in ratios.items()}
    print(json.dumps({"ratio_to_text": result, "worst_first_to_peer_from_2": round(worst, 3)}))


if __name__ == "__main__":
    main()
