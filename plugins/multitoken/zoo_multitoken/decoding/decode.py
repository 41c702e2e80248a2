"""Continuing texts: the entry to both strategies."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zoo_multitoken.decoding.backend import Backend, Plan
from zoo_multitoken.decoding.burst import Burst
from zoo_multitoken.decoding.loop import speculate
from zoo_multitoken.decoding.options import Options
from zoo_multitoken.decoding.oracle import autoregress
from zoo_multitoken.decoding.rows import Row
from zoo_multitoken.decoding.statistics import Statistics
from zoo_multitoken.decoding.strict import check_rows_agree

__all__ = ["Decoding", "decode"]


class Decoding:
    """Texts being continued: iterate for bursts, or `run` to the end.

    Attributes
    ----------
    rows : list of Row
        What has been generated.
    statistics : Statistics
        Counts so far.
    """

    def __init__(self, rows: list[Row], statistics: Statistics, bursts: Iterator[Burst]) -> None:
        self.rows = rows
        self.statistics = statistics
        self._bursts = bursts

    def __iter__(self) -> Iterator[Burst]:
        """Continue, burst by burst."""
        return self._bursts

    def run(self) -> "Decoding":
        """Continue to the end.

        Returns
        -------
        Decoding
            Itself.
        """
        for _ in self._bursts:
            pass
        return self

    def cancel(self, row: int) -> None:
        """End a text from outside; between two bursts.

        Parameters
        ----------
        row : int
            Number of the text.
        """
        self.rows[row - self.rows[0].index].cancel()


def decode(
    backend: Backend,
    prompts: Sequence[ArrayLike],
    options: Options,
    *,
    pieces: Callable[[int], bytes] | None = None,
    callbacks: Sequence[Callable[[Burst], object]] = (),
    first: int = 0,
) -> Decoding:
    """Continue texts. Nothing is computed before the result is iterated.

    Parameters
    ----------
    backend : Backend
        The network. It serves one decoding at a time.
    prompts : sequence of array-like of int, shape (length,)
        Tokens, at least one for each text.
    options : Options
        How to continue.
    pieces : callable or None, default=None
        Bytes of a token. Stop texts and the text of bursts need it.
    callbacks : sequence of callable, default=()
        Called with every burst before it is yielded. One that returns True ends the text.
    first : int, default=0
        Number of the first text, where these are some of many: it decides what each row draws.

    Returns
    -------
    Decoding
        To be iterated.

    Raises
    ------
    ValueError
        A prompt is empty, holds what is no token, or leaves no room for ``max_new_tokens``; or
        stop texts are asked for without `pieces`.
    zoo.errors.DeviceError
        While iterating: ``lossless="strict"``, and the kernels of this device do not allow it.
    """
    if options.stop and pieces is None:
        raise ValueError(
            "The parameter 'stop' of a generation needs the bytes of tokens. Got none."
        )
    arrays = [
        _check_prompt(number, prompt, backend, options) for number, prompt in enumerate(prompts)
    ]
    rows = [Row(first + number, options, pieces) for number in range(len(arrays))]
    statistics = Statistics(rows=len(rows))
    longest = options.longest_draft(backend.n_heads)
    speculative = options.strategy == "speculative"
    plan = Plan(
        capacity=max((len(array) for array in arrays), default=0) + options.max_new_tokens,
        block=longest + 1 if speculative or options.strict else 1,
        heads=speculative and longest > 0 and options.draft in ("heads", "hybrid"),
        strict=options.strict,
        drawn=not options.greedy,
    )

    def bursts() -> Iterator[Burst]:
        if not arrays or not options.max_new_tokens:
            return
        if options.strict:
            check_rows_agree(backend, len(arrays), plan)
        loop = speculate if speculative else autoregress
        for burst in loop(backend, arrays, rows, options=options, plan=plan, statistics=statistics):
            answers = [callback(burst) for callback in callbacks]
            if any(answer is True for answer in answers):
                rows[burst.row - first].cancel()
            yield burst

    return Decoding(rows, statistics, bursts())


def _check_prompt(
    number: int, prompt: ArrayLike, backend: Backend, options: Options
) -> NDArray[np.int64]:
    tokens = np.asarray(prompt)
    if tokens.ndim != 1 or not tokens.size or tokens.dtype.kind not in "iu":
        raise ValueError(
            f"The prompt {number} must be a sequence of at least one token. "
            f"Got {tokens.dtype} of shape {tokens.shape}."
        )
    if tokens.min() < 0 or tokens.max() >= backend.vocab_size:
        raise ValueError(
            f"The tokens of prompt {number} must be at least 0 and below {backend.vocab_size}. "
            f"Got {tokens.min()} to {tokens.max()}."
        )
    if len(tokens) + options.max_new_tokens > backend.context:
        raise ValueError(
            f"The prompt {number} and 'max_new_tokens' must fit into the context of "
            f"{backend.context} tokens. Got {len(tokens)} and {options.max_new_tokens}."
        )
    return tokens.astype(np.int64)
