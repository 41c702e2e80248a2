import weakref

import pytest
import torch
from torch.nn import functional

from zoo_multitoken.config import HEAD_KINDS, ModelConfig
from zoo_multitoken.model import MultiTokenModel
from zoo_multitoken.training import loss as module
from zoo_multitoken.training.loss import (
    IGNORED,
    head_losses,
    joint_losses,
    losses_with_gradients,
)

SMALL = {
    "vocab_size": 23,
    "n_heads": 3,
    "d_model": 16,
    "n_layers": 4,
    "attention_heads": 4,
    "kv_heads": 2,
    "d_ff": 24,
    "d_head": 12,
    "context": 32,
}
WEIGHTS = (1.0, 0.5, 0.25)


def build(kind, dtype=torch.float64, **changes):
    model = MultiTokenModel(ModelConfig(**{**SMALL, "head": kind, **changes}))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.to(dtype)


def windows(batch=2, length=9, seed=0):
    ids = torch.randint(0, 23, (batch, length + 3), generator=torch.Generator().manual_seed(seed))
    ids[-1, -4:] = IGNORED
    return ids


def gradients(model):
    found = {
        name: None if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }
    model.zero_grad()
    return found


def naive(model, ids, weights=WEIGHTS):
    """The weighted sum from the logits of all heads at once, as the paper's first formula says."""
    length = ids.shape[1] - 3
    readable = ids.clamp_min(0)
    logits = model(readable[:, : length + (2 if model.config.drafts_read_tokens else 0)])
    losses = [
        functional.cross_entropy(
            logits[:, :, i].transpose(1, 2), ids[:, i + 1 : i + 1 + length], ignore_index=IGNORED
        )
        for i in range(3)
    ]
    sum(weight * loss for weight, loss in zip(weights, losses, strict=True)).backward()
    return torch.stack(losses).detach()


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("kind", HEAD_KINDS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-13), (torch.float32, 1e-6)],
    ids=["double", "single"],
)
def test__losses_with_gradients__each_kind__equal_the_naive_sum(kind, tied, dtype, tolerance):
    model = build(kind, dtype, tied=tied)
    ids = windows()
    wanted = naive(model, ids)
    expected = gradients(model)
    losses = losses_with_gradients(model, ids, WEIGHTS)
    got = gradients(model)
    torch.testing.assert_close(losses.to(dtype), wanted, rtol=1e-6, atol=0.0)
    for name, gradient in expected.items():
        assert (got[name] - gradient).norm() <= tolerance * gradient.norm(), name


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__losses_with_gradients__logits_in_pieces__change_nothing(kind, monkeypatch):
    model = build(kind)
    ids = windows()
    naive(model, ids)
    expected = gradients(model)
    monkeypatch.setattr(module, "_PIECE", 23 * 4)
    losses_with_gradients(model, ids, WEIGHTS)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__losses_with_gradients__parts_of_a_batch__add_up_to_the_whole(kind):
    model = build(kind)
    ids = windows(batch=4)
    counts = [int((ids[:, i : i + 9] != IGNORED).sum()) for i in (1, 2, 3)]
    whole = losses_with_gradients(model, ids, WEIGHTS)
    expected = gradients(model)
    parts = sum(
        losses_with_gradients(model, part, WEIGHTS, counts=counts) for part in ids.split([1, 3])
    )
    torch.testing.assert_close(parts, whole, rtol=1e-6, atol=0.0)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [kind for kind in HEAD_KINDS if kind != "anticausal"])
def test__losses_with_gradients__frozen_trunk__only_the_later_heads_get_the_naive_gradient(kind):
    model = build(kind)
    ids = windows()
    weights = (0.0, 1.0, 0.5)
    inner = [name.startswith(("heads.1.", "heads.2.")) for name, _ in model.named_parameters()]
    naive(model, ids, weights)
    expected = gradients(model)
    for wanted, parameter in zip(inner, model.parameters(), strict=True):
        parameter.requires_grad_(wanted)
    losses_with_gradients(model, ids, weights, frozen_trunk=True)
    got = gradients(model)
    for wanted, name in zip(inner, got, strict=True):
        if wanted:
            torch.testing.assert_close(got[name], expected[name], rtol=1e-12, atol=1e-14)
        else:
            assert got[name] is None


def test__losses_with_gradients__heads_without_weight__are_not_run():
    model = build("linear")
    ids = windows()
    losses = losses_with_gradients(model, ids, (1.0, 0.0, 0.0))
    assert losses[0] > 0
    assert losses[1:].tolist() == [0.0, 0.0]
    assert model.heads[1].change.weight.grad is None


def test__losses_with_gradients__nothing_to_predict__is_zero_not_nan():
    model = build("causal")
    ids = windows()
    ids[:, 1:] = IGNORED
    assert losses_with_gradients(model, ids, WEIGHTS).tolist() == [0.0, 0.0, 0.0]
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


class Kept:
    """A tensor that a graph keeps for its backward pass."""

    def __init__(self, tensor):
        self.tensor = tensor


def most_tables(run):
    """Largest number of tables (tokens, vocabulary) that graphs keep at one time."""
    alive, most = weakref.WeakSet(), [0]

    def keep(tensor):
        kept = Kept(tensor)
        if tensor.shape == (2 * 9, 23):
            alive.add(kept)
            most[0] = max(most[0], len({each.tensor.data_ptr() for each in alive}))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept.tensor):
        run()
    return most[0]


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__losses_with_gradients__tables_of_logits__are_alive_one_at_a_time(kind):
    model, ids = build(kind), windows()
    assert most_tables(lambda: losses_with_gradients(model, ids, WEIGHTS)) == 1
    assert most_tables(lambda: joint_losses(model, ids).sum().backward()) == 3


def test__head_losses__sums_and_hits__are_those_of_the_logits():
    model = build("sequential")
    ids = windows()
    losses, hits, counts = head_losses(model, ids)
    with torch.no_grad():
        logits = model(ids.clamp_min(0)[:, :11])
        joint = joint_losses(model, ids)
    torch.testing.assert_close(losses / counts, joint, rtol=1e-12, atol=0.0)
    for i in range(3):
        target = ids[:, i + 1 : i + 10]
        assert counts[i] == (target != IGNORED).sum()
        assert hits[i] == (logits[:, :, i].argmax(-1) == target).sum()
