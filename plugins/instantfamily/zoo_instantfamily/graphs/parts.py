"""Everything around the denoising networks: text encoder, autoencoder, faces."""

from typing import Any

import numpy as np
import onnx
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import Attention
from transformers import CLIPTextModel

from zoo_instantfamily.encoders import DrawnFaceEncoder
from zoo_instantfamily.graphs.layers import LayerBuilder, array
from zoo_instantfamily.projector import IDProjector

__all__ = [
    "face_encoder_graph",
    "projector_graph",
    "text_encoder_graph",
    "vae_decoder_graph",
    "vae_encoder_graph",
]

_HIDDEN = -1e30
_UNIT_FLOOR = 1e-12  # as torch.nn.functional.normalize has it


def text_encoder_graph(encoder: Any) -> onnx.ModelProto:
    """CLIP's text encoder.

    Parameters
    ----------
    encoder : CLIPTextModel
        The module.

    Returns
    -------
    onnx.ModelProto
        ``input_ids`` (batch, length) to ``last_hidden_state`` (batch, length, channels).
    """
    graph = LayerBuilder("text_encoder")
    if type(encoder) is not CLIPTextModel:
        raise graph.refuse(encoder, "the text encoder must be a CLIPTextModel")
    # Up to version 4 of transformers the parts lay one level deeper.
    parts: Any = dict(encoder.named_children()).get("text_model", encoder)
    ids = graph.input("input_ids", ["batch", "length"], np.int64)
    table = graph.weight("tokens", array(parts.embeddings.token_embedding.weight))
    places = graph.weight("positions", array(parts.embeddings.position_embedding.weight))
    length = graph.node("Shape", [ids], "length", start=1, end=2)
    x = graph.add(
        graph.node("Gather", [table, ids], "embedded"),
        graph.node("Slice", [places, graph.shape(0), length, graph.shape(0)], "places"),
    )
    most = encoder.config.max_position_embeddings
    later = graph.weight("later", np.triu(np.full((most, most), _HIDDEN, dtype=np.float32), 1))
    both = graph.concat([length, length], 0)
    mask = graph.node("Slice", [later, graph.shape(0, 0), both, graph.shape(0, 1)], "mask")
    for layer in parts.encoder.layers:
        x = graph.add(
            x, _clip_attention(graph, graph.layer_norm(x, layer.layer_norm1), layer, mask)
        )
        hidden = graph.linear(graph.layer_norm(x, layer.layer_norm2), layer.mlp.fc1)
        hidden = graph.activate(hidden, layer.mlp.activation_fn)
        x = graph.add(x, graph.linear(hidden, layer.mlp.fc2))
    x = graph.layer_norm(x, parts.final_layer_norm)
    graph.output(x, "last_hidden_state", ["batch", "length", encoder.config.hidden_size])
    return graph.model()


def _clip_attention(graph: LayerBuilder, x: str, layer: Any, mask: str) -> str:
    attention = layer.self_attn
    heads = attention.num_heads
    query = graph.heads(graph.linear(x, attention.q_proj, scale=attention.scale), heads)
    key = graph.heads(graph.linear(x, attention.k_proj), heads, turned=True)
    value = graph.heads(graph.linear(x, attention.v_proj), heads)
    return graph.linear(graph.merge(graph.attend(query, key, value, mask)), attention.out_proj)


def vae_decoder_graph(vae: Any) -> onnx.ModelProto:
    """The decoder of the autoencoder.

    Parameters
    ----------
    vae : AutoencoderKL
        The module.

    Returns
    -------
    onnx.ModelProto
        ``latent_sample`` (batch, channels, height, width) to ``sample`` in [-1, 1].
    """
    graph = LayerBuilder("vae_decoder")
    _check_vae(graph, vae)
    decoder = vae.decoder
    x = graph.input("latent_sample", ["batch", vae.config.latent_channels, "height", "width"])
    if vae.post_quant_conv is not None:
        x = graph.convolve(x, vae.post_quant_conv)
    x = _vae_middle(graph, graph.convolve(x, decoder.conv_in), decoder.mid_block)
    for block in decoder.up_blocks:
        if type(block).__name__ != "UpDecoderBlock2D":
            raise graph.refuse(block, "the decoder must be of UpDecoderBlock2D")
        for resnet in block.resnets:
            x = graph.resnet(x, resnet, None)
        for layer in block.upsamplers or []:
            x = graph.upsample(x, layer)
    x = graph.activate(graph.group_norm(x, decoder.conv_norm_out), decoder.conv_act)
    x = graph.convolve(x, decoder.conv_out)
    graph.output(x, "sample", ["batch", vae.config.out_channels, "pixels_down", "pixels_across"])
    return graph.model()


