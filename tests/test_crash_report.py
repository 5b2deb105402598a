"""Crashes of real processes leave a report without private words, which the next start finds."""

import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from qwen_desktop import crash_report
from qwen_desktop.crash_report import CrashWatch

SECRET = "wombat-in-the-attic"
BEGIN = """
    import ctypes, os, sys, threading
    from pathlib import Path
    from qwen_desktop.crash_report import CrashWatch

    watch = CrashWatch(Path(sys.argv[1]), "9.9")
    def uncaught(kind, error, trace):
        watch.write_error(error, threading.current_thread().name)
    sys.excepthook = uncaught
    watch.start()
    secret = "".join(("wombat", "-in-the", "-attic"))
"""


def ended(folder: Path, body: str, begin: str = BEGIN) -> subprocess.CompletedProcess:
    """A process that watches for crashes in `folder`, and runs `body`."""
    program = textwrap.dedent(begin) + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=60
    )


def reviewed(folder: Path) -> Path | None:
    """What the next start finds; nothing of a run stays behind."""
    found = CrashWatch(folder, "9.9").review()
    assert list(folder.glob("running-*")) == []
    assert CrashWatch(folder, "9.9").review() is None  # it is told once
    return found


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("ctypes.string_at(0)", "Segmentation fault|access violation"),
        ("os.abort()", "Aborted"),
        pytest.param(
            "os.kill(os.getpid(), 8)",
            "Floating|Arithmetic",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
        ),
    ],
)
def test_a_native_crash_names_its_kind_and_the_place_in_every_thread(tmp_path, body, kind):
    done = ended(
        tmp_path,
        f"""
        def waits():
            threading.Event().wait()
        threading.Thread(target=waits, daemon=True).start()
        def goes_down(value):
            {body}
        goes_down(secret)
        """,
    )
    assert done.returncode != 0
    text = crash_report.read(reviewed(tmp_path))
    assert text.startswith("Qwen Desktop 9.9\nPython ")
    assert re.search(kind, text)
    assert "in goes_down" in text
    assert "in waits" in text
    assert SECRET not in text


def test_an_orderly_end_leaves_nothing(tmp_path):
    assert ended(tmp_path, "watch.stop()").returncode == 0
    assert list(tmp_path.iterdir()) == []
    assert reviewed(tmp_path) is None


def test_an_error_that_ends_the_program_is_the_crash_and_one_that_does_not_is_none(tmp_path):
    body = """
        def work(text):
            raise ValueError(f"cannot read {text}")
        work(secret)
    """
    assert ended(tmp_path, body).returncode != 0
    text = crash_report.read(reviewed(tmp_path))
    assert "In the thread MainThread:" in text
    assert "in work" in text
    assert f"ValueError {crash_report.LEFT_OUT}" in text
    assert SECRET not in text
    on = """
        thread = threading.Thread(target=lambda: [][1], name="worker")
        thread.start()
        thread.join()
        watch.stop()
    """
    assert ended(tmp_path / "on", on).returncode == 0
    assert reviewed(tmp_path / "on") is None
    (file,) = crash_report.reports(tmp_path / "on")
    text = crash_report.read(file)
    assert "In the thread worker:" in text
    assert "IndexError: list index out of range" in text


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_run_that_was_killed_is_no_crash_of_its_own(tmp_path):
    done = ended(tmp_path, "os.kill(os.getpid(), 9)")
    assert done.returncode == -signal.SIGKILL
    assert reviewed(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_fatal_message_of_qt_is_in_the_report(tmp_path):
    done = ended(
        tmp_path,
        """
        from PySide6.QtCore import qWarning
        from PySide6.QtGui import QGuiApplication
        from qwen_desktop.bridge.qt_messages import report_fatal_messages

        report_fatal_messages(watch)
        qWarning("a warning goes on")
        os.environ["QT_QPA_PLATFORM"] = "nosuch"
        QGuiApplication([])
        """,
    )
    assert done.returncode != 0
    assert "a warning goes on" in done.stderr
    text = crash_report.read(reviewed(tmp_path))
    assert re.search("Qt: .*no Qt platform plugin could be initialized", text)
    assert "Aborted" in text
    assert "a warning goes on" not in text


def test_the_program_itself_leaves_a_report_and_says_so_at_the_next_start(tmp_path):
    begin = """
        import os, sys
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        from qwen_desktop import app, cli
        from PySide6.QtCore import QTimer
        folder = sys.argv[1]
        def crash():
            os.abort()
        app.App.start = lambda self: crash()  # in a run that has its window
    """
    done = ended(tmp_path, 'sys.exit(app.run(cli.parse(["--profile", folder])))', begin)
    assert done.returncode != 0
    text = crash_report.read(reviewed(tmp_path / "crashes"))
    assert "in crash" in text
    assert "Aborted" in text


def test_reports_are_few_and_none_is_long(tmp_path):
    for day in range(10, 30):
        name = f"crash-202601{day}-120000-1.txt"
        (tmp_path / name).write_text("x" * (crash_report.MAX_BYTES + 9))
    CrashWatch(tmp_path, "9.9").review()
    left = crash_report.reports(tmp_path)
    assert [file.name[6:14] for file in left] == [f"202601{day}" for day in range(29, 19, -1)]
    assert len(crash_report.read(left[0])) <= crash_report.MAX_BYTES + len("\n[...]\n")


def test_an_error_that_comes_again_and_again_is_reported_a_few_times(tmp_path):
    watch = CrashWatch(tmp_path, "9.9")
    watch.start()
    try:
        made = [watch.write_error(RuntimeError("again"), "main") for _ in range(20)]
    finally:
        watch.stop()
    assert (
        len([file for file in made if file is not None]) == len(crash_report.reports(tmp_path)) < 10
    )


def test_words_of_an_error_stay_out_where_they_may_quote_and_causes_are_told(home):
    def read(name):
        try:
            name.read_text()
        except OSError as error:
            raise KeyError(SECRET) from error

    with pytest.raises(KeyError) as caught:
        read(home / SECRET)
    text = crash_report.described(caught.value)
    assert SECRET not in text
    assert str(home) not in text
    assert f"KeyError {crash_report.LEFT_OUT}" in text
    assert "FileNotFoundError: [Errno 2] No such file or directory" in text
    assert "Caused the error above" in text
    assert "TypeError: unsupported operand" in crash_report.described(raised(lambda: 1 + ""))


def raised(call) -> BaseException:
    with pytest.raises(Exception) as caught:
        call()
    return caught.value


def test_a_folder_that_takes_no_file_is_no_reason_not_to_start(tmp_path):
    (tmp_path / "crashes").write_text("a file")
    watch = CrashWatch(tmp_path / "crashes", "9.9")
    watch.start()
    assert watch.write_error(ValueError(), "main") is None
    assert watch.review() is None
    watch.stop()
