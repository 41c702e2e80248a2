"""The runner of an exported pipeline: onnxruntime and numpy, neither torch nor diffusers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.errors import FormatError
from zoo.onnx.bundle import Bundle
from zoo.onnx.session import open_session, session_device
from zoo_instantfamily.clip_tokens import ClipTokenizer, read_merges
from zoo_instantfamily.loop import attention_inputs, denoise, initial_latents
from zoo_instantfamily.masks import MARGIN, level_masks
from zoo_instantfamily.noise import seeded_noise
from zoo_instantfamily.pictures import PlainFace, control_pixels, face_crop, read_plain_face
from zoo_instantfamily.places import canvas_size, control_images, read_places
from zoo_instantfamily.samples import by_sample, numbers_by_sample, strengths_at
from zoo_instantfamily.schedulers import make_scheduler
from zoo_instantfamily.slots import MOST_PEOPLE

__all__ = ["SCHEDULER_FILE", "TOKENIZER_FOLDER", "FamilyImages", "FamilyRunner"]

SCHEDULER_FILE = "scheduler/scheduler_config.json"
TOKENIZER_FOLDER = "tokenizer"
_VARIANTS = ("masked", "none")
_FIELDS: dict[str, type] = {
    "unet_attention": str,
    "controlnet_attention": str,
    "circles": bool,
    "overlaps": str,
    "levels": int,
    "pixels_per_latent": int,
    "side": int,
    "latent_channels": int,
    "scaling_factor": float,
    "shift_factor": float,
    "tokenizer": dict,
}

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class FamilyImages:
    """What a call returns.

    Attributes
    ----------
    images : list of PIL.Image.Image, or ndarray
        As ``output_type`` says.
    """

    images: Any


class FamilyRunner:
    """Draws several people with an exported pipeline.

    Parameters
    ----------
    bundle : zoo.onnx.Bundle
        The exported folder.
    device : {"auto", "cpu", "cuda"}, default="auto"
        Where to run.
    threads : int or None, default=None
        Threads within an operator; ``None`` leaves the choice to onnxruntime.

    Attributes
    ----------
    bundle : zoo.onnx.Bundle
        The exported folder.
    tokenizer : ClipTokenizer
        Its tokenizer.
    scheduler_config : dict
        Of its scheduler.
    device : {"cpu", "cuda"}
        Where it runs.

    Raises
    ------
    zoo.errors.FormatError
        The bundle is not that of an InstantFamily pipeline.
    zoo.errors.DeviceError
        ``device="cuda"`` cannot be had.
    """

    def __init__(self, bundle: Bundle, *, device: str = "auto", threads: int | None = None) -> None:
        self.bundle = bundle
        self.config = _read_config(bundle)
        self.scheduler_config = _read_object(bundle, SCHEDULER_FILE)
        self.tokenizer = _read_tokenizer(bundle, self.config["tokenizer"])
        wanted = [name for name in bundle.graphs if name != "vae_encoder/model"]
        self._sessions = {
            name.removesuffix("/model"): open_session(
                bundle.graph(name), device=device, threads=threads
            )
            for name in wanted
        }
        missing = {"text_encoder", "context", "control", "controlnet", "unet", "vae_decoder"}
        missing = {*missing, "id_projector"} - set(self._sessions)
        if missing:
            raise FormatError(
                f"The bundle {bundle.folder} must hold the graphs of an InstantFamily pipeline. "
                f"Missing: {', '.join(sorted(missing))}."
            )
        self._inputs = {
            name: [value.name for value in session.get_inputs()]
            for name, session in self._sessions.items()
        }
        self.device = session_device(self._sessions["unet"])

    def __repr__(self) -> str:
        """Say what runs where."""
        return f"{type(self).__name__}({self.bundle.model!r}, device={self.device!r})"

    def run(self, graph: str, feeds: dict[str, Array]) -> dict[str, Array]:
        """Run one graph.

        Parameters
        ----------
        graph : str
            Its name: ``unet``, ``controlnet``, ``context``...
        feeds : dict of str to ndarray
            By name; what the graph does not take is left out.

        Returns
        -------
        dict of str to ndarray
            Its outputs by name.
        """
        session = self._sessions[graph]
        names = [value.name for value in session.get_outputs()]
        found = session.run(names, {name: feeds[name] for name in self._inputs[graph]})
        return dict(zip(names, found, strict=True))

    def __call__(
        self,
        prompt: str | list[str],
        faces: Sequence[Any],
        boxes: Sequence[Any] | None = None,
        masks: Sequence[Any] | None = None,
        pose: Any = None,
        *,
        negative_prompt: str | list[str] = "",
        id_scale: float | Sequence[Any] = 1.0,
        id_start: float | Sequence[Any] = 0.0,
        id_end: float | Sequence[Any] = 1.0,
        variant: str = "masked",
        circles: bool | None = None,
        margin: float = MARGIN,
        overlaps: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        controlnet_conditioning_scale: float = 1.0,
        control_guidance_start: float = 0.0,
        control_guidance_end: float = 1.0,
        num_images_per_prompt: int = 1,
        seed: int | Sequence[int] = 0,
        latents: Array | None = None,
        scheduler: str | None = None,
        callback: Callable[[int, float, Array], None] | None = None,
        output_type: str = "pil",
    ) -> FamilyImages:
        """Draw several people into one image, as `InstantFamilyPipeline` does.

        Parameters
        ----------
        prompt, faces, boxes, masks, pose, id_scale, id_start, id_end, circles, margin, overlaps
            As for the pipeline. A face may also be a pair of its vector (vector_dim,) and its
            tokens (side * side, token_dim).
        negative_prompt : str or list of str, default=""
            What guidance leads away from.
        variant : {"masked", "none"}, default="masked"
            See `zoo_instantfamily.stack.FamilyStack`.
        height, width, num_inference_steps, guidance_scale, num_images_per_prompt
            As for the pipeline.
        controlnet_conditioning_scale, control_guidance_start, control_guidance_end
            As for the pipeline.
        seed : int or list of int, default=0
            The image is that of the pipeline with ``torch.Generator().manual_seed(seed)``.
        latents : ndarray of shape (images, channels, height, width), or None
            Noise in place of a seed.
        scheduler : {"DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"}
            In place of the exported one.
        callback : callable or None
            Called after every step with its number, its timestep and the latents.
        output_type : {"pil", "np", "latent"}, default="pil"
            Pictures, an array (images, height, width, 3) in [0, 1], or latents.

        Returns
        -------
        FamilyImages

        Raises
        ------
        ValueError
            Counts differ, a region leaves the canvas, a number is outside its limits, or a face
            cannot be read; the message is one sentence.
        """
        config = self.config
        if variant not in _VARIANTS:
            raise ValueError(
                f"The variant of an exported pipeline must be one of {', '.join(_VARIANTS)}. "
                f"Got {variant!r}."
            )
        if output_type not in ("pil", "np", "latent"):
            raise ValueError(
                f"The output_type must be one of pil, np, latent. Got {output_type!r}."
            )
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        plan = make_scheduler(self.scheduler_config, num_inference_steps, name=scheduler)
        size = canvas_size(
            pose,
            height=height,
            width=width,
            factor=config["pixels_per_latent"],
            side=config["side"],
        )
        people = _read_faces(faces, len(prompts))
        counts = [len(row) for row in people]
        places = read_places(
            boxes=boxes,
            masks=masks,
            pose=pose,
            counts=counts,
            size=size,
            margin=margin,
            overlaps=config["overlaps"] if overlaps is None else overlaps,
        )
        strength, window = _strengths(counts, num_images_per_prompt, id_scale, id_start, id_end)
        repeats, parts = num_images_per_prompt, 2 if guidance_scale > 1 else 1
        shown = control_images(
            pose,
            places.boxes,
            size=size,
            circles=config["circles"] if circles is None else circles,
            several=False,
        )
        latent_size = tuple(side // config["pixels_per_latent"] for side in size)
        batch = len(prompts) * repeats
        shape = (batch, config["latent_channels"], *latent_size)
        if latents is None:
            latents = initial_latents(seeded_noise, seed, shape)
        elif np.shape(latents) != shape:
            raise ValueError(f"The latents must have the shape {shape}. Got {np.shape(latents)}.")

        context = self._context(prompts, negative_prompt, people, repeats, parts)
        image = np.tile(control_pixels(shown, size).repeat(repeats, 0), (parts, 1, 1, 1))
        context |= self.run("control", {"image": image})
        levels = level_masks(
            places.regions,
            [
                tuple(-(-side // 2**level) for side in latent_size)
                for level in range(config["levels"])
            ],
        )
        for level in levels:
            for sample, count in enumerate(counts):
                level[sample, count:] = False
        levels = [level.repeat(repeats, 0) for level in levels]
        length, text = int(context.pop("length")), int(context.pop("text"))
        known: dict[Any, dict[str, Array]] = {}

        def biases(step: int) -> dict[str, Array]:
            gains = strengths_at(strength, window, step=step, total=len(plan.timesteps))
            if gains not in known:
                known.clear()
                known[gains] = {
                    f"{name}_bias_{level}": value
                    for name in ("unet", "controlnet")
                    if config[f"{name}_attention"] != "text"
                    for level, value in enumerate(
                        attention_inputs(
                            levels,
                            gains,
                            kind=config[f"{name}_attention"],
                            variant=variant,
                            text=text,
                            length=length,
                            parts=parts,
                        )
                    )
                }
            return known[gains]

        def predict(sample: Array, moment: float, step: int) -> Array:
            total = len(plan.timesteps)
            acts = step / total >= control_guidance_start
            acts = acts and (step + 1) / total <= control_guidance_end
            strength_now = controlnet_conditioning_scale if acts else 0.0
            feeds = {
                **context,
                **biases(step),
                "sample": sample,
                "timestep": np.array([moment], dtype=np.float32),
                "conditioning_scale": np.array([strength_now], dtype=np.float32),
            }
            return self.run("unet", feeds | self.run("controlnet", feeds))["out_sample"]

        start = np.asarray(latents, dtype=np.float32) * np.float32(plan.initial_scale)
        found = denoise(predict, plan, start, guidance=guidance_scale, callback=callback)
        return FamilyImages(self._decode(found, output_type))

    def _context(
        self,
        prompts: list[str],
        negative: str | list[str],
        people: list[list[PlainFace]],
        repeats: int,
        parts: int,
    ) -> dict[str, Array]:
        """Keys and values of text and identities, in the order of the networks' batch."""
        against = [negative] * len(prompts) if isinstance(negative, str) else list(negative)
        if len(against) != len(prompts):
            raise ValueError(
                f"The negative_prompt must be one text or one for each prompt, {len(prompts)}. "
                f"Got {len(against)}."
            )
        rows = [text for text in prompts for _ in range(repeats)]
        if parts == 2:
            rows = [text for text in against for _ in range(repeats)] + rows
        text = self.run("text_encoder", {"input_ids": self.tokenizer(rows)})["last_hidden_state"]
        most = max(len(row) for row in people)
        padded = [face for row in people for face in (*row, *[row[0]] * (most - len(row)))]
        tokens = self.run("id_projector", self._features(padded))
        wanted = ["null_tokens", "id_tokens"][-parts:]
        shape = (len(people), most, *tokens["id_tokens"].shape[1:])
        halves = [tokens[name].reshape(shape).repeat(repeats, 0) for name in wanted]
        nobody = tokens["null_tokens"].reshape(shape)[:, 0].repeat(repeats, 0)
        found = self.run(
            "context",
            {
                "text": text,
                "identities": np.concatenate(halves),
                "nobody": np.concatenate([nobody] * parts),
            },
        )
        return {**found, "length": np.array(shape[2]), "text": np.array(text.shape[1])}

    def _features(self, faces: list[PlainFace]) -> dict[str, Array]:
        wanted = self._inputs["id_projector"]
        ready = all(
            f.vector is not None and ("tokens" not in wanted or f.tokens is not None) for f in faces
        )
        if not ready:
            if "face_encoder" not in self._sessions or any(f.pixels is None for f in faces):
                lacks = "no" if "face_encoder" not in self._sessions else "a"
                raise ValueError(
                    "The faces must be pictures, in a bundle with a face_encoder, or features with "
                    f"everything that the id_projector reads ({', '.join(wanted)}). "
                    f"Got a mixture, or too few, and {lacks} face_encoder."
                )
            side = self._sessions["face_encoder"].get_inputs()[0].shape[-1]
            crops = [face_crop(face.pixels, side) for face in faces if face.pixels is not None]
            return self.run("face_encoder", {"image": np.stack(crops)})
        found = {"vector": np.stack([face.vector for face in faces if face.vector is not None])}
        if "tokens" in wanted:
            found["tokens"] = np.stack([f.tokens for f in faces if f.tokens is not None])
        for value in self._sessions["id_projector"].get_inputs():
            if list(found[value.name].shape[1:]) != list(value.shape[1:]):
                raise ValueError(
                    f"The {value.name} of a face must have the shape {tuple(value.shape[1:])}. "
                    f"Got {found[value.name].shape[1:]}."
                )
        return found

    def _decode(self, latents: Array, output_type: str) -> Any:
        if output_type == "latent":
            return latents
        scaled = latents / np.float32(self.config["scaling_factor"])
        scaled = scaled + np.float32(self.config["shift_factor"])
        sample = self.run("vae_decoder", {"latent_sample": scaled})["sample"]
        pixels = (sample / 2 + np.float32(0.5)).clip(0, 1).transpose(0, 2, 3, 1)
        if output_type == "np":
            return pixels
        return [Image.fromarray(one) for one in (pixels * 255).round().astype(np.uint8)]


