"""Public layouts, against computations written out from the papers' and files' definitions."""

import math

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionControlNetPipeline
from diffusers.models.attention_processor import AttnProcessor2_0
from onnx import TensorProto, helper
from PIL import Image

from zoo.errors import FormatError, SourceError
from zoo_instantfamily.alignment import TEMPLATE, align_face, similarity
from zoo_instantfamily.assembly import assemble
from zoo_instantfamily.faces import DetectedFace
from zoo_instantfamily.loaders import (
    load_arcface,
    load_faceid,
    load_insightface,
    load_instantid,
)
from zoo_instantfamily.loaders.arcface import IResNet
from zoo_instantfamily.pipeline import InstantFamilyPipeline

CHANNELS = 16
BOX = [(8, 8, 40, 56)]


def random(*shape, seed=None, scale=1.0):
    generator = torch.Generator().manual_seed(sum(shape) if seed is None else seed)
    return torch.randn(shape, generator=generator) * scale


def linear(name, outputs, inputs, bias=True):
    weights = {f"{name}.weight": random(outputs, inputs) / inputs**0.5}
    return weights | ({f"{name}.bias": random(outputs, seed=7) * 0.1} if bias else {})


def norm(name, width):
    return {f"{name}.weight": 1 + 0.1 * random(width), f"{name}.bias": 0.1 * random(width, seed=3)}


def resampler(prefix, *, features, width, depth, inner, outputs):
    weights = (
        linear(f"{prefix}proj_in", width, features)
        | linear(f"{prefix}proj_out", outputs, width)
        | norm(f"{prefix}norm_out", outputs)
    )
    for layer in range(depth):
        at = f"{prefix}layers.{layer}."
        weights |= norm(f"{at}0.norm1", width) | norm(f"{at}0.norm2", width)
        weights |= linear(f"{at}0.to_q", inner, width, bias=False)
        weights |= linear(f"{at}0.to_kv", 2 * inner, width, bias=False)
        weights |= linear(f"{at}0.to_out", width, inner, bias=False)
        weights |= norm(f"{at}1.0", width)
        weights |= linear(f"{at}1.1", 4 * width, width, bias=False)
        weights |= linear(f"{at}1.3", width, 4 * width, bias=False)
    return weights


def resample(weights, prefix, queries, features, *, head_dim, depth):
    """The resampler, written out over the names in the file."""

    def w(name):
        return weights[prefix + name]

    def layer_norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w(f"{name}.weight"), w(f"{name}.bias"))

    features = features @ w("proj_in.weight").T + w("proj_in.bias")
    for layer in range(depth):
        at = f"layers.{layer}."
        x = layer_norm(features, f"{at}0.norm1")
        q = layer_norm(queries, f"{at}0.norm2")
        both = torch.cat([x, q], 1)
        query = q @ w(f"{at}0.to_q.weight").T
        key, value = (both @ w(f"{at}0.to_kv.weight").T).chunk(2, -1)
        heads = []
        for start in range(0, query.shape[-1], head_dim):
            part = slice(start, start + head_dim)
            logits = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(head_dim)
            heads.append(logits.softmax(-1) @ value[..., part])
        queries = queries + torch.cat(heads, -1) @ w(f"{at}0.to_out.weight").T
        inner = layer_norm(queries, f"{at}1.0") @ w(f"{at}1.1.weight").T
        queries = queries + F.gelu(inner) @ w(f"{at}1.3.weight").T
    return layer_norm(queries @ w("proj_out.weight").T + w("proj_out.bias"), "norm_out")


def mlp(weights, vector, tokens):
    hidden = F.gelu(vector @ weights["proj.0.weight"].T + weights["proj.0.bias"])
    found = (hidden @ weights["proj.2.weight"].T + weights["proj.2.bias"]).view(
        len(vector), tokens, CHANNELS
    )
    return F.layer_norm(found, (CHANNELS,), weights["norm.weight"], weights["norm.bias"])


