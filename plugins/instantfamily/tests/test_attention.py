"""Masked attention against a slow reference, and what must not change."""

import math

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import (
    Attention,
    AttnProcessor2_0,
    IPAdapterAttnProcessor2_0,
)

from zoo_instantfamily.attention import (
    FamilyAttention,
    RegionSelfAttention,
    install,
    levels_of,
)
from zoo_instantfamily.stack import FamilyStack
from zoo_instantfamily.state import FamilyState

HEIGHT, WIDTH, TEXT, LENGTH, CHANNELS = 6, 9, 7, 5, 12


def boxes(*spans, height=HEIGHT, width=WIDTH):
    """(1, identities, height, width): identity i has the columns of span i."""
    mask = torch.zeros(1, len(spans), height, width)
    for i, (left, right) in enumerate(spans):
        mask[0, i, 1:-1, left:right] = 1
    return mask


APART = boxes((0, 3), (3, 5), (6, 9))
OVERLAPPING = boxes((0, 5), (3, 7), (6, 9))


@pytest.fixture(autouse=True)
def _gather_small_layers(monkeypatch):
    monkeypatch.setattr("zoo_instantfamily.attention._GATHER_FROM", 0)


class Layer:
    """One attention layer with random weights and its processor."""

    def __init__(self, kind="stack", seed=0):
        torch.manual_seed(seed)
        self.attn = Attention(query_dim=16, cross_attention_dim=CHANNELS, heads=2, dim_head=8)
        self.state = FamilyState()
        self.attn.set_processor(FamilyAttention("layer", 0, kind, self.state))
        self.kind = kind
        self.own = [torch.nn.Linear(CHANNELS, 16, bias=False) for _ in range(2)]

    def start(self, stack, **options):
        keys_values = {}
        if self.kind == "decoupled":
            context = stack.context(parts=2)
            keys_values = {"layer": tuple(linear(context) for linear in self.own)}
        self.state.start(stack, keys_values=keys_values, **options)

    @torch.no_grad()
    def __call__(self, hidden, text):
        return self.attn(hidden, encoder_hidden_states=text)


def make_stack(mask, *, batch=1, seed=1, **options):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, mask.shape[1], LENGTH, CHANNELS)
    tokens, null = (torch.randn(shape, generator=generator) for _ in range(2))
    return FamilyStack(tokens, null, [mask], **options)


def make_inputs(batch=1, seed=2):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, HEIGHT * WIDTH, 16, generator=generator),
        torch.randn(batch, TEXT, CHANNELS, generator=generator),
    )


def reference(layer, stack, hidden, text, gains=None):
    """Pixel by pixel, head by head, sample by sample, straight from the definition."""
    attn, own = layer.attn, layer.own
    parts = hidden.shape[0] // stack.batch
    context = stack.context(parts=parts)
    out = torch.zeros(*hidden.shape)
    gains = gains or [[1.0] * stack.identities] * stack.batch
    for b in range(hidden.shape[0]):
        sample = b % stack.batch
        mask = stack.masks[0][sample % stack.masks[0].shape[0]].flatten(1)
        for p in range(hidden.shape[1]):
            query = attn.to_q(hidden[b, p]).view(2, 8)
            rows = [(row, None) for row in text[b]]
            faces = [(row, i) for i in range(stack.identities) for row in context[b, i]]
            covered = any(mask[i, p] * gains[sample][i] > 0 for i in range(stack.identities))
            if layer.kind == "faces":
                rows = [(row, None) for row in stack.context(parts=parts)[b, 0]]
                rows = [(row, None) for row in stack.null[sample, 0]] if not covered else []
            if layer.kind != "decoupled":
                rows = rows + faces
            for head in range(2):
                logits, values = [], []
                for row, i in rows:
                    logit = query[head] @ attn.to_k(row).view(2, 8)[head] / math.sqrt(8)
                    inside = 1.0 if i is None else mask[i, p].item()
                    gain = 1.0 if i is None else gains[sample][i]
                    if stack.variant == "literal":
                        logit = logit * inside
                    elif stack.variant == "masked" and inside == 0:
                        continue
                    if gain == 0:
                        continue
                    logits.append(logit + math.log(gain))
                    values.append(attn.to_v(row).view(2, 8)[head])
                weights = torch.stack(logits).softmax(0)
                total = weights @ torch.stack(values)
                if layer.kind == "decoupled":
                    for i in range(stack.identities):
                        keys = own[0](context[b, i]).view(-1, 2, 8)[:, head]
                        vals = own[1](context[b, i]).view(-1, 2, 8)[:, head]
                        weights = (keys @ query[head] / math.sqrt(8)).softmax(0)
                        total = total + gains[sample][i] * mask[i, p] * (weights @ vals)
                out[b, p, head * 8 : head * 8 + 8] = total
    return attn.to_out[0](out)


