"""The n cross-entropies and their gradients in an order that needs the memory of one.

Section 2 of arXiv 2404.19737: the trunk runs forward once; then each head in turn is run forward
and backward to the trunk's output, its logits freed before the next; at last the trunk runs
backward once. Of n tables of logits, each (tokens, vocabulary), one exists at a time; a large
one is itself cut into pieces of rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from zoo_multitoken.model import MultiTokenModel

__all__ = ["IGNORED", "head_losses", "joint_losses", "losses_with_gradients", "targets_of"]

IGNORED = -100
"""A target that does not count."""

_PIECE = 2**22


def targets_of(ids: Tensor, index: int, length: int) -> Tensor:
    """What head ``index`` is to predict at the first ``length`` positions.

    Parameters
    ----------
    ids : Tensor of int64 of shape (batch, length + n_heads)
        Tokens with those that follow; `IGNORED` where the text has ended.
    index : int
        1 to n.
    length : int

    Returns
    -------
    Tensor of int64 of shape (batch, length)
    """
    return ids[:, index : index + length]


def _readable(ids: Tensor) -> Tensor:
    """Tokens that can be embedded; those that do not count become token 0."""
    return ids.clamp_min(0)


def _counts(ids: Tensor, n_heads: int) -> list[int]:
    length = ids.shape[1] - n_heads
    return [
        int((targets_of(ids, index, length) != IGNORED).sum()) for index in range(1, n_heads + 1)
    ]


def _sum_of(model: MultiTokenModel, state: Tensor, target: Tensor) -> Tensor:
    """Summed cross-entropy of a head's states (rows, d_model) against tokens (rows,)."""
    logits = _wide(model.unembed(state))
    return functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")


def _wide(logits: Tensor) -> Tensor:
    """In single precision at least."""
    return logits if logits.dtype == torch.float64 else logits.float()


def joint_losses(
    model: MultiTokenModel, ids: Tensor, *, counts: Sequence[int] | None = None
) -> Tensor:
    """Mean cross-entropy of every head, all graphs alive at once.

    Parameters
    ----------
    model : MultiTokenModel
    ids : Tensor of int64 of shape (batch, length + n_heads)
        Tokens; `IGNORED` where the text has ended.
    counts : sequence of int of shape (n_heads,), optional
        How many tokens each head predicts in the whole batch, where ``ids`` is a part of it. The
        default counts those in ``ids``.

    Returns
    -------
    Tensor of shape (n_heads,)
        Nats per token; 0 for a head that has nothing to predict.
    """
    count = model.config.n_heads
    length, readable = ids.shape[1] - count, _readable(ids)
    trunk = model.trunk(readable[:, :length])
    states = model.head_states(trunk, readable)
    sums = [
        _sum_of(model, states[index].flatten(0, 1), targets_of(ids, index, length).flatten())
        for index in range(1, count + 1)
    ]
    denominators = torch.tensor(counts or _counts(ids, count), device=ids.device).clamp_min(1)
    return torch.stack(sums) / denominators


