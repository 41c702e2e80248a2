"""CLIP's byte-pair tokenizer, read from ``vocab.json`` and ``merges.txt``, without transformers."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClipTokenizer", "merges_text", "read_merges"]

_END = "</w>"
_ENDINGS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_CACHE = 2**14


def read_merges(text: str) -> list[tuple[str, str]]:
    """Pairs of a ``merges.txt``, most frequent first.

    Parameters
    ----------
    text : str
        Its content.

    Returns
    -------
    list of (str, str)
    """
    rows = [line.split(" ") for line in text.split("\n")]
    return [(row[0], row[1]) for row in rows if len(row) == 2 and not row[0].startswith("#version")]


def merges_text(merges: Sequence[tuple[str, str]]) -> str:
    """The content of a ``merges.txt``.

    Parameters
    ----------
    merges : sequence of (str, str)
        Most frequent first.

    Returns
    -------
    str
    """
    return "\n".join(["#version: 0.2", *(f"{one} {two}" for one, two in merges), ""])


class ClipTokenizer:
    """Texts to numbers.

    Parameters
    ----------
    vocabulary : mapping of str to int
        Number of each token.
    merges : sequence of (str, str)
        Pairs that are joined, most frequent first.
    length : int
        Tokens of a text; longer ones are cut, shorter ones padded.
    start, end, pad, unknown : str
        The special tokens.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        *,
        length: int,
        start: str = "<|startoftext|>",
        end: str = "<|endoftext|>",
        pad: str = "<|endoftext|>",
        unknown: str = "<|endoftext|>",
    ) -> None:
        self.vocabulary = dict(vocabulary)
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.length = length
        self.start, self.end, self.pad, self.unknown = start, end, pad, unknown
        self._special = re.compile(f"({re.escape(start)}|{re.escape(end)}|{re.escape(pad)})")
        self._split = lru_cache(_CACHE)(self._merge)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Tokens of some texts.

        Parameters
        ----------
        texts : sequence of str
            The texts.

        Returns
        -------
        ndarray of int64, shape (texts, length)
            Start, tokens, end, padding.
        """
        number = self.vocabulary
        rows = np.full((len(texts), self.length), number[self.pad], dtype=np.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = [number[self.start], *self.encode(text)[: self.length - 2], number[self.end]]
            row[: len(ids)] = ids
        return rows

    def encode(self, text: str) -> list[int]:
        """Tokens of one text, with neither start nor end.

        Parameters
        ----------
        text : str
            Any text; upper case and runs of white space do not count.

        Returns
        -------
        list of int
        """
        found = []
        unknown = self.vocabulary[self.unknown]
        for part in self._special.split(text):
            if self._special.fullmatch(part):
                found.append(self.vocabulary[part])
                continue
            tidy = re.sub(r"\s+", " ", unicodedata.normalize("NFC", part))
            # One by one: a sigma at the end of a word is to stay the same letter.
            for word in _words("".join(character.lower() for character in tidy)):
                found += [self.vocabulary.get(piece, unknown) for piece in self._split(word)]
        return found

    def _merge(self, word: str) -> tuple[str, ...]:
        """Join the most frequent pair again and again."""
        pieces = [_BYTES[byte] for byte in word.encode()]
        pieces[-1] += _END
        while len(pieces) > 1:
            pairs = list(pairwise(pieces))
            best = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            joined, place = [], 0
            while place < len(pieces):
                if tuple(pieces[place : place + 2]) == best:
                    joined.append(best[0] + best[1])
                    place += 2
                else:
                    joined.append(pieces[place])
                    place += 1
            pieces = joined
        return tuple(pieces)


def _words(text: str) -> Iterator[str]:
    """Endings such as 's, runs of letters, single digits, runs of anything else but space."""
    place = 0
    while place < len(text):
        ending = next((e for e in _ENDINGS if text.startswith(e, place)), None)
        kind = _kind(text[place])
        stop = place + 1
        if ending is not None:
            stop = place + len(ending)
        elif kind in ("letter", "other"):
            while stop < len(text) and _kind(text[stop]) == kind:
                stop += 1
        if kind != "space":
            yield text[place:stop]
        place = stop


@lru_cache(_CACHE)
def _kind(character: str) -> str:
    if character.isspace():
        return "space"
    return {"L": "letter", "N": "number"}.get(unicodedata.category(character)[0], "other")


def _byte_characters() -> list[str]:
    """A printable character for each byte; those that are printable stand for themselves."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in shown]
    return [chr(b) if b in shown else chr(256 + rest.index(b)) for b in range(256)]


_BYTES = _byte_characters()
