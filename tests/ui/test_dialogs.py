"""Trouble, links and shortcuts: the dialogs and the banner."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QWidget

from qwen_desktop.errors import Known, report_of
from qwen_desktop.ui import actions
from qwen_desktop.ui.link_dialog import LinkDialog
from qwen_desktop.ui.problem import Banner
from qwen_desktop.ui.problem_dialog import ProblemDialog
from qwen_desktop.ui.toast import Toast


def truncated_file():
    return Known("{file} ends too early.", "Download it again.", file="a.safetensors").report()


def bug():
    try:
        raise ValueError("x")
    except ValueError as error:
        return report_of(error)


@pytest.fixture
def show(qtbot, looks):
    def shown(dialog):
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        qtbot.addWidget(dialog)
        dialog.show()
        return dialog

    return shown


def test_the_banner_shows_one_sentence_and_the_remedy(show):
    banner = show(Banner())
    banner.show_report(truncated_file())
    assert banner.label.text() == "a.safetensors ends too early. Download it again."
    assert not banner.details.isVisible()  # there is nothing more to tell
    QTest.mouseClick(banner.close_button, Qt.MouseButton.LeftButton)
    assert not banner.isVisible()
    assert banner.report is None


def test_the_banner_leads_to_the_details_of_a_bug(show, qtbot):
    banner = show(Banner())
    report = bug()
    banner.show_report(report)
    with qtbot.waitSignal(banner.details_requested) as asked:
        QTest.mouseClick(banner.details, Qt.MouseButton.LeftButton)
    assert asked.args == [report]


def test_the_details_can_be_copied(show):
    dialog = show(ProblemDialog(bug()))
    assert "Traceback" in dialog.findChild(QPlainTextEdit, "detailsText").toPlainText()
    QTest.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text()
    assert copied.startswith("Something went wrong inside Qwen Desktop: ValueError: x.")
    assert "Traceback" in copied
    assert dialog.copy_button.text() == "Copied"


def test_details_name_versions_and_nothing_private(show):
    import platform
    from pathlib import Path

    import PySide6

    home = str(Path.home())
    report = Known(
        "{file} is damaged.", details=f"in {home}/notes.txt\n{'secret ' * 200}", file="a"
    )
    dialog = show(ProblemDialog(report.report()))
    QTest.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text()
    assert "~/notes.txt" in copied
    assert home not in copied
    assert copied.count("secret") < 50
    for part in (f"Qt {PySide6.__version__}", "torch ", "Python ", platform.system()):
        assert part in copied
    shown = dialog.findChild(QPlainTextEdit, "detailsText").toPlainText()
    assert copied.endswith(shown)  # what is copied is what was seen


def test_trouble_with_a_file_offers_its_folder(application, window, tmp_path):
    window.show_problem(Known("{file} is damaged.", file=tmp_path / "a.json").report())
    assert window.banner.action.text() == "Open folder"
    window.show_problem(Known("The file is damaged.", file="a.json").report())
    assert not window.banner.action.isVisible()


def test_a_link_shows_where_it_goes_and_cancel_is_the_default(show):
    dialog = show(LinkDialog(QUrl("https://аpple.com/login?x=1")))  # a Cyrillic а
    target = dialog.findChild(QPlainTextEdit, "linkTarget").toPlainText()
    assert target.startswith("https://xn--")
    assert dialog.findChild(QPushButton, "cancelLink").isDefault()
    QTest.mouseClick(dialog.findChild(QPushButton, "copyLink"), Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == target


def test_shortcuts_are_told_and_are_unique(show):
    keys = [
        (spec.scope, QKeySequence(key).toString()) for spec in actions.SPECS for key in spec.keys
    ]
    assert len(set(keys)) == len(keys)
    assert all(text for _, text in keys)
    everywhere = {text for scope, text in keys if scope is actions.Scope.WINDOW}
    elsewhere = {text for scope, text in keys if scope is not actions.Scope.WINDOW}
    assert not everywhere & elsewhere


@pytest.fixture
def toast(qtbot, looks):
    ground = QWidget()
    ground.resize(800, 600)
    below = QWidget(ground)
    below.setGeometry(0, 500, 800, 100)
    qtbot.addWidget(ground)
    ground.show()
    return Toast(ground, below)


def test_a_toast_undoes_once(toast):
    undone = []
    toast.show_text("Deleted", undo=lambda: undone.append(1))
    assert toast.isVisible()
    assert toast.geometry().bottom() < 500
    QTest.mouseClick(toast.undo_button, Qt.MouseButton.LeftButton)
    assert undone == [1]
    assert not toast.isVisible()
    toast.undo()
    assert undone == [1]


def test_a_toast_waits_while_it_is_used(toast, qtbot):
    toast._timer.setInterval(0)
    toast.show_text("Deleted", undo=lambda: None)
    toast.window().activateWindow()
    toast.undo_button.setFocus()
    qtbot.waitUntil(toast.undo_button.hasFocus)
    toast._timer.timeout.emit()
    assert toast.isVisible()
    toast.undo_button.clearFocus()
    qtbot.waitUntil(lambda: not toast.isVisible())


def test_a_toast_without_undo_has_no_such_button(toast):
    toast.show_text("Saved")
    assert not toast.undo_button.isVisible()
    QTest.keyClick(toast, Qt.Key.Key_Escape)
    assert not toast.isVisible()
