"""Packs of insightface (antelopev2, buffalo_l ...) through onnxruntime, without its package.

A recogniser there answers with the embedding alone. The local map that InstantFamily reads is the
tensor before it is flattened; it is made an output of the graph when the file is read.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import FormatError, MissingDependencyError, SourceError
from zoo_instantfamily.encoders import FaceFeatures
from zoo_instantfamily.faces import DetectedFace, FaceReader
from zoo_instantfamily.loaders.arcface import cut_faces

__all__ = [
    "LICENCE",
    "OnnxRecogniser",
    "ScrfdDetector",
    "expose_local_map",
    "find_pack",
    "load_insightface",
]

LICENCE = "insightface's models are for non-commercial research only"

_FLATTENING = ("Flatten", "Reshape")
_MEAN, _DETECTION_SCALE, _RECOGNITION_SCALE = 127.5, 128.0, 127.5


def load_insightface(
    folder: str | os.PathLike[str],
    *,
    normalise: bool = True,
    threshold: float = 0.5,
    size: int = 640,
    providers: Sequence[str] = ("CPUExecutionProvider",),
) -> FaceReader:
    """Load the detector and the recogniser of a pack.

    Parameters
    ----------
    folder : path-like
        Where the pack lies: the folder of its ``.onnx`` files or one above it. Packs unzip into a
        folder of their own name inside their own name; that is found too.
    normalise : bool, default=True
        Scale embeddings to length one, as FaceID expects; InstantID wants them as they are.
    threshold : float, default=0.5
        Least confidence of a face.
    size : int, default=640
        Side of the square that a picture is fitted into for detection, in pixels.
    providers : sequence of str, default=("CPUExecutionProvider",)
        Of onnxruntime.

    Returns
    -------
    FaceReader
        ``.recogniser.licence`` says under which terms the models may be used.

    Raises
    ------
    zoo.errors.SourceError
        There is no pack; the message says what was found.
    zoo.errors.FormatError
        A file is not what it should be.
    zoo.errors.MissingDependencyError
        onnxruntime is not installed.
    """
    detector, recogniser = find_pack(folder)
    return FaceReader(
        detector=ScrfdDetector(
            _session(onnx.load(detector), providers), threshold=threshold, size=size
        ),
        recogniser=OnnxRecogniser(onnx.load(recogniser), normalise=normalise, providers=providers),
    )


def find_pack(folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The detector and the recogniser of a pack, however deep it was unzipped.

    Files are told apart by their graphs, not by their names: a detector has six outputs or more,
    a recogniser has one and takes pictures of 112 pixels.

    Parameters
    ----------
    folder : path-like
        Where to look.

    Returns
    -------
    detector, recogniser : Path

    Raises
    ------
    zoo.errors.SourceError
        One of them is missing; the message says what was found.
    """
    root = Path(os.path.expanduser(folder))
    if not root.is_dir():
        raise SourceError(f"Cannot load an insightface pack from {root}: there is no such folder.")
    found: dict[str, Path] = {}
    names = []
    for path in sorted(root.rglob("*.onnx"), key=lambda path: (len(path.parts), path)):
        names.append(str(path.relative_to(root)))
        kind = _kind(path)
        if kind is not None:
            found.setdefault(kind, path)
    missing = [kind for kind in ("detector", "recogniser") if kind not in found]
    if missing:
        raise SourceError(
            f"Cannot load an insightface pack from {root}: it has no {' and no '.join(missing)} "
            f"among its files ({', '.join(names) or 'none ends in .onnx'})."
        )
    return found["detector"], found["recogniser"]


def _kind(path: Path) -> str | None:
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf's own errors are not public
        raise FormatError(f"The file {path} is not a valid ONNX model: {error!s:.120}") from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        return None
    sides = [axis.dim_value for axis in inputs[0].type.tensor_type.shape.dim][2:]
    if len(graph.output) >= 6:
        return "detector"
    if len(graph.output) == 1 and sides == [112, 112]:
        return "recogniser"
    return None


