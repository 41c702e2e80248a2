"""Plain autoregressive decoding: one token a forward. What speculation must be equal to."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_multitoken.decoding.backend import Backend, Plan
from zoo_multitoken.decoding.burst import Burst
from zoo_multitoken.decoding.options import Options
from zoo_multitoken.decoding.rows import Row
from zoo_multitoken.decoding.sampling import invert, probabilities
from zoo_multitoken.decoding.statistics import Statistics
from zoo_multitoken.decoding.streams import Streams

__all__ = ["autoregress"]


def autoregress(
    backend: Backend,
    prompts: Sequence[NDArray[np.int64]],
    rows: Sequence[Row],
    *,
    options: Options,
    plan: Plan,
    statistics: Statistics,
) -> Iterator[Burst]:
    """Continue texts one token a forward.

    Parameters
    ----------
    backend : Backend
        The network.
    prompts : sequence of ndarray of int64, shape (length,)
        One of at least one token for each row.
    rows : sequence of Row
        The texts, none of which has ended.
    options : Options
        How to continue.
    plan : Plan
        What the backend was promised. Where it is strict, the one token of a forward is the first
        of a padded block.
    statistics : Statistics
        Counts are added here.

    Yields
    ------
    Burst
        For each forward, one of one token for every row that has not ended.
    """
    streams = Streams(options.seed, [row.index for row in rows])
    live = list(rows)
    width = plan.block if plan.strict else 1
    clock = time.perf_counter()
    forward = backend.prefill(prompts, plan)
    prefilled = False
    while True:
        if options.greedy:
            chosen = forward.best()[:, 0]
        else:
            weights = probabilities(forward.logits()[:, 0], options)
            chosen = invert(weights, streams.draw([1] * len(live))[:, 0])
        bursts = []
        for row, token in zip(live, chosen.tolist(), strict=True):
            if row.finish is None:
                row.take([token])
                statistics.tokens += 1
                if prefilled:
                    statistics.count_step("none", drafted=0, accepted=0, taken=1)
                bursts.append(Burst(row.index, (token,), row.release(), finish=row.finish))
        now = time.perf_counter()
        if prefilled:
            statistics.decode_seconds += now - clock
        else:
            statistics.prefill_seconds += now - clock
        yield from bursts
        clock = time.perf_counter()
        going = [place for place, row in enumerate(live) if row.finish is None]
        if not going:
            return
        if not plan.strict and len(going) < len(live):
            backend.select(going)
            streams.select(going)
            live = [live[place] for place in going]
        lengths = [int(row.finish is None) for row in live]
        tokens = np.zeros((len(live), width), dtype=np.int64)
        tokens[:, 0] = [row.tokens[-1] for row in live]
        forward = backend.step(tokens, lengths)
        backend.keep(lengths)
        prefilled = True
        statistics.forwards += 1
