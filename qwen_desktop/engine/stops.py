"""Stop strings: an answer ends before the first of them, wherever it lies across its pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Lets text through up to the stop string that is complete first; of several, the longest.

    The longest end of the text that may still become one waits. `before` is text that has been
    let through already: a stop string may begin in it.
    """

    def __init__(self, stops: Sequence[str], before: str = "") -> None:
        self._stops = [stop for stop in stops if stop]
        self.found = False
        self.held = self._beginning(before)

    def feed(self, text: str) -> str:
        """What may be given out now that `text` came; nothing once one was found."""
        if self.found:
            return ""
        text = self.held + text
        ends = [(at + len(s), at) for s in self._stops if (at := text.find(s)) >= 0]
        if ends:
            self.found, self.held = True, ""
            return text[: min(ends)[1]]
        self.held = self._beginning(text)
        return text[: len(text) - len(self.held)]

    def flush(self) -> str:
        """What was waiting; nothing once a stop string was found."""
        held, self.held = self.held, ""
        return held

    def _beginning(self, text: str) -> str:
        """The longest end of `text` that begins a stop string."""
        longest = 0
        for stop in self._stops:
            for length in range(min(len(stop) - 1, len(text)), longest, -1):
                if stop.startswith(text[-length:]):
                    longest = length
                    break
        return text[len(text) - longest :]
