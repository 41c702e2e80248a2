"""Text to tokens and back, on numpy alone."""

import codecs
import json
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.errors import MissingDependencyError

__all__ = ["ByteTokenizer", "FileTokenizer", "TextStream", "Tokenizer", "tokenizer_from_json"]


class Tokenizer(Protocol):
    """What training, decoding and exported models ask of a tokenizer."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""

    @property
    def end_id(self) -> int:
        """The token between two texts; generation stops at it."""

    @property
    def splits_anywhere(self) -> bool:
        """Whether the tokens of a text are those of its parts, wherever it is cut."""

    def encode(self, text: str | bytes) -> NDArray[np.int64]:
        """Tokens of a text, shape (length,), without `end_id`."""

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that tokens stand for."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text that tokens stand for; what is not UTF-8 becomes U+FFFD."""

    def stream(self) -> "TextStream":
        """A decoder that is fed tokens as they come."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `tokenizer_from_json` reads back."""


class TextStream:
    """Text of tokens that arrive in pieces; a character that is cut in two waits for its rest.

    Parameters
    ----------
    tokenizer : Tokenizer
        Whose tokens they are.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, ids: Iterable[int]) -> str:
        """The text that these tokens complete.

        Parameters
        ----------
        ids : iterable of int
            The next tokens.

        Returns
        -------
        str
        """
        return self._decoder.decode(self.tokenizer.decode_bytes(ids))

    def finish(self) -> str:
        """What is left of a character that was never completed, as U+FFFD."""
        return self._decoder.decode(b"", final=True)


def _text_as_bytes(text: str | bytes) -> bytes:
    if isinstance(text, str):
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"A text must be encodable as UTF-8, or be given as bytes. Got {error.reason} at "
                f"character {error.start}."
            ) from None
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    raise TypeError(f"A text must be str or bytes. Got {type(text).__name__}.")


class ByteTokenizer:
    """Every byte is a token, and token 256 stands between texts. It has no vocabulary file."""

    @property
    def vocab_size(self) -> int:
        """257."""
        return 257

    @property
    def end_id(self) -> int:
        """256."""
        return 256

    @property
    def splits_anywhere(self) -> bool:
        """True."""
        return True

    def encode(self, text: str | bytes) -> NDArray[np.int64]:
        """Bytes of a text.

        Parameters
        ----------
        text : str or bytes
            Bytes need not be UTF-8.

        Returns
        -------
        ndarray of int64 of shape (length,)

        Raises
        ------
        TypeError
            If it is neither.
        ValueError
            If a string cannot be encoded (a lone surrogate).
        """
        return np.frombuffer(_text_as_bytes(text), dtype=np.uint8).astype(np.int64)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that tokens stand for; token 256 stands for none.

        Parameters
        ----------
        ids : iterable of int
            Tokens, 0 to 256.

        Returns
        -------
        bytes

        Raises
        ------
        ValueError
            If there is no such token.
        """
        array = np.fromiter(ids, dtype=np.int64)
        if array.size and (array.min() < 0 or array.max() > self.end_id):
            raise ValueError(
                f"A token of a byte tokenizer must be 0 to {self.end_id}. "
                f"Got {array[(array < 0) | (array > self.end_id)][0]}."
            )
        return array[array < self.end_id].astype(np.uint8).tobytes()

    def decode(self, ids: Iterable[int]) -> str:
        """The text that tokens stand for; what is not UTF-8 becomes U+FFFD.

        Parameters
        ----------
        ids : iterable of int
            Tokens, 0 to 256.

        Returns
        -------
        str
        """
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def stream(self) -> TextStream:
        """A decoder that is fed tokens as they come."""
        return TextStream(self)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `tokenizer_from_json` reads back."""
        return {"kind": "bytes"}


class FileTokenizer:
    """A tokenizer of the Hugging Face ``tokenizers`` library, given by its JSON.

    Parameters
    ----------
    definition : str
        What ``tokenizer.json`` holds.
    end : str, default="<|endoftext|>"
        The token between two texts.

    Raises
    ------
    zoo.errors.MissingDependencyError
        If ``tokenizers`` is not installed.
    ValueError
        If the definition is none, or has no such token.
    """

    def __init__(self, definition: str, *, end: str = "<|endoftext|>") -> None:
        try:
            from tokenizers import Tokenizer as Backend
        except ImportError as error:
            raise MissingDependencyError(
                "A tokenizer file needs the package tokenizers: pip install 'zoo-multitoken[hf]'."
            ) from error
        try:
            self._backend = Backend.from_str(definition)
        except Exception as error:
            raise ValueError(
                f"A tokenizer file must be one that the tokenizers library reads. Got: {error}."
            ) from error
        end_id = self._backend.token_to_id(end)
        if end_id is None:
            raise ValueError(
                f"The end token of a tokenizer file must be in its vocabulary. Got {end!r}."
            )
        self.definition = definition
        self.end = end
        self._end_id = int(end_id)

    @property
    def vocab_size(self) -> int:
        """Number of tokens."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def end_id(self) -> int:
        """The token between two texts."""
        return self._end_id

    @property
    def splits_anywhere(self) -> bool:
        """False."""
        return False

    def encode(self, text: str | bytes) -> NDArray[np.int64]:
        """Tokens of a text.

        Parameters
        ----------
        text : str or bytes
            Bytes that are not UTF-8 are read as U+FFFD.

        Returns
        -------
        ndarray of int64 of shape (length,)
        """
        content = _text_as_bytes(text).decode("utf-8", errors="replace")
        return np.asarray(self._backend.encode(content, add_special_tokens=False).ids, np.int64)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that tokens stand for, UTF-8.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        bytes
        """
        return self.decode(ids).encode("utf-8")

    def decode(self, ids: Iterable[int]) -> str:
        """The text that tokens stand for, special tokens left out.

        Parameters
        ----------
        ids : iterable of int

        Returns
        -------
        str
        """
        return str(self._backend.decode([int(i) for i in ids], skip_special_tokens=True))

    def stream(self) -> TextStream:
        """A decoder that is fed tokens as they come."""
        return _WholeStream(self)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `tokenizer_from_json` reads back."""
        return {"kind": "file", "end": self.end, "definition": json.loads(self.definition)}


class _WholeStream(TextStream):
    """For tokens whose text depends on their neighbours: decodes all, hands out what is new."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)
        self._ids: list[int] = []
        self._given = 0

    def push(self, ids: Iterable[int]) -> str:
        self._ids.extend(int(i) for i in ids)
        text = self.tokenizer.decode(self._ids)
        ready = len(text.rstrip("�"))
        new = text[self._given : ready]
        self._given = max(self._given, ready)
        return new

    def finish(self) -> str:
        return self.tokenizer.decode(self._ids)[self._given :]


def tokenizer_from_json(value: Any) -> Tokenizer:
    """Read what ``to_json`` of a tokenizer gave.

    Parameters
    ----------
    value : dict
        Such an object.

    Returns
    -------
    Tokenizer

    Raises
    ------
    ValueError
        If it is not such an object.
    """
    match value:
        case {"kind": "bytes", **rest} if not rest:
            return ByteTokenizer()
        case {"kind": "file", "end": str(end), "definition": dict(definition), **rest} if not rest:
            return FileTokenizer(json.dumps(definition), end=end)
    raise ValueError(
        "The description of a tokenizer must be an object of kind 'bytes', or of kind 'file' with "
        f"end and definition. Got {str(value)[:100]}."
    )
