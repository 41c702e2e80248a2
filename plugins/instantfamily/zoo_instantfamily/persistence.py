"""Whole pipelines as folders: written whole or not at all, read without surprises.

diffusers imports the class of every component from a module that ``model_index.json`` names. A
folder from a stranger could so name any module; here the names are checked first, and no component
of this plugin comes from a module that is not in `COMPONENTS`.
"""

import importlib
import os
from pathlib import Path
from typing import Any, Self

from torch import nn

from zoo.errors import FormatError
from zoo.files import atomic_folder, checked_member, read_json

__all__ = ["COMPONENTS", "INDEX", "PersistentMixin", "align", "check_index"]

INDEX = "model_index.json"

COMPONENTS = {
    ("zoo_instantfamily.codec", "SpaceToDepth"),
    ("zoo_instantfamily.projector", "IDProjector"),
    ("zoo_instantfamily.adapter", "IDAdapter"),
    ("zoo_instantfamily.face_encoder", "DrawnFaceReader"),
    ("zoo_instantfamily.faceid", "FaceIDPlusProjector"),
    ("zoo_instantfamily.faceid", "FaceIDProjector"),
    ("zoo_instantfamily.resampler", "ResamplerProjector"),
}
"""Components of this plugin that a pipeline may be saved with: module and class."""

_ALIGNMENT = 64
_PEERS = ("diffusers", "transformers", "stable_diffusion")


def check_index(folder: str | os.PathLike[str], cls: type) -> None:
    """Refuse a folder that names another pipeline, or components from elsewhere.

    Parameters
    ----------
    folder : path-like
        Holds ``model_index.json``.
    cls : type
        The pipeline that is to be loaded; base pipelines of diffusers are accepted too.

    Raises
    ------
    zoo.errors.FormatError
        The folder is refused.
    """
    path = checked_member(Path(folder), INDEX)
    index = read_json(path)
    known = {base.__name__ for base in cls.__mro__ if base.__module__.split(".")[0] != "builtins"}
    name = index.get("_class_name")
    if name not in known and not str(name).startswith("StableDiffusion"):
        raise FormatError(
            f"The folder {os.fspath(folder)} must hold a {cls.__name__}. Got {name!r:.80}."
        )
    for component, value in index.items():
        if component.startswith("_") or not isinstance(value, list):
            continue
        if value == [None, None]:
            continue
        named = tuple(map(str, value))
        if len(named) != 2 or (named[0] not in _PEERS and named not in COMPONENTS):
            raise FormatError(
                f"The component {component!r} in {path} must come from diffusers, transformers or "
                f"this plugin. Got {value!r:.120}."
            )


class PersistentMixin:
    """Saves, loads and exports whole pipelines."""

    def export_onnx(
        self, folder: str | os.PathLike[str], *, verify: bool = True, overwrite: bool = False
    ) -> Path:
        """Write the pipeline as a folder that `zoo.load_onnx` draws with, without torch.

        Parameters
        ----------
        folder : path-like
            Where to; see `zoo_instantfamily.export`. It is whole or absent.
        verify : bool, default=True
            Draw an image with both and compare.
        overwrite : bool, default=False
            Replace an exported folder that is there.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        zoo.errors.ExportError
            A part of the pipeline is of a kind that cannot be written.
        zoo.errors.VerificationError
            The images differ. Nothing is left behind.
        zoo.errors.FolderExistsError
            Something is at ``folder`` that may not be replaced.
        """
        from zoo_instantfamily.export import export_pipeline

        return export_pipeline(self, folder, verify=verify, overwrite=overwrite)

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], *, overwrite: bool = False, **options: Any
    ) -> Path:
        """Save every component; the folder is written whole or not at all.

        Parameters
        ----------
        save_directory : path-like
            Where to.
        overwrite : bool, default=False
            Replace a pipeline that was saved there.
        **options
            As for `diffusers.DiffusionPipeline.save_pretrained`.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        zoo.errors.FolderExistsError
            The folder exists, and ``overwrite`` is false or it holds no pipeline.
        """
        with atomic_folder(save_directory, overwrite=overwrite, marker=INDEX) as sibling:
            super().save_pretrained(sibling, **options)  # type: ignore[misc]
        return Path(save_directory)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any
    ) -> Self:
        """Load a pipeline that `save_pretrained` wrote, or a base pipeline with the rest given.

        Parameters
        ----------
        pretrained_model_name_or_path : str or path-like
            A folder, or a repository on the Hugging Face hub.
        **options
            As for `diffusers.DiffusionPipeline.from_pretrained`; components may be passed.

        Returns
        -------
        pipeline

        Raises
        ------
        zoo.errors.FormatError
            The folder holds another pipeline, or names a component from elsewhere.
        """
        if os.path.isdir(pretrained_model_name_or_path):
            check_index(pretrained_model_name_or_path, cls)
        for module, _ in COMPONENTS:
            importlib.import_module(module)
        pipe = super().from_pretrained(  # type: ignore[misc]
            pretrained_model_name_or_path, **options
        )
        for component in pipe.components.values():
            if isinstance(component, nn.Module):
                align(component)
        return pipe


def align(module: nn.Module) -> None:
    """Move weights to addresses that torch itself would choose.

    A safetensors file is mapped into memory, and its tensors begin wherever they do. Matrix
    products on such addresses may add in another order, and a loaded pipeline would differ from
    the saved one in the last bit.

    Parameters
    ----------
    module : Module
        Changed in place.
    """
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.device.type == "cpu" and tensor.data_ptr() % _ALIGNMENT:
            tensor.data = tensor.data.clone()