@pytest.mark.parametrize("mask", [APART, OVERLAPPING], ids=["apart", "overlapping"])
@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        ("stack", "masked"),
        ("stack", "literal"),
        ("stack", "none"),
        ("decoupled", "masked"),
        ("faces", "masked"),
    ],
)
def test__family_attention__any_kind__equals_the_definition(kind, variant, mask):
    layer = Layer(kind)
    stack = make_stack(mask, variant=variant)
    hidden, text = make_inputs()
    layer.start(stack)
    with torch.no_grad():
        expected = reference(layer, stack, hidden, text)
    torch.testing.assert_close(layer(hidden, text), expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "variant"),
    [("stack", "masked"), ("stack", "literal"), ("stack", "none"), ("decoupled", "masked")],
)
def test__family_attention__strengths_by_sample__equals_the_definition(kind, variant):
    layer = Layer(kind)
    gains = ((0.5, 2.0, 0.0), (1.0, 0.25, 1.5))
    mask = torch.cat([APART, OVERLAPPING])
    stack = make_stack(mask, batch=2, variant=variant, strength=gains)
    hidden, text = make_inputs(4)
    layer.start(stack)
    with torch.no_grad():
        expected = reference(layer, stack, hidden, text, gains)
    torch.testing.assert_close(layer(hidden, text), expected, atol=2e-6, rtol=1e-5)


def test__family_attention__literal__leaks_and_masked_does_not():
    hidden, text = make_inputs()
    outside = ~APART[0, 1].flatten().bool()
    change = {}
    for variant in ("masked", "literal", "none"):
        layer = Layer()
        outputs = []
        for shift in (0.0, 3.0):
            stack = make_stack(APART, variant=variant)
            stack.tokens[:, 1] += shift
            layer.start(stack)
            outputs.append(layer(hidden, text)[0, outside])
        change[variant] = (outputs[0] - outputs[1]).abs().max().item()
    assert change["masked"] == 0
    assert change["literal"] > 1e-3
    assert change["none"] > 1e-3


