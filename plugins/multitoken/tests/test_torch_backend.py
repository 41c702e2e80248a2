"""Decoding with torch: speculation equals plain decoding, for every kind of heads."""

import numpy as np
import pytest
import torch

from zoo_multitoken.config import HEAD_KINDS, ModelConfig
from zoo_multitoken.decoding import Options, Plan, decode
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.torch_backend import TorchBackend

TEXT = b"one, two, three, four; one, two, four, three; " * 4


def random_model(head, *, vocab_size=64, spread=0.15, **shape):
    """Weights large enough that the next tokens depend on what came before."""
    shape = {"d_model": 32, "n_layers": 6, "d_ff": 64, "d_head": 32, **shape}
    config = ModelConfig(
        vocab_size=vocab_size, head=head, attention_heads=4, kv_heads=2, context=256, **shape
    )
    model = MultiTokenModel(config).eval()
    generator = torch.Generator().manual_seed(HEAD_KINDS.index(head))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, spread, generator=generator)
    return model


def trained_model(head):
    """One line, learned in a second: heads are right often, not always."""
    model = random_model(head, vocab_size=257, spread=0.1, n_layers=5).train()
    config = model.config
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    text = torch.tensor(list(TEXT))
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        starts = torch.randint(len(text) - 44, (4,), generator=generator)
        ids = torch.stack([text[start : start + 44] for start in starts.tolist()])
        extra = config.n_heads - 1 if config.drafts_read_tokens else 0
        logits = model(ids[:, : 40 + extra])
        loss = sum(
            torch.nn.functional.cross_entropy(
                logits[:, :, head].flatten(0, 1), ids[:, head + 1 : head + 41].flatten()
            )
            for head in range(config.n_heads)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def both(model, prompts, **options):
    backend = TorchBackend(model)
    given = {"max_new_tokens": 24, **options}
    slow, fast = (
        decode(backend, prompts, Options(strategy=strategy, **given)).run()
        for strategy in ("autoregressive", "speculative")
    )
    tokens = [[row.tokens for row in done.rows] for done in (slow, fast)]
    return *tokens, fast.statistics


def ragged(rows, vocab_size=64):
    draw = np.random.default_rng(rows)
    return [draw.integers(vocab_size, size=1 + 5 * row) for row in range(rows)]


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("draft", ["heads", "hybrid"])
@pytest.mark.parametrize("head", HEAD_KINDS)
def test__greedy__random_weights__equals_plain_decoding(head, draft, rows):
    slow, fast, statistics = both(random_model(head), ragged(rows), draft=draft, n_draft=3)
    assert fast == slow
    assert statistics.proposed
    assert len({tuple(row[-8:]) for row in slow}) > rows // 2  # no constant text


@pytest.mark.parametrize("head", HEAD_KINDS)
def test__greedy__trained_weights__equals_plain_decoding_in_fewer_forwards(head):
    model = trained_model(head)
    prompts = [list(TEXT[start : start + 9 + start]) for start in range(0, 40, 5)]
    for rows in (1, 8):
        slow, fast, statistics = both(model, prompts[:rows], draft="heads")
        assert fast == slow
        assert statistics.tokens_per_forward > 1.5


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("head", ["linear", "causal", "parallel"])
def test__strict__bfloat16__equals_plain_decoding(head, rows):
    model = random_model(head).to(torch.bfloat16)
    slow, fast, _ = both(
        model, ragged(rows), draft="hybrid", n_draft=4, lossless="strict", max_new_tokens=40
    )
    assert fast == slow


def test__strict__bfloat16__is_needed():
    """Without it the shapes of the forwards do flip tokens."""
    model = random_model("linear").to(torch.bfloat16)
    slow, fast, _ = both(model, ragged(4), draft="hybrid", n_draft=4, max_new_tokens=120)
    assert slow != fast


def test__logits__whole_text_at_once__equal_those_of_blocks():
    model = random_model("parallel")
    text = np.random.default_rng(0).integers(64, size=(2, 40))
    with torch.inference_mode():
        wanted = model(torch.from_numpy(text)).numpy()
    backend = TorchBackend(model)
    backend.prefill([text[0, :3], text[1, :10]], Plan(capacity=40, block=6, heads=True))
    place = np.array([3, 10])
    for lengths in ([6, 2], [1, 1], [0, 5], [4, 6]):
        block = np.zeros((2, max(lengths)), dtype=np.int64)
        for row, length in enumerate(lengths):
            block[row, :length] = text[row, place[row] : place[row] + length]
        forward = backend.step(block, lengths)
        logits = forward.logits()
        for row, length in enumerate(lengths):
            np.testing.assert_allclose(
                logits[row, :length],
                wanted[row, place[row] : place[row] + length, 0],
                rtol=1e-4,
                atol=1e-5,
            )
        # A refused token is fed again with the next block.
        kept = [length - (length > 1) for length in lengths]
        backend.keep(kept)
        place += kept
        heads = forward.heads([max(0, count - 1) for count in kept])
        for head in range(1, 4):
            logits = heads.logits(np.zeros(2, dtype=np.int64))
            np.testing.assert_allclose(
                logits, wanted[[0, 1], place - 1, head], rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("head", ["linear", "parallel"])
def test__sampling__rows_that_end_early__do_not_disturb_the_others(head):
    model = random_model(head)
    given = Options(max_new_tokens=40, temperature=1.0, seed=5, end_tokens=frozenset(range(8)))
    prompts = ragged(6)
    together = decode(TorchBackend(model), prompts, given).run()
    lengths = [len(row.tokens) for row in together.rows]
    assert len(set(lengths)) > 3
    alone = decode(TorchBackend(model), prompts[:1], given).run()
    assert alone.rows[0].tokens == together.rows[0].tokens
