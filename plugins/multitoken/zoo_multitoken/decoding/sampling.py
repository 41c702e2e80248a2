"""From logits to probabilities to tokens, and the rejection rule that keeps speculation exact."""

import numpy as np
from numpy.typing import NDArray

from zoo_multitoken.decoding.options import Options

__all__ = ["invert", "probabilities", "verify"]


def probabilities(logits: NDArray, options: Options) -> NDArray[np.float64]:
    """Turn logits into the distribution that is drawn from: temperature, then top-k, then top-p.

    Parameters
    ----------
    logits : ndarray of shape (..., vocab)
        Unnormalised log-probabilities; minus infinity excludes a token.
    options : Options
        Its temperature must not be 0.

    Returns
    -------
    ndarray of shape (..., vocab)
        Each sums to 1. Among equal logits the lower token comes first in top-k and top-p.

    Raises
    ------
    ValueError
        The logits are not numbers, or exclude every token.
    """
    scores = logits.astype(np.float64)
    highest = scores.max(-1, keepdims=True)
    if not np.isfinite(highest).all():
        raise ValueError(
            "The logits of a model must be finite, or minus infinity for excluded tokens. "
            f"Got {highest[~np.isfinite(highest)][0]} as the highest."
        )
    weights = np.exp((scores - highest) / options.temperature)
    weights /= weights.sum(-1, keepdims=True)
    limited = options.top_k is not None and options.top_k < weights.shape[-1]
    if not limited and options.top_p >= 1:
        return weights
    order = np.argsort(-scores, axis=-1, kind="stable")
    ranked = np.take_along_axis(weights, order, -1)
    if limited:
        ranked[..., options.top_k :] = 0.0
        ranked /= ranked.sum(-1, keepdims=True)
    if options.top_p < 1:
        before = np.cumsum(ranked, -1) - ranked
        # Rounding in the sum must not keep a token that starts exactly at top_p.
        ranked[before >= options.top_p - 1e-12] = 0.0
    ranked /= ranked.sum(-1, keepdims=True)
    np.put_along_axis(weights, order, ranked, -1)
    return weights


def invert(weights: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Draw tokens by inverting the distribution function.

    Parameters
    ----------
    weights : ndarray of shape (..., vocab)
        Not negative, not all 0; they need not sum to 1.
    uniform : ndarray of shape (...)
        Uniform on [0, 1).

    Returns
    -------
    ndarray of int64, shape (...)
        Tokens of positive weight.
    """
    heights = np.cumsum(weights, -1)
    total = heights[..., -1]
    # A product that rounds up to the total would run past the last token of positive weight.
    level = np.minimum(uniform * total, np.nextafter(total, 0.0))
    return (heights <= level[..., None]).sum(-1)


def verify(
    target: NDArray[np.float64],
    proposal: NDArray[np.float64] | None,
    drafts: NDArray[np.int64],
    counts: NDArray[np.int64],
    uniform: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Accept drafts so that the tokens are distributed as if drawn from the target.

    A draft ``x`` is accepted with probability ``min(1, p(x) / q(x))``. After the first that is
    not, the token is drawn from the residual ``max(p - q, 0)``; after none, from the target behind
    the last draft. Leviathan, Kalman and Matias, "Fast inference from transformers via speculative
    decoding", ICML 2023, algorithm 1 and appendix A.1.

    Parameters
    ----------
    target : ndarray of shape (rows, block, vocab)
        Distribution ``p`` of head 1 at every position.
    proposal : ndarray of shape (rows, block - 1, vocab) or None
        Distribution ``q`` that each draft was drawn from. ``None``: drafts were not drawn, all of
        ``q`` is on the draft.
    drafts : ndarray of int64, shape (rows, block - 1)
        What was drafted.
    counts : ndarray of int64, shape (rows,)
        How many drafts of each row are real.
    uniform : ndarray of shape (rows, at least max(counts) + 1)
        Uniform on [0, 1): for each draft of a row one, then one for its last token.

    Returns
    -------
    accepted : ndarray of int64, shape (rows,)
        Number of accepted drafts.
    last : ndarray of int64, shape (rows,)
        The token behind them.
    """
    rows, width = drafts.shape
    every = np.arange(rows)
    accepted = np.zeros(rows, dtype=np.int64)
    if width:
        place = drafts[..., None]
        chance = np.take_along_axis(target[:, :width], place, -1)[..., 0]
        asked = 1.0 if proposal is None else np.take_along_axis(proposal, place, -1)[..., 0]
        passed = (uniform[:, :width] * asked < chance) & (np.arange(width) < counts[:, None])
        accepted = np.cumprod(passed, -1, dtype=np.int64).sum(-1)
    weights = target[every, accepted]
    refused = np.flatnonzero(accepted < counts)
    if refused.size:
        at = accepted[refused]
        residual = weights[refused]
        if proposal is None:
            residual[np.arange(refused.size), drafts[refused, at]] = 0.0
        else:
            residual = np.maximum(residual - proposal[refused, at], 0.0)
        # Where p and q agree to the last digit nothing is left, and a refusal is pure rounding.
        some = residual.sum(-1) > 0
        weights[refused[some]] = residual[some]
    return accepted, invert(weights, uniform[every, counts])
