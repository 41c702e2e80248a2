"""Optimiser, schedules, batches."""

import numpy as np
import pytest
import torch

from zoo_multitoken.config import ModelConfig
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.tokens import ByteTokenizer
from zoo_multitoken.training import Batches, TokenStream, split_documents
from zoo_multitoken.training.loss import IGNORED
from zoo_multitoken.training.muon import Muon, make_optimizers, orthogonalise
from zoo_multitoken.training.schedule import decay_start, head_weights, learning_rate_factor


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)], ids=["wide", "tall"])
def test__orthogonalise__random_matrices__have_singular_values_near_one(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(matrices).float()
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    nearest = u @ vh
    assert (found * nearest).sum() / (found.norm() * nearest.norm()) > 0.96


def test__muon__one_step__is_the_published_update():
    generator = torch.Generator().manual_seed(1)
    start, gradient = torch.randn(2, 12, 6, generator=generator)
    parameter = torch.nn.Parameter(start.clone())
    optimizer = Muon([parameter], lr=0.1, momentum=0.9, weight_decay=0.5)
    buffer = torch.zeros(12, 6)
    expected = start.clone()
    for _ in range(2):
        parameter.grad = gradient.clone()
        optimizer.step()
        buffer = 0.9 * buffer + 0.1 * gradient
        direction = 0.1 * gradient + 0.9 * buffer
        expected = expected * (1 - 0.1 * 0.5)
        expected -= 0.1 * 2**0.5 * orthogonalise(direction[None])[0].float()
    torch.testing.assert_close(parameter.detach(), expected)


def test__muon__vector__is_refused():
    with pytest.raises(ValueError, match=r"must be a matrix\. Got shape \(3,\)"):
        Muon([torch.nn.Parameter(torch.zeros(3))], lr=0.1)


def test__make_optimizers__embeddings_and_vectors__go_to_adamw():
    model = MultiTokenModel(ModelConfig(d_model=16, n_layers=2, attention_heads=2, kv_heads=2))
    muon, adamw = make_optimizers(
        model, optimizer="muon", matrix_rate=0.02, vector_rate=0.003, weight_decay=0.01
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    outer = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    inner = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert isinstance(muon, Muon)
    assert {"embedding.weight", "unembedding.weight", "norm.weight"} <= outer
    assert "layers.0.attention.qkv.weight" in inner
    assert "heads.1.change.weight" in inner
    assert inner | outer == set(names.values())
    assert not inner & outer


def test__learning_rate_factor__cosine__warms_up_and_falls_to_the_final_share():
    found = [learning_rate_factor(s, steps=110, warmup=10, final=0.1) for s in range(110)]
    assert found[:10] == pytest.approx([(s + 1) / 10 for s in range(10)])
    assert found[10] == 1.0
    assert found[60] == pytest.approx(0.55)
    assert found[-1] == pytest.approx(0.1, abs=1e-3)
    assert found[10:] == sorted(found[10:], reverse=True)


def test__learning_rate_factor__plateau__knows_its_length_only_from_decay_start_on():
    short, long = (
        [
            learning_rate_factor(s, steps=steps, warmup=5, final=0.0, schedule="plateau")
            for s in range(steps)
        ]
        for steps in (100, 200)
    )
    assert decay_start(100) == 70
    assert short[:70] == long[:70]
    assert short[5:70] == [1.0] * 65
    assert short[84] == pytest.approx(0.5)
    assert short[-1] == 0.0
    assert learning_rate_factor(90, steps=100, warmup=0, final=0.0, schedule="constant") == 1.0


def test__head_weights__each_rule__gives_what_it_says():
    assert head_weights(0.5, n_heads=4) == (1.0, 0.5, 0.25, 0.125)
    assert head_weights(1, n_heads=3) == (1.0, 1.0, 1.0)
    assert head_weights((1.0, 0.0), n_heads=2) == (1.0, 0.0)
    assert [
        sum(head_weights("curriculum", n_heads=4, progress=p)) for p in (0.0, 0.25, 0.6, 0.99)
    ] == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("reverse", "must be a number, 'curriculum' or a sequence"),
        (None, "must be a number, 'curriculum' or a sequence"),
        (True, "must be a number, 'curriculum' or a sequence"),
        ((1.0,), r"one weight for each of 2 heads\. Got 1"),
        ((1.0, -1.0), r"finite and at least 0, not all of them 0"),
        ((0.0, 0.0), r"finite and at least 0, not all of them 0"),
        (float("nan"), r"finite and at least 0, not all of them 0"),
    ],
    ids=["word", "none", "bool", "few", "negative", "zero", "nan"],
)
def test__head_weights__impossible_rule__is_refused(rule, message):
    with pytest.raises(ValueError, match=message):
        head_weights(rule, n_heads=2)