def layers(unet, *, lora):
    """Matrices for every attention processor, numbered as in the published files."""
    found = {}
    for number, name in enumerate(unet.attn_processors):
        layer = unet.get_submodule(name.removesuffix(".processor"))
        if name.endswith("attn2.processor"):
            shape = (layer.to_k.out_features, CHANNELS)
            found[f"{number}.to_k_ip.weight"] = random(*shape, seed=number)
            found[f"{number}.to_v_ip.weight"] = random(*shape, seed=number + 100)
        for target in ("to_q", "to_k", "to_v", "to_out") if lora else ():
            base = layer.to_out[0] if target == "to_out" else getattr(layer, target)
            at = f"{number}.{target}_lora"
            found[f"{at}.down.weight"] = random(3, base.in_features, seed=number, scale=0.2)
            found[f"{at}.up.weight"] = random(base.out_features, 3, seed=number + 9, scale=0.2)
    return found


def write(path, weights, ip_adapter):
    if path.suffix == ".safetensors":
        flat = {f"image_proj.{name}": tensor for name, tensor in weights.items()}
        flat |= {f"ip_adapter.{name}": tensor for name, tensor in ip_adapter.items()}
        safetensors.torch.save_file(flat, path)
    else:
        torch.save({"image_proj": weights, "ip_adapter": ip_adapter}, path)
    return path


def faceid_weights(variant, *, embedding=24, clip=20, tokens=4):
    tokens = 3 if variant == "portrait" else tokens
    weights = linear("proj.0", 2 * embedding, embedding)
    weights |= linear("proj.2", tokens * CHANNELS, 2 * embedding) | norm("norm", CHANNELS)
    if variant.startswith("plus"):
        weights |= resampler(
            "perceiver_resampler.",
            features=clip,
            width=CHANNELS,
            depth=3,
            inner=16,
            outputs=CHANNELS,
        )
    return weights


@pytest.fixture(scope="module")
def unet(pipe):
    return pipe.unet


