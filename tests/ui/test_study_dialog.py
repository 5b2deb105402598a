"""The memory study in the real window, with a real tiny checkpoint."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QPushButton

from qwen_desktop.chat.study import Way
from qwen_desktop.storage import study_file
from tests.engine.checkpoints import chatty_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return chatty_checkpoint(tmp_path_factory.mktemp("study") / "Endless-Chat")


@pytest.fixture
def loaded(application, qtbot, folder):
    application.engine.start()
    application.models.open(folder)
    qtbot.waitUntil(lambda: application.models.state.info is not None, timeout=60_000)
    return application


@pytest.fixture
def dialog(loaded, qtbot):
    loaded.window.actions_by_name["study"].trigger()
    return loaded.window.studying.dialog


def wait(qtbot, condition):
    qtbot.waitUntil(lambda: bool(condition()), timeout=60_000)


def points(application):
    study = application.studies.state.study
    return len(study.points) if study is not None else 0


def type_lengths(qtbot, dialog, text):
    dialog.choices.lengths.clear()
    qtbot.keyClicks(dialog.choices.lengths, text)


def test_from_start_to_the_charts(dialog, loaded, qtbot):
    type_lengths(qtbot, dialog, "24, 48")
    wait(qtbot, lambda: "48 tokens" in dialog.choices.outlook.text())
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    assert dialog.go.text() == "Stop"
    assert not dialog.choices.lengths.isEnabled()
    composer = loaded.window.composer
    assert not composer.button.isEnabled()
    assert "memory study" in composer.button.toolTip()
    wait(qtbot, lambda: not loaded.studies.state.running)
    assert composer.button.isEnabled()
    assert dialog.go.text() == "Start a new one"
    assert dialog.bar.isHidden()
    assert "same answers" in dialog.notes.text()
    assert dialog.title.text().startswith("Endless-Chat")
    assert dialog.table.points.rowCount() == 6
    memory, _, speed = dialog.charts
    assert len(memory.plot.shown) == 9
    assert [series.points[0][0] for series in speed.plot.shown] == [24, 24, 24]
    dialog.across.setCurrentIndex(1)
    assert memory.plot.x.name == "Characters"
    assert speed.plot.x.name == "Characters"
    assert "48" in dialog.table.points.texts(1)


def test_stop_resume_and_reopen_lose_nothing(dialog, loaded, qtbot):
    for way in (Way.APP, Way.EAGER):
        dialog.choices.ways[way].click()
    type_lengths(qtbot, dialog, ", ".join(str(n) for n in range(100, 3000, 100)))
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: points(loaded) > 1)
    assert dialog.bar.isVisible()
    assert "All read anew" in dialog.words.text()
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: not loaded.studies.state.running)
    measured = points(loaded)
    assert "prompts are left" in dialog.words.text()
    assert not dialog.resume.isHidden()
    dialog.close()
    assert loaded.window.studying.dialog is None
    loaded.window.studying.show()
    again = loaded.window.studying.dialog
    assert again.table.points.rowCount() == measured
    assert again.choices.lengths.text().startswith("100, 200")
    qtbot.mouseClick(again.resume, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: points(loaded) > measured)
    loaded.studies.stop()
    wait(qtbot, lambda: not loaded.studies.state.running)
    assert study_file.read(loaded.studies.state.file) == loaded.studies.state.study


def test_closing_asks_while_something_is_measured(dialog, loaded, qtbot):
    type_lengths(qtbot, dialog, ", ".join(str(n) for n in range(100, 3000, 100)))
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: points(loaded))
    dialog.close()
    question = dialog.findChild(QDialog, "confirmDialog")
    assert question is not None
    question.findChild(QPushButton, "cancel").click()
    assert dialog.isVisible()
    assert loaded.studies.state.running
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    question = [d for d in dialog.findChildren(QDialog, "confirmDialog") if d.isVisible()][-1]
    question.findChild(QPushButton, "doIt").click()
    assert not dialog.isVisible()
    wait(qtbot, lambda: not loaded.studies.state.running)
    assert points(loaded)


def test_what_was_asked_while_it_ended_is_asked_no_more(dialog, loaded, qtbot):
    type_lengths(qtbot, dialog, ", ".join(str(n) for n in range(100, 3000, 100)))
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: points(loaded))
    dialog.close()
    assert dialog.findChild(QDialog, "confirmDialog").isVisible()
    loaded.studies.stop()
    wait(qtbot, lambda: not loaded.studies.state.running)
    assert not any(d.isVisible() for d in dialog.findChildren(QDialog, "confirmDialog"))
    assert dialog.isVisible()


def test_enter_in_the_field_of_lengths_starts(dialog, loaded, qtbot):
    type_lengths(qtbot, dialog, "24")
    qtbot.keyClick(dialog.choices.lengths, Qt.Key.Key_Return)
    assert dialog.isVisible()
    wait(qtbot, lambda: points(loaded) == 3 and not loaded.studies.state.running)


def test_an_answer_that_is_written_blocks_it_with_the_reason(dialog, loaded, qtbot):
    assert loaded.chats.ask("hello")
    wait(qtbot, lambda: loaded.chats.run.running)
    assert not dialog.go.isEnabled()
    assert "answer is still being written" in dialog.words.text()
    loaded.chats.stop()
    wait(qtbot, lambda: not loaded.chats.run.running)
    assert dialog.go.isEnabled()


def test_without_a_checkpoint_it_says_so(application, window):
    window.studying.show()
    dialog = window.studying.dialog
    assert not dialog.go.isEnabled()
    assert "No checkpoint is open" in dialog.words.text()
    dialog.close()


@pytest.mark.parametrize("typed", ["1", "a lot", "64, -3"])
def test_lengths_that_are_none_are_told(dialog, qtbot, typed):
    type_lengths(qtbot, dialog, typed)
    wait(qtbot, lambda: not dialog.go.isEnabled())
    assert not dialog.choices.trouble.isHidden()


def test_no_way_is_no_study(dialog, qtbot):
    for box in dialog.choices.ways.values():
        box.click()
    wait(qtbot, lambda: not dialog.go.isEnabled())
    assert "at least one way" in dialog.choices.trouble.text()


def test_pictures_and_numbers_leave_it(dialog, loaded, qtbot, tmp_path):
    type_lengths(qtbot, dialog, "24 48")
    qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
    wait(qtbot, lambda: points(loaded) == 6 and not loaded.studies.state.running)
    qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    assert not QGuiApplication.clipboard().image().isNull()
    for suffix in (".png", ".svg", ".csv"):
        file = tmp_path / f"study{suffix}"
        with qtbot.waitSignal(dialog.saving.saved):
            dialog.saving.save(file, suffix)
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "study.svg").read_text()
    assert study_file.read(tmp_path / "study.csv") == loaded.studies.state.study
    dialog.tabs.setCurrentIndex(3)
    qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text().count("\n") == 7
    earlier = tmp_path / "earlier.csv"
    study = loaded.studies.state.study
    earlier.write_text(study_file.to_text(type(study)(study.head, study.points[:1])))
    loaded.studies.open(earlier)
    wait(qtbot, lambda: dialog.table.points.rowCount() == 1)
    assert not dialog.resume.isHidden()


def test_everything_can_be_reached_and_is_named(dialog, qtbot):
    for widget in (dialog.choices.lengths, dialog.go, dialog.earlier, dialog.save, dialog.across):
        assert widget.accessibleName()
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert all(box.accessibleDescription() for box in dialog.choices.ways.values())
