"""The chat in a terminal: reads what is typed, carries it out and shows what comes of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from prompt_toolkit import PromptSession
from rich.console import Console
from rich.text import Text

from qwen_desktop.bridge.run import Run
from qwen_desktop.chat.commands import value_of
from qwen_desktop.chat.events import Delta, GenerationEvent, Progress
from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.chat.summary import ListFilter
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, report_of
from qwen_desktop.talk import commands, tables
from qwen_desktop.talk.clean import clean, one_line
from qwen_desktop.talk.desk import SETTINGS, Desk
from qwen_desktop.talk.streaming import AnswerView

RECENT = 20
HOW_TO_LEAVE = "Ctrl+D or :exit leaves; Ctrl+C stops an answer."
_FORMATS = {
    ".md": Format.MARKDOWN,
    ".html": Format.HTML,
    ".txt": Format.TEXT,
    ".json": Format.JSON,
}


@contextmanager
def stopped_by_key(stop: threading.Event) -> Iterator[None]:
    """Within, Ctrl+C sets `stop`; pressed again it has nothing else to do."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class OneLine:
    """Progress on one line that is gone when it is over; nothing without a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = False

    def show(self, progress: Progress) -> None:
        """Show how far it is. From any thread."""
        if not self._console.is_terminal:
            return
        words = progress.stage.value.replace("_", " ")
        if progress.total > 0:
            words += f" {100 * progress.done / progress.total:.0f} %"
        self._console.file.write(f"\r\x1b[2K{words} …")
        self._console.file.flush()
        self._shown = True

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            self._console.file.write("\r\x1b[2K")
            self._console.file.flush()
            self._shown = False


def show_answer(console: Console, events: Iterator[GenerationEvent], line: OneLine) -> None:
    """Show an answer while it comes."""
    with AnswerView(console) as view:
        for event in events:
            if isinstance(event, Progress):
                line.show(event)
            elif isinstance(event, Delta):
                line.clear()
                view.add(event.kind, event.text)
    line.clear()


class Talk:
    """The loop of a terminal over a desk."""

    def __init__(
        self, desk: Desk, load: LoadRequest, console: Console, session: PromptSession[str]
    ) -> None:
        self._desk = desk
        self._load = load
        self._console = console
        self._session = session
        self._line = OneLine(console)
        self._listed: list[tuple[str, str, float]] = []
        self._typed = ""  # what the next line begins with: text that was not sent
        self._leaving = False
        self._doers: dict[str, Callable[[str], None]] = {
            "help": lambda _: self._console.print(tables.commands()),
            "exit": self._leave,
            "clear": lambda _: self._console.clear(),
            "clear-his": self._new,
            "history": self._history,
            "seed": self._seed,
            "conf": self._conf,
            "reset-conf": self._reset,
            "open": self._open,
            "save": self._save,
            "regen": lambda _: self._answer(self._desk.again()),
            "edit": self._edit,
            "think": self._think,
            "memory": self._memory,
            "prompt": lambda _: self._console.print(
                tables.prompt(self._desk.source.inspect(self._desk.next_request()))
            ),
        }

    def run(self) -> None:
        """Read and carry out until the user leaves."""
        self._say("Type a message; :help lists the commands.")
        while not self._leaving:
            try:
                text = self._session.prompt("> ", default=self._typed)
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    self._say(HOW_TO_LEAVE)
                self._typed = ""
                continue
            except EOFError:
                break
            self._typed = ""
            if text.strip():
                self._take(text)

    def _take(self, text: str) -> None:
        command = commands.read(text)
        try:
            if command is None:
                run = self._desk.ask(text)
                self._answer(run)
                if not run.stored:
                    self._typed = text
            elif not command.known:
                self._say(f"There is no command :{command.name}; :help lists them.")
            else:
                self._doers[command.name](command.argument)
        except Cancelled:
            self._say("Stopped.")
        except Exception as error:  # noqa: BLE001 - the border: the chat goes on
            self._line.clear()
            report = report_of(error)
            self._console.print(Text(clean(report.text()), style="red"))
            if report.is_bug:
                self._console.print(Text(clean(report.details), style="dim"))

    def _say(self, text: str) -> None:
        self._console.print(Text(clean(text), style="dim"))

    def _answer(self, run: Run) -> None:
        stop = threading.Event()
        try:
            with stopped_by_key(stop):
                show_answer(self._console, self._desk.answer(run, stop), self._line)
        except Known:
            if run.has_new_message and not run.stored:
                self._typed = run.typed
            raise
        stats, status = run.answer.stats, run.answer.status
        told = tables.usage(stats) if stats is not None and stats.prompt_tokens else ""
        if status is not Status.COMPLETE:
            told = f"{status.value.replace('_', ' ')}; {told}" if told else status.value
        self._say(told)

    # -- commands --------------------------------------------------------------------------

    def _leave(self, _: str) -> None:
        self._leaving = True

    def _new(self, _: str) -> None:
        kept = self._desk.is_kept
        self._desk.new()
        self._say("A new chat." + (" The other one is in the list: :open." if kept else ""))

    def _history(self, _: str) -> None:
        messages = self._desk.messages()
        if not messages:
            self._say("Nothing was said yet.")
        for text in tables.history(messages):
            self._console.print(text)

    def _seed(self, argument: str) -> None:
        if argument:
            self._set("seed", argument)
        else:
            self._say(f"seed = {tables.value_text(self._desk.values()['seed'])}")

    def _think(self, argument: str) -> None:
        if argument:
            self._set("thinking", argument)
        else:
            self._say(f"thinking = {tables.value_text(self._desk.values()['thinking'])}")

    def _conf(self, argument: str) -> None:
        if not argument:
            self._console.print(tables.settings(SETTINGS.values(), self._desk.values()))
            return
        for pair in _pairs(argument):
            name, equals, words = pair.partition("=")
            if not equals:
                raise Known(
                    QT_TRANSLATE_NOOP("errors", "“{pair}” has no value."),
                    QT_TRANSLATE_NOOP("errors", "Say :conf name=value."),
                    pair=pair,
                )
            self._set(name.strip().replace("-", "_"), words)

    def _set(self, name: str, words: str) -> None:
        setting = SETTINGS.get(name)
        if setting is None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "There is no setting “{name}”."),
                QT_TRANSLATE_NOOP("errors", ":conf lists them."),
                name=name,
            )
        try:
            value = value_of(setting, words)
        except (ValueError, OverflowError):
            raise Known(
                QT_TRANSLATE_NOOP("errors", "{name} cannot be “{words}”: {help}"),
                name=name,
                words=words,
                help=setting.help,
            ) from None
        self._desk.set(name, value)
        self._say(f"{name} = {tables.value_text(value)}")

    def _reset(self, _: str) -> None:
        self._desk.reset()
        self._say("The general settings hold again.")

    def _open(self, argument: str) -> None:
        folder = Path(argument).expanduser() if argument else None
        if argument.isdigit() and 1 <= int(argument) <= len(self._listed):
            self._open_chat(self._listed[int(argument) - 1][0])
        elif folder is not None and folder.is_dir():
            self._open_checkpoint(folder.absolute())
        else:
            self._listed = list(self._found(argument))
            if self._listed:
                self._console.print(tables.chats(self._listed))
                self._say(":open N opens one.")
            else:
                self._say("No chat is found.")

    def _found(self, words: str) -> Iterator[tuple[str, str, float]]:
        store = self._desk.store
        if not words:
            for row in store.listing.page(ListFilter(), 0, RECENT):
                yield row.id, row.title, row.updated_at
            return
        from qwen_desktop.storage.search import Searcher

        searcher = Searcher(store.database.file)
        try:
            hits = searcher.search(words).hits
        finally:
            searcher.close()
        by_id = {hit.conversation_id: hit for hit in reversed(hits)}
        for hit in sorted(by_id.values(), key=lambda hit: -hit.updated_at)[:RECENT]:
            yield hit.conversation_id, hit.title.text, hit.updated_at

    def _open_chat(self, conversation_id: str) -> None:
        self._desk.open(conversation_id)
        title = self._desk.current.summary().title
        self._say(f"{one_line(title)}: {len(self._desk.messages())} messages; :history shows them.")

    def _open_checkpoint(self, folder: Path) -> None:
        stop = threading.Event()
        with stopped_by_key(stop):
            try:
                request = replace(self._load, folder=folder)
                info = self._desk.source.load(request, stop, self._line.show)
            finally:
                self._line.clear()
        self._say(f"{info.name}, {info.dtype} on {info.device}")

    def _save(self, argument: str) -> None:
        file = Path(argument).expanduser().absolute()
        form = _FORMATS.get(file.suffix.lower())
        if not argument or form is None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "Say a file that ends with {endings}."),
                endings=", ".join(_FORMATS),
            )
        if not self._desk.is_kept:
            raise Known(QT_TRANSLATE_NOOP("errors", "Nothing was asked in this chat yet."))
        from qwen_desktop.talk.saving import save

        save(
            self._desk.store.database.file,
            ExportRequest((self._desk.current.id,), file, ExportOptions(form, one_file=True)),
        )
        self._say(str(file))

    def _edit(self, argument: str) -> None:
        old = self._desk.last_question()
        text = argument
        if not text:
            try:
                text = self._session.prompt("edit> ", default=old.text_of(PartKind.TEXT))
            except (KeyboardInterrupt, EOFError):
                return
        if text.strip():
            self._answer(self._desk.edit(text))

    def _memory(self, _: str) -> None:
        self._console.print(tables.memory(self._desk.source.memory()))
        count = self._desk.source.count_prompt(self._desk.next_request())
        if count.forecast is not None:
            self._say(tables.forecast(count.forecast))


def _pairs(argument: str) -> Iterator[str]:
    """`a=1 b=2` as pairs; words that are no pair belong to the value before them."""
    pair = ""
    for word in argument.split(" "):
        name = word.partition("=")[0].replace("-", "_")
        if pair and not ("=" in word and name in SETTINGS):
            pair += f" {word}"
            continue
        if pair:
            yield pair
        pair = word
    if pair:
        yield pair