class PeerAttention:
    """IP-Adapter's attention with low-rank changes, as its paper and files define it."""

    def __init__(self, ip_adapter, number, tokens, scale=1.0):
        self.weights, self.number, self.tokens, self.scale = ip_adapter, number, tokens, scale

    def project(self, target, linear, x):
        at = f"{self.number}.{target}_lora"
        down = self.weights.get(f"{at}.down.weight")
        change = 0 if down is None else x @ down.T @ self.weights[f"{at}.up.weight"].T
        return linear(x) + change

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        assert attention_mask is None

        def split(x):
            return x.view(len(x), -1, attn.heads, x.shape[-1] // attn.heads).transpose(1, 2)

        def attend(query, key, value):
            logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
            out = logits.softmax(-1) @ value
            return out.transpose(1, 2).reshape(len(out), out.shape[2], -1)

        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = split(self.project("to_q", attn.to_q, hidden_states))
        key = split(self.project("to_k", attn.to_k, text))
        value = split(self.project("to_v", attn.to_v, text))
        out = attend(query, key, value)
        if encoder_hidden_states is not None:
            key = self.tokens @ self.weights[f"{self.number}.to_k_ip.weight"].T
            value = self.tokens @ self.weights[f"{self.number}.to_v_ip.weight"].T
            out = out + self.scale * attend(query, split(key), split(value))
        return self.project("to_out", attn.to_out[0], out)


def peer_image(pipe, ip_adapter, tokens, null, *, scale=1.0, faces_in_controlnet=False):
    """One identity everywhere, drawn by diffusers' pipeline with the peer's attention."""
    peer = StableDiffusionControlNetPipeline(
        **{
            name: part
            for name, part in pipe.components.items()
            if name not in ("id_projector", "id_adapter", "face_encoder")
        },
        requires_safety_checker=False,
    )
    peer.set_progress_bar_config(disable=True)
    both = torch.cat([null, tokens])
    processors = {
        name: PeerAttention(ip_adapter, number, both, scale)
        for number, name in enumerate(peer.unet.attn_processors)
    }
    peer.unet.set_attn_processor(processors)
    peer.controlnet.set_attn_processor(AttnProcessor2_0())
    hook = None
    if faces_in_controlnet:

        def only_faces(_, args, kwargs):
            return args, {**kwargs, "encoder_hidden_states": both}

        hook = peer.controlnet.register_forward_pre_hook(only_faces, with_kwargs=True)
    image = peer("two men", image=Image.new("RGB", (64, 64), (90, 10, 200)), **common()).images
    if hook is not None:
        hook.remove()
    return image


def common():
    return {
        "num_inference_steps": 2,
        "output_type": "np",
        "generator": torch.Generator().manual_seed(0),
    }


def our_image(pipe, face, **options):
    return pipe(
        "two men",
        [face],
        masks=[np.ones((64, 64))],
        pose=Image.new("RGB", (64, 64), (90, 10, 200)),
        **common(),
        **options,
    ).images


def fresh(make_pipe, identity):
    pipe = make_pipe(
        id_projector=identity.projector,
        id_adapter=identity.adapter,
        unet_attention="decoupled",
        controlnet_attention=identity.controlnet_attention,
        circles=False,
    )
    with torch.no_grad():
        for name, change in identity.changes.items():
            pipe.unet.get_parameter(name).add_(change)
    return pipe


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("variant", ["base", "portrait"])
def test__load_faceid__base_and_portrait__equals_the_definition(
    variant, suffix, unet, make_pipe, tmp_path
):
    weights = faceid_weights(variant)
    ip_adapter = layers(unet, lora=variant == "base")
    path = write(tmp_path / f"ip-adapter-faceid-{variant}_sd15{suffix}", weights, ip_adapter)
    identity = load_faceid(path, unet=unet)
    many = 2 if variant == "portrait" else 1
    vector = random(many, 24)
    order = torch.arange(5 if variant == "portrait" else 1) % many
    tokens = 3 if variant == "portrait" else 4
    expected = mlp(weights, vector[order], tokens).flatten(0, 1)[None]
    null = mlp(weights, torch.zeros_like(vector[order]), tokens).flatten(0, 1)[None]
    with torch.no_grad():
        found = identity.projector(vector[None] if many > 1 else vector)
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], null, atol=1e-5, rtol=0)
    face = vector if many > 1 else vector[0]
    image = our_image(fresh(make_pipe, identity), face, id_scale=0.7)
    peer = peer_image(make_pipe(), ip_adapter, expected, null, scale=0.7)
    assert np.abs(image - peer).max() < 1e-5


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
@pytest.mark.parametrize("variant", ["plus", "plusv2"])
def test__load_faceid__plus__equals_the_definition(variant, suffix, unet, tmp_path):
    weights = faceid_weights(variant)
    ip_adapter = layers(unet, lora=True)
    path = write(tmp_path / f"ip-adapter-faceid-{variant}_sd15{suffix}", weights, ip_adapter)
    identity = load_faceid(path, unet=unet, head_dim=8, structure=0.6)
    vector, clip, null_clip = random(2, 24), random(2, 5, 20), random(2, 5, 20, seed=8)
    with torch.no_grad():
        found = identity.projector(vector, clip, null_clip)
    for result, one, two in zip(
        found, (vector, torch.zeros_like(vector)), (clip, null_clip), strict=True
    ):
        queries = mlp(weights, one, 4)
        read = resample(weights, "perceiver_resampler.", queries, two, head_dim=8, depth=3)
        expected = queries + 0.6 * read if variant == "plusv2" else read
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    for number, name in enumerate(unet.attn_processors):
        layer = name.removesuffix(".processor")
        up, down = (ip_adapter[f"{number}.to_out_lora.{way}.weight"] for way in ("up", "down"))
        torch.testing.assert_close(identity.changes[f"{layer}.to_out.0.weight"], up @ down)


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test__load_instantid__equals_the_definition(suffix, unet, make_pipe, tmp_path):
    weights = resampler("", features=24, width=32, depth=2, inner=24, outputs=CHANNELS)
    weights["latents"] = random(1, 6, 32)
    ip_adapter = layers(unet, lora=False)
    path = write(tmp_path / f"ip-adapter{suffix}", weights, ip_adapter)
    identity = load_instantid(path, unet=unet, head_dim=8)
    vector = random(1, 24)
    expected, null = (
        resample(weights, "", weights["latents"], x[:, None], head_dim=8, depth=2)
        for x in (vector, torch.zeros_like(vector))
    )
    with torch.no_grad():
        found = identity.projector(vector)
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], null, atol=1e-5, rtol=0)
    image = our_image(fresh(make_pipe, identity), vector[0], id_scale=0.8)
    # The strength is that of the UNet's adapter; IdentityNet has a scale of its own.
    peer = peer_image(make_pipe(), ip_adapter, expected, null, scale=0.8, faces_in_controlnet=True)
    assert np.abs(image - peer).max() < 1e-5


