"""What stands in the composer: a draft, or text typed while the message before it is on its way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from qwen_desktop.bridge.answering import Answering
from qwen_desktop.bridge.drafts import Drafts
from qwen_desktop.bridge.run import Run, RunKind
from qwen_desktop.bridge.shown import Shown
from qwen_desktop.chat.draft import joined

EDIT = "edit "


class Composing:
    """Main-thread owner of what is typed. A message that is sent stays the draft on disk until it
    is a message there; what is typed meanwhile is held here.
    """

    def __init__(self, drafts: Drafts, shown: Shown, answering: Answering) -> None:
        self._drafts = drafts
        self._shown = shown
        self._answering = answering
        self._held = ""

    def fill(self, drafts: Mapping[str, str]) -> None:
        """Take what the store kept."""
        self._drafts.fill(drafts)

    def keep_all(self) -> None:
        """Hold on to all drafts, though the store may give others: `fill` joins both."""
        self._drafts.keep_all()

    @property
    def text(self) -> str:
        """What the composer of the shown conversation begins with."""
        text, run = self._drafts.text(self._key()), self._answering.run
        if run is None or run.stored or run.kind is not RunKind.ASK or not self._shown.is_new:
            return text
        return text if text != run.typed else ""  # on its way, in another new chat

    def set(self, text: str) -> None:
        """Keep what is typed; on disk within a second."""
        run = self._shown.run
        if run is not None and not run.stored and run.kind is RunKind.ASK:
            self._held = text  # the draft on disk is still the message being sent
        else:
            self._drafts.set(self._key(), text)

    @property
    def place(self) -> str:
        """Names the conversation whose draft is typed now, for `add`."""
        return self._key()

    def add(self, place: str, text: str) -> None:
        """Put more below a draft that is not typed now; on disk within a second."""
        run = self._answering.run
        if (
            run is not None
            and not run.stored
            and run.kind is RunKind.ASK
            and place == ("" if run.is_new else run.before.id)
        ):
            self._held = joined(self._held, text)  # as in `set`
        else:
            self._drafts.set(place, joined(self._drafts.text(place), text))

    def set_edit(self, message_id: str, text: str) -> None:
        """Keep what an earlier message is being changed to; "" where it is left."""
        self._drafts.set(_edit_of(message_id), text)

    def forget(self, conversations: Iterable[str], messages: Iterable[str]) -> None:
        """Let go of the drafts of what is gone for good."""
        self._drafts.forget((*conversations, *map(_edit_of, messages)))

    @property
    def edits(self) -> Mapping[str, str]:
        """Such texts of the messages that are read, but for one that is being sent."""
        run = self._shown.run
        ids = [m.id for m in self._shown.path if run is None or m.id != run.edited]
        return {id_: text for id_ in ids if (text := self._drafts.text(_edit_of(id_)))}

    def begin(self) -> None:
        """A message is sent."""
        self._held = ""

    def is_stored(self, run: Run) -> None:
        """What was sent is a message on disk, so no draft any more, whatever happens next."""
        if run.edited:
            self._drafts.set(_edit_of(run.edited), "")
        if run.kind is RunKind.ASK:
            if run.is_new and (self._shown.is_of(run) or self._drafts.text("") == run.typed):
                self._drafts.set("", "")  # unless it is of another new chat by now
            self._drafts.set(run.conversation.id, self._held)
        self._drafts.save_now()

    def take_back(self, run: Run) -> bool:
        """Make a draft of a message that does not get on disk, and of what was typed after it.

        True where it belongs into the composer that is shown.
        """
        if not run.typed:
            return False
        if run.edited:
            self._drafts.set(_edit_of(run.edited), "")  # it goes into the composer
        key = "" if run.is_new else run.before.id
        texts = [run.typed, self._held]
        if (kept := self._drafts.text(key)) not in texts:
            texts.append(kept)  # typed in another new chat, or before an earlier message was edited
        self._drafts.set(key, joined(*texts))
        return key == self._key()

    @property
    def drafts(self) -> Mapping[str, str]:
        """All drafts; of a message on its way too, and below it what was typed since."""
        drafts, run = dict(self._drafts.all), self._shown.run
        if run is not None and self._held:
            kept = drafts.get(self._key(), "")
            drafts[self._key()] = joined(kept, self._held)
        return drafts

    def save_now(self) -> None:
        """Write what has changed."""
        self._drafts.save_now()

    def _key(self) -> str:
        return "" if self._shown.is_new else self._shown.conversation.id


def _edit_of(message_id: str) -> str:
    """The key of the draft of a message that is being changed; no conversation's id looks so."""
    return f"{EDIT}{message_id}"