@pytest.mark.parametrize("mask", [APART, OVERLAPPING], ids=["by-region", "by-mask"])
@pytest.mark.parametrize("kind", ["stack", "decoupled", "faces"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test__family_attention__tokens_of_one_identity_change__nothing_outside_its_region_does(
    kind, mask, dtype
):
    layer = Layer(kind)
    layer.attn.to(dtype)
    for linear in layer.own:
        linear.to(dtype)
    hidden, text = (tensor.to(dtype) for tensor in make_inputs(2))
    for k in range(3):
        inside = mask[0, k].flatten().bool()
        outputs = []
        for shift in (0.0, 5.0):
            stack = make_stack(mask.to(dtype))
            stack.tokens[:, k] += shift
            stack = FamilyStack(stack.tokens.to(dtype), stack.null.to(dtype), stack.masks)
            layer.start(stack)
            outputs.append(layer(hidden, text))
        changed = (outputs[0] != outputs[1]).any(-1)
        assert not changed[:, ~inside].any()
        assert changed[1, inside].all()
        assert not changed[0].any()


def test__family_attention__region_by_region__equals_one_softmax_with_a_mask(monkeypatch):
    hidden, text = make_inputs(2)
    outputs = []
    for limit in (0, 10**9):
        monkeypatch.setattr("zoo_instantfamily.attention._GATHER_FROM", limit)
        layer = Layer()
        layer.start(make_stack(APART))
        outputs.append(layer(hidden, text))
    assert not torch.equal(*outputs)  # else the same path ran twice
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=1e-6)


def test__family_attention__soft_mask__weighs_the_odds():
    layer = Layer()
    mask = torch.full((1, 1, HEIGHT, WIDTH), 0.3)
    stack = make_stack(mask)
    hidden, text = make_inputs()
    layer.start(stack)
    soft = layer(hidden, text)
    layer.start(make_stack(torch.ones_like(mask), strength=((0.3,),)))
    torch.testing.assert_close(soft, layer(hidden, text), atol=1e-6, rtol=1e-6)


def test__family_attention__strength_zero__equals_text_alone():
    layer = Layer()
    hidden, text = make_inputs()
    layer.start(make_stack(APART, strength=((0.0, 0.0, 0.0),)))
    silent = layer(hidden, text)
    layer.state.stop()
    torch.testing.assert_close(silent, layer(hidden, text), atol=1e-6, rtol=1e-6)


def test__family_attention__no_stack__is_bit_equal_to_diffusers():
    layer = Layer()
    hidden, text = make_inputs()
    ours = layer(hidden, text)
    layer.attn.set_processor(AttnProcessor2_0())
    assert torch.equal(ours, layer(hidden, text))


def test__family_attention__batch_of_two_regions__equals_two_singles():
    mask = torch.cat([APART, OVERLAPPING])
    hidden, text = make_inputs(2)
    layer = Layer()
    stack = make_stack(mask, batch=2)
    layer.start(stack)
    together = layer(hidden, text)
    for b in range(2):
        layer.start(FamilyStack(stack.tokens[b : b + 1], stack.null[b : b + 1], [mask[b : b + 1]]))
        alone = layer(hidden[b : b + 1], text[b : b + 1])
        torch.testing.assert_close(together[b : b + 1], alone, atol=1e-6, rtol=1e-6)


def test__decoupled__one_softmax_for_each__equals_diffusers_loop_over_masks():
    layer = Layer("decoupled")
    stack = make_stack(OVERLAPPING, strength=((0.7, 1.2, 0.4),))
    hidden, text = make_inputs(2)
    layer.start(stack)
    ours = layer(hidden, text)
    theirs = IPAdapterAttnProcessor2_0(16, CHANNELS, num_tokens=(LENGTH,), scale=[[0.7, 1.2, 0.4]])
    theirs.to_k_ip[0], theirs.to_v_ip[0] = layer.own
    layer.attn.set_processor(theirs)
    with torch.no_grad():
        expected = layer.attn(
            hidden,
            encoder_hidden_states=(text, [stack.context(parts=2)]),
            ip_adapter_masks=[OVERLAPPING],
        )
    torch.testing.assert_close(ours, expected, atol=2e-6, rtol=1e-5)


def count_projections(layer):
    calls = []
    layer.attn.to_k.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test__keys_and_values__many_steps__computed_once():
    layer = Layer()
    calls = count_projections(layer)
    layer.start(make_stack(APART))
    text = make_inputs(2)[1]
    for seed in range(5):
        layer(make_inputs(2, seed)[0], text)
    assert len(calls) == 1


@pytest.mark.parametrize("what", ["text in place", "new text", "weights", "stack"])
def test__keys_and_values__something_changes__computed_anew(what):
    layer = Layer()
    hidden, text = make_inputs(2)
    layer.start(make_stack(APART))
    before = layer(hidden, text)
    if what == "text in place":
        text += 1
    elif what == "new text":
        text = text.clone() + 1
    elif what == "weights":
        with torch.no_grad():
            layer.attn.to_k.weight.mul_(2)
    else:
        layer.start(make_stack(APART, seed=5))
    after = layer(hidden, text)
    fresh = Layer()
    fresh.attn.load_state_dict(layer.attn.state_dict())
    fresh.start(layer.state.stack)
    assert torch.equal(after, fresh(hidden, text))
    assert not torch.equal(before, after)


def test__keys_and_values__layer_is_no_plain_linear__never_kept():
    class Adapted(torch.nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base, self.scale, self.weight = base, 1.0, base.weight

        def forward(self, x):
            return self.base(x) * self.scale

    layer = Layer()
    layer.attn.to_v = Adapted(layer.attn.to_v)
    hidden, text = make_inputs(2)
    layer.start(make_stack(APART))
    before = layer(hidden, text)
    layer.attn.to_v.scale = 2.0
    assert not torch.equal(before, layer(hidden, text))


def test__keys_and_values__inference_mode__computes_the_same():
    layer = Layer()
    stack = make_stack(APART)
    hidden, text = make_inputs(2)
    layer.start(stack)
    expected = layer(hidden, text)
    with torch.inference_mode():
        layer.start(stack)
        inputs = make_inputs(2)
        assert torch.equal(layer(*inputs), expected)
        inputs[1].add_(1)
        changed = layer(*inputs)
    assert not torch.equal(changed, expected)


def test__keys_and_values__training__gradients_reach_every_face():
    layer = Layer()
    stack = make_stack(APART)
    stack.tokens.requires_grad_()
    layer.start(stack)
    hidden, text = make_inputs(1)
    layer.attn(hidden, encoder_hidden_states=text).square().sum().backward()
    assert (stack.tokens.grad.abs().amax((2, 3)) > 0).all()
    assert layer.attn.to_k.weight.grad is not None


def test__self_attention__isolated_regions__one_region_never_changes_another():
    torch.manual_seed(0)
    attn = Attention(query_dim=16, heads=2, dim_head=8)
    state = FamilyState()
    attn.set_processor(RegionSelfAttention("layer", 0, state))
    hidden = make_inputs(2)[0]
    changed = hidden.clone()
    second = APART[0, 1].flatten().bool()
    changed[:, second] += 1
    with torch.no_grad():
        state.start(make_stack(APART), isolated=True)
        difference = (attn(hidden) != attn(changed)).any(-1)
        state.start(make_stack(APART))
        mixed = (attn(hidden) != attn(changed)).any(-1)
    others = (APART[0, 0] + APART[0, 2]).flatten().bool()
    background = ~others & ~second
    assert not difference[:, others].any()
    assert difference[:, second].all()
    assert difference[:, background].all()
    assert mixed.all()


def test__self_attention__whole_canvas_is_one_region__equals_plain():
    torch.manual_seed(0)
    attn = Attention(query_dim=16, heads=2, dim_head=8)
    hidden = make_inputs()[0]
    with torch.no_grad():
        attn.set_processor(AttnProcessor2_0())
        expected = attn(hidden)
        state = FamilyState()
        attn.set_processor(RegionSelfAttention("layer", 0, state))
        state.start(make_stack(torch.ones(1, 1, HEIGHT, WIDTH)), isolated=True)
        torch.testing.assert_close(attn(hidden), expected, atol=1e-6, rtol=1e-6)


def test__state__window__opens_and_closes_with_the_steps():
    layer = Layer()
    hidden, text = make_inputs()
    plain = layer(hidden, text)
    stack = make_stack(APART, window=(((0.0, 1.0), (0.25, 0.75), (0.5, 1.0)),))
    layer.start(stack, total=lambda: 4)
    seen = []
    for step in range(4):
        layer.state.advance(step)
        difference = (layer(hidden, text) - plain).abs().amax(-1)[0] > 1e-4
        seen.append([bool(difference[APART[0, k].flatten().bool()].any()) for k in range(3)])
    assert seen == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
        [True, False, True],
    ]


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(4, 8, 8),
        layers_per_block=1,
        sample_size=16,
        norm_num_groups=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=CHANNELS,
        attention_head_dim=2,
    )
    controlnet = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4))
    return unet.eval(), controlnet.eval()