def _read_faces(faces: Any, samples: int) -> list[list[PlainFace]]:
    rows = by_sample(
        faces, samples=samples, what="faces", is_item=lambda row: not isinstance(row, list)
    )
    for row in rows:
        if not 1 <= len(row) <= MOST_PEOPLE:
            raise ValueError(f"There must be 1 to {MOST_PEOPLE} faces in an image. Got {len(row)}.")
    return [[read_plain_face(face, f"Face {k}") for k, face in enumerate(row)] for row in rows]


def _strengths(
    counts: list[int], repeats: int, scale: Any, start: Any, end: Any
) -> tuple[Any, Any]:
    """Strengths and windows by image; people that a sample lacks have none."""
    most = max(counts)
    rows = [
        [
            tuple(row + [0.0] * (most - len(row)))
            for row in numbers_by_sample(value, counts=counts, what=what, low=0, high=high)
            for _ in range(repeats)
        ]
        for value, what, high in (
            (scale, "id_scale", 10),
            (start, "id_start", 1),
            (end, "id_end", 1),
        )
    ]
    windows = tuple(tuple(zip(*pair, strict=True)) for pair in zip(rows[1], rows[2], strict=True))
    return tuple(rows[0]), windows


def _read_object(bundle: Bundle, name: str) -> dict[str, Any]:
    try:
        found = json.loads(bundle.read_file(name))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The file {name!r} of {bundle.folder} must be JSON: {error}.") from error
    if not isinstance(found, dict):
        raise FormatError(f"The file {name!r} of {bundle.folder} must hold a JSON object.")
    return found


def _read_config(bundle: Bundle) -> dict[str, Any]:
    config = bundle.metadata.get("config")
    for name, kind in _FIELDS.items():
        value = config.get(name) if isinstance(config, dict) else None
        if type(value) is not kind:
            raise FormatError(
                f"The metadata of {bundle.folder} must hold {name!r} as {kind.__name__}. "
                f"Got {value!r}."
            )
    return dict(config or {})


def _read_tokenizer(bundle: Bundle, options: dict[str, Any]) -> ClipTokenizer:
    vocabulary = _read_object(bundle, f"{TOKENIZER_FOLDER}/vocab.json")
    try:
        merges = read_merges(bundle.read_file(f"{TOKENIZER_FOLDER}/merges.txt").decode())
        return ClipTokenizer(vocabulary, merges, **options)
    except (TypeError, ValueError) as error:
        raise FormatError(f"The tokenizer of {bundle.folder} cannot be read: {error}.") from error
