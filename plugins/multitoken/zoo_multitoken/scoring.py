"""What a trained model says of whole texts: losses, hits, mean states."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.training.loss import IGNORED, targets_of

__all__ = ["Scores", "mean_states", "next_probabilities", "score_texts"]

_TOKENS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Scores:
    """Sums over the tokens of each text.

    Attributes
    ----------
    nats : ndarray of float64 of shape (n_texts, n_heads)
        Negative log-likelihood of the tokens by each head.
    hits : ndarray of int64 of shape (n_texts, n_heads)
        How often the likeliest token was the right one.
    counts : ndarray of int64 of shape (n_texts, n_heads)
        How many tokens each head predicted; head i cannot predict the first i - 1.
    """

    nats: NDArray[np.float64]
    hits: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Window:
    text: int
    ids: NDArray[np.int64]
    skip: int
    size: int


def _windows(
    texts: Sequence[NDArray[np.int64]], *, end_id: int, context: int, n_heads: int
) -> Iterator[_Window]:
    """Windows whose positions, the skipped ones left out, cover each text once.

    A text begins behind the end token. A window after the first looks back on half a context
    before its first position that counts.
    """
    for number, text in enumerate(texts):
        ids = np.concatenate([[end_id], text])
        targets = len(text)
        start = 0
        while True:
            stop = min(start + context, targets)
            skip = context // 2 if start else 0
            yield _Window(number, ids[start : stop + n_heads], skip, stop - start)
            if stop == targets:
                break
            start += context - context // 2


def _batches(windows: Iterator[_Window], n_heads: int) -> Iterator[tuple[list[_Window], Tensor]]:
    """Windows of about one length together, as ids (batch, length + n_heads)."""
    ordered = sorted((window for window in windows if window.size), key=lambda each: each.size)
    while ordered:
        many = max(1, _TOKENS_AT_ONCE // ordered[-1].size)
        some, ordered = ordered[-many:], ordered[:-many]
        length = max(window.size for window in some)
        ids = np.full((len(some), length + n_heads), IGNORED)
        for row, window in enumerate(some):
            ids[row, : len(window.ids)] = window.ids
        yield some, torch.from_numpy(ids)


@torch.inference_mode()
def score_texts(
    model: MultiTokenModel, texts: Sequence[NDArray[np.int64]], *, end_id: int
) -> Scores:
    """Run a model over texts.

    Texts that are longer than the context are read in windows that overlap by half.

    Parameters
    ----------
    model : MultiTokenModel
    texts : sequence of ndarray of int64 of shape (length,)
        Tokens.
    end_id : int
        The token that each text begins behind.

    Returns
    -------
    Scores
    """
    n_heads = model.config.n_heads
    nats = np.zeros((len(texts), n_heads))
    hits = np.zeros((len(texts), n_heads), dtype=np.int64)
    counts = np.zeros((len(texts), n_heads), dtype=np.int64)
    windows = _windows(texts, end_id=end_id, context=model.config.context, n_heads=n_heads)
    device = model.embedding.weight.device
    for some, cpu_ids in _batches(windows, n_heads):
        ids = cpu_ids.to(device)
        length = ids.shape[1] - n_heads
        readable = ids.clamp_min(0)
        places = torch.arange(length, device=device)
        skips = torch.tensor([window.skip for window in some], device=device)
        sizes = torch.tensor([window.size for window in some], device=device)
        counted = (places >= skips[:, None]) & (places < sizes[:, None])
        states = model.head_states(model.trunk(readable[:, :length]), readable)
        rows = [window.text for window in some]
        for index in range(1, n_heads + 1):
            target = targets_of(ids, index, length).masked_fill(~counted, IGNORED)
            logits = model.unembed(states.pop(index)).float()
            loss = functional.cross_entropy(
                logits.transpose(1, 2), target, ignore_index=IGNORED, reduction="none"
            )
            right = logits.argmax(-1) == target
            np.add.at(nats[:, index - 1], rows, loss.double().sum(1).cpu().numpy())
            np.add.at(hits[:, index - 1], rows, right.sum(1).cpu().numpy())
            np.add.at(counts[:, index - 1], rows, (target != IGNORED).sum(1).cpu().numpy())
    return Scores(nats, hits, counts)


@torch.inference_mode()
def mean_states(
    model: MultiTokenModel, texts: Sequence[NDArray[np.int64]], *, end_id: int
) -> NDArray[np.float32]:
    """Mean of the normalised states from which the next token is read.

    Parameters
    ----------
    model : MultiTokenModel
    texts : sequence of ndarray of int64 of shape (length,)
        Tokens.
    end_id : int
        The token that each text begins behind; its state counts, so that an empty text has one.

    Returns
    -------
    ndarray of float32 of shape (n_texts, d_model)
    """
    sums = np.zeros((len(texts), model.config.d_model))
    counts = np.zeros(len(texts))
    # One position more than there are targets: the last token's state counts too.
    padded = [np.concatenate([text, [end_id]]) for text in texts]
    windows = _windows(padded, end_id=end_id, context=model.config.context, n_heads=0)
    device = model.embedding.weight.device
    for some, ids in _batches(windows, 0):
        trunk = model.trunk(ids.clamp_min(0).to(device))
        states = model.norm(model.head_states(trunk, ids.to(device), heads=[1])[1]).double()
        for row, window in enumerate(some):
            sums[window.text] += states[row, window.skip : window.size].sum(0).cpu().numpy()
            counts[window.text] += window.size - window.skip
    return (sums / counts[:, None]).astype(np.float32)


@torch.inference_mode()
def next_probabilities(
    model: MultiTokenModel, texts: Sequence[NDArray[np.int64]], *, end_id: int
) -> NDArray[np.float32]:
    """Probabilities of the token behind each text.

    Parameters
    ----------
    model : MultiTokenModel
    texts : sequence of ndarray of int64 of shape (length,)
        Tokens; of longer ones than the context the end is read.
    end_id : int
        The token that each text begins behind.

    Returns
    -------
    ndarray of float32 of shape (n_texts, vocab_size)
    """
    found = np.zeros((len(texts), model.config.vocab_size), dtype=np.float32)
    device = model.embedding.weight.device
    for number, text in enumerate(texts):
        ids = np.concatenate([[end_id], text])[-model.config.context :]
        tensor = torch.from_numpy(ids)[None].to(device)
        state = model.head_states(model.trunk(tensor), tensor, heads=[1])[1][:, -1]
        found[number] = model.unembed(state).float().softmax(-1)[0].cpu().numpy()
    return found
