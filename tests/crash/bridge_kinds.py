"""Typing, sending, streaming and changing the list: the real bridge, store and engine.

The processes go on for ever, as fast as a person never would; each begins on what the one before
left behind, as a person does who starts the program again.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from qwen_desktop.chat.messages import Message, Role, Status, user_message
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.storage.store import Store
from tests.crash.killing import Kind, Life, Tell, Told, Work

WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dogs",
    "快速",
    "的",
    "狐狸",
    "跳过",
)
TALKS = tuple(f"{number:032x}" for number in range(1, 6))
LONGEST_DRAFT = 300  # characters


def with_talks(profile: Path) -> None:
    """Make a profile with some conversations of one question, once."""
    file = profile / "conversations.db"
    if file.exists():
        return
    profile.mkdir(parents=True, exist_ok=True)
    store = Store.open(file)
    for talk in TALKS:
        question = user_message(f"the beginning of {talk}", None)
        store.create(Conversation(id=talk, tree=Tree.of([question])))
    store.close()


# --- in the processes ---------------------------------------------------------------------------


class Desk:
    """Everything below the window. `steps` is called again and again, every few milliseconds."""

    def __init__(self, profile: Path, seed: int, tell: Tell, **settings: object) -> None:
        from PySide6.QtCore import QCoreApplication, QTimer

        from qwen_desktop.bridge.chats import Chats
        from qwen_desktop.bridge.engine_client import EngineClient
        from qwen_desktop.bridge.models import Models
        from qwen_desktop.bridge.store_client import StoreClient
        from qwen_desktop.chat.settings import SETTINGS

        self.qt = QCoreApplication([])
        self.chance = random.Random(seed)
        self.tell = tell
        self.settings = {setting.name: setting.default for setting in SETTINGS}
        self.settings |= {"loop_guard": False, "temperature": 1.0, **settings}
        self.store = StoreClient(profile / "conversations.db")
        self.engine = EngineClient()
        self.models = Models(self.engine)
        self.chats = Chats(self.store, self.engine, self.models, lambda: self.settings)
        self.text = ""  # what stands in the composer
        self.chats.draft_restored.connect(self._on_draft)
        for source in (self.store, self.chats, self.models):
            source.problem.connect(self._on_problem)
        self.timer = QTimer()
        self.timer.setSingleShot(True)

    def run(self, begin: Callable[[], None], folder: Path | None = None) -> None:
        """Open the store, and a checkpoint where one is named, then `begin`; never comes back."""
        from qwen_desktop.chat.model import LoadRequest

        self.store.start()
        if folder is None:
            self.chats.started.connect(begin)
        else:
            self.engine.start()
            self.models.open(LoadRequest(folder))
            self.models.changed.connect(
                lambda state: state.info is not None and not state.busy and begin()
            )
        self.chats.start("")
        self.qt.exec()

    def soon(self, step: Callable[[], None], lowest: int = 5, highest: int = 40) -> None:
        """Do `step` in some milliseconds."""
        from PySide6.QtCore import QTimer

        QTimer.singleShot(self.chance.randint(lowest, highest), step)

    @property
    def key(self) -> str:
        """Where the draft of the shown conversation is kept."""
        return "" if self.chats._shown.is_new else self.chats.current.id

    def type(self, text: str) -> None:
        """What stands in the composer now."""
        self.text = text
        self.tell("typed", self.key, text)
        self.chats.set_draft(text)

    def _on_draft(self, text: str) -> None:
        self.text = text

    def _on_problem(self, report: Any) -> None:
        raise SystemExit(f"trouble: {report.text()} {report.details}")


def typing(profile: Path, seed: int, tell: Tell) -> None:
    """Write in several conversations in turn, a word at a time."""
    desk = Desk(profile, seed, tell)
    numbers = itertools.count()

    def begin() -> None:
        desk.chats.opened.connect(lambda _: desk.soon(read))
        tell("restored", desk.key, desk.text)
        step()

    def read() -> None:
        tell("restored", desk.key, desk.text)
        step()

    def step() -> None:
        if desk.chance.random() < 0.05:
            other = desk.chance.choice((*TALKS[:3], ""))
            if other != desk.key:
                desk.chats.open(other) if other else desk.chats.new()
                return
        word = f"{desk.chance.choice(WORDS)}{next(numbers)}"
        full = len(desk.text) > LONGEST_DRAFT
        desk.type("" if full else f"{desk.text} {word}".strip())
        desk.soon(step)

    desk.run(begin)


def sending(folder: Path, profile: Path, seed: int, tell: Tell) -> None:
    """Ask short questions and read short answers, in old and new conversations."""
    desk = Desk(profile, seed, tell, max_new_tokens=6)
    numbers = itertools.count()
    asked = ""

    def begin() -> None:
        desk.chats.answer_saved.connect(saved)
        tell("at work")
        choose()

    def choose() -> None:
        one = desk.chance.random()
        if one < 0.3:
            desk.chats.new()
        elif one < 0.5:
            desk.chats.open(desk.chance.choice(TALKS[:3]))
        desk.soon(write)

    def write() -> None:
        nonlocal asked
        asked = f"question {seed}-{next(numbers)} {desk.chance.choice(WORDS)}"
        for end in range(12, len(asked) + 1, 4):
            desk.type(asked[:end])
        desk.type(asked)
        desk.soon(send, 1, 20)

    def send() -> None:
        tell("asked", desk.key, asked)
        assert desk.chats.ask(asked)

    def saved(answer: Message) -> None:
        tell("saved", desk.chats.current.id, asked, answer.id, answer.text)
        desk.soon(choose)

    desk.run(begin, folder)


def streaming(folder: Path, profile: Path, seed: int, tell: Tell) -> None:
    """Let a long answer come, or go on with the one that was cut by the kill before."""
    desk = Desk(profile, seed, tell, max_new_tokens=100_000)
    texts: dict[str, str] = {}

    def begin() -> None:
        desk.chats.opened.connect(lambda _: desk.soon(ask, 0, 5))
        desk.chats.open(TALKS[0])

    def ask() -> None:
        desk.chats.message_changed.connect(changed)
        path = desk.chats.current.tree.path()
        last = path[-1]
        if last.role is Role.ASSISTANT and last.status.is_cut and len(last.text) < 20_000:
            texts[last.id] = last.text
            tell("resumed", last.id, last.text)
            desk.chats.resume(last.id)
        else:
            assert desk.chats.ask(f"question {seed}")

    def changed(message: Message) -> None:
        before = texts.get(message.id, "")
        if message.role is Role.ASSISTANT and len(message.text) > len(before):
            texts[message.id] = message.text
            tell("shown", message.id, len(before), message.text[len(before) :])

    desk.run(begin, folder)


def arranging(profile: Path, seed: int, tell: Tell) -> None:
    """Rename, pin, tag, archive and delete conversations, and bring them back."""
    desk = Desk(profile, seed, tell)
    numbers = itertools.count()

    def begin() -> None:
        tell("at work")
        step()

    def step() -> None:
        talk, rows = desk.chance.choice(TALKS), desk.chats.list
        what = desk.chance.choice(("title", "title", "title", "pinned", "tagged", "place"))
        on = desk.chance.random() < 0.5
        if what == "title":
            title = f"title {seed}-{desk.chance.getrandbits(32)}"
            tell("changed", talk, what, title)
            rows.rename(talk, title)
        elif what == "pinned":
            tell("changed", talk, what, on)
            rows.set_pinned([talk], on)
        elif what == "tagged":
            tell("changed", talk, what, on)
            rows.add_tag([talk], "tag") if on else rows.remove_tag([talk], "tag")
        else:
            tell("changed", talk, what, on)
            rows.delete([talk]) if on else rows.restore([talk])
        count = next(numbers)
        if desk.chance.random() < 0.2:
            desk.store.settle(lambda _: tell("settled", count + 1))
        desk.soon(step, 1, 25)

    desk.run(begin)


# --- what must be there -------------------------------------------------------------------------


def later_states(
    events: list[Told], values: list[Any], before: Any, is_due: Callable[[Told], bool]
) -> list[Any]:
    """The states that may be on disk: `events` led to `values` in their order, from `before`."""
    due = [n for n, event in enumerate(events) if is_due(event)]
    return values[due[-1] :] if due else [before, *values]


def add_loss(
    kind: Kind, name: str, life: Life, events: list[Told], values: list[Any], found: Any
) -> None:
    """Measure how long before the end the first state was that is not on disk any more."""
    places = [n for n, value in enumerate(values) if value == found]
    lost = places[-1] + 1 if places else 0
    if lost < len(events):
        kind.losses.add(name, life.ago_ms(events[lost].moment))


@dataclass
class Typing(Kind):
    """Drafts: the last state of a second before the end or a later one, and it is restored."""

    longest_s: float = 1.6
    kept: dict[str, str] = field(default_factory=dict)  # as found after the kill before

    def before(self) -> Work:
        with_talks(self.profile)
        return typing

    def after(self, life: Life, store: Store) -> None:
        drafts = store.drafts()
        typed: dict[str, list[Told]] = defaultdict(list)
        seen: set[str] = set()
        for told in life.of("typed", "restored"):
            key, text = told.values
            if told.what == "typed":
                typed[key].append(told)
            elif key not in seen:
                assert text == self.kept.get(key, ""), "the draft was not restored"
            seen.add(key)
        for key, events in typed.items():
            values = [event.values[1] for event in events]
            before = self.kept.get(key, "")
            allowed = later_states(events, values, before, lambda one: life.is_due(one.moment))
            found = drafts.get(key, "")
            assert found in allowed, f"draft of {key!r}: {found[-80:]!r}"
            add_loss(self, "draft", life, events, values, found)
        self.kept = dict(drafts)


@dataclass
class Sending(Kind):
    """Questions and answers: what was said to be saved for ever, the rest but a second."""

    folder: Path = Path()
    longest_s: float = 1.4
    saved: list[Told] = field(default_factory=list)

    def before(self) -> Work:
        with_talks(self.profile)
        return partial(sending, self.folder)

    def after(self, life: Life, store: Store) -> None:
        self.saved += life.of("saved")
        texts: dict[str, Message] = {}
        by_id: dict[str, Message] = {}
        for talk in all_talks(store):
            for message in talk.tree.messages.values():
                by_id[message.id] = message
                texts[message.text] = message
        for told in self.saved:
            _, question, answer_id, said = told.values
            assert by_id[by_id[answer_id].parent_id or ""].text == question
            assert by_id[answer_id].text == said
            assert by_id[answer_id].status in (Status.COMPLETE, Status.LENGTH)
        drafts = set(store.drafts().values())
        for told in life.of("asked"):
            there = told.values[1] in texts or told.values[1] in drafts
            assert there or not life.is_due(told.moment), f"lost: {told.values[1]}"
            if not there:
                self.losses.add("draft", life.ago_ms(told.moment))
        last = [told for told in life.of("typed") if life.is_due(told.moment)]
        if last:
            begun = last[-1].values[1]
            assert any(one.startswith(begun) for one in (*texts, *drafts)), f"lost: {begun}"


@dataclass
class Streaming(Kind):
    """A long answer: all but its last second, and going on with it loses nothing of it."""

    folder: Path = Path()
    longest_s: float = 1.6
    kept: dict[str, str] = field(default_factory=dict)  # answers as found after the kill before

    def before(self) -> Work:
        with_talks(self.profile)
        return partial(streaming, self.folder)

    def after(self, life: Life, store: Store) -> None:
        messages = store.load(TALKS[0]).tree.messages
        shown: dict[str, list[Told]] = defaultdict(list)
        begun: dict[str, str] = {}
        for told in life.of("resumed"):
            answer_id, text = told.values
            assert text == self.kept.get(answer_id, text), "the answer was not restored"
            begun[answer_id] = text
        for told in life.of("shown"):
            shown[told.values[0]].append(told)
        for answer_id, events in shown.items():
            answer = messages.get(answer_id)
            text = begun.get(answer_id, "")
            values = []
            for event in events:
                assert event.values[1] == len(text)
                text += event.values[2]
                values.append(len(text))
            found = answer.text if answer is not None else ""
            due = [n for n, event in enumerate(events) if life.is_due(event.moment)]
            least = values[due[-1]] if due else len(begun.get(answer_id, ""))
            assert len(found) >= least, f"{len(found)} of {least} characters"
            assert text.startswith(found) or found.startswith(text), "another text"
            assert answer is None or answer.status is Status.INTERRUPTED
            lost = next((e for e, n in zip(events, values, strict=True) if n > len(found)), None)
            if lost is not None:
                self.losses.add("answer", life.ago_ms(lost.moment))
        for answer_id, text in self.kept.items():
            assert messages[answer_id].text.startswith(text), "an earlier answer has changed"
        self.kept = {m.id: m.text for m in messages.values() if m.role is Role.ASSISTANT}


@dataclass
class Arranging(Kind):
    """The list: each property is as it was a second before the end, or as it became later."""

    longest_s: float = 1.2
    kept: dict[tuple[str, str], Any] = field(default_factory=dict)

    def before(self) -> Work:
        with_talks(self.profile)
        return arranging

    def after(self, life: Life, store: Store) -> None:
        now = arrangement(store)
        events: dict[tuple[str, str], list[Told]] = defaultdict(list)
        settled = max((told.values[0] for told in life.of("settled")), default=0)
        in_order = list(life.of("changed"))
        on_disk = {id(told) for told in in_order[:settled]}
        for told in in_order:
            events[told.values[:2]].append(told)
        for key, changes in events.items():
            values = [change.values[2] for change in changes]
            allowed = later_states(
                changes,
                values,
                self.kept.get(key, now[key]),
                lambda one: id(one) in on_disk or life.is_due(one.moment),
            )
            assert now[key] in allowed, f"{key}: {now[key]!r}"
            add_loss(self, "other", life, changes, values, now[key])
        for key, value in self.kept.items():
            assert key in events or now[key] == value, f"{key} has changed by itself"
        self.kept = now


def all_talks(store: Store) -> list[Conversation]:
    """Every conversation of the list and the archive."""
    places = (Place.CHATS, Place.ARCHIVE)
    rows = [row for place in places for row in store.listing.page(ListFilter(place), 0, 10_000)]
    return [store.load(row.id) for row in rows]


def arrangement(store: Store) -> dict[tuple[str, str], Any]:
    """What `arranging` changes, of each conversation."""
    found: dict[tuple[str, str], Any] = {}
    for row in store.listing.rows(TALKS):
        found[row.id, "title"] = row.title
        found[row.id, "pinned"] = row.pinned
        found[row.id, "tagged"] = "tag" in row.tags
        found[row.id, "place"] = row.place is Place.BIN
    return found
