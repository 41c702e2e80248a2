"""The decoding loop's backend on torch."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_multitoken.decoding import Backend, Forward, Heads, Plan
from zoo_multitoken.model import Draft, KVCache, MultiTokenModel

__all__ = ["TorchBackend"]

# What drafting costs, at all and for each token, in forwards of one token. Measured with models of
# 3 to 6 million parameters on a CPU; on a GPU launching kernels sets the pace.
_COSTS = {"cpu": (0.25, 0.06), "cuda": (0.1, 0.01)}


class TorchBackend(Backend):
    """Decodes with a `MultiTokenModel` on its device and in its precision.

    Parameters
    ----------
    model : MultiTokenModel
        The network.
    """

    def __init__(self, model: MultiTokenModel) -> None:
        config = model.config
        self.model = model
        self.n_heads, self.vocab_size = config.n_heads, config.vocab_size
        self.context = config.context
        self._device = model.embedding.weight.device
        self.draft_cost, self.token_cost = _COSTS.get(self._device.type, _COSTS["cpu"])
        self._cache = model.new_cache(0, 0)

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[NDArray[np.int64]], plan: Plan) -> Forward:
        """Read the prompts, padded to one length."""
        lengths = np.array([len(prompt) for prompt in prompts])
        tokens = np.zeros((len(prompts), lengths.max()), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = prompt
        # Behind the kept positions there is room for the padding of a block, and of the prompts.
        capacity = plan.capacity + plan.block
        self._cache = self.model.new_cache(len(prompts), capacity, fixed=plan.strict)
        last = torch.from_numpy(lengths - 1).to(self._device)[:, None]
        logits = self.model.step(self._tensor(tokens), self._cache, at=last)
        self._cache.advance(lengths)
        return _TorchForward(self.model, self._cache, logits)

    @torch.inference_mode()
    def step(self, tokens: NDArray[np.int64], lengths: Sequence[int]) -> Forward:
        """Read a block; padding is read as well."""
        logits = self.model.step(self._tensor(tokens), self._cache)
        return _TorchForward(self.model, self._cache, logits)

    def keep(self, counts: Sequence[int]) -> None:
        """Move the rows' lengths on."""
        self._cache.advance(counts)

    @torch.inference_mode()
    def select(self, rows: Sequence[int]) -> None:
        """Copy the cache of these rows."""
        self._cache = self._cache.select(rows)

    def _tensor(self, tokens: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(tokens).to(self._device)


class _TorchForward(Forward):
    def __init__(self, model: MultiTokenModel, cache: KVCache, logits: Tensor) -> None:
        self._model, self._cache, self._logits = model, cache, logits

    def logits(self) -> NDArray:
        return self._logits.float().cpu().numpy()

    def best(self) -> NDArray[np.int64]:
        return self._logits.argmax(-1).cpu().numpy()

    @torch.inference_mode()
    def heads(self, at: Sequence[int]) -> Heads:
        return _TorchHeads(self._model.draft(self._cache))


class _TorchHeads(Heads):
    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    @torch.inference_mode()
    def logits(self, tokens: NDArray[np.int64]) -> NDArray:
        device = self._draft.cache.keys.device
        return self._draft.step(torch.from_numpy(tokens).to(device)).float().cpu().numpy()

    @torch.inference_mode()
    def best(self, tokens: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        if not self._draft.model.config.drafts_read_tokens:
            return self._draft.all(count).argmax(-1).cpu().numpy()
        chosen, drafts = torch.from_numpy(tokens).to(self._draft.cache.keys.device), []
        for _ in range(count):
            chosen = self._draft.step(chosen).argmax(-1)
            drafts.append(chosen)
        return torch.stack(drafts, dim=1).cpu().numpy()
