"""The draft-and-verify loop: the only one, for every backend, strategy of drafts and batch."""

import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo_multitoken.decoding.backend import Backend, Forward, Plan
from zoo_multitoken.decoding.burst import Burst
from zoo_multitoken.decoding.drafting import Draft, Drafter, Proposal
from zoo_multitoken.decoding.options import Options
from zoo_multitoken.decoding.rows import Row
from zoo_multitoken.decoding.sampling import probabilities, verify
from zoo_multitoken.decoding.statistics import Statistics
from zoo_multitoken.decoding.streams import Streams

__all__ = ["speculate"]


def speculate(
    backend: Backend,
    prompts: Sequence[NDArray[np.int64]],
    rows: Sequence[Row],
    *,
    options: Options,
    plan: Plan,
    statistics: Statistics,
) -> Iterator[Burst]:
    """Continue texts several tokens a forward.

    Self-speculative decoding (arXiv 2404.19737, section 3.2; Stern, Shazeer and Uszkoreit,
    "Blockwise parallel decoding", NeurIPS 2018): each forward verifies the drafts behind the last
    certain token and makes one certain token more. Greedily, drafts are kept as long as they are
    what head 1 says; drawing, they are kept by the rejection rule of
    `zoo_multitoken.decoding.sampling.verify`. The cache is rolled back behind what was kept.

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
        What the backend was promised.
    statistics : Statistics
        Counts are added here.

    Yields
    ------
    Burst
        For each forward, one for every row that it added to.
    """
    streams = Streams(options.seed, [row.index for row in rows])
    drafter = Drafter(
        [prompt.tolist() for prompt in prompts],
        options,
        streams,
        n_heads=backend.n_heads,
        draft_cost=backend.draft_cost,
        token_cost=backend.token_cost,
    )
    live = list(rows)
    proposal = Proposal([Draft([]) for _ in live])
    clock = time.perf_counter()
    forward = backend.prefill(prompts, plan)
    prefilled = False
    while True:
        added = _verify(forward, proposal, options, streams)
        bursts = []
        for place, (row, draft, tokens) in enumerate(
            zip(live, proposal.drafts, added, strict=True)
        ):
            if row.finish is not None:
                continue
            accepted = len(tokens) - 1
            drafter.learn(place, draft, accepted)
            taken = row.take(tokens)
            statistics.tokens += taken
            if prefilled:
                statistics.count_step(
                    draft.source, drafted=len(draft.tokens), accepted=accepted, taken=taken
                )
            bursts.append(
                Burst(
                    row=row.index,
                    tokens=tuple(tokens[:taken]),
                    text=row.release(),
                    drafted=len(draft.tokens),
                    accepted=min(accepted, taken),
                    source=draft.source,
                    finish=row.finish,
                )
            )
        now = time.perf_counter()
        if prefilled:
            statistics.decode_seconds += now - clock
        else:
            statistics.prefill_seconds += now - clock
        yield from bursts
        clock = time.perf_counter()
        if all(row.finish is not None for row in live):
            return
        at = [len(tokens) - 1 for tokens in added]
        if prefilled:
            ended = [row.finish is not None for row in live]
            backend.keep([0 if end else place + 1 for place, end in zip(at, ended, strict=True)])
        prefilled = True
        proposal = drafter.propose(forward, at, live)
        if not plan.strict:
            live, proposal = _drop_ended(backend, drafter, streams, live, proposal)
        forward = backend.step(*_block(live, proposal, plan))
        statistics.forwards += 1


def _verify(
    forward: Forward, proposal: Proposal, options: Options, streams: Streams
) -> list[list[int]]:
    """Accept what may be accepted: the new tokens of each row."""
    drafts = [draft.tokens for draft in proposal.drafts]
    if options.greedy:
        return forward.accept(drafts)
    counts = np.array([len(tokens) for tokens in drafts], dtype=np.int64)
    table = np.zeros((len(drafts), proposal.longest), dtype=np.int64)
    for row, tokens in enumerate(drafts):
        table[row, : len(tokens)] = tokens
    accepted, last = verify(
        probabilities(forward.logits(), options),
        proposal.weights,
        table,
        counts,
        streams.draw(counts + 1),
    )
    return [
        [*tokens[:count], token]
        for tokens, count, token in zip(drafts, accepted.tolist(), last.tolist(), strict=True)
    ]


def _drop_ended(
    backend: Backend, drafter: Drafter, streams: Streams, live: list[Row], proposal: Proposal
) -> tuple[list[Row], Proposal]:
    kept = [place for place, row in enumerate(live) if row.finish is None]
    if len(kept) == len(live):
        return live, proposal
    backend.select(kept)
    drafter.select(kept)
    streams.select(kept)
    weights = None if proposal.weights is None else proposal.weights[kept]
    drafts = [proposal.drafts[place] for place in kept]
    if weights is not None:
        weights = weights[:, : max(len(draft.tokens) for draft in drafts)]
    return [live[place] for place in kept], Proposal(drafts, weights)


def _block(
    live: Sequence[Row], proposal: Proposal, plan: Plan
) -> tuple[NDArray[np.int64], list[int]]:
    """Lay out the certain token and the drafts of each row, padded."""
    width = plan.block if plan.strict else proposal.longest + 1
    tokens = np.zeros((len(live), width), dtype=np.int64)
    lengths = []
    for place, (row, draft) in enumerate(zip(live, proposal.drafts, strict=True)):
        block = [] if row.finish is not None else [row.tokens[-1], *draft.tokens]
        tokens[place, : len(block)] = block
        lengths.append(len(block))
    return tokens, lengths
