"""Texts as one long row of tokens, and the batches cut from it."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_multitoken.tokens import Tokenizer
from zoo_multitoken.training.loss import IGNORED

__all__ = ["Batches", "TokenStream", "split_documents"]

_PIECE = 2**22


@dataclass(frozen=True, slots=True)
class TokenStream:
    """Texts, an end token before each and after the last.

    Attributes
    ----------
    tokens : ndarray of unsigned integers of shape (length,)
    n_bytes : int
        Bytes of the texts.
    """

    tokens: NDArray
    n_bytes: int

    @classmethod
    def of(cls, documents: Iterable[str | bytes], tokenizer: Tokenizer) -> "TokenStream":
        """Join texts.

        Parameters
        ----------
        documents : iterable of str or bytes
            Empty ones are left out.
        tokenizer : Tokenizer

        Returns
        -------
        TokenStream

        Raises
        ------
        ValueError
            If there is nothing to learn from.
        """
        dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
        end = np.array([tokenizer.end_id], dtype=dtype)
        parts, n_bytes = [end], 0
        for document in documents:
            found = [
                tokenizer.encode(piece).astype(dtype) for piece in _pieces(document, tokenizer)
            ]
            if any(len(ids) for ids in found):
                parts += [*found, end]
                n_bytes += len(document.encode() if isinstance(document, str) else document)
        if len(parts) == 1:
            raise ValueError("The texts must hold at least one token together. Got none.")
        return cls(np.concatenate(parts), n_bytes)

    def __len__(self) -> int:
        return len(self.tokens)


def _pieces(document: str | bytes, tokenizer: Tokenizer) -> Iterator[str | bytes]:
    """A text in pieces that encode as it does, so that a huge one needs no huge intermediate."""
    step = _PIECE if tokenizer.splits_anywhere else max(1, len(document))
    for first in range(0, len(document), step):
        yield document[first : first + step]


def split_documents(
    documents: list[str | bytes], fraction: float, rng: np.random.Generator
) -> tuple[list[str | bytes], list[str | bytes]]:
    """Hold out whole texts, or the end of an only one.

    Parameters
    ----------
    documents : list of str or bytes
    fraction : float
        Share of the characters to hold out, at least; one text is always left to train on.
    rng : numpy.random.Generator
        Draws which.

    Returns
    -------
    training, held_out : list of str or bytes

    Raises
    ------
    ValueError
        If there is too little to hold anything out.
    """
    filled = [document for document in documents if len(document)]
    size = sum(len(document) for document in filled)
    if len(filled) == 1:
        cut = max(1, size - max(1, int(np.ceil(size * fraction))))
        if size < 2:
            raise ValueError(
                f"A text must have at least 2 characters to hold some out. Got {size}."
            )
        return [filled[0][:cut]], [filled[0][cut:]]
    if not filled:
        raise ValueError("The texts must hold at least one token together. Got none.")
    held: set[int] = set()
    taken = 0
    for index in rng.permutation(len(filled))[:-1]:
        if taken >= size * fraction:
            break
        held.add(int(index))
        taken += len(filled[index])
    return (
        [document for index, document in enumerate(filled) if index not in held],
        [document for index, document in enumerate(filled) if index in held],
    )


class Batches:
    """Windows of a stream in an order that a seed and the number of the step decide.

    An epoch cuts the stream into windows behind an offset of its own and shuffles them, so that
    over the epochs every token is met at every place of a window. Nothing but the number of the
    step needs to be kept to go on.

    Parameters
    ----------
    stream : TokenStream
    length : int
        Tokens that a window looks back on.
    n_heads : int
        Tokens that follow each window, as targets.
    batch_size : int
        Windows in a batch.
    seed : int

    Attributes
    ----------
    length : int
        Tokens that a window looks back on; fewer where the stream is shorter.
    per_epoch : int
        Windows in which every token has its turn, but for less than a window.
    fingerprint : str
        SHA-256 of the stream.
    """

    def __init__(
        self, stream: TokenStream, *, length: int, n_heads: int, batch_size: int, seed: int
    ) -> None:
        self.length = min(length, len(stream) - 1)
        self.n_heads, self.batch_size, self.seed = n_heads, batch_size, seed
        self.tokens = stream.tokens
        self._targets = len(stream) - 1
        self.per_epoch = max(1, self._targets // self.length)
        self.fingerprint = hashlib.sha256(stream.tokens.tobytes()).hexdigest()
        self._epoch = -1
        self._starts = np.zeros(0, dtype=np.int64)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch, rounded up."""
        return -(-self.per_epoch // self.batch_size)

    def batch(self, step: int) -> Tensor:
        """The batch of a step.

        Parameters
        ----------
        step : int
            From 0.

        Returns
        -------
        Tensor of int64 of shape (batch_size, length + n_heads)
            Tokens with those that follow; the first text follows the last.
        """
        numbers = step * self.batch_size + np.arange(self.batch_size)
        starts = np.array([self._start(int(number)) for number in numbers])
        places = starts[:, None] + np.arange(self.length + self.n_heads)
        # The end token is both ends of the stream, which is therefore a ring.
        return torch.from_numpy(self.tokens[places % self._targets].astype(np.int64))

    def in_order(self, limit: int | None = None) -> Iterator[Tensor]:
        """Every window once, side by side.

        Parameters
        ----------
        limit : int, optional
            At most so many windows, spread evenly.

        Yields
        ------
        Tensor of int64 of shape (at most batch_size, length + n_heads)
            Tokens with those that follow; `IGNORED` behind the end of the stream.
        """
        starts = np.arange(0, self._targets, self.length)
        if limit is not None and len(starts) > limit:
            starts = starts[np.linspace(0, len(starts) - 1, limit).round().astype(int)]
        for first in range(0, len(starts), self.batch_size):
            some = starts[first : first + self.batch_size]
            places = some[:, None] + np.arange(self.length + self.n_heads)
            found = self.tokens[np.minimum(places, self._targets)].astype(np.int64)
            found[places > self._targets] = IGNORED
            yield torch.from_numpy(found)

    def _start(self, number: int) -> int:
        epoch, place = divmod(number, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            offset = int(rng.integers(0, self._targets))
            self._starts = offset + self.length * rng.permutation(self.per_epoch)
            self._epoch = epoch
        return int(self._starts[place]) % self._targets
