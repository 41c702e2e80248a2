"""One text being continued: where it ends, and what of it may be shown."""

from collections.abc import Callable, Sequence

from zoo_multitoken.decoding.options import Options

__all__ = ["Row"]

Pieces = Callable[[int], bytes]


class Row:
    """One text being continued.

    Tokens are taken one by one, so that end tokens, stop texts and the limit mean the same
    wherever in an accepted block they fall.

    Parameters
    ----------
    index : int
        Number of the text.
    options : Options
        When to end.
    pieces : callable or None
        Bytes of a token. ``None``: the row has tokens only.

    Attributes
    ----------
    tokens : list of int
        What was generated, an end token included.
    text : bytearray
        Bytes of `tokens`, cut in front of the stop text that ended them.
    finish : {"end", "stop", "length", "cancelled"} or None
        Why it ended. A token that completes a stop text and is the last allowed ends by ``"stop"``.
    """

    def __init__(self, index: int, options: Options, pieces: Pieces | None) -> None:
        self.index = index
        self.tokens: list[int] = []
        self.text = bytearray()
        self.finish: str | None = None if options.max_new_tokens else "length"
        self._limit = options.max_new_tokens
        self._end_tokens = options.end_tokens
        self._stop = options.stop
        self._longest_stop = max(map(len, options.stop), default=0)
        self._pieces = pieces
        self._released = 0

    @property
    def remaining(self) -> int:
        """How many more tokens the row may take."""
        return 0 if self.finish else self._limit - len(self.tokens)

    def take(self, tokens: Sequence[int]) -> int:
        """Add tokens until one ends the row.

        Parameters
        ----------
        tokens : sequence of int
            What was accepted.

        Returns
        -------
        int
            How many were taken.
        """
        before = len(self.tokens)
        for token in tokens:
            if self.finish is not None:
                break
            self.tokens.append(token)
            if token in self._end_tokens:
                self.finish = "end"
                break
            if self._pieces is not None:
                self._add(self._pieces(token))
            if self.finish is None and len(self.tokens) >= self._limit:
                self.finish = "length"
        return len(self.tokens) - before

    def release(self) -> bytes:
        """Hand out the bytes that no stop text can take back.

        Returns
        -------
        bytes
            What became certain since the last call.
        """
        end = len(self.text) - (0 if self.finish else self._withheld())
        released = bytes(self.text[self._released : end])
        self._released = max(self._released, end)
        return released

    def cancel(self) -> None:
        """End the row from outside."""
        if self.finish is None:
            self.finish = "cancelled"

    def _add(self, piece: bytes) -> None:
        start = len(self.text)
        self.text += piece
        if not self._stop:
            return
        # The stop text whose last byte comes first ended the row; of several, the longest.
        window = max(0, start - self._longest_stop + 1)
        found = []
        for stop in self._stop:
            place = self.text.find(stop, max(window, start - len(stop) + 1))
            if place >= 0:
                found.append((place + len(stop), place))
        if found:
            del self.text[min(found)[1] :]
            self.finish = "stop"

    def _withheld(self) -> int:
        """Length of the longest end of the text that begins a stop text."""
        tail = self.text[len(self.text) - min(len(self.text), max(self._longest_stop - 1, 0)) :]
        for start in range(len(tail)):
            if any(stop.startswith(tail[start:]) for stop in self._stop):
                return len(tail) - start
        return 0
