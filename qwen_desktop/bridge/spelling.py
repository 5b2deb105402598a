"""Spelling of words, judged by Hunspell on a thread of its own. Lives on the main thread. QtCore.

Nothing is looked for before the first word is asked about.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale, QObject, Signal, Slot

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.preferences import PreferencesModel
from qwen_desktop.chat.spelling import Spellers, chosen, looked_up
from qwen_desktop.errors import report_of
from qwen_desktop.storage import own_words

if TYPE_CHECKING:
    from ctypes import CDLL

    from qwen_desktop.storage.hunspell import Dictionary

_log = logging.getLogger(__name__)

ON_SETTING = "spelling"
LANGUAGE_SETTING = "spelling_language"
_MOST_KEPT = 20_000  # words whose spelling is remembered


class _Desk:
    """What the thread has open: the library, and the dictionary of one language."""

    def __init__(self) -> None:
        self._library: CDLL | None = None
        self.dictionary: Dictionary | None = None
        self.spellers = Spellers()

    def use(self, wanted: str, system: str, *, is_on: bool) -> None:
        """Look for what there is now, and open the dictionary of a language where it `is_on`."""
        from qwen_desktop.storage import hunspell

        if self._library is None:
            self._library = hunspell.library()
        found = hunspell.dictionaries() if self._library is not None else {}
        language = chosen(wanted, tuple(found), system)
        if not is_on or language != self.spellers.language:
            self.close()
        if is_on and self.dictionary is None and self._library is not None and language:
            try:
                self.dictionary = hunspell.Dictionary(self._library, found[language])
            except hunspell.Unusable as error:
                _log.warning("a dictionary cannot be read: %s", error)
                found.pop(language)
                language = ""
        self.spellers = Spellers(self._library is not None, tuple(found), language)

    def close(self) -> None:
        if self.dictionary is not None:
            self.dictionary.close()
            self.dictionary = None


class Spelling(QObject):
    """Signals: `changed()` when more is known of words, or other words hold;
    `suggested(word, tuple)`; `spellers_changed()`; `problem(Report)`.
    """

    changed = Signal()
    suggested = Signal(str, object)
    spellers_changed = Signal()
    problem = Signal(object)

    _found = Signal(int, object, object)  # of a language: Spellers, the user's words or None
    _judged = Signal(int, object)  # of a language: which words are right
    _thought = Signal(int, str, object)

    def __init__(
        self,
        words: Path,
        files: FileJobs,
        preferences: PreferencesModel,
        parent: QObject | None = None,
    ) -> None:
        """`words` is the file of the user's own."""
        super().__init__(parent)
        self._file = words
        self._files = files
        self._preferences = preferences
        self._spellers: Spellers | None = None  # None: not looked for yet
        self._own: frozenset[str] | None = None  # None: not read
        self._ignored: set[str] = set()
        self._right: dict[str, bool] = {}
        self._asked: set[str] = set()
        self._language = (
            0  # counts changes of the language: what is told of an older one is dropped
        )
        self._work: queue.SimpleQueue[Callable[[_Desk], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._found.connect(self._on_found)
        self._judged.connect(self._on_judged)
        self._thought.connect(self._on_thought)
        preferences.changed.connect(self._on_preference)

    # -- what there is -----------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether the user wants spelling to be checked."""
        return bool(self._preferences.get(ON_SETTING))

    @property
    def language(self) -> str:
        """The language words are checked in; "" where they are not, or not yet."""
        return self._spellers.language if self.is_on and self._spellers is not None else ""

    @property
    def spellers(self) -> Spellers | None:
        """What this machine has; None until it was looked for."""
        return self._spellers

    def look(self) -> None:
        """Look for the library and its dictionaries; `spellers_changed` tells."""
        self._language += 1
        number, read = self._language, self._own is None
        wanted, system = str(self._preferences.get(LANGUAGE_SETTING)), QLocale.system().name()
        is_on = self.is_on

        def work(desk: _Desk) -> None:
            desk.use(wanted, system, is_on=is_on)
            self._found.emit(number, desk.spellers, _own_words(self._file) if read else None)

        self._asked.clear()
        self._do(work)

    # -- words -------------------------------------------------------------------------------

    def is_wrong(self, word: str) -> bool:
        """Whether a word is known to be spelt wrong."""
        word = looked_up(word)
        return not self._right.get(word, True) and not self.is_own(word) and not self._is_let(word)

    def is_own(self, word: str) -> bool:
        """Whether the user has added a word to the dictionary."""
        word, own = looked_up(word), self._own or ()
        return word in own or word.lower() in own

    def _is_let(self, word: str) -> bool:
        return word in self._ignored or word.lower() in self._ignored

    def check(self, words: Iterable[str]) -> None:
        """Find out about those words that nothing is known of; `changed` tells."""
        if not self.is_on or self._closed:
            return
        if self._thread is None:
            self.look()
        if self._spellers is not None and not self._spellers.language:
            return
        new = {looked_up(word) for word in words} - self._right.keys() - self._asked
        if not new:
            return
        self._asked |= new
        number = self._language

        def work(desk: _Desk) -> None:
            if desk.dictionary is not None:
                knows = desk.dictionary.knows
                self._judged.emit(number, {word: knows(word) for word in new})

        self._do(work)

    def suggest(self, word: str) -> None:
        """Find words that may be meant; `suggested` tells."""
        number = self._language

        def work(desk: _Desk) -> None:
            found = desk.dictionary.suggest(word) if desk.dictionary is not None else ()
            self._thought.emit(number, word, found)

        self._do(work)

    def add(self, word: str) -> None:
        """Take a word into the user's dictionary."""
        if self._own is not None:
            self._keep(self._own | {looked_up(word)})

    def remove(self, word: str) -> None:
        """Take a word out of the user's dictionary."""
        if self._own is not None:
            word = looked_up(word)
            gone = {word} if word in self._own else {word.lower()}
            self._keep(self._own - gone)

    def ignore(self, word: str) -> None:
        """Let a word be until the program ends."""
        self._ignored.add(looked_up(word))
        self.changed.emit()

    def close(self) -> None:
        """End; nobody waits for what is being looked up. Words are saved by the files' thread."""
        self._closed = True
        self._work.put(None)

    def _keep(self, words: frozenset[str]) -> None:
        self._own = words
        self._files.submit("own words", lambda: self._save(words))
        self.changed.emit()

    def _save(self, words: frozenset[str]) -> None:
        try:
            own_words.save(self._file, words)
        except Exception as error:  # noqa: BLE001 - the border of that thread
            self.problem.emit(report_of(error))

    # -- the thread --------------------------------------------------------------------------

    def _do(self, work: Callable[[_Desk], None]) -> None:
        if self._closed:
            return
        self._work.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spelling", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        desk = _Desk()
        while (work := self._work.get()) is not None and not self._closed:
            try:
                work(desk)
            except Exception as error:  # noqa: BLE001 - the border of this thread
                _log.error("spelling: %s", report_of(error).details)
        desk.close()

    @Slot(int, object, object)
    def _on_found(self, number: int, spellers: Spellers, own: frozenset[str] | None) -> None:
        if own is not None and self._own is None:
            self._own = own
        if number != self._language:
            return
        if self._spellers is None or self._spellers.language != spellers.language:
            self._right.clear()
            self._asked.clear()
        self._spellers = spellers
        self.spellers_changed.emit()
        self.changed.emit()

    @Slot(int, object)
    def _on_judged(self, number: int, right: Mapping[str, bool]) -> None:
        if number != self._language:
            return
        self._asked -= right.keys()
        if len(self._right) > _MOST_KEPT:
            self._right.clear()
        self._right.update(right)
        self.changed.emit()

    @Slot(int, str, object)
    def _on_thought(self, number: int, word: str, found: tuple[str, ...]) -> None:
        if number == self._language:
            self.suggested.emit(word, found)

    @Slot(str)
    def _on_preference(self, name: str) -> None:
        if name in (ON_SETTING, LANGUAGE_SETTING):
            if self._thread is not None:
                self.look()
            self.changed.emit()


def _own_words(file: Path) -> frozenset[str] | None:
    try:
        return own_words.read(file)
    except OSError as error:  # none are added then: saving them would replace what is there
        _log.warning("the user's words: %s", type(error).__name__)
        return None
