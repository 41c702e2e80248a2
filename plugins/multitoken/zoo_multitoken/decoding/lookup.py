"""Drafts from the text itself: what followed the last tokens when they occurred before."""

from collections.abc import Iterable

__all__ = ["Lookup"]

#: Shortest and longest run of last tokens that is looked for.
SHORTEST, LONGEST = 3, 16
_CANDIDATES = 8


class Lookup:
    """Finds the latest, longest earlier occurrence of a text's last tokens.

    Prompt lookup decoding (Saxena 2023), with an index of all runs of `SHORTEST` tokens that grows
    with the text, so that a look-up costs the same in a long text.

    Parameters
    ----------
    tokens : iterable of int
        The prompt.
    """

    def __init__(self, tokens: Iterable[int]) -> None:
        self._tokens: list[int] = []
        self._places: dict[tuple[int, ...], list[int]] = {}
        self.extend(tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        """Add tokens to the end of the text.

        Parameters
        ----------
        tokens : iterable of int
            What was generated.
        """
        text, places = self._tokens, self._places
        for token in tokens:
            # A run is indexed once something follows it.
            if len(text) >= SHORTEST:
                places.setdefault(tuple(text[-SHORTEST:]), []).append(len(text))
            text.append(token)

    def find(self, count: int) -> tuple[list[int], int]:
        """Draft what followed the last tokens before.

        Parameters
        ----------
        count : int
            Most tokens.

        Returns
        -------
        drafts : list of int
            At most `count` tokens; none if the last tokens are new.
        matched : int
            How many last tokens occurred before them, at most `LONGEST`.
        """
        text = self._tokens
        places = self._places.get(tuple(text[-SHORTEST:]), ()) if count else ()
        best, where = 0, 0
        for place in reversed(places[-_CANDIDATES:]):
            matched = SHORTEST
            while (
                matched < LONGEST
                and matched < place
                and text[place - matched - 1] == text[-matched - 1]
            ):
                matched += 1
            if matched > best:
                best, where = matched, place
        if not best:
            return [], 0
        drafts = text[where : where + count]
        # The text repeats itself with the period between the two places: so does the draft.
        while len(drafts) < count:
            drafts.append(drafts[len(drafts) - (len(text) - where)])
        return drafts, best
