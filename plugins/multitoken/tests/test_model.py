import dataclasses
import json

import numpy as np
import pytest
import torch

from zoo_multitoken.config import HEAD_KINDS, ModelConfig
from zoo_multitoken.model import MultiTokenModel

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


def build(kind, **changes):
    """A small model whose residual branches are not zero."""
    model = MultiTokenModel(ModelConfig(**{**SMALL, "head": kind, **changes}))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def tokens(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 23, shape))


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def reference(model, row, head):
    """Logits of one head at each position of one row, by loops over positions."""
    config, weights = model.config, dict(model.named_parameters())

    def norm(x, name):
        return x / (x.square().mean(-1, keepdim=True) + config.norm_eps).sqrt() * weights[name]

    def turn(x, position):
        half = config.head_width // 2
        angle = position / config.rope_theta ** (torch.arange(half) / half)
        a, b = x[..., :half], x[..., half:]
        return torch.cat(
            [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1
        )

    def unit(x, prefix):
        gate, up = (x @ weights[f"{prefix}.gate_up.weight"].T).chunk(2, -1)
        return (gate * torch.sigmoid(gate) * up) @ weights[f"{prefix}.down.weight"].T

    def block(x, prefix):
        width, many, few = config.head_width, config.attention_heads, config.kv_heads
        qkv = (
            norm(x, f"{prefix}.attention_norm.weight") @ weights[f"{prefix}.attention.qkv.weight"].T
        )
        qkv = qkv.view(len(x), many + 2 * few, width)
        mixed = torch.zeros(len(x), many, width)
        for t in range(len(x)):
            for h in range(many):
                g = h // (many // few)
                query = turn(qkv[t, h], t)
                scores = torch.stack(
                    [query @ turn(qkv[s, many + g], s) / width**0.5 for s in range(t + 1)]
                ).softmax(0)
                mixed[t, h] = sum(scores[s] * qkv[s, many + few + g] for s in range(t + 1))
        x = x + mixed.flatten(1) @ weights[f"{prefix}.attention.out.weight"].T
        return x + unit(norm(x, f"{prefix}.unit_norm.weight"), f"{prefix}.unit")

    count = config.n_heads
    length = len(row) - (count - 1)
    x = weights["embedding.weight"][row[:length]]
    for index in range(config.trunk_layers):
        x = block(x, f"layers.{index}")
    if config.head == "anticausal":
        for index in range(count, head - 1, -1):
            x = block(x, f"heads.{index - 1}.block")
    elif config.head == "parallel":
        x = block(x, f"heads.{head - 1}.block")
    elif config.head == "linear" and head > 1:
        x = x + x @ weights[f"heads.{head - 1}.change.weight"].T
    elif config.head in ("causal", "sequential"):
        for index in range(2, head + 1):
            name = f"heads.{index - 1}"
            token = weights["embedding.weight"][row[index - 1 : index - 1 + length]]
            joint = torch.cat(
                [norm(x, f"{name}.state_norm.weight"), norm(token, f"{name}.token_norm.weight")], -1
            )
            if config.head == "causal":
                x = x + unit(joint, f"{name}.unit")
            else:
                x = block(joint @ weights[f"{name}.join.weight"].T, f"{name}.block")
    return norm(x, "norm.weight") @ weights["unembedding.weight"].T


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__forward__each_kind_of_heads__is_what_loops_over_positions_give(kind):
    model = build(kind)
    ids = tokens(2, 9)
    with torch.no_grad():
        got = model(ids)
        for row in range(2):
            for head in (1, 2, 3):
                wanted = reference(model, ids[row], head)
                close(got[row, : len(wanted), head - 1], wanted)


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__step__text_in_pieces__gives_the_logits_of_the_whole(kind):
    model = build(kind)
    ids = tokens(2, 14)
    with torch.no_grad():
        whole = model(ids)[:, :, 0]
        cache = model.new_cache(2, 16)
        done = 0
        for size in (5, 1, 3, 1):
            got = model.step(ids[:, done : done + size], cache)
            close(got, whole[:, done : done + size])
            cache.advance(size)
            done += size


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__step__ragged_batch_with_rollback__equals_each_row_alone(kind):
    model = build(kind)
    lengths = np.array([7, 2, 5])
    ids = tokens(3, 12)
    with torch.no_grad():
        cache = model.new_cache(3, 16)
        model.step(ids[:, :7], cache)
        cache.advance(lengths)
        block = torch.stack([ids[row, n : n + 4] for row, n in enumerate(lengths)])
        wrong = (block + 1) % 23
        model.step(wrong, cache)
        cache.advance([4, 2, 0])
        cache.rollback([4, 2, 0])
        got = model.step(block, cache)
        cache.advance([1, 4, 2])
        kept = lengths + np.array([1, 4, 2])
        assert cache.lengths.tolist() == kept.tolist()
        for row, n in enumerate(lengths):
            alone = model(ids[row : row + 1])[0, :, 0]
            upto = min(n + 4, len(alone))
            close(got[row, : upto - n], alone[n:upto])


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__draft__after_skipped_steps_and_rollback__equals_forward(kind):
    model = build(kind)
    ids = tokens(3, 20)
    with torch.no_grad():
        cache = model.new_cache(3, 24)
        model.step(ids[:, :6], cache)
        cache.advance([6, 3, 1])
        for keep in ([1, 4, 2], [2, 0, 3], [4, 1, 4]):
            drafts(model, cache, (ids[:, :2] + keep[0]) % 23)
            model.step(rows_at(ids, cache.lengths, 4), cache)
            cache.advance(keep)
            if keep[0] != 2:
                check_drafts(model, cache, ids)
        cache.rollback([5, 0, 2])
        check_drafts(model, cache, ids)


def rows_at(ids, starts, count):
    return torch.stack([ids[row, n : n + count] for row, n in enumerate(starts)])


def drafts(model, cache, chosen):
    draft = model.draft(cache)
    return torch.stack([draft.step(chosen[:, head]) for head in range(2)], dim=1)


def check_drafts(model, cache, ids):
    """Heads 2 and 3 at the last position, when what follows is what the text says."""
    got = drafts(model, cache, rows_at(ids, cache.lengths, 2))
    for row, n in enumerate(cache.lengths):
        extra = 2 if model.config.drafts_read_tokens else 0
        wanted = model(ids[row : row + 1, : n + extra])[0, n - 1, 1:]
        close(got[row], wanted)


def test__draft__heads_that_read_no_tokens__can_be_asked_at_once():
    for kind in ("linear", "parallel", "anticausal"):
        model = build(kind)
        ids = tokens(2, 6)
        with torch.no_grad():
            cache = model.new_cache(2, 8)
            model.step(ids, cache)
            cache.advance(6)
            close(model.draft(cache).all(2), model(ids)[:, -1, 1:])
            assert model.draft(cache).all(0).shape == (2, 0, 23)


def test__draft__asked_for_too_much__says_so():
    model = build("causal")
    cache = model.new_cache(1, 8)
    with pytest.raises(ValueError, match=r"must hold a position to draft from\. Got none"):
        model.draft(cache)
    with torch.no_grad():
        model.step(tokens(1, 3), cache)
        cache.advance(3)
        draft = model.draft(cache)
        with pytest.raises(ValueError, match="'causal' need the tokens"):
            draft.step()
        with pytest.raises(ValueError, match="'causal' need the tokens"):
            draft.all(1)
        draft.step(tokens(1))
        draft.step(tokens(1))
        with pytest.raises(ValueError, match="of 3 heads drafts no further"):
            draft.step(tokens(1))
    linear = build("linear")
    cache = linear.new_cache(1, 8)
    with torch.no_grad():
        linear.step(tokens(1, 3), cache)
        cache.advance(3)
        with pytest.raises(ValueError, match=r"drafts at most 2 tokens here\. Got 3"):
            linear.draft(cache).all(3)


def test__step__asked_at_indices__gives_only_those():
    model = build("parallel")
    ids = tokens(2, 6)
    with torch.no_grad():
        cache = model.new_cache(2, 8)
        at = torch.tensor([[5], [2]])
        got = model.step(ids, cache, at=at)
        whole = model(ids)[:, :, 0]
    close(got[:, 0], torch.stack([whole[0, 5], whole[1, 2]]))


def test__cache__counts_out_of_range__are_refused_and_change_nothing():
    cache = build("linear").new_cache(2, 8)
    cache.advance([3, 5])
    with pytest.raises(ValueError, match=r"must be 0 to 8\. Got 9"):
        cache.advance([0, 4])
    with pytest.raises(ValueError, match=r"must be 0 to 8\. Got -1"):
        cache.rollback([4, 0])
    with pytest.raises(ValueError, match=r"at least 0\. Got -2"):
        cache.advance(-2)
    with pytest.raises(ValueError, match=r"at most 8 positions\. Got 9"):
        cache.window(4)
    assert cache.lengths.tolist() == [3, 5]


def test__new_cache__longer_than_the_context__goes_on_with_the_same_rotation():
    model = build("linear", context=4)
    ids = tokens(1, 10)
    with torch.no_grad():
        cache = model.new_cache(1, 10)
        got = model.step(ids, cache)
        close(got, build("linear", context=16)(ids)[:, :, 0])


def test__forward__longer_than_the_context__says_so():
    with pytest.raises(ValueError, match=r"at most 32 tokens\. Got 33"):
        build("linear")(tokens(1, 33))


@pytest.mark.parametrize("kind", HEAD_KINDS)
def test__compile__forward__is_one_graph_without_a_break(kind):
    model = build(kind)
    ids = tokens(2, 9)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        close(compiled(ids), model(ids))


def test__bfloat16__forward_and_cache__agree_with_float32():
    model = build("causal")
    ids = tokens(2, 9)
    with torch.no_grad():
        wanted = model(ids)
        model.to(torch.bfloat16)
        got = model(ids)
        cache = model.new_cache(2, 9)
        stepped = model.step(ids[:, :7], cache)
    assert got.dtype == cache.keys.dtype == torch.bfloat16
    assert (got.float() - wanted).abs().mean() < 0.05 * wanted.abs().mean()
    assert (stepped.float() - wanted[:, :, 0]).abs().mean() < 0.05 * wanted.abs().mean()


def test__initialise__same_seed__same_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, two = (
        MultiTokenModel(ModelConfig(**SMALL), generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    assert torch.equal(before, torch.get_rng_state())
    other = MultiTokenModel(ModelConfig(**SMALL), generator=torch.Generator().manual_seed(2))
    weights = one.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in two.state_dict().items())
    assert not torch.equal(weights["embedding.weight"], other.state_dict()["embedding.weight"])


def test__tied__unembedding__is_the_embedding():
    model = MultiTokenModel(ModelConfig(**SMALL, tied=True))
    untied = MultiTokenModel(ModelConfig(**SMALL))
    assert model.unembedding.weight is model.embedding.weight
    assert untied.n_parameters - model.n_parameters == 23 * 16


def test__config__json__round_trips():
    config = ModelConfig(**SMALL, head="causal", rope_theta=500.0)
    assert ModelConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
        config.d_model = 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_heads": 0}, r"n_heads of a model must be an int from 1 to \d+\. Got 0"),
        ({"n_heads": True}, r"n_heads of a model must be an int from 1 to \d+\. Got True"),
        ({"d_model": 16.0}, r"d_model of a model must be an int from 1 to \d+\. Got 16\.0"),
        ({"head": "tree"}, r"head of a model must be one of linear, .*\. Got 'tree'"),
        ({"d_model": 20}, r"even multiple of attention_heads \(4\)\. Got 20"),
        ({"kv_heads": 3}, r"must divide attention_heads \(4\)\. Got 3"),
        ({"rope_theta": float("inf")}, r"rope_theta .* positive number\. Got inf"),
        ({"norm_eps": 0}, r"norm_eps .* positive number\. Got 0"),
        ({"tied": 1}, r"tied of a model must be a bool\. Got 1"),
        ({"head": "anticausal", "n_layers": 3}, r"must be at least 4, .*\. Got 3"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test__config__impossible_value__is_named(change, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{**SMALL, **change})


def test__config__json_with_other_fields__is_refused():
    value = ModelConfig().to_json()
    with pytest.raises(ValueError, match="must be an object with exactly"):
        ModelConfig.from_json(value | {"shape": 1})
    with pytest.raises(ValueError, match="must be an object with exactly"):
        ModelConfig.from_json([1])