def test__assemble__instantid_folder__draws_several_and_is_saved(make_pipe, tmp_path):
    plain = make_pipe()
    base = tmp_path / "base"
    StableDiffusionControlNetPipeline(
        **{
            n: p
            for n, p in plain.components.items()
            if n not in ("id_projector", "id_adapter") and n != "face_encoder"
        },
        requires_safety_checker=False,
    ).save_pretrained(base)
    folder = tmp_path / "instantid"
    plain.controlnet.save_pretrained(folder / "ControlNetModel")
    weights = resampler("", features=24, width=32, depth=2, inner=64, outputs=CHANNELS)
    weights["latents"] = random(1, 6, 32)
    write(folder / "ip-adapter.bin", weights, layers(plain.unet, lora=False))
    pipe = assemble(base=base, identity=folder)
    pipe.set_progress_bar_config(disable=True)
    faces = [random(24), random(24, seed=1)]
    boxes = [(2, 12, 26, 40), (38, 12, 62, 40)]
    image = pipe("two men", faces, boxes, height=64, width=64, **common()).images
    other = pipe("two men", faces[::-1], boxes, height=64, width=64, **common()).images
    assert np.abs(image - other).max() > 1e-3
    loaded = InstantFamilyPipeline.from_pretrained(pipe.save_pretrained(tmp_path / "whole"))
    loaded.set_progress_bar_config(disable=True)
    again = loaded("two men", faces, boxes, height=64, width=64, **common()).images
    assert np.array_equal(image, again)


class Harmful:
    def __reduce__(self):
        return (print, ("this must not run",))


def test__load_faceid__file_holds_code__refused_without_running_it(unet, tmp_path, capsys):
    torch.save({"image_proj": Harmful(), "ip_adapter": {}}, tmp_path / "faceid.bin")
    with pytest.raises(FormatError, match="must hold tensors alone, by name"):
        load_faceid(tmp_path / "faceid.bin", unet=unet)
    assert "must not run" not in capsys.readouterr().out