def vae_encoder_graph(vae: Any) -> onnx.ModelProto:
    """The encoder of the autoencoder.

    Parameters
    ----------
    vae : AutoencoderKL
        The module.

    Returns
    -------
    onnx.ModelProto
        ``sample`` (batch, 3, height, width) in [-1, 1] to ``latent_parameters``, means and
        logarithms of variances.
    """
    graph = LayerBuilder("vae_encoder")
    _check_vae(graph, vae)
    encoder = vae.encoder
    x = graph.input("sample", ["batch", vae.config.in_channels, "pixels_down", "pixels_across"])
    x = graph.convolve(x, encoder.conv_in)
    for block in encoder.down_blocks:
        if type(block).__name__ != "DownEncoderBlock2D":
            raise graph.refuse(block, "the encoder must be of DownEncoderBlock2D")
        for resnet in block.resnets:
            x = graph.resnet(x, resnet, None)
        for layer in block.downsamplers or []:
            x = graph.downsample(x, layer)
    x = _vae_middle(graph, x, encoder.mid_block)
    x = graph.activate(graph.group_norm(x, encoder.conv_norm_out), encoder.conv_act)
    x = graph.convolve(x, encoder.conv_out)
    if vae.quant_conv is not None:
        x = graph.convolve(x, vae.quant_conv)
    channels = 2 * vae.config.latent_channels
    graph.output(x, "latent_parameters", ["batch", channels, "height", "width"])
    return graph.model()


def _check_vae(graph: LayerBuilder, vae: Any) -> None:
    if type(vae) is not AutoencoderKL:
        raise graph.refuse(vae, "the autoencoder must be an AutoencoderKL")


def _vae_middle(graph: LayerBuilder, x: str, block: Any) -> str:
    x = graph.resnet(x, block.resnets[0], None)
    for attention, resnet in zip(block.attentions, block.resnets[1:], strict=True):
        if attention is not None:
            x = _vae_attention(graph, x, attention)
        x = graph.resnet(x, resnet, None)
    return x


def _vae_attention(graph: LayerBuilder, x: str, layer: Attention) -> str:
    sizes = graph.node("Shape", [x], "sizes")
    flat = graph.reshape(x, 0, layer.to_q.in_features, -1)
    hidden = flat if layer.group_norm is None else graph.group_norm_flat(flat, layer.group_norm)
    hidden = graph.self_attention(graph.transpose(hidden, 0, 2, 1), layer)
    hidden = graph.node("Reshape", [graph.transpose(hidden, 0, 2, 1), sizes], "back")
    hidden = graph.add(hidden, x) if layer.residual_connection else hidden
    return graph.scaled(hidden, 1 / layer.rescale_output_factor)


def projector_graph(projector: Any) -> onnx.ModelProto:
    """The projector of identities.

    Parameters
    ----------
    projector : IDProjector
        The module.

    Returns
    -------
    onnx.ModelProto
        ``vector`` (faces, global_dim) and ``tokens`` (faces, grid * grid, local_dim) to
        ``id_tokens`` and ``null_tokens`` (faces, tokens, channels).
    """
    graph = LayerBuilder("id_projector")
    if type(projector) is not IDProjector:
        raise graph.refuse(projector, "the identity projector must be an IDProjector")
    config = projector.config
    channels = config.cross_attention_dim
    vector = graph.input("vector", ["faces", config.global_dim])
    parts = []
    if config.features != "local":
        parts.append(graph.reshape(graph.sequence(vector, projector.vector), 0, 1, channels))
    if config.features != "global":
        tokens = graph.input("tokens", ["faces", config.grid**2, config.local_dim])
        place = graph.weight("position", array(projector.position))
        parts.append(graph.add(graph.sequence(tokens, projector.map), place))
    found = graph.concat(parts, 1) if len(parts) > 1 else parts[0]
    length = len(projector.null)
    faces = graph.node("Shape", [vector], "faces", start=0, end=1)
    sizes = graph.concat([faces, graph.shape(length, channels)], 0)
    null = graph.node("Expand", [graph.weight("null", array(projector.null)[None]), sizes], "null")
    graph.output(found, "id_tokens", ["faces", length, channels])
    graph.output(null, "null_tokens", ["faces", length, channels])
    return graph.model()


def face_encoder_graph(encoder: DrawnFaceEncoder) -> onnx.ModelProto:
    """The encoder of drawn faces.

    Parameters
    ----------
    encoder : DrawnFaceEncoder
        The module.

    Returns
    -------
    onnx.ModelProto
        ``image`` (faces, 3, side, side) in [0, 1] to ``vector`` and ``tokens``.
    """
    graph = LayerBuilder("face_encoder")
    side = encoder.image_size
    image = graph.input("image", ["faces", 3, side, side])
    centred = graph.add(graph.scaled(image, 2.0), graph.weight("centre", np.float32(-1)))
    local = graph.sequence(centred, encoder.body)
    raw = graph.sequence(local, encoder.head)
    length = graph.node("ReduceL2", [raw, graph.shape(-1)], "length", keepdims=1)
    floor = graph.node("Max", [length, graph.weight("floor", np.float32(_UNIT_FLOOR))], "floored")
    graph.output(graph.node("Div", [raw, floor], "unit"), "vector", ["faces", encoder.vector_dim])
    tokens = graph.transpose(graph.reshape(local, 0, encoder.token_dim, -1), 0, 2, 1)
    graph.output(tokens, "tokens", ["faces", encoder.side**2, encoder.token_dim])
    return graph.model()
