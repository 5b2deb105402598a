"""The chat in a terminal: reads what is typed, carries it out and shows what comes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from prompt_toolkit import PromptSession
from rich.console import Console
from rich.text import Text

from qwen_desktop.bridge.run import Run
from qwen_desktop.chat.messages import PartKind, Status
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.chat.settings import Value
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known, report_of
from qwen_desktop.talk import choosing, commands, files, finding, placing, tables
from qwen_desktop.talk.clean import clean, one_line, whole
from qwen_desktop.talk.desk import SETTINGS, Desk
from qwen_desktop.talk.ending import Ending
from qwen_desktop.talk.streaming import OneLine, show_answer
from qwen_desktop.talk.titling import Titling

HOW_TO_LEAVE = "Ctrl+D or :exit leaves; Ctrl+C stops an answer."


class Talk:
    """The loop of a terminal over a desk. `opening` tells how a checkpoint is opened."""

    def __init__(
        self,
        desk: Desk,
        opening: Callable[[Path], LoadRequest],
        console: Console,
        session: PromptSession[str],
        ending: Ending,
    ) -> None:
        self._desk = desk
        self._opening = opening
        self._console = console
        self._session = session
        self._ending = ending
        self._line = OneLine(console)
        self._titling = Titling(desk)
        self._listed: tuple[finding.Row, ...] = ()
        self._typed = ""  # what the next line begins with: text that was not sent
        self._leaving = False
        self._doers: dict[str, Callable[[str], None]] = {
            "help": lambda _: self._console.print(tables.commands()),
            "exit": self._leave,
            "clear": lambda _: self._console.clear(),
            "clear-his": self._new,
            "history": self._history,
            "seed": lambda argument: self._one("seed", argument),
            "conf": self._conf,
            "reset-conf": self._reset,
            "open": self._open,
            "attach": self._attach,
            "detach": self._detach,
            "server": self._server,
            "save": self._save,
            "regen": lambda _: self._answer(self._desk.again),
            "edit": self._edit,
            "think": lambda argument: self._one("thinking", argument),
            "memory": self._memory,
            "prompt": lambda _: self._console.print(
                tables.prompt(self._desk.source.inspect(self._desk.next_request()))
            ),
        }

    def run(self) -> None:
        """Read and carry out until the user leaves, or the program is ended."""
        self._say("Type a message; :help lists the commands.")
        self._typed = self._desk.draft()
        self._tell_files()
        try:
            while not self._leaving and not self._ending.number:
                try:
                    text = self._read(self._prompt(), self._typed)
                    self._typed = ""
                    if text.strip():
                        self._take(text)
                except KeyboardInterrupt:
                    self._line.clear()
                    self._say(HOW_TO_LEAVE if not self._session.default_buffer.text else "Stopped.")
                except EOFError:
                    self._typed = whole(self._session.default_buffer.text)
                    break
        finally:
            self._titling.end()
            self._desk.keep_draft(self._typed)

    def _prompt(self) -> str:
        """What a line begins with; the name of a server, where what is typed goes to one."""
        target = self._desk.place.target
        return f"{one_line(target.connection.name)}> " if target is not None else "> "

    def _read(self, prompt: str, default: str) -> str:
        """A typed line. Raises KeyboardInterrupt, EOFError where it will not come any more."""
        app = self._session.app

        def leave() -> None:
            if app.future is not None and not app.future.done():
                app.exit(exception=EOFError)

        def end() -> None:
            if app.is_running and app.loop is not None:
                app.loop.call_soon_threadsafe(leave)

        def look() -> None:
            if self._ending.number:  # before it could be told
                end()

        try:
            with self._ending.then(end):
                return whole(self._session.prompt(prompt, default=default, pre_run=look))
        except KeyboardInterrupt:
            if text := self._session.default_buffer.text.strip():
                self._session.history.append_string(text)  # the up key brings it back
                if prompt == self._prompt():  # no other line shows the draft
                    self._desk.forget_draft()
                self._typed = ""
                return ""
            self._typed = ""
            raise

    def _take(self, text: str) -> None:
        """Carry out a line. Trouble is said; only Ctrl+C and the end go further."""
        command = commands.read(text)
        try:
            self._titling.end()
            if command is None:
                self._typed = text  # until it is on disk
                self._answer(lambda: self._desk.ask(text))
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

    def _answer(self, make: Callable[[], Run]) -> None:
        """Carry out the run that `make` makes, once the user agrees to where it goes."""
        if not self._agreed():
            self._say("Nothing was sent.")
            return
        run, stop = make(), threading.Event()
        try:
            with (
                self._ending.stopping(stop),
                closing(self._desk.answer(run, stop)) as events,
            ):
                show_answer(self._console, events, self._line)
        finally:
            if run.stored:
                self._typed = ""
        stats, status = run.answer.stats, run.answer.status
        told = tables.usage(stats) if stats is not None and stats.prompt_tokens else ""
        if status is not Status.COMPLETE:
            told = f"{status.value.replace('_', ' ')}; {told}" if told else status.value
        self._say(told)
        if status is Status.COMPLETE:
            self._titling.begin()

    def _agreed(self) -> bool:
        """Whether this chat may go where it is answered; asked once of each server."""
        place = self._desk.place
        if place.is_agreed or place.target is None:
            return True
        connection = place.target.connection
        self._say(f"All of this chat will be sent to {connection.name} ({connection.host}).")
        try:
            said = PromptSession[str]().prompt("Send it? [y/N] ")
        except (KeyboardInterrupt, EOFError):
            return False
        if said.strip().casefold() not in ("y", "yes"):
            return False
        self._desk.agree()
        return True

    # -- commands --------------------------------------------------------------------------

    def _leave(self, _: str) -> None:
        self._leaving = True

    def _new(self, _: str) -> None:
        kept = self._desk.is_kept
        self._desk.keep_draft("")
        self._desk.new()
        self._say("A new chat." + (" The other one is in the list: :open." if kept else ""))
        self._take_draft()

    def _take_draft(self) -> None:
        self._typed = self._desk.draft()
        self._tell_files()

    def _history(self, _: str) -> None:
        messages = self._desk.messages()
        if not messages:
            self._say("Nothing was said yet.")
        for text in tables.history(messages):
            self._console.print(text)

    def _one(self, name: str, argument: str) -> None:
        """Set a setting, or show it."""
        if argument:
            self._set(*choosing.value(name, argument))
        else:
            self._say(f"{name} = {tables.value_text(self._desk.values()[name])}")

    def _conf(self, argument: str) -> None:
        if not argument:
            self._console.print(tables.settings(SETTINGS.values(), self._desk.values()))
        for name, value in choosing.read(argument):
            self._set(name, value)

    def _set(self, name: str, value: Value) -> None:
        self._desk.set(name, value)
        self._say(f"{name} = {tables.value_text(value)}")

    def _reset(self, _: str) -> None:
        self._desk.reset()
        self._say("The general settings hold again.")

    def _open(self, argument: str) -> None:
        if argument.isdigit() and 1 <= int(argument) <= len(self._listed):
            self._open_chat(self._listed[int(argument) - 1])
            return
        if argument and files.path_of(argument).is_dir():
            self._open_checkpoint(files.path_of(argument))
            return
        store = self._desk.store
        rows = finding.found(store, argument) if argument else finding.recent(store)
        if len(rows) == 1 and rows[0].title == argument:
            self._open_chat(rows[0])
            return
        self._listed = rows
        if rows:
            self._console.print(tables.chats(rows))
            self._say(":open N opens one.")
        else:
            self._say("No chat is found.")

    def _open_chat(self, row: finding.Row) -> None:
        self._desk.keep_draft("")
        self._desk.open(row.id)
        title, place = self._desk.current.summary().title, self._desk.place
        self._say(f"{one_line(title)}: {len(self._desk.messages())} messages; :history shows them.")
        if place.is_remote:
            self._say(tables.place(place))
        self._take_draft()

    def _open_checkpoint(self, folder: Path) -> None:
        stop = threading.Event()
        with self._ending.stopping(stop):
            try:
                info = self._desk.source.load(self._opening(folder), stop, self._line.show)
            finally:
                self._line.clear()
        self._say(f"{info.name}, {info.dtype} on {info.device}")
        if self._desk.place.is_remote:
            self._say("This chat is still answered by a server: :server off changes that.")

    def _server(self, argument: str) -> None:
        if argument == "off":
            self._desk.use_checkpoint()
        elif argument:
            stop = threading.Event()
            with self._ending.stopping(stop):
                entry, model = placing.chosen(self._desk, argument, stop)
            self._desk.use_server(entry.connection.id, model)
        elif self._desk.servers.entries:
            self._console.print(tables.servers(self._desk.servers.entries))
        else:
            self._say("There are no connections; they are made in the window.")
        info = self._desk.source.info
        self._say(tables.place(self._desk.place, info.name if info is not None else ""))

    def _attach(self, argument: str) -> None:
        if argument:
            note = files.attach(self._desk, files.path_of(argument))
            if note is not None:
                self._say(note.text())
        elif not self._desk.files:
            self._say("Nothing is attached.")
        self._tell_files()

    def _detach(self, argument: str) -> None:
        kept = self._desk.files
        if argument and not (argument.isdigit() and 1 <= int(argument) <= len(kept)):
            raise Known(QT_TRANSLATE_NOOP("errors", "There is no such file: :attach lists them."))
        number = int(argument) if argument else 0
        self._desk.files = (*kept[: number - 1], *kept[number:]) if number else ()
        if self._desk.files:
            self._tell_files()
        else:
            self._say("Nothing is attached.")

    def _tell_files(self) -> None:
        for number, file in enumerate(self._desk.files, 1):
            self._say(f"{number}  {file.name}: {len(file.text):,} characters go along")

    def _save(self, argument: str) -> None:
        file = files.path_of(argument)
        files.save(self._desk, file)
        self._say(str(file))

    def _edit(self, argument: str) -> None:
        old = self._desk.last_question()
        text = argument
        if not text:
            try:
                text = self._read("edit> ", old.text_of(PartKind.TEXT))
            except (KeyboardInterrupt, EOFError):
                return
        if text.strip():
            self._typed = f":edit {text}"  # until it is on disk
            self._answer(lambda: self._desk.edit(text))

    def _memory(self, _: str) -> None:
        target = self._desk.place.target
        if target is not None:
            state = self._desk.source.server_state(target)
            self._say(tables.server_state(target.connection, state))
        if target is None or self._desk.source.info is not None:
            self._console.print(tables.memory(self._desk.source.memory()))
        count = self._desk.source.count_prompt(self._desk.next_request())
        if count.forecast is not None:
            self._say(tables.forecast(count.forecast))
        elif count.estimated:
            self._say(f"the prompt has about {count.prompt:,} tokens")
