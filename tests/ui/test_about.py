"""Help: About with licences and the button for updates, diagnostics, the report of a crash."""

import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QLabel, QListWidget, QPlainTextEdit, QPushButton

from qwen_desktop import __version__, licences
from qwen_desktop.crash_report import CrashWatch

CRASH = """Qwen Desktop 0.1
Python 3.11
Linux
2026-01-01 12:00:00

Fatal Python error: Segmentation fault

Thread 0x1 (most recent call first):
  File "engine.py", line 3 in decode
"""


@pytest.fixture
def opened(monkeypatch):
    """Addresses that were opened in a browser or file manager."""
    seen = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: seen.append(url.toString()))
    return seen


def dialog(window, qtbot, name):
    qtbot.waitUntil(lambda: window.findChild(object, name) is not None)
    found = window.findChild(object, name)
    qtbot.waitUntil(found.isVisible)
    return found


def part(of, kind, name):
    found = of.findChild(kind, name)
    assert found is not None, name
    return found


def press(qtbot, of, name):
    button = part(of, QPushButton, name)
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)


def everything_has_a_name(of):
    for kind in (QPushButton, QPlainTextEdit, QListWidget):
        for widget in of.findChildren(kind):
            assert widget.accessibleName(), widget.objectName()


@pytest.fixture
def about(window, qtbot):
    qtbot.keyClick(window, Qt.Key.Key_F1, Qt.KeyboardModifier.ShiftModifier)
    return dialog(window, qtbot, "aboutDialog")


def said(about) -> str:
    return part(about, QLabel, "updateSaid").text()


def test_about_is_in_the_menu_and_the_palette(window, qtbot):
    from qwen_desktop.ui import command_palette

    menu = window.acts.menu(window)
    (help_menu,) = [a.menu() for a in menu.actions() if a.menu() and a.text() == "Help"]
    assert [a.objectName() for a in help_menu.actions()] == ["action_diagnostics", "action_about"]
    menu.close()
    offered = {entry.title for entry in command_palette.of_actions(window.acts)}
    assert {"About Qwen Desktop…", "Diagnostics…"} <= offered


def test_about_tells_the_version_and_asks_nobody_by_itself(about, opened):
    assert __version__ in part(about, QLabel, "aboutVersion").text()
    assert "only when you press the button" in said(about)
    assert part(about, QPushButton, "closeDialog").isDefault()
    everything_has_a_name(about)
    links = part(about, QLabel, "aboutLinks")
    links.linkActivated.emit("https://www.qt.io")
    assert opened == ["https://www.qt.io"]


def test_without_an_address_the_button_says_so(about, qtbot):
    press(qtbot, about, "checkForUpdates")
    qtbot.waitUntil(lambda: "No address of releases is set." in said(about))
    assert part(about, QPushButton, "checkForUpdates").isEnabled()
    assert part(about, QPushButton, "showRelease").isHidden()


