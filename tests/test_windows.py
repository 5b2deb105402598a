"""What is done on Windows alone, tried by the arguments it goes through; and what must not be
written, because it would work on one system only.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import qwen_desktop
from qwen_desktop import windows
from qwen_desktop.engine.cpu import start
from qwen_desktop.storage import pdf_text

PACKAGE = Path(qwen_desktop.__file__).parent
CREATE_NO_WINDOW = 0x08000000


class Recorder:
    """Takes the place of the system."""

    def __init__(self, **answers):
        self.answers, self.calls = answers, []

    def __call__(self, library, function, *arguments):
        self.calls.append((library, function, *arguments))
        answer = self.answers.get(function)
        if isinstance(answer, Exception):
            raise answer
        return answer


# -- streams ---------------------------------------------------------------------------------------


def test_a_program_without_a_console_can_print(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    windows.settle_streams()
    print("a word")
    sys.stderr.write("中文\ud800")  # whatever it is
    assert not sys.stderr.isatty()
    assert sys.stdin.read() == ""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


def test_a_pipe_speaks_utf_8(monkeypatch):
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("中文".encode()), "cp1252"))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "cp1252"))
    windows.settle_streams()
    print(sys.stdin.read(), end="", flush=True)
    assert out.getvalue().decode() == "中文"


def test_an_encoding_that_was_asked_for_stays(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "cp1252"))
    windows.settle_streams()
    assert sys.stdout.encoding == "cp1252"


def test_a_console_is_left_as_it_is(monkeypatch):
    class Console(io.TextIOWrapper):
        def isatty(self):
            return True

    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    monkeypatch.setattr(sys, "stdout", Console(io.BytesIO(), "utf-16-le"))
    windows.settle_streams()
    assert sys.stdout.encoding == "utf-16-le"


# -- the system ------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True])
def test_only_an_installed_program_stops_an_uninstaller(monkeypatch, frozen):
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    system = Recorder()
    windows.present(system)
    named = ("shell32", "SetCurrentProcessExplicitAppUserModelID", "QwenDesktop")
    held = ("kernel32", "CreateMutexW", None, False, "QwenDesktopRuns")
    assert system.calls == [named, held] if frozen else [named]


@pytest.mark.parametrize(("handle", "opened"), [(0x7FF0_0000_0000, True), (None, False)])
def test_a_library_loads_with_what_lies_beside_it_and_without_a_box(handle, opened):
    system = Recorder(SetErrorMode=0x8000, LoadLibraryExW=handle)
    assert windows.open_library(r"C:\torch\lib\c10.dll", system) is opened
    assert system.calls == [
        ("kernel32", "SetErrorMode", 0x0001),
        ("kernel32", "LoadLibraryExW", r"C:\torch\lib\c10.dll", None, 0x1100),
        ("kernel32", "SetErrorMode", 0x8000),
    ]


def test_boxes_come_back_whatever_happens():
    system = Recorder(SetErrorMode=None, LoadLibraryExW=OSError())
    with pytest.raises(OSError):
        windows.open_library("x", system)
    assert system.calls[-1] == ("kernel32", "SetErrorMode", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="there it does something")
def test_elsewhere_nothing_is_begun():
    before = (sys.stdin, sys.stdout, sys.stderr)
    windows.begin()
    assert (sys.stdin, sys.stdout, sys.stderr) == before
    with pytest.raises(OSError, match="no such function"):
        windows.open_library("c10.dll")


# -- other processes -------------------------------------------------------------------------------


class _Started(Exception):
    pass


@pytest.fixture
def flags(monkeypatch):
    """Flags that processes are started with; none is."""
    found = []

    def started(*_, creationflags=0, **__):
        found.append(creationflags)
        raise _Started

    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", CREATE_NO_WINDOW, raising=False)
    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(sys, "platform", "win32")
    return found


def test_helpers_open_no_console_window(flags, tmp_path):
    with pytest.raises(_Started):
        start.Compiling(tmp_path, start.Variant("bfloat16", "bfloat16", "bfloat16", 1))
    with pytest.raises(_Started):
        pdf_text.read(tmp_path / "a.pdf", lambda: None)
    assert all(one & CREATE_NO_WINDOW for one in flags)
    assert len(flags) == 2


# -- what would work on one system only ------------------------------------------------------------

ONLY_POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
TEXT = {"read_text": 0, "write_text": 1}  # places of the encoding


@cache
def modules():
    """Name, text, imports at its top and calls of each of our modules."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        text = file.read_text("utf-8")
        tree = ast.parse(text)
        imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found.append((file.relative_to(PACKAGE.parent), text, imports, calls))
    return found


def name_of(call):
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _mode(call):
    at = 1 if isinstance(call.func, ast.Name) else 0
    given = [*call.args[at : at + 1], *(k.value for k in call.keywords if k.arg == "mode")]
    return next((one.value for one in given if isinstance(one, ast.Constant)), None)


def owner_of(call):
    return getattr(getattr(call.func, "value", None), "id", "")


def test_no_module_needs_another_system_to_be_imported():
    found = [
        f"{file}:{node.lineno}"
        for file, _, imports, _ in modules()
        for node in imports
        for name in (getattr(node, "module", None), *(one.name for one in node.names))
        if name in ONLY_POSIX
    ]
    assert found == []


def test_no_test_needs_another_system_to_be_found():
    names = "|".join(sorted(ONLY_POSIX))
    needed = re.compile(rf"^(?:import|from) (?:{names})\b", re.MULTILINE)
    files = Path(__file__).parent.rglob("*.py")
    assert [str(file) for file in files if needed.search(file.read_text("utf-8"))] == []


def test_text_files_have_an_encoding():
    found = []
    for file, _, _, calls in modules():
        for call in calls:
            name, mode = name_of(call), _mode(call)
            # Other things are opened, too: those have no such mode.
            is_file = name == "open" and isinstance(mode, str) and mode[:1] in ("r", "w", "a", "x")
            is_text = (is_file and "b" not in mode) or (
                name in TEXT and len(call.args) <= TEXT[name]
            )
            if is_text and not any(keyword.arg == "encoding" for keyword in call.keywords):
                found.append(f"{file}:{call.lineno}")
    assert found == []


def test_processes_say_that_they_want_no_window():
    starting = ("Popen", "run", "call", "check_call", "check_output")
    found = [
        f"{file}:{call.lineno}"
        for file, _, _, calls in modules()
        for call in calls
        if owner_of(call) == "subprocess" and name_of(call) in starting
        if "creationflags" not in {keyword.arg for keyword in call.keywords}
    ]
    assert found == []


def test_functions_that_windows_lacks_are_asked_for_first():
    """os.truncate is there, but takes no descriptor; os.ftruncate does."""
    missing = {"getuid", "nice", "fork", "sched_getaffinity", "fdatasync", "mkfifo", "truncate"}
    found = [
        f"{file}:{call.lineno}: os.{name_of(call)}"
        for file, text, _, calls in modules()
        for call in calls
        if owner_of(call) == "os" and name_of(call) in missing
        if f'hasattr(os, "{name_of(call)}")' not in text
        if 'sys.platform != "win32"' not in text
    ]
    assert found == []