def test__loaders__wrong_files__one_sentence(unet, tmp_path):
    with pytest.raises(SourceError, match="there is no such file"):
        load_instantid(tmp_path / "none.bin", unet=unet)
    (tmp_path / "rubbish.bin").write_bytes(b"rubbish")
    with pytest.raises(FormatError, match="must hold tensors alone"):
        load_faceid(tmp_path / "rubbish.bin", unet=unet)
    (tmp_path / "rubbish.safetensors").write_bytes(b"rubbish" * 9)
    with pytest.raises(FormatError, match="must hold tensors alone"):
        load_faceid(tmp_path / "rubbish.safetensors", unet=unet)
    torch.save({"state_dict": {}}, tmp_path / "other.bin")
    with pytest.raises(FormatError, match=r"of 'image_proj' and 'ip_adapter'\. Got 'state_dict'"):
        load_faceid(tmp_path / "other.bin", unet=unet)
    weights, ip_adapter = faceid_weights("base"), layers(unet, lora=False)
    with pytest.raises(FormatError, match=r"must hold InstantID's resampler\. Missing: proj_in"):
        load_instantid(write(tmp_path / "a.bin", weights, ip_adapter), unet=unet)
    with pytest.raises(FormatError, match="must be a FaceID checkpoint 'plus'"):
        load_faceid(write(tmp_path / "b.bin", weights, ip_adapter), unet=unet, variant="plus")
    with pytest.raises(ValueError, match="must be one of base, plus, plusv2, portrait"):
        load_faceid(tmp_path / "b.bin", unet=unet, variant="xl")
    number = next(iter(ip_adapter))
    fewer = {name: tensor for name, tensor in ip_adapter.items() if name != number}
    with pytest.raises(FormatError, match=f"must be those of this UNet.* Missing: {number}"):
        load_faceid(write(tmp_path / "c.bin", weights, fewer), unet=unet)
    more = ip_adapter | {"99.to_k_ip.weight": random(4, 4)}
    with pytest.raises(FormatError, match=r"Unknown: 99\.to_k_ip\.weight"):
        load_faceid(write(tmp_path / "d.bin", weights, more), unet=unet)
    bent = ip_adapter | {number: random(3, 3)}
    with pytest.raises(FormatError, match=r"must have the shape .* Got \(3, 3\)"):
        load_faceid(write(tmp_path / "e.bin", weights, bent), unet=unet)


def iresnet(seed=0):
    torch.manual_seed(seed)
    network = IResNet(blocks=(1, 2, 1, 1), channels=(4, 4, 6, 6, 8), embedding_dim=10).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network


def run_iresnet(weights, images):
    """The network, written out over the names in a file of arcface_torch."""

    def bn(x, name):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var, gain, bias = (
            weights[f"{name}.{part}"].view(shape)
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * gain + bias

    def prelu(x, name):
        return torch.where(x > 0, x, x * weights[f"{name}.weight"].view(1, -1, 1, 1))

    x = prelu(bn(F.conv2d(images, weights["conv1.weight"], padding=1), "bn1"), "prelu")
    for stage in range(1, 5):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in weights:
            at = f"layer{stage}.{block}."
            stride = 2 if block == 0 else 1
            out = F.conv2d(bn(x, f"{at}bn1"), weights[f"{at}conv1.weight"], padding=1)
            out = prelu(bn(out, f"{at}bn2"), f"{at}prelu")
            out = F.conv2d(out, weights[f"{at}conv2.weight"], padding=1, stride=stride)
            out = bn(out, f"{at}bn3")
            if block == 0:
                x = bn(
                    F.conv2d(x, weights[f"{at}downsample.0.weight"], stride=2), f"{at}downsample.1"
                )
            x = x + out
            block += 1
    local = bn(x, "bn2")
    vector = local.flatten(1) @ weights["fc.weight"].T + weights["fc.bias"]
    return bn(vector, "features"), local


POINTS = (TEMPLATE * 0.5 + torch.tensor([10.0, 6.0])).float()


@pytest.mark.parametrize("prefix", ["", "module."])
def test__load_arcface__equals_the_definition(prefix, tmp_path):
    weights = iresnet().state_dict()
    torch.save({prefix + name: tensor for name, tensor in weights.items()}, tmp_path / "model.pt")
    recogniser = load_arcface(tmp_path / "model.pt")
    image = torch.rand(1, 3, 80, 70, generator=torch.Generator().manual_seed(0))
    found = recogniser.embed(image, [DetectedFace((0, 0, 9, 9), keypoints=POINTS)])
    crop = align_face(image[0], POINTS)[None]
    vector, local = run_iresnet(weights, 2 * crop - 1)
    torch.testing.assert_close(found.vector, F.normalize(vector), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.tokens, local.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-5)
    raw = load_arcface(tmp_path / "model.pt", normalise=False)
    torch.testing.assert_close(
        raw.embed(image, [DetectedFace((0, 0, 9, 9), keypoints=POINTS)]).vector,
        vector,
        atol=1e-5,
        rtol=1e-5,
    )
    assert "non-commercial" in recogniser.licence


def test__load_arcface__other_network__one_sentence(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(FormatError, match="must hold an IResNet of arcface_torch"):
        load_arcface(tmp_path / "model.pt")


def test__similarity__turned_scaled_and_shifted__found_again():
    angle, scale = 0.4, 1.7
    turn = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    shift = torch.tensor([5.0, -3.0])
    found = similarity(TEMPLATE, TEMPLATE @ turn.T + shift)
    torch.testing.assert_close(found.float(), torch.cat([turn, shift[:, None]], 1))


def test__align_face__points_on_the_template__is_the_picture_itself():
    image = torch.rand(3, 112, 112)
    torch.testing.assert_close(align_face(image, TEMPLATE), image, atol=1e-4, rtol=0)


def write_recogniser(path, network, *, inside=False):
    """The network as an ONNX graph that answers with the embedding alone, like a pack's."""
    graph = _Graph()
    start = "input.1"
    if inside:
        start = graph.add("Sub", [start, graph.weight(torch.tensor(127.5))])
        start = graph.add("Mul", [start, graph.weight(torch.tensor(1 / 127.5))])
    out = graph.iresnet(network, start)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "recogniser",
            [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, 112, 112])],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, 10])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 11)],
        ir_version=8,
    )
    onnx.save(model, path)