def stream(texts):
    return TokenStream.of(texts, ByteTokenizer())


def test__token_stream__texts__lie_between_end_tokens():
    joined = stream(["ab", b"", b"\xff"])
    assert joined.tokens.tolist() == [256, 97, 98, 256, 255, 256]
    assert joined.tokens.dtype == np.uint16
    assert joined.n_bytes == 3
    assert stream(["é"]).n_bytes == 2
    with pytest.raises(ValueError, match=r"at least one token together\. Got none"):
        stream(["", b""])


@pytest.mark.parametrize("length", [1, 3, 7, 50])
def test__batches__an_epoch__has_every_token_its_turn_once(length):
    text = "abcdefghijklmnopqrs"
    batches = Batches(stream([text]), length=length, n_heads=2, batch_size=1, seed=0)
    ring = [256, *text.encode()]
    assert batches.length == min(length, 20)
    for epoch in range(3):
        seen = []
        for step in range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch):
            window = batches.batch(step)[0].tolist()
            first = ring.index(window[0])
            assert window == [ring[(first + i) % 20] for i in range(batches.length + 2)]
            seen += window[: batches.length]
        assert len(seen) == len(set(seen)) == 20 // batches.length * batches.length


def test__batches__order__is_decided_by_seed_and_step_alone():
    texts = ["some text to be cut " * 9]
    one, other, seeded = (
        Batches(stream(texts), length=8, n_heads=1, batch_size=4, seed=seed) for seed in (3, 3, 4)
    )
    forward = [one.batch(step) for step in range(20)]
    assert torch.equal(other.batch(17), forward[17])
    assert torch.equal(other.batch(2), forward[2])
    assert not torch.equal(seeded.batch(0), forward[0])


def test__batches__in_order__predicts_every_token_once_and_nothing_behind_the_end():
    text = "abcdefghijk"
    batches = Batches(stream([text]), length=5, n_heads=2, batch_size=2, seed=0)
    found = [row for batch in batches.in_order() for row in batch.tolist()]
    first = [token for row in found for token in row[1:6] if token != IGNORED]
    second = [token for row in found for token in row[2:7] if token != IGNORED]
    assert first == [*text.encode(), 256]
    assert second == [*text.encode()[1:], 256]
    assert sum(len(batch) for batch in batches.in_order(limit=2)) == 2


def test__split_documents__whole_texts__are_held_out():
    texts = [f"text {number} " * 5 for number in range(20)]
    kept, held = split_documents(texts, 0.2, np.random.default_rng(0))
    assert sorted(kept + held) == sorted(texts)
    assert 4 <= len(held) <= 5
    assert split_documents(texts, 0.2, np.random.default_rng(0)) == (kept, held)


def test__split_documents__one_text__gives_its_end():
    assert split_documents(["abcdefghij"], 0.25, np.random.default_rng(0)) == (["abcdefg"], ["hij"])
    assert split_documents(["", "ab"], 0.9, np.random.default_rng(0)) == (["a"], ["b"])
    with pytest.raises(ValueError, match=r"at least 2 characters to hold some out\. Got 1"):
        split_documents(["a"], 0.5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one token together"):
        split_documents([""], 0.5, np.random.default_rng(0))