@torch.no_grad()
def head_losses(model: MultiTokenModel, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What every head loses and gets right, without gradients.

    Parameters
    ----------
    model : MultiTokenModel
    ids : Tensor of int64 of shape (batch, length + n_heads)
        Tokens; `IGNORED` where the text has ended.

    Returns
    -------
    losses : Tensor of float64 of shape (n_heads,)
        Summed nats.
    hits : Tensor of int64 of shape (n_heads,)
        How often the likeliest token was the right one.
    counts : Tensor of int64 of shape (n_heads,)
        How many tokens were predicted.
    """
    count = model.config.n_heads
    length, readable = ids.shape[1] - count, _readable(ids)
    states = model.head_states(model.trunk(readable[:, :length]), readable)
    losses = torch.zeros(count, dtype=torch.float64)
    hits = torch.zeros(count, dtype=torch.int64)
    for index in range(1, count + 1):
        state = states.pop(index).flatten(0, 1)
        target = targets_of(ids, index, length).flatten()
        rows = _rows(model)
        for piece, wanted in zip(state.split(rows), target.split(rows), strict=True):
            logits = _wide(model.unembed(piece))
            losses[index - 1] += (
                functional.cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")
                .double()
                .cpu()
            )
            hits[index - 1] += (logits.argmax(-1) == wanted).sum().cpu()
    return losses, hits, torch.tensor(_counts(ids, count))


def losses_with_gradients(
    model: MultiTokenModel,
    ids: Tensor,
    weights: Sequence[float],
    *,
    counts: Sequence[int] | None = None,
    frozen_trunk: bool = False,
) -> Tensor:
    """Add the gradient of the weighted sum of losses to the parameters, head after head.

    Parameters
    ----------
    model : MultiTokenModel
    ids : Tensor of int64 of shape (batch, length + n_heads)
        Tokens; `IGNORED` where the text has ended.
    weights : sequence of float of shape (n_heads,)
        A head of weight 0 that no other builds on is not run.
    counts : sequence of int of shape (n_heads,), optional
        How many tokens each head predicts in the whole batch, where ``ids`` is a part of it. The
        default counts those in ``ids``.
    frozen_trunk : bool, default=False
        Whether no gradient is wanted of the trunk.

    Returns
    -------
    Tensor of shape (n_heads,)
        Summed nats over ``counts``; 0 for a head that was not run.
    """
    config = model.config
    length, readable = ids.shape[1] - config.n_heads, _readable(ids)
    shares = [1.0 / max(1, count) for count in counts or _counts(ids, config.n_heads)]
    order = _needed(model, weights)
    with torch.set_grad_enabled(not frozen_trunk):
        trunk = model.trunk(readable[:, :length])
    outputs = {0: trunk}
    leaves = {0: _leaf(trunk)}
    losses = torch.zeros(config.n_heads, dtype=_sum_type(trunk), device=ids.device)

    def descend(index: int) -> None:
        target = targets_of(ids, index, length).flatten()
        share = shares[index - 1]
        leaf = leaves[index]
        if weights[index - 1]:
            losses[index - 1], gradient = _head_gradient(
                model, leaf, target, weight=weights[index - 1] * share
            )
            losses[index - 1] *= share
            leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient
        output = outputs.pop(index)
        if leaf.grad is not None and output.requires_grad:
            output.backward(leaf.grad)
        del leaves[index]

    chained = any(model.head(index).parent for index in order)
    for index in order:
        parent = model.head(index).parent
        outputs[index] = model.head_state(index, leaves[parent], readable)
        leaves[index] = _leaf(outputs[index])
        if not chained:
            descend(index)
    if chained:
        for index in reversed(order):
            descend(index)
    gradient = leaves[0].grad
    if not frozen_trunk and gradient is not None:
        trunk.backward(gradient)
    return losses


def _sum_type(state: Tensor) -> torch.dtype:
    return torch.float64 if state.dtype == torch.float64 else torch.float32


def _leaf(state: Tensor) -> Tensor:
    return state.detach().requires_grad_()


def _needed(model: MultiTokenModel, weights: Sequence[float]) -> list[int]:
    """Heads of some weight with those they build on, parents first."""
    wanted = {index for index, weight in enumerate(weights, start=1) if weight}
    for index in reversed(model.head_order()):
        if index in wanted and model.head(index).parent:
            wanted.add(model.head(index).parent)
    return [index for index in model.head_order() if index in wanted]


def _rows(model: MultiTokenModel) -> int:
    return max(1, _PIECE // model.config.vocab_size)


def _head_gradient(
    model: MultiTokenModel, state: Tensor, target: Tensor, *, weight: float
) -> tuple[Tensor, Tensor]:
    """Summed loss of a head, and the gradient of ``weight`` times it by its state."""
    rows = _rows(model)
    total = torch.zeros((), dtype=_sum_type(state), device=state.device)
    gradients = []
    for piece, wanted in zip(
        state.detach().flatten(0, 1).split(rows), target.split(rows), strict=True
    ):
        leaf = piece.requires_grad_()
        loss = _sum_of(model, leaf, wanted)
        (loss * weight).backward()
        total += loss.detach()
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    return total, torch.cat(gradients).view_as(state)