class _Graph:
    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def add(self, op, inputs, **attributes):
        self.count += 1
        name = f"t{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def weight(self, tensor):
        self.count += 1
        name = f"w{self.count}"
        array = tensor.detach().numpy()
        self.weights.append(onnx.numpy_helper.from_array(array, name))
        return name

    def bn(self, x, module):
        parts = (module.weight, module.bias, module.running_mean, module.running_var)
        inputs = [x, *(self.weight(part) for part in parts)]
        return self.add("BatchNormalization", inputs, epsilon=1e-5)

    def conv(self, x, module):
        pad = module.padding[0]
        return self.add(
            "Conv",
            [x, self.weight(module.weight)],
            strides=list(module.stride),
            pads=[pad] * 4,
        )

    def prelu(self, x, module):
        return self.add("PRelu", [x, self.weight(module.weight.view(-1, 1, 1))])

    def iresnet(self, network, start):
        x = self.prelu(self.bn(self.conv(start, network.conv1), network.bn1), network.prelu)
        for stage in range(1, 5):
            for block in network.get_submodule(f"layer{stage}"):
                out = self.conv(self.bn(x, block.bn1), block.conv1)
                out = self.conv(self.prelu(self.bn(out, block.bn2), block.prelu), block.conv2)
                out = self.bn(out, block.bn3)
                if block.downsample is not None:
                    x = self.bn(self.conv(x, block.downsample[0]), block.downsample[1])
                x = self.add("Add", [x, out])
        x = self.add("Flatten", [self.bn(x, network.bn2)], axis=1)
        weights = [self.weight(network.fc.weight), self.weight(network.fc.bias)]
        return self.bn(self.add("Gemm", [x, *weights], transB=1), network.features)