def expose_local_map(model: onnx.ModelProto) -> str:
    """Make the last feature map of a recogniser an output of its graph.

    Parameters
    ----------
    model : ModelProto
        Changed in place: it gets a second output.

    Returns
    -------
    str
        Name of the output, of shape (batch, channels, side, side).

    Raises
    ------
    zoo.errors.FormatError
        No tensor is flattened on the way to the output.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    name = model.graph.output[0].name
    while name in makers:
        node = makers[name]
        name = node.input[0]
        if node.op_type in _FLATTENING:
            value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            model.graph.output.append(value)
            return name
    raise FormatError(
        "The graph of a recogniser must flatten a feature map on the way to its output. "
        f"Got {len(model.graph.node)} nodes that do not."
    )


def _session(model: onnx.ModelProto, providers: Sequence[str]) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "Reading faces with insightface's models needs onnxruntime: "
            "pip install 'zoo-estimators[onnx]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=list(providers)
    )


class OnnxRecogniser:
    """A recogniser of insightface, with its local map.

    Parameters
    ----------
    model : ModelProto
        Its graph; given a second output.
    normalise : bool, default=True
        Scale embeddings to length one.
    providers : sequence of str, default=("CPUExecutionProvider",)
        Of onnxruntime.
    """

    licence = LICENCE

    def __init__(
        self,
        model: onnx.ModelProto,
        *,
        normalise: bool = True,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        expose_local_map(model)
        # Graphs converted from mxnet subtract and scale inside.
        first = [node.op_type for node in model.graph.node[:8]]
        self.inside = "Sub" in first and "Mul" in first
        self.session = _session(model, providers)
        self.normalise = normalise
        self.input = self.session.get_inputs()[0]
        self.size = self.input.shape[2]
        probe = np.zeros((1, 3, self.size, self.size), dtype=np.float32)
        vector, local = self.session.run(None, {self.input.name: probe})
        self.vector_dim = vector.shape[1]
        self.token_dim, self.side = local.shape[1], local.shape[2]

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
        crops = 255 * cut_faces(images, faces, size=self.size).cpu().numpy()
        if not self.inside:
            crops = (crops - _MEAN) / _RECOGNITION_SCALE
        # Published recognisers are exported for one face at a time.
        answers = [
            self.session.run(None, {self.input.name: crop[None].astype(np.float32)})
            for crop in crops
        ]
        vector, local = (
            torch.from_numpy(np.concatenate(part)) for part in zip(*answers, strict=True)
        )
        if self.normalise:
            vector = F.normalize(vector, dim=-1)
        return FaceFeatures(vector, local.flatten(2).transpose(1, 2))


class ScrfdDetector:
    """A detector of insightface: SCRFD (arXiv 2105.04714).

    Each cell of three maps, of 8, 16 and 32 pixels, says for two candidates how sure it is and
    how far the sides of the box and the five key points are, in cells.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Its graph.
    threshold : float, default=0.5
        Least confidence of a face.
    size : int, default=640
        Side of the square that a picture is fitted into, in pixels; a multiple of 32.
    overlap : float, default=0.4
        Two boxes that share more of their union than this are one face.
    """

    licence = LICENCE

    def __init__(
        self, session: Any, *, threshold: float = 0.5, size: int = 640, overlap: float = 0.4
    ) -> None:
        self.session = session
        self.threshold = threshold
        self.overlap = overlap
        self.input = session.get_inputs()[0]
        fixed = self.input.shape[2]
        self.size = fixed if isinstance(fixed, int) else size
        count = len(session.get_outputs())
        if count not in (6, 9, 10, 15):
            raise FormatError(
                f"The detector must have 6, 9, 10 or 15 outputs, as SCRFD has. Got {count}."
            )
        self.strides = (8, 16, 32) if count in (6, 9) else (8, 16, 32, 64, 128)
        self.candidates = 2 if count in (6, 9) else 1
        self.with_points = count in (9, 15)

    def detect(self, image: Tensor) -> list[DetectedFace]:
        """Faces in a picture.

        Parameters
        ----------
        image : Tensor of shape (3, height, width)
            In [0, 1].

        Returns
        -------
        list of DetectedFace
            Surest first.
        """
        height, width = image.shape[1:]
        scale = self.size / max(height, width)
        inner = (max(int(height * scale), 1), max(int(width * scale), 1))
        fitted = F.interpolate(
            image[None], inner, mode="bilinear", antialias=scale < 1, align_corners=False
        )
        canvas = torch.zeros(1, 3, self.size, self.size)
        canvas[:, :, : inner[0], : inner[1]] = fitted
        outputs = self.session.run(
            None, {self.input.name: ((255 * canvas - _MEAN) / _DETECTION_SCALE).numpy()}
        )
        scores, boxes, points = self._decode(outputs)
        shrink = np.array([width / inner[1], height / inner[0]])
        order = np.argsort(-scores, kind="stable")
        kept: list[int] = []
        for candidate in order[scores[order] >= self.threshold]:
            if all(_shared(boxes[candidate], boxes[other]) <= self.overlap for other in kept):
                kept.append(int(candidate))
        return [
            DetectedFace(
                box=tuple((boxes[i] * np.tile(shrink, 2)).tolist()),
                score=float(scores[i]),
                keypoints=(
                    torch.from_numpy((points[i] * shrink).astype(np.float32))
                    if points is not None
                    else None
                ),
            )
            for i in kept
        ]

    def _decode(
        self, outputs: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        scores, boxes, points = [], [], []
        maps = len(self.strides)
        for level, stride in enumerate(self.strides):
            side = self.size // stride
            y, x = np.mgrid[:side, :side]
            centres = np.stack([x, y], -1).reshape(-1, 2).astype(np.float32) * stride
            centres = np.repeat(centres, self.candidates, 0)
            sides = outputs[maps + level].reshape(-1, 4) * stride
            scores.append(outputs[level].reshape(-1))
            boxes.append(np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], 1))
            if self.with_points:
                steps = outputs[2 * maps + level].reshape(-1, 5, 2) * stride
                points.append(centres[:, None] + steps)
        return (
            np.concatenate(scores),
            np.concatenate(boxes),
            np.concatenate(points) if points else None,
        )


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union; insightface counts the last pixel of a box as inside."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod(np.maximum(high - low + 1, 0)))
    areas = [float(np.prod(box[2:] - box[:2] + 1)) for box in (one, other)]
    return common / (areas[0] + areas[1] - common)
