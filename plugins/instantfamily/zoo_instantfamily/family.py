"""What the SD 1.5 and the SDXL pipeline share: from faces and regions to one call of the parent."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from zoo_instantfamily.attention import install
from zoo_instantfamily.faces import FaceReader
from zoo_instantfamily.identities import Face, read_face
from zoo_instantfamily.masks import MARGIN, level_masks
from zoo_instantfamily.places import canvas_size, control_images, read_places
from zoo_instantfamily.samples import by_sample, numbers_by_sample
from zoo_instantfamily.slots import MOST_PEOPLE
from zoo_instantfamily.stack import FamilyStack
from zoo_instantfamily.state import FamilyState

__all__ = ["FamilyMixin"]


class FamilyMixin:
    """Draws faces into regions; see `zoo_instantfamily.pipeline.InstantFamilyPipeline`.

    Attributes
    ----------
    face_reader : FaceReader or None
        Reads pictures of faces in place of the component ``face_encoder``; for detectors and
        recognisers that are not saved with a pipeline, such as insightface's.
    """

    unet: Any
    controlnet: Any
    id_projector: Any
    id_adapter: Any
    face_encoder: Any
    image_encoder: Any
    feature_extractor: Any
    config: Any
    vae_scale_factor: int
    _execution_device: torch.device
    _num_timesteps: int

    def _init_family(
        self,
        *,
        id_projector: Any,
        face_encoder: Any,
        id_adapter: Any,
        unet_attention: str,
        controlnet_attention: str,
        circles: bool,
        overlaps: str,
    ) -> None:
        if unet_attention == "decoupled" and id_adapter is None:
            raise ValueError("The UNet's decoupled attention must have an id_adapter. Got None.")
        self.register_modules(  # type: ignore[attr-defined]
            id_projector=id_projector, face_encoder=face_encoder, id_adapter=id_adapter
        )
        self.register_to_config(  # type: ignore[attr-defined]
            unet_attention=unet_attention,
            controlnet_attention=controlnet_attention,
            circles=circles,
            overlaps=overlaps,
        )
        self.face_reader: FaceReader | None = None
        self._family = FamilyState()
        self._install_family()

    def _install_family(self) -> None:
        install(self.unet, self._family, kind=self.config.unet_attention, prefix="unet.")
        for number, net in enumerate(_controlnets(self.controlnet)):
            install(
                net,
                self._family,
                kind=self.config.controlnet_attention,
                prefix=f"controlnet.{number}.",
            )

    @property
    def family_state(self) -> FamilyState:
        """What the attention processors of both networks share, for whoever calls these alone."""
        return self._family

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | list[str] | None = None,
        faces: Sequence[Any] | None = None,
        boxes: Sequence[Any] | None = None,
        masks: Sequence[Any] | None = None,
        pose: Any = None,
        *,
        id_scale: float | Sequence[Any] = 1.0,
        id_start: float | Sequence[Any] = 0.0,
        id_end: float | Sequence[Any] = 1.0,
        variant: str = "masked",
        isolate: bool = False,
        circles: bool | None = None,
        margin: float = MARGIN,
        overlaps: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_images_per_prompt: int = 1,
        callback_on_step_end: Any = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        **options: Any,
    ) -> Any:
        """Draw several people into one image.

        Parameters
        ----------
        prompt : str, list of str, or None
            What to draw; ``None`` with ``prompt_embeds``.
        faces : list, or list of lists, or None
            One to 16 faces, or such a list for each prompt: PIL images, embeddings of shape
            (vector_dim,), or `FaceFeatures` of one face. ``None`` draws as the parent does.
        boxes : list of (left, top, right, bottom), or list of lists, or None
            Where each face goes, in pixels of the image.
        masks : list of images or arrays of shape (height, width), or list of lists, or None
            Regions of any shape instead of boxes; they get no margin.
        pose : PIL.Image.Image, array of shape (identities, 5, 2), Tensor, list of these, or None
            The control image, or five key points of each face to draw one from. Without boxes and
            masks the regions are those of its coloured discs
            (`zoo_instantfamily.pose.draw_circles`) or of the key points. ``None`` is a black
            canvas.
        id_scale : float, list of float, or list of lists, default=1.0
            Strength of each identity, 0 to 10; 0 leaves it out.
        id_start, id_end : float, list of float, or list of lists, default=0.0 and 1.0
            Between which fractions of the steps each identity acts.
        variant : {"masked", "literal", "none"}, default="masked"
            See `zoo_instantfamily.stack.FamilyStack`.
        isolate : bool, default=False
            Keep regions apart in self-attention too, for faces that touch or overlap.
        circles : bool or None, default=None
            Draw a disc in the colour of its place on each face of the control image; ``None`` is
            what the pipeline was made with.
        margin : float, default=0.25
            How much larger than its box a region is.
        overlaps : {"share", "nearest", "refuse"} or None, default=None
            Whether a pixel that two regions claim sees both identities, the nearer one, or is an
            error; ``None`` is what the pipeline was made with.
        height, width : int or None
            Size of the image in pixels; by default that of the pose or of the model.
        num_images_per_prompt : int, default=1
            Images for each prompt.
        callback_on_step_end, callback_on_step_end_tensor_inputs
            As for the parent.
        **options
            Whatever else the parent's call takes: ``negative_prompt``, ``num_inference_steps``,
            ``guidance_scale``, ``generator``, ``controlnet_conditioning_scale``, ``output_type``...

        Returns
        -------
        object
            As the parent's call returns: ``.images``.

        Raises
        ------
        ValueError
            Counts differ, a region overlaps another or leaves the canvas, a number is outside its
            limits, or a face cannot be read; the message is one sentence.
        """
        if faces is None:
            if boxes is not None or masks is not None:
                raise ValueError("There must be faces for the boxes or masks. Got none.")
            return super().__call__(  # type: ignore[misc]
                prompt=prompt,
                image=options.pop("image", pose),
                height=height,
                width=width,
                num_images_per_prompt=num_images_per_prompt,
                callback_on_step_end=callback_on_step_end,
                callback_on_step_end_tensor_inputs=list(callback_on_step_end_tensor_inputs),
                **options,
            )
        if "image" in options:
            raise ValueError("The control image of a call with faces must be given as pose.")
        samples = _count_samples(prompt, options.get("prompt_embeds"))
        size = canvas_size(
            pose,
            height=height,
            width=width,
            factor=self.vae_scale_factor,
            side=self.unet.config.sample_size * self.vae_scale_factor,
        )
        people = self._read_faces(faces, samples)
        counts = [len(row) for row in people]
        places = read_places(
            boxes=boxes,
            masks=masks,
            pose=pose,
            counts=counts,
            size=size,
            margin=margin,
            overlaps=self.config.overlaps if overlaps is None else overlaps,
        )
        numbers = [
            numbers_by_sample(value, counts=counts, what=what, low=0, high=high)
            for value, what, high in (
                (id_scale, "id_scale", 10),
                (id_start, "id_start", 1),
                (id_end, "id_end", 1),
            )
        ]
        stack = self._stack(
            people,
            self._levels(places.regions, counts),
            numbers=numbers,
            repeats=num_images_per_prompt,
            variant=variant,
        )
        image = control_images(
            pose,
            places.boxes,
            size=size,
            circles=self.config.circles if circles is None else circles,
            several=len(_controlnets(self.controlnet)) > 1,
        )
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        self._check_processors()
        try:
            self._family.start(
                stack,
                isolated=isolate,
                keys_values=self._own_keys_values(stack),
                total=lambda: self._num_timesteps,
            )
            return super().__call__(  # type: ignore[misc]
                prompt=prompt,
                image=image,
                height=size[0],
                width=size[1],
                num_images_per_prompt=num_images_per_prompt,
                callback_on_step_end=(
                    callback_on_step_end
                    if stack.window is None
                    else self._advancing(callback_on_step_end)
                ),
                callback_on_step_end_tensor_inputs=list(callback_on_step_end_tensor_inputs),
                **options,
            )
        finally:
            self._family.stop()

    def _advancing(self, callback: Callable[..., Any] | None) -> Callable[..., Any]:
        def advance(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
            self._family.advance(step + 1)
            return tensors if callback is None else callback(pipe, step, timestep, tensors)

        return advance

    def _check_processors(self) -> None:
        names = [
            type(processor).__name__
            for processor in self.unet.attn_processors.values()
            if "IPAdapter" in type(processor).__name__
        ]
        if names:
            raise ValueError(
                "The UNet must have no IP-Adapter loaded while faces are drawn; call "
                f"unload_ip_adapter() first. Got {names[0]}."
            )
        self._install_family()

    def _read_faces(self, faces: Any, samples: int) -> list[list[Face]]:
        rows = by_sample(
            faces, samples=samples, what="faces", is_item=lambda row: not isinstance(row, list)
        )
        known: dict[int, Face] = {}
        people = []
        for row in rows:
            if not 1 <= len(row) <= MOST_PEOPLE:
                raise ValueError(
                    f"There must be 1 to {MOST_PEOPLE} faces in an image. Got {len(row)}."
                )
            for number, value in enumerate(row):
                if id(value) not in known:
                    known[id(value)] = read_face(value, f"Face {number}")
            people.append([known[id(value)] for value in row])
        return people

    def _levels(self, regions: np.ndarray, counts: list[int]) -> list[Tensor]:
        height, width = (side // self.vae_scale_factor for side in regions.shape[2:])
        shapes = [
            (-(-height // 2**level), -(-width // 2**level))
            for level in range(len(self.unet.config.block_out_channels))
        ]
        levels = []
        for masks in level_masks(regions, shapes):
            level = torch.from_numpy(masks)
            for sample, count in enumerate(counts):
                level[sample, count:] = False
            levels.append(level)
        return levels

    def _stack(
        self,
        people: list[list[Face]],
        masks: list[Tensor],
        *,
        numbers: list[list[list[float]]],
        repeats: int,
        variant: str,
    ) -> FamilyStack:
        unique = list({id(face): face for row in people for face in row}.values())
        place = {id(face): number for number, face in enumerate(unique)}
        most = max(len(row) for row in people)
        order = torch.tensor(
            [[place[id(f)] for f in row] + [0] * (most - len(row)) for row in people]
        )
        order = order.repeat_interleave(repeats, 0)
        device, dtype = self._execution_device, self.unet.dtype
        tokens, null = self.id_projector(**self._features(unique))
        tokens, null = (part[order.to(part.device)].to(device, dtype) for part in (tokens, null))
        scales, starts, ends = (
            [row + [0.0] * (most - len(row)) for row in rows for _ in range(repeats)]
            for rows in numbers
        )
        strength = tuple(map(tuple, scales))
        window = tuple(
            tuple(zip(start, end, strict=True)) for start, end in zip(starts, ends, strict=True)
        )
        always = all(
            bounds == (0, 1) or scale == 0
            for row, gains in zip(window, strength, strict=True)
            for bounds, scale in zip(row, gains, strict=True)
        )
        return FamilyStack(
            tokens,
            null,
            [mask.repeat_interleave(repeats, 0).to(device, dtype) for mask in masks],
            strength=None if all(s == 1 for row in strength for s in row) else strength,
            window=None if always else window,
            variant=variant,
        )

    def _features(self, faces: list[Face]) -> dict[str, Tensor]:
        wanted = self.id_projector.inputs
        device = self._execution_device
        dtype = self.id_projector.dtype
        inputs: dict[str, Tensor] = {}
        ready = all(
            face.vector is not None and ("tokens" not in wanted or face.tokens is not None)
            for face in faces
        )
        if not ready:
            faces = self._embed(faces)
        inputs["vector"] = _equal([_need(face.vector) for face in faces])
        if "tokens" in wanted:
            inputs["tokens"] = torch.stack([_need(face.tokens) for face in faces])
        if "clip" in wanted:
            inputs["clip"], inputs["null_clip"] = self._clip(faces)
        return {name: value.to(device, dtype) for name, value in inputs.items()}

    def _embed(self, faces: list[Face]) -> list[Face]:
        reader = self.face_encoder if self.face_reader is None else self.face_reader.read
        if reader is None or any(face.image is None for face in faces):
            lacks = "no face_encoder" if reader is None else "a mixture of both"
            raise ValueError(
                "The faces must be pictures, in a pipeline with a face_encoder, or features with "
                f"everything that the id_projector reads ({', '.join(self.id_projector.inputs)}). "
                f"Got {lacks}."
            )
        found = reader([face.image for face in faces])
        return [
            Face(face.image, vector, own)
            for face, vector, own in zip(faces, found.vector, found.tokens, strict=True)
        ]

    def _clip(self, faces: list[Face]) -> tuple[Tensor, Tensor]:
        if self.image_encoder is None or any(face.image is None for face in faces):
            raise ValueError(
                "The faces must be pictures, in a pipeline with an image_encoder: this identity "
                "projector reads CLIP's features of them."
            )
        pixels = self.feature_extractor(
            images=[face.image for face in faces], return_tensors="pt"
        ).pixel_values.to(self._execution_device, self.image_encoder.dtype)
        hidden = [
            self.image_encoder(batch, output_hidden_states=True).hidden_states[-2]
            for batch in (pixels, torch.zeros_like(pixels[:1]))
        ]
        return hidden[0], hidden[1].expand_as(hidden[0])

    def _own_keys_values(self, stack: FamilyStack) -> dict[str, tuple[Tensor, Tensor]]:
        if self.config.unet_attention != "decoupled":
            return {}
        if stack.variant == "literal":
            raise ValueError(
                "The variant must be masked or none in a pipeline with decoupled attention: "
                "equation 6 is about a softmax shared with the text. Got 'literal'."
            )
        found = self.id_adapter(stack.context(parts=2))
        return {f"unet.{name}": pair for name, pair in found.items()}


def _controlnets(controlnet: Any) -> list[Any]:
    nets = getattr(controlnet, "nets", None)
    return [controlnet] if nets is None else list(nets)


def _count_samples(prompt: Any, prompt_embeds: Tensor | None) -> int:
    if isinstance(prompt, str):
        return 1
    if isinstance(prompt, list):
        return len(prompt)
    if prompt_embeds is None:
        raise ValueError("The prompt must be a string or a list of strings. Got neither.")
    return len(prompt_embeds)


def _equal(vectors: list[Tensor]) -> Tensor:
    """Stack embeddings; a face with fewer pictures than another has them repeated."""
    if all(vector.ndim == 1 for vector in vectors):
        return torch.stack(vectors)
    rows = [torch.atleast_2d(vector) for vector in vectors]
    most = max(len(row) for row in rows)
    return torch.stack([row[torch.arange(most) % len(row)] for row in rows])


def _need(value: Tensor | None) -> Tensor:
    if value is None:
        raise ValueError("The face encoder must give what the identity projector reads.")
    return value
