"""A bundle: a folder of ONNX graphs and ``zoo.json``, which says what they are.

``zoo.json`` holds::

    format_version   1
    model, task      what was exported
    distribution, plugin_version, zoo_version   by what
    runner           "tabular", or the name of an installed model whose runner executes the folder
    graphs           name -> {file, sha256, opset, ir_version, inputs, outputs}
    metadata         what the runner needs: classes, feature names
    files            name -> sha256, whatever else it needs

A bundle is data. It names no code: a runner of its own is found by the model's name in the registry
of what is installed.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo
from zoo.errors import ExportError, FormatError, IntegrityError, SourceError
from zoo.files import checked_member, read_json, sha256

if TYPE_CHECKING:
    import onnx

__all__ = ["FORMAT_VERSION", "MANIFEST", "TABULAR", "Bundle", "read_bundle", "write_bundle"]

FORMAT_VERSION = 1
MANIFEST = "zoo.json"
TABULAR = "tabular"
_MAX_MANIFEST = 16 * 2**20
_MAX_GRAPH = 2**31 - 1  # what a protobuf can hold
_GRAPH_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(/[A-Za-z][A-Za-z0-9_-]*)*\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_FIELDS: dict[str, type] = {
    "model": str,
    "task": str,
    "distribution": str,
    "plugin_version": str,
    "zoo_version": str,
    "runner": str,
    "graphs": dict,
    "metadata": dict,
    "files": dict,
}


@dataclass(frozen=True)
class Bundle:
    """An exported folder whose files match its manifest.

    Attributes
    ----------
    folder : pathlib.Path
        Where it is.
    model, task : str
        What was exported.
    distribution, plugin_version, zoo_version : str
        By what.
    runner : str
        ``"tabular"``, or the name of the model whose runner executes it.
    graphs : dict
        Name to ``{"file", "sha256", "opset", "ir_version", "inputs", "outputs"}``; an input or
        output is ``{"name", "dtype", "shape"}``.
    metadata : dict
        What the runner needs to know.
    files : dict
        Name to SHA-256 of every other file.
    """

    folder: Path
    model: str
    task: str
    distribution: str
    plugin_version: str
    zoo_version: str
    runner: str
    graphs: dict[str, dict[str, Any]]
    metadata: dict[str, Any]
    files: dict[str, str]

    def graph(self, name: str = "model") -> bytes:
        """Read a graph, checking that it is the recorded one and reaches nothing outside itself.

        Parameters
        ----------
        name : str, default="model"
            Which.

        Returns
        -------
        bytes
            The serialised graph.

        Raises
        ------
        zoo.errors.IntegrityError
            The file changed since it was written.
        zoo.errors.FormatError
            There is no such graph, it is malformed, uses operators of another domain or external
            data, or has other inputs and outputs than the manifest says.
        """
        from zoo.onnx.graphs import describe, parse_graph

        record = self.graphs.get(name)
        if record is None:
            raise FormatError(
                f"The bundle {self.folder} has no graph {name!r}. It has: {', '.join(self.graphs)}."
            )
        content = self._read(record["file"], record["sha256"])
        model = parse_graph(content, f"the graph {name!r} of {self.folder}")
        for side, values in (("inputs", model.graph.input), ("outputs", model.graph.output)):
            if record[side] != [describe(value) for value in values]:
                raise FormatError(
                    f"The {side} of the graph {name!r} of {self.folder} are not the ones that "
                    f"its {MANIFEST} lists."
                )
        return content

    def read_file(self, name: str) -> bytes:
        """Read one of `files`, checking that it is the recorded one.

        Parameters
        ----------
        name : str
            Its name.

        Returns
        -------
        bytes
            Its content.

        Raises
        ------
        zoo.errors.FormatError
            The manifest lists no such file.
        zoo.errors.IntegrityError
            It changed since it was written.
        """
        if name not in self.files:
            raise FormatError(
                f"The bundle {self.folder} has no file {name!r}. "
                f"It has: {', '.join(self.files) or 'none'}."
            )
        return self._read(name, self.files[name])

    def _read(self, name: str, digest: str) -> bytes:
        # Hashed again although read_bundle did: between the two calls the file can be replaced.
        content = checked_member(self.folder, name, max_bytes=_MAX_GRAPH).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise _changed(self.folder, name)
        return content


def read_bundle(folder: str | os.PathLike[str]) -> Bundle:
    """Read the manifest of an exported folder and check every file it lists.

    Parameters
    ----------
    folder : path-like
        What an export wrote.

    Returns
    -------
    Bundle
        The checked bundle.

    Raises
    ------
    zoo.errors.SourceError
        There is no such folder.
    zoo.errors.FormatError
        It has no manifest, or one that is malformed, too large or of another format version; or a
        listed file is missing, lies outside the folder or is behind a symlink.
    zoo.errors.IntegrityError
        A file is not the one that was written.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise SourceError(f"There is no exported folder at {root}.")
    path = checked_member(root, MANIFEST, max_bytes=_MAX_MANIFEST)
    manifest = read_json(path, max_bytes=_MAX_MANIFEST)
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise FormatError(
            f"The format_version of {path} must be {FORMAT_VERSION}, the only one that zoo "
            f"{zoo.__version__} reads. Got {version!r}."
        )
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise FormatError(
                f"The field {name!r} of {path} must be a JSON {_json_name(kind)}. "
                f"Got {manifest.get(name)!r}."
            )
    if not manifest["graphs"]:
        raise FormatError(f"The field 'graphs' of {path} must list at least one graph. Got none.")
    for name, record in manifest["graphs"].items():
        _check_graph_record(path, name, record)
        _check_file(root, record["file"], record["sha256"])
    for name, digest in manifest["files"].items():
        _check_digest(path, name, digest)
        _check_file(root, name, digest)
    return Bundle(folder=root, **{name: manifest[name] for name in _FIELDS})