def test__levels_of__each_layer__has_the_resolution_it_runs_at(networks):
    sizes = {}
    for prefix, network in zip(("unet.", "controlnet."), networks, strict=True):
        for name, level in levels_of(network).items():
            module = network.get_submodule(name.removesuffix(".processor"))
            module.register_forward_hook(
                lambda _, inputs, __, key=(prefix + name, level): sizes.setdefault(
                    key, inputs[0].shape[1]
                )
            )
    text = torch.zeros(1, TEXT, CHANNELS)
    with torch.no_grad():
        networks[0](torch.zeros(1, 4, 14, 10), 1, text)
        networks[1](torch.zeros(1, 4, 14, 10), 1, text, torch.zeros(1, 3, 28, 20))
    assert len(sizes) == sum(len(network.attn_processors) for network in networks)
    # Halves are rounded up: 14 x 10, 7 x 5, 4 x 3.
    assert {level: pixels for (_, level), pixels in sizes.items()} == {0: 140, 1: 35, 2: 12}
    assert all({0: 140, 1: 35, 2: 12}[level] == pixels for (_, level), pixels in sizes.items())


def test__install__kind_is_unknown__says_which_there_are(networks):
    with pytest.raises(ValueError, match="must be one of stack, decoupled, faces, text"):
        install(networks[0], FamilyState(), kind="magic")


def test__family_attention__wrong_masks_or_batch__one_sentence():
    layer = Layer()
    hidden, text = make_inputs(3)
    layer.start(make_stack(APART, batch=2))
    with pytest.raises(ValueError, match=r"must be 2 or, with guidance, 4\. Got 3"):
        layer(hidden, text)
    layer.start(make_stack(boxes((0, 3), height=4)))
    with pytest.raises(ValueError, match=r"layer 'layer', 54\. Got 4 x 9"):
        layer(hidden, text)


def test__family_stack__wrong_shapes__one_sentence():
    tokens = torch.zeros(2, 3, 4, 5)
    with pytest.raises(ValueError, match="variant of a FamilyStack must be one of masked"):
        FamilyStack(tokens, tokens, [], variant="soft")
    with pytest.raises(ValueError, match="must both have the shape"):
        FamilyStack(tokens, tokens[:1], [])
    with pytest.raises(ValueError, match=r"the shape \(1 or 2, 3, height, width\)"):
        FamilyStack(tokens, tokens, [torch.zeros(2, 4, 6, 6)])
