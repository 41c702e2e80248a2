"""How long a draft pays: an estimate of each place's acceptance, from what was accepted of late."""

__all__ = ["Acceptance"]

_DECAY = 0.93
_IDLE_DECAY = 0.98
_WEIGHT = 1.0


class Acceptance:
    """Acceptance of drafts from one source, place by place.

    The chance that place ``i`` is accepted once all before it were is a decaying mean that starts
    at, and without news returns to, a prior: a length that was given up is tried again.

    Parameters
    ----------
    longest : int
        Places.
    prior : float
        Chance of acceptance before anything was seen.
    """

    def __init__(self, longest: int, prior: float) -> None:
        self._prior = prior
        self._tried = [0.0] * longest
        self._hit = [0.0] * longest

    def observe(self, drafted: int, accepted: int) -> None:
        """Learn from one verified draft.

        Parameters
        ----------
        drafted, accepted : int
            Its length, and how many of it were accepted. Without a draft what is known fades, more
            slowly, so that one which was given up is tried again now and then.
        """
        decay = _DECAY if drafted else _IDLE_DECAY
        for place in range(len(self._tried)):
            seen = place < drafted and place <= accepted
            self._tried[place] = decay * self._tried[place] + seen
            self._hit[place] = decay * self._hit[place] + (seen and place < accepted)

    def expect(self, longest: int, cost: float, *, entry: float = 0.0) -> tuple[int, float]:
        """Choose the length that promises most tokens for the price of a forward.

        Parameters
        ----------
        longest : int
            Most drafts.
        cost : float
            What each draft costs, in forwards of a single token.
        entry : float, default=0.0
            What drafting at all costs in addition.

        Returns
        -------
        length : int
            0 if no draft pays.
        rate : float
            Tokens expected for the price of a single-token forward, at that length.
        """
        chance = tokens = best = 1.0
        length = 0
        for place in range(min(longest, len(self._tried))):
            weight = self._tried[place] + _WEIGHT
            chance *= (self._hit[place] + _WEIGHT * self._prior) / weight
            tokens += chance
            rate = tokens / (1.0 + entry + cost * (place + 1))
            if rate > best:
                length, best = place + 1, rate
        return length, best