def write_detector(path, answers):
    """A detector that gives the same answer to every picture."""
    weights, nodes, outputs = [], [], []
    for number, answer in enumerate(answers):
        weights.append(onnx.numpy_helper.from_array(answer.astype(np.float32), f"a{number}"))
        nodes.append(helper.make_node("Identity", [f"a{number}"], [f"o{number}"]))
        outputs.append(
            helper.make_tensor_value_info(f"o{number}", TensorProto.FLOAT, list(answer.shape))
        )
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "detector",
            [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "h", "w"])],
            outputs,
            weights,
        ),
        opset_imports=[helper.make_opsetid("", 11)],
        ir_version=8,
    )
    onnx.save(model, path)


def detector_answers(size, faces):
    """Outputs of SCRFD, nine arrays, with the given (stride, row, column, score, box, points)."""
    scores, boxes, points = [], [], []
    for stride in (8, 16, 32):
        side = size // stride
        scores.append(np.zeros((side * side * 2, 1)))
        boxes.append(np.zeros((side * side * 2, 4)))
        points.append(np.zeros((side * side * 2, 10)))
        for level, row, column, score, box, five in faces:
            if level != stride:
                continue
            at = (row * side + column) * 2 + 1
            x, y = column * stride, row * stride
            left, top, right, bottom = box
            scores[-1][at] = score
            boxes[-1][at] = np.array([x - left, y - top, right - x, bottom - y]) / stride
            points[-1][at] = (np.array(five) - (x, y)).ravel() / stride
    return [*scores, *boxes, *points]


@pytest.mark.parametrize("inside", ["", "antelopev2", "models/antelopev2/antelopev2"])
def test__load_insightface__pack_however_nested__reads_the_face(inside, tmp_path):
    folder = tmp_path / inside
    folder.mkdir(parents=True, exist_ok=True)
    network = iresnet(1)
    # Recognisers converted from mxnet scale pixels in the graph.
    write_recogniser(folder / "glintr100.onnx", network, inside=inside == "antelopev2")
    five = (POINTS * 4).tolist()
    write_detector(
        folder / "scrfd_10g_bnkps.onnx",
        detector_answers(
            320,
            [
                (16, 6, 7, 0.9, (60, 40, 200, 220), five),
                (8, 12, 14, 0.8, (64, 44, 198, 222), five),  # the same face again
                (32, 8, 8, 0.6, (240, 240, 280, 300), five),
                (8, 1, 1, 0.3, (0, 0, 20, 20), five),
            ],
        ),
    )
    reader = load_insightface(tmp_path, size=320)
    image = torch.rand(3, 80, 70, generator=torch.Generator().manual_seed(0))
    faces = reader.detector.detect(image)
    assert [round(face.score, 3) for face in faces] == [0.9, 0.6]
    shrink = np.array([70 / 280, 80 / 320] * 2)
    np.testing.assert_allclose(faces[0].box, np.array([60, 40, 200, 220]) * shrink, rtol=1e-6)
    torch.testing.assert_close(faces[0].keypoints, POINTS, atol=1e-4, rtol=0)
    found = reader.read([image])
    weights = network.state_dict()
    vector, local = run_iresnet(weights, 2 * align_face(image, faces[0].keypoints)[None] - 1)
    torch.testing.assert_close(found.vector, F.normalize(vector), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.tokens, local.flatten(2).transpose(1, 2), atol=1e-5, rtol=1e-5)
    assert reader.recogniser.side == 7
    assert "non-commercial" in reader.recogniser.licence
    assert "non-commercial" in reader.detector.licence


def test__load_insightface__no_pack__says_what_was_found(tmp_path):
    with pytest.raises(SourceError, match="there is no such folder"):
        load_insightface(tmp_path / "none")
    with pytest.raises(SourceError, match=r"no detector and no recogniser among .*none ends in"):
        load_insightface(tmp_path)
    write_recogniser(tmp_path / "glintr100.onnx", iresnet())
    with pytest.raises(SourceError, match=r"it has no detector among its files \(glintr100"):
        load_insightface(tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"\xff\xff")
    with pytest.raises(FormatError, match=r"broken\.onnx is not a valid ONNX model"):
        load_insightface(tmp_path)
