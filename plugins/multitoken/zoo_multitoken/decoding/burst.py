"""What one forward added to one text."""

from dataclasses import dataclass

__all__ = ["Burst"]


@dataclass(frozen=True, slots=True)
class Burst:
    """What one forward added to one text.

    Attributes
    ----------
    row : int
        Number of the text.
    tokens : tuple of int
        Its new tokens.
    text : bytes
        Bytes that are certain by now: they may lag behind the tokens while a stop text may be
        under way, and end inside a character of several bytes.
    drafted, accepted : int
        How many drafts were verified, and how many were accepted.
    source : {"heads", "lookup", "none"}
        Where the drafts came from.
    finish : {"end", "stop", "length", "cancelled"} or None
        Why the text ended with this burst.
    """

    row: int
    tokens: tuple[int, ...]
    text: bytes
    drafted: int = 0
    accepted: int = 0
    source: str = "none"
    finish: str | None = None