def _json_name(kind: type) -> str:
    return "string" if kind is str else "object"


def _check_graph_record(path: Path, name: str, record: object) -> None:
    wanted = {"file": str, "sha256": str, "opset": dict, "inputs": list, "outputs": list}
    if not isinstance(record, dict) or not all(
        isinstance(record.get(key), kind) for key, kind in wanted.items()
    ):
        raise FormatError(
            f"The graph {name!r} of {path} must be an object with {', '.join(wanted)}. "
            f"Got {record!r}."
        )
    _check_digest(path, name, record["sha256"])


def _check_digest(path: Path, name: str, digest: object) -> None:
    if not isinstance(digest, str) or not _SHA256.match(digest):
        raise FormatError(
            f"The sha256 of {name!r} in {path} must be 64 hexadecimal digits. Got {digest!r}."
        )


def _check_file(root: Path, name: str, digest: str) -> None:
    if sha256(checked_member(root, name, max_bytes=_MAX_GRAPH)) != digest:
        raise _changed(root, name)


def _changed(folder: Path, name: str) -> IntegrityError:
    return IntegrityError(
        f"The file {name!r} of {folder} is not the one that was exported: its SHA-256 differs "
        f"from the one in {MANIFEST}."
    )


def write_bundle(
    folder: Path,
    graphs: "Mapping[str, onnx.ModelProto]",
    *,
    model: str,
    task: str,
    distribution: str,
    version: str,
    runner: str = TABULAR,
    metadata: Mapping[str, Any],
    files: Mapping[str, bytes],
) -> None:
    """Write graphs, files and manifest into an empty folder.

    Parameters
    ----------
    folder : pathlib.Path
        The folder, see `zoo.files.atomic_folder`.
    graphs : mapping of str to onnx.ModelProto
        The graphs by name. Each becomes ``<name>.onnx``; a name may hold folders, ``unet/model``.
    model, task, distribution, version, runner : str
        See `Bundle`.
    metadata : mapping
        What the runner needs to know, fit for JSON.
    files : mapping of str to bytes
        Further files by relative name.

    Raises
    ------
    zoo.errors.ExportError
        A graph is malformed, uses operators of other domains or external data, is too large for
        one file; a name cannot be a file's; or the metadata is no JSON.
    """
    if not graphs:
        raise ExportError(f"An export of {model!r} must have at least one graph. Got none.")
    records = {name: _write_graph(folder, name, graph) for name, graph in graphs.items()}
    taken = {MANIFEST, *(record["file"] for record in records.values())}
    digests = {}
    for name, content in files.items():
        if name in taken or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", name):
            raise ExportError(
                f"The name of a file in a bundle must be relative, of letters, digits, '.', '_', "
                f"'-' and '/', and not taken. Got {name!r}."
            )
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        digests[name] = sha256(target)
    manifest = {
        "format_version": FORMAT_VERSION,
        "model": model,
        "task": task,
        "distribution": distribution,
        "plugin_version": version,
        "zoo_version": zoo.__version__,
        "runner": runner,
        "graphs": records,
        "metadata": dict(metadata),
        "files": digests,
    }
    try:
        text = json.dumps(manifest, indent=1, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"The metadata of an export of {model!r} must be JSON: {error}."
        ) from error
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _write_graph(folder: Path, name: str, graph: "onnx.ModelProto") -> dict[str, Any]:
    from zoo.onnx.graphs import check_graph, clean_graph, describe

    if not _GRAPH_NAME.match(name):
        raise ExportError(
            f"The name of a graph must be letters, digits, '_' and '-', starting with a letter, "
            f"or several of these with '/' between them. Got {name!r}."
        )
    if graph.ByteSize() > _MAX_GRAPH:
        raise ExportError(
            f"The graph {name!r} must fit into one file of 2 GiB. Got {graph.ByteSize()} bytes."
        )
    clean = clean_graph(graph)
    check_graph(clean, f"the graph {name!r}", ExportError)
    target = folder / f"{name}.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(clean.SerializeToString(deterministic=True))
    return {
        "file": f"{name}.onnx",
        "sha256": sha256(target),
        "opset": {opset.domain or "ai.onnx": opset.version for opset in clean.opset_import},
        "ir_version": clean.ir_version,
        "inputs": [describe(value) for value in clean.graph.input],
        "outputs": [describe(value) for value in clean.graph.output],
    }