@pytest.fixture
def releases():
    """A server on this machine that tells of version `told`."""
    import http.server
    import threading

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            made.asked += 1
            body = json.dumps({"version": made.told, "url": "https://example.org/r"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    made = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.told = 0, "999.0"
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_newer_release_is_told_with_its_page(application, about, releases, qtbot, opened):
    address = f"http://127.0.0.1:{releases.server_port}/"
    application.preferences.set("release_address", address)
    assert releases.asked == 0
    press(qtbot, about, "checkForUpdates")
    qtbot.waitUntil(lambda: "Version 999.0 is there" in said(about))
    press(qtbot, about, "showRelease")
    assert opened == ["https://example.org/r"]
    releases.told = __version__
    press(qtbot, about, "checkForUpdates")
    qtbot.waitUntil(lambda: "This is the newest version" in said(about))
    assert part(about, QPushButton, "showRelease").isHidden()
    assert releases.asked == 2


def test_licences_are_listed_with_their_texts(window, about, qtbot):
    press(qtbot, about, "showLicences")
    shown = dialog(window, qtbot, "licencesDialog")
    names = part(shown, QListWidget, "components")
    qtbot.waitUntil(lambda: names.count() > 20, timeout=60_000)
    assert names.count() == len(licences.read())
    (row,) = [n for n in range(names.count()) if names.item(n).text().startswith("PySide6_Ess")]
    names.setCurrentRow(row)
    assert "LGPL-3.0" in part(shown, QLabel, "componentAbout").text()
    text = part(shown, QPlainTextEdit, "licenceText")
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in text.toPlainText()
    qtbot.keyClick(names, Qt.Key.Key_Home)
    assert "GNU LESSER" not in text.toPlainText()
    everything_has_a_name(shown)


def test_licences_that_cannot_be_read_are_a_sentence(window, about, qtbot, tmp_path, monkeypatch):
    (tmp_path / "x.json").write_text("[]")
    monkeypatch.setattr(licences, "bundled_file", lambda: tmp_path / "x.json")
    press(qtbot, about, "showLicences")
    shown = dialog(window, qtbot, "licencesDialog")
    words = part(shown, QLabel, "licencesWords")
    qtbot.waitUntil(lambda: "Something went wrong" in words.text(), timeout=60_000)


def test_diagnostics_are_read_copied_and_saved(application, window, qtbot, tmp_path):
    qtbot.keyClick(window, Qt.Key.Key_F1, Qt.KeyboardModifier.ControlModifier)
    shown = dialog(window, qtbot, "diagnosticsDialog")
    text = part(shown, QPlainTextEdit, "reportText")
    assert not part(shown, QPushButton, "copyReport").isEnabled()
    qtbot.waitUntil(lambda: text.toPlainText().startswith("Qwen Desktop"), timeout=60_000)
    for words in ("platform qoffscreen", "in use", "screen 1", "no fault", "torch"):
        assert words in text.toPlainText()
    assert "open in a window    yes" in text.toPlainText()
    press(qtbot, shown, "copyReport")
    assert QGuiApplication.clipboard().text() == text.toPlainText()
    everything_has_a_name(shown)
    press(qtbot, shown, "saveReport")
    picker = dialog(window, qtbot, "reportTarget")
    assert isinstance(picker, QFileDialog)
    picker.selectFile(str(tmp_path / "sent.txt"))
    picker.accept()
    qtbot.waitUntil((tmp_path / "sent.txt").is_file)
    assert (tmp_path / "sent.txt").read_text("utf-8") == text.toPlainText() + "\n"
    qtbot.waitUntil(lambda: not window.toast.isHidden())
    press(qtbot, shown, "lastCrash")
    crash = dialog(window, qtbot, "crashDialog")
    none = part(crash, QPlainTextEdit, "reportText")
    qtbot.waitUntil(lambda: "no report" in none.placeholderText())


def test_the_report_of_the_last_run_is_offered_once(qtbot, looks, tmp_path, opened):
    from qwen_desktop import cli
    from qwen_desktop.app import App

    folder = tmp_path / "profile" / "crashes"
    folder.mkdir(parents=True)
    (folder / "running-20260101-120000-1.txt").write_text(CRASH)
    options = cli.parse(["--profile", str(tmp_path / "profile"), "--theme", "light"])
    built = App(options, CrashWatch(folder, __version__))
    try:
        built.build()
        built.read()
        built.window.show()
        built.listen()
        qtbot.waitUntil(lambda: built.window.findChild(object, "crashAction") is not None)
        action = built.window.findChild(object, "crashAction")
        qtbot.waitUntil(action.isVisible)
        assert action.accessibleName() == "Show report"
        action.click()
        shown = dialog(built.window, qtbot, "crashDialog")
        text = part(shown, QPlainTextEdit, "reportText")
        qtbot.waitUntil(lambda: "line 3 in decode" in text.toPlainText())
        assert built.window.notices.isHidden()  # it has been read
        press(qtbot, shown, "showReports")
        assert opened == [folder.as_uri()]
        shown.accept()
    finally:
        built.window.close()
        built.close()
        built.window.deleteLater()
        built.deleteLater()
    assert [file.name for file in folder.iterdir()] == ["crash-20260101-120000-1.txt"]
