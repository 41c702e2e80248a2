"""Recognisers in the layout of arcface_torch: the IResNet of ArcFace (arXiv 1801.07698)."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import FormatError
from zoo_instantfamily.alignment import align_face
from zoo_instantfamily.drawing import crop_faces
from zoo_instantfamily.encoders import FaceFeatures
from zoo_instantfamily.faces import DetectedFace
from zoo_instantfamily.loaders.weights import fill, read_tensors

__all__ = ["LICENCE", "ArcFaceRecogniser", "IResNet", "cut_faces", "load_arcface"]

LICENCE = (
    "the code of arcface_torch is MIT; the checkpoints that insightface publishes for it are for "
    "non-commercial research only, your own are yours"
)


class _Block(nn.Module):
    """A residual block, normalised before, between and after its two convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, shortcut: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
            if shortcut
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.bn1(x))
        out = self.bn3(self.conv2(self.prelu(self.bn2(out))))
        return out + (x if self.downsample is None else self.downsample(x))


class IResNet(nn.Module):
    """The network of arcface_torch; its weights have the names of that code.

    Parameters
    ----------
    blocks : sequence of int
        Blocks of each of the four stages: (3, 4, 14, 3) is r50, (3, 13, 30, 3) is r100.
    channels : sequence of int, default=(64, 64, 128, 256, 512)
        Of the stem and of each stage.
    embedding_dim : int, default=512
        Length of the embedding.
    side : int, default=7
        Side of the last feature map: a sixteenth of that of the picture.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[int],
        channels: Sequence[int] = (64, 64, 128, 256, 512),
        embedding_dim: int = 512,
        side: int = 7,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.prelu = nn.PReLU(channels[0])
        for stage, count in enumerate(blocks):
            before, width = channels[stage], channels[stage + 1]
            first = _Block(before, width, 2, shortcut=True)
            rest = [_Block(width, width, 1, shortcut=False) for _ in range(count - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
        self.bn2 = nn.BatchNorm2d(channels[-1])
        self.fc = nn.Linear(channels[-1] * side**2, embedding_dim)
        self.features = nn.BatchNorm1d(embedding_dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding and last feature map.

        Parameters
        ----------
        images : Tensor of shape (faces, 3, 16 * side, 16 * side)
            RGB in [-1, 1].

        Returns
        -------
        embedding : Tensor of shape (faces, embedding_dim)
            Not normalised.
        local : Tensor of shape (faces, channels, side, side)
        """
        x = self.prelu(self.bn1(self.conv1(images)))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        local = self.bn2(x)
        return self.features(self.fc(local.flatten(1))), local


class ArcFaceRecogniser:
    """A recogniser for `zoo_instantfamily.faces.FaceReader`.

    Parameters
    ----------
    network : IResNet
        Its weights.
    normalise : bool, default=True
        Scale embeddings to length one, as FaceID expects; InstantID does not.
    licence : str
        Under which the weights may be used.
    """

    def __init__(self, network: IResNet, *, normalise: bool = True, licence: str = LICENCE) -> None:
        self.network = network
        self.normalise = normalise
        self.licence = licence
        self.vector_dim = network.fc.out_features
        self.token_dim = network.bn2.num_features
        self.side = round((network.fc.in_features / self.token_dim) ** 0.5)

    @torch.no_grad()
    def embed(self, images: Tensor, faces: Sequence[DetectedFace]) -> FaceFeatures:
        """Features of one face in each image.

        Parameters
        ----------
        images : Tensor of shape (n, 3, height, width)
            In [0, 1].
        faces : sequence of DetectedFace, length n
            Turned upright where their key points are known, else cut out by their boxes.

        Returns
        -------
        FaceFeatures
            Of n faces.
        """
        crops = cut_faces(images, faces, size=16 * self.side)
        vector, local = self.network(2 * crops - 1)
        if self.normalise:
            vector = torch.nn.functional.normalize(vector, dim=-1)
        return FaceFeatures(vector, local.flatten(2).transpose(1, 2))


def cut_faces(images: Tensor, faces: Sequence[DetectedFace], *, size: int) -> Tensor:
    """Crops for a recogniser.

    Parameters
    ----------
    images : Tensor of shape (n, 3, height, width)
        In [0, 1].
    faces : sequence of DetectedFace, length n
        One in each image.
    size : int
        Side of the crops in pixels.

    Returns
    -------
    Tensor of shape (n, 3, size, size)
        In [0, 1].
    """
    crops = []
    for image, face in zip(images, faces, strict=True):
        if face.keypoints is None:
            box = torch.tensor([[face.box]], dtype=image.dtype, device=image.device)
            crops.append(crop_faces(image[None], box, size)[0, 0])
        else:
            crops.append(align_face(image, face.keypoints, size=size))
    return torch.stack(crops)


def load_arcface(path: str | os.PathLike[str], *, normalise: bool = True) -> ArcFaceRecogniser:
    """Load a checkpoint of arcface_torch.

    Parameters
    ----------
    path : path-like
        ``backbone.pth``, ``model.pt`` or a ``.safetensors`` file with the same names; names may
        begin with ``module.``, as a data-parallel training writes them.
    normalise : bool, default=True
        Scale embeddings to length one.

    Returns
    -------
    ArcFaceRecogniser
        Its ``licence`` says under which terms the published weights may be used.

    Raises
    ------
    zoo.errors.SourceError
        There is no such file.
    zoo.errors.FormatError
        The file holds another network.
    """
    found = read_tensors(path)
    weights: dict[str, Any] = {
        name.removeprefix("module."): tensor
        for name, tensor in found.items()
        if not name.endswith("num_batches_tracked")
    }
    try:
        stages = [
            {name.split(".")[1] for name in weights if name.startswith(f"layer{stage}.")}
            for stage in range(1, 5)
        ]
        widths = [weights[f"layer{stage}.0.conv2.weight"].shape[0] for stage in range(1, 5)]
        embedding_dim, inputs = weights["fc.weight"].shape
        network = IResNet(
            blocks=[len(stage) for stage in stages],
            channels=[weights["conv1.weight"].shape[0], *widths],
            embedding_dim=embedding_dim,
            side=round((inputs / widths[-1]) ** 0.5),
        )
    except KeyError as error:
        raise FormatError(
            f"The file {os.fspath(path)} must hold an IResNet of arcface_torch. "
            f"Missing: {error.args[0]}."
        ) from error
    counters = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    fill(network, weights | counters, os.fspath(path))
    return ArcFaceRecogniser(network.eval(), normalise=normalise)
