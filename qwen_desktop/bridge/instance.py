"""One window for each profile: a second start hands its arguments to the first. QtNetwork.

The first start listens on a local socket that only this user can reach; nothing of it is on a
network. A message is one line of JSON, the answer one word.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from qwen_desktop.paths import Profile

_log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024  # of a message
MOST_FILES = 1000
MOST_OPEN = 8  # connections at a time
READ_MS = 2000  # for one message to be whole
HAND_OVER_SECONDS = 2.0
STEP_MS = 50
LONGEST_NAME = 100  # bytes of a socket's path; Linux takes 107
_VERSION = 1
_TAKEN = b"taken\n"
# A compositor gives a window the focus only for such a token, which the launcher leaves here.
ACTIVATION = "XDG_ACTIVATION_TOKEN"


@dataclass(frozen=True)
class Arguments:
    """What a start is asked to show. Paths are absolute."""

    checkpoint: Path | None = None
    files: tuple[Path, ...] = ()
    activation: str = ""  # token by which the window may come to the front on Wayland

    def to_line(self) -> bytes:
        """One line of JSON."""
        value = {
            "qwen-desktop": _VERSION,
            "checkpoint": os.fsdecode(self.checkpoint) if self.checkpoint else None,
            "files": [os.fsdecode(file) for file in self.files],
            "activation": self.activation,
        }
        return json.dumps(value).encode("ascii") + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Arguments:
        """The arguments in a message. Raises ValueError where it is none of ours."""
        try:
            value = json.loads(line)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(value, dict) or value.get("qwen-desktop") != _VERSION:
            raise ValueError("not a message of this program")
        checkpoint, files = value.get("checkpoint"), value.get("files", [])
        activation = value.get("activation", "")
        if not isinstance(files, list) or len(files) > MOST_FILES:
            raise ValueError("files is not a short list")
        if not isinstance(activation, str) or len(activation) > 256 or not activation.isprintable():
            raise ValueError("activation is not a token")
        return cls(
            None if checkpoint is None else _path(checkpoint),
            tuple(_path(file) for file in files),
            activation,
        )


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("not a path")
    path = Path(value)
    if not path.is_absolute():
        raise ValueError("not an absolute path")
    return path


def arguments_of(checkpoint: Path | None, files: tuple[Path, ...] = ()) -> Arguments:
    """The arguments of this start, as a process in another folder understands them."""
    return Arguments(
        checkpoint.absolute() if checkpoint is not None else None,
        tuple(file.absolute() for file in files),
        os.environ.get(ACTIVATION, ""),
    )


def _names(profile: Profile) -> tuple[str, ...]:
    """Where the first start may be listening, the best place first.

    A socket in the profile's folder is as private as the conversations; not every file system
    takes one, nor a long path.
    """
    root = profile.root.resolve()
    digest = hashlib.sha256(os.fsencode(os.path.normcase(root))).hexdigest()[:24]
    named = f"qwen-desktop-{digest}"
    places: list[str] = []
    if sys.platform != "win32":  # there a name is no file
        inside = str(root / "instance.socket")
        places += [inside] if len(os.fsencode(inside)) <= LONGEST_NAME else []
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
        if runtime.is_absolute():
            places.append(str(runtime / named))
    return (*places, named)


class InstanceServer(QObject):
    """Listens for later starts. To be made by the one that has the profile's lock.

    Signal: `arguments_received(Arguments)`.
    """

    arguments_received = Signal(object)

    def __init__(self, profile: Profile, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.setMaxPendingConnections(MOST_OPEN)
        self._server.newConnection.connect(self._on_connections)
        for name in _names(profile):
            QLocalServer.removeServer(name)  # what a killed start left; the lock says it is dead
            if self._server.listen(name):
                return
        _log.warning("later starts cannot be heard: %s", self._server.errorString())

    @property
    def name(self) -> str:
        """Where it listens; empty where it could not."""
        return self._server.fullServerName()

    @Slot()
    def _on_connections(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            _Visitor(socket, self)

    def close(self) -> None:
        """Listen no longer."""
        self._server.close()


class _Visitor(QObject):
    """One connection: reads a line, answers, ends. Gone after `READ_MS` whatever comes."""

    def __init__(self, socket: QLocalSocket, server: InstanceServer) -> None:
        super().__init__(server)
        self._server = server
        self._socket = socket
        self._line = b""
        socket.setParent(self)
        socket.setReadBufferSize(MOST_BYTES + 1)
        socket.readyRead.connect(self._read)
        socket.disconnected.connect(self.deleteLater)
        self._limit = QTimer(self)
        self._limit.setSingleShot(True)
        self._limit.timeout.connect(self._leave)
        self._limit.start(READ_MS)
        self._read()

    @Slot()
    def _read(self) -> None:
        if not self._limit.isActive():
            return  # the message is there, or was too long
        self._line += bytes(self._socket.read(MOST_BYTES + 1 - len(self._line)).data())
        line, end, _ = self._line.partition(b"\n")
        if not end and len(self._line) <= MOST_BYTES:
            return
        self._limit.stop()
        try:
            if not end:
                raise ValueError("too long")
            arguments = Arguments.from_line(line)
        except ValueError as error:
            _log.warning("a message of another process is ignored: %s", error)
            self._leave()
            return
        self._socket.write(_TAKEN)
        self._socket.flush()
        self._socket.disconnectFromServer()
        self._server.arguments_received.emit(arguments)

    @Slot()
    def _leave(self) -> None:
        self._socket.abort()
        self.deleteLater()


def hand_over(profile: Profile, arguments: Arguments) -> bool:
    """Give `arguments` to the start that has the profile; False where it does not answer.

    Waits up to two seconds: the other may still be starting. Needs no event loop.
    """
    until = time.monotonic() + HAND_OVER_SECONDS
    while True:
        for name in _names(profile):
            if _sent(name, arguments, until):
                return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)


def _sent(name: str, arguments: Arguments, until: float) -> bool:
    socket = QLocalSocket()
    socket.connectToServer(name)
    if not socket.waitForConnected(STEP_MS):
        return False
    _let_it_come_forward()
    socket.write(arguments.to_line())
    answer = b""
    while len(answer) < len(_TAKEN) and time.monotonic() < until:
        socket.waitForReadyRead(STEP_MS)  # no other thread of Python runs meanwhile
        answer += bytes(socket.readAll().data())
        if socket.state() is not QLocalSocket.LocalSocketState.ConnectedState:
            break
    socket.abort()
    return answer == _TAKEN


def _let_it_come_forward() -> None:
    """Windows lets only the process that was started by the user give the focus away."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.user32.AllowSetForegroundWindow(-1)  # whoever asks next
