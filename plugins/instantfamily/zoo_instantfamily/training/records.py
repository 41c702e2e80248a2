"""Pictures with captions and boxes, in plain folders and in tar shards.

A picture ``a.jpg`` has ``a.json`` beside it::

    {"caption": "two men", "boxes": [[10, 20, 60, 70], [80, 20, 130, 70]],
     "identities": ["ann", "bea"]}

and, if there is one, its control image ``a.pose.png``. ``identities`` may be left out; pictures
that share a name serve as references of each other. A shard is a tar file of such files, as
WebDataset writes them; nothing is unpacked to disk.
"""

import io
import json
import math
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from zoo.errors import FormatError, SourceError

__all__ = ["Record", "read_records"]

_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_POSE = ".pose.png"
_LARGEST_JSON = 2**20


@dataclass(frozen=True)
class Record:
    """One picture, not yet read.

    Attributes
    ----------
    name : str
        For messages.
    open_image, open_pose : callable
        Return the bytes; ``open_pose`` is ``None`` where there is no control image.
    caption : str
    boxes : tuple of tuple of float
        Left, top, right, bottom in pixels of the picture.
    identities : tuple of (str or None)
        Name of each face.
    """

    name: str
    open_image: Callable[[], bytes]
    open_pose: Callable[[], bytes] | None
    caption: str
    boxes: tuple[tuple[float, float, float, float], ...]
    identities: tuple[str | None, ...]

    def image(self) -> Image.Image:
        """The picture."""
        return _picture(self.open_image(), self.name)

    def pose(self) -> Image.Image | None:
        """The control image, if there is one."""
        return None if self.open_pose is None else _picture(self.open_pose(), self.name)


def _picture(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, ValueError) as error:
        raise FormatError(f"The picture {name} cannot be read: {error}.") from error


def read_records(path: str | os.PathLike[str]) -> list[Record]:
    """List the pictures of a folder and of the shards in it, or of one shard.

    Parameters
    ----------
    path : path-like
        A folder, searched with all below it, or a tar file.

    Returns
    -------
    list of Record
        In the order of their names.

    Raises
    ------
    zoo.errors.SourceError
        Nothing is there.
    zoo.errors.FormatError
        A description is missing or not as it should be, or there is no picture at all.
    """
    source = Path(path)
    if not source.exists():
        raise SourceError(f"Cannot read training pictures from {source}: nothing is there.")
    if source.is_file():
        records = _from_shard(source)
    else:
        files = sorted(file for file in source.rglob("*") if file.is_file())
        members = {
            str(file.relative_to(source)): _reader(file)
            for file in files
            if file.suffix.lower() != ".tar"
        }
        records = _pair(members, str(source))
        for shard in files:
            if shard.suffix.lower() == ".tar":
                records += _from_shard(shard)
    if not records:
        raise FormatError(
            f"The training pictures in {source} must be files such as a.jpg with a.json beside "
            "them, or tar shards of these. None were found."
        )
    return records


def _reader(file: Path) -> Callable[[], bytes]:
    return file.read_bytes


def _slice(file: Path, start: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with file.open("rb") as stream:
            stream.seek(start)
            return stream.read(size)

    return read


def _from_shard(file: Path) -> list[Record]:
    try:
        with tarfile.open(file, "r:") as shard:
            members = {
                member.name: _slice(file, member.offset_data, member.size)
                for member in shard
                if member.isreg() and not member.sparse
            }
    except tarfile.TarError as error:
        raise FormatError(f"The shard {file} must be a tar file without compression.") from error
    return _pair(members, str(file))


def _pair(members: dict[str, Callable[[], bytes]], where: str) -> list[Record]:
    records = []
    for name in sorted(members):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in _PICTURES or name.endswith(_POSE):
            continue
        described = f"{stem}.json"
        title = f"{where}/{name}"
        if described not in members:
            raise FormatError(f"The picture {title} must have its {described} beside it.")
        caption, boxes, identities = _describe(members[described](), f"{where}/{described}")
        pose = members.get(stem + _POSE)
        records.append(Record(title, members[name], pose, caption, boxes, identities))
    return records


def _describe(data: bytes, name: str) -> tuple[str, Any, Any]:
    if len(data) > _LARGEST_JSON:
        raise FormatError(f"The file {name} must be at most {_LARGEST_JSON} bytes long.")
    try:
        found = json.loads(data)
    except ValueError as error:
        raise FormatError(f"The file {name} must be JSON: {error}.") from error
    if not isinstance(found, dict) or not isinstance(found.get("caption"), str):
        raise FormatError(f"The file {name} must be an object with a caption that is a string.")
    boxes = found.get("boxes")
    if not isinstance(boxes, list) or not boxes or not all(map(_is_box, boxes)):
        raise FormatError(
            f"The boxes in {name} must be lists of left, top, right and bottom in pixels, with "
            f"left below right and top below bottom. Got {boxes!r:.120}."
        )
    names = found.get("identities", [None] * len(boxes))
    known = isinstance(names, list) and all(isinstance(n, str | None) for n in names)
    if not known or len(names) != len(boxes):
        raise FormatError(
            f"The identities in {name} must be a string or null for each of its {len(boxes)} "
            f"boxes. Got {names!r:.120}."
        )
    return found["caption"], tuple(tuple(map(float, box)) for box in boxes), tuple(names)


def _is_box(box: Any) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    if not all(isinstance(n, int | float) and math.isfinite(n) for n in box):
        return False
    return bool(box[0] < box[2] and box[1] < box[3])
