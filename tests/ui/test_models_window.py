"""The models window: library and catalogue by mouse and by keys, and what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QDialog, QLabel, QMenu, QWidget

from qwen_desktop.chat.downloads import Stage
from qwen_desktop.chat.hub import Hub, RepositoryName
from qwen_desktop.chat.library import Health
from tests.engine.checkpoints import make_checkpoint
from tests.hub.conftest import bare, hub  # noqa: F401 - fixtures
from tests.ui.test_accessible import can_be_reached, reached

PATIENCE_MS = 60_000
pytestmark = pytest.mark.qt_log_ignore("does not support")  # grabs of the offscreen platform
NAME = "Qwen/Tiny-Qwen"


def wait(qtbot, is_so) -> None:
    qtbot.waitUntil(lambda: bool(is_so()), timeout=PATIENCE_MS)


@pytest.fixture
def models(tmp_path) -> Path:
    """Two checkpoints, of one of which a shard is missing."""
    make_checkpoint(tmp_path / "models" / "Whole-Qwen", "qwen3")
    cut = make_checkpoint(tmp_path / "models" / "Tiny-Qwen", "qwen2", shards=True)
    (tmp_path / "missing").mkdir()
    shard = sorted(cut.glob("model-*.safetensors"))[1]
    shard.rename(tmp_path / "missing" / shard.name)
    return tmp_path / "models"


@pytest.fixture
def page(application, qtbot, tmp_path, models, monkeypatch):
    """The library's page with both of them."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    application.library.watch(models)
    application.window.actions_by_name["models"].trigger()
    page = application.window.shelf.dialog.pages["library"]
    wait(qtbot, lambda: not application.library.state.running and page.table.sorted.rows)
    wait(qtbot, lambda: all(row.health is not Health.UNKNOWN for row in page.table.sorted.rows))
    return page


@pytest.fixture
def catalogue(application, qtbot):
    application.window.shelf.show("catalogue")
    page = application.window.shelf.dialog.pages["catalogue"]
    wait(qtbot, lambda: page.table.sorted.rows)
    return page


def shown(table) -> list[str]:
    """The texts of the first column."""
    return [table.sorted.index(row, 0).data() for row in range(table.sorted.rowCount())]


def row_of(table, number: int = 0) -> list[str]:
    count = table.sorted.columnCount()
    return [str(table.sorted.index(number, column).data()).strip() for column in range(count)]


def menu(name: str) -> QMenu:
    found = [
        widget
        for widget in QApplication.topLevelWidgets()
        if isinstance(widget, QMenu) and widget.objectName() == name and widget.isVisible()
    ]
    assert found, name
    return found[0]


def pick(menu: QMenu, words: str) -> None:
    action = next(action for action in menu.actions() if action.text() == words)
    assert action.isEnabled()
    action.trigger()
    menu.close()


# -- the window ----------------------------------------------------------------------------


def test_it_has_three_pages_in_order(application, page) -> None:
    dialog = application.window.shelf.dialog
    tabs = [dialog.tabs.tabText(number) for number in range(dialog.tabs.count())]
    assert tabs == ["Library", "Catalogue", "Downloads"]
    assert dialog.page == "library"
    assert not dialog.isModal()
    application.window.shelf.show("downloads")
    assert application.window.shelf.dialog is dialog
    assert dialog.page == "downloads"
    dialog.accept()
    assert application.window.shelf.dialog is None
    application.window.shelf.show()
    assert application.window.shelf.dialog.page == "library"


@pytest.mark.parametrize("name", ["library", "catalogue"])
def test_tab_reaches_everything_and_everything_has_a_name(application, page, qtbot, name) -> None:
    dialog = application.window.shelf.dialog
    application.window.shelf.show(name)
    wait(qtbot, lambda: dialog.pages[name].table.sorted.rows)
    dialog.pages[name].table.setFocus()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is dialog.pages[name].table)
    found = reached(dialog)
    assert [type(widget).__name__ for widget in found if not widget.accessibleName()] == []
    seen = [widget for widget in dialog.findChildren(QWidget) if can_be_reached(widget)]
    assert [widget.accessibleName() for widget in seen if widget not in found] == []
    buddies = {label.buddy() for label in dialog.findChildren(QLabel)}
    assert all(box in buddies for box in dialog.pages[name].findChildren(QComboBox))


# -- the library ---------------------------------------------------------------------------


def test_rows_tell_what_is_known(page, models) -> None:
    assert shown(page.table) == ["Tiny-Qwen", "Whole-Qwen"]
    cut, whole = row_of(page.table, 0), row_of(page.table, 1)
    assert cut[1] == "Qwen2"
    assert cut[4] == "Incomplete"
    assert whole[1:2] == ["Qwen3"]
    assert whole[3:6] == ["F32", "Good", "Yes, 512"]
    assert "KiB" in whole[6]
    page.table.choose(str(models / "Tiny-Qwen"))
    assert "weight files are missing" in page.note.text()
    assert page.adopt.isEnabled()
    assert not page.open_button.isEnabled()
    page.table.choose(str(models / "Whole-Qwen"))
    assert page.open_button.isEnabled()
    assert not page.adopt.isEnabled()


def test_it_is_searched_filtered_and_sorted(page, qtbot) -> None:
    qtbot.keyClicks(page.search, "qwen3 whole")
    assert shown(page.table) == ["Whole-Qwen"]
    qtbot.keyClick(page.search, Qt.Key.Key_Escape)
    page.show_box.setCurrentIndex(2)
    assert shown(page.table) == ["Tiny-Qwen"]
    page.show_box.setCurrentIndex(1)
    assert shown(page.table) == ["Whole-Qwen"]
    page.show_box.setCurrentIndex(0)
    page.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert shown(page.table) == ["Whole-Qwen", "Tiny-Qwen"]
    page.table.sortByColumn(4, Qt.SortOrder.AscendingOrder)
    assert shown(page.table) == ["Whole-Qwen", "Tiny-Qwen"]
    page.search.setText("nothing like it")
    assert page.empty.isVisible()
    assert "like that" in page.empty.text()


def test_enter_opens_what_opens_and_tells_of_the_rest(application, page, models, qtbot) -> None:
    opened = []
    application.models.changed.connect(lambda state: opened.append(application.models.request))
    page.table.choose(str(models / "Whole-Qwen"))
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_Return)
    assert [request.folder for request in opened if request][:1] == [models / "Whole-Qwen"]
    page.table.choose(str(models / "Tiny-Qwen"))
    qtbot.keyClick(page.table, Qt.Key.Key_Return)
    dialog = application.window.findChild(QDialog, "openDialog")
    wait(qtbot, lambda: dialog.adopt.isVisible())  # the doctor's report, and the way out of it
    dialog.reject()


def test_a_folder_is_shown_and_taken_off(application, page, models, qtbot, monkeypatch) -> None:
    revealed = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: revealed.append(url.toLocalFile()))
    page.table.choose(str(models / "Whole-Qwen"))
    page.more.click()
    pick(menu("libraryMoreMenu"), "Show folder")
    assert revealed == [str(models / "Whole-Qwen")]
    page.table.setFocus()
    QTest.keyClick(page.table, Qt.Key.Key_Delete)
    assert shown(page.table) == ["Tiny-Qwen"]
    assert (models / "Whole-Qwen").is_dir()
    page.places.click()
    pick(menu("watchedMenu"), f"Stop looking in {models}")
    wait(qtbot, lambda: not application.library.state.running)
    assert application.library.watched == ()
    assert shown(page.table) == []


def test_deleting_asks_with_the_bytes(application, page, models, qtbot) -> None:
    page.table.choose(str(models / "Whole-Qwen"))
    page.table.setFocus()
    QTest.keyClick(page.table, Qt.Key.Key_F10, Qt.KeyboardModifier.ShiftModifier)
    pick(menu("libraryMenu"), "Delete files…")
    dialog = application.window.shelf.dialog
    wait(qtbot, lambda: dialog.findChild(QDialog, "confirmDialog"))
    question = dialog.findChild(QDialog, "confirmDialog")
    assert str(models / "Whole-Qwen") in question.words.text()
    assert "KiB" in question.do_button.text()
    question.reject()
    assert (models / "Whole-Qwen").is_dir()
    page.delete_requested.emit(models / "Whole-Qwen")
    wait(qtbot, lambda: [q for q in dialog.findChildren(QDialog, "confirmDialog") if q.isVisible()])
    question = next(q for q in dialog.findChildren(QDialog, "confirmDialog") if q.isVisible())
    question.do_button.click()
    wait(qtbot, lambda: shown(page.table) == ["Tiny-Qwen"])
    assert not (models / "Whole-Qwen").exists()
    assert "are free again" in page.note.text()


def test_what_is_open_is_not_deleted(application, page, models) -> None:
    page.set_open(models / "Whole-Qwen")
    page.table.choose(str(models / "Whole-Qwen"))
    page.more.click()
    found = menu("libraryMoreMenu")
    delete = next(action for action in found.actions() if action.text() == "Delete files…")
    assert not delete.isEnabled()
    found.close()


def test_without_a_hash_nothing_is_verified(page, models, qtbot) -> None:
    page.table.choose(str(models / "Whole-Qwen"))
    page.verify.click()
    wait(qtbot, lambda: "no hub gave a hash" in page.note.text())
    assert page.bar.isHidden()
    assert page.verify.text() == "Verify"


# -- what is missing -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Hub))
def test_only_the_missing_file_is_fetched(
    application,
    page,
    models,
    tmp_path,
    hub,  # noqa: F811
    qtbot,
    kind,
) -> None:
    folder = models / "Tiny-Qwen"
    files = {path.name: path for path in (*folder.iterdir(), *(tmp_path / "missing").iterdir())}
    hub.add(NAME, files)
    (lost,) = (tmp_path / "missing").iterdir()
    (folder / "README.md").write_text(f"---\nlicense_link: {hub.endpoint}/{NAME}/blob/main/x\n---")
    application.preferences.set("huggingface_address", hub.endpoint)
    application.preferences.set("modelscope_address", hub.endpoint)
    application.preferences.set("hub", kind.value)
    application.downloads.start_reading()
    page.table.choose(str(folder))
    page.adopt.click()
    dialog = application.window.shelf.dialog.findChild(QDialog, "adoptDialog")
    wait(qtbot, lambda: dialog.name.count())
    assert dialog.name.currentText() == NAME
    assert "README.md" in dialog.note.text()
    assert hub.log == []  # nobody was asked yet
    dialog.hub.setCurrentIndex(dialog.hub.findData(kind.value))
    dialog.look.click()
    wait(qtbot, lambda: application.window.shelf.dialog.findChild(QDialog, "getDialog"))
    get = application.window.shelf.dialog.findChild(QDialog, "getDialog")
    texts = {row[0]: row[2] for row in get.files.files.rows}
    assert texts[lost.name] == "Is fetched"
    assert sum(words == "Is fetched" for words in texts.values()) == 1
    assert str(folder) in get.room.text()
    get.download.click()
    wait(qtbot, lambda: [e for e in application.downloads.entries if e.stage is Stage.DONE])
    assert (folder / lost.name).read_bytes() == lost.read_bytes()
    assert hub.sent(lost.name) == lost.stat().st_size
    wait(qtbot, lambda: application.library.entry(folder).health is Health.GOOD)


def test_a_name_that_is_none_and_a_hub_that_has_none(
    application,
    page,
    models,
    hub,  # noqa: F811
    qtbot,
) -> None:
    application.preferences.set("huggingface_address", hub.endpoint)
    application.window.modelling.adopt(models / "Tiny-Qwen")
    dialog = application.window.shelf.dialog.findChild(QDialog, "adoptDialog")
    wait(qtbot, lambda: "do not tell" in dialog.note.text())
    assert not dialog.look.isEnabled()
    dialog.name.setEditText("nonsense")
    dialog.look.click()
    assert "does not name a repository" in dialog.note.text()
    assert hub.log == []
    dialog.name.setEditText("Qwen/Not-There")
    dialog.look.click()
    assert dialog.look.text() == "Stop"
    wait(qtbot, lambda: dialog.look.text() == "Look it up" and "Not-There" in dialog.note.text())
    dialog.reject()


# -- the catalogue -------------------------------------------------------------------------


def test_only_what_fits_is_shown_at_first(catalogue) -> None:
    everything = {row.offer.key: row for row in catalogue._rows}
    fitting = list(catalogue.table.sorted.rows)
    assert 0 < len(fitting) < len(everything)
    assert all(row.fits for row in fitting)
    catalogue.fitting.setChecked(False)
    assert len(catalogue.table.sorted.rows) == len(everything)
    # The largest fits no machine that tests run on, and is dim about it.
    catalogue.search.setText("Qwen3-Coder-480B-A35B-Instruct-FP8")
    (number,) = range(catalogue.table.sorted.rowCount())
    assert row_of(catalogue.table, number)[6] == "No"
    assert "of memory needed" in catalogue.note.text()
    catalogue.search.setText("2.4T")
    assert [row_of(catalogue.table, n)[6] for n in (0, 1)] == ["–", "–"]


def test_it_is_filtered_by_series_size_format_and_text(catalogue) -> None:
    catalogue.fitting.setChecked(False)
    catalogue.series.setCurrentIndex(catalogue.series.findData("Qwen2.5"))
    catalogue.form.setCurrentIndex(catalogue.form.findData("awq"))
    catalogue.size_box.setCurrentIndex(catalogue.size_box.findData(2))
    assert set(shown(catalogue.table)) == {
        "Qwen2.5-7B-Instruct-AWQ",
        "Qwen2.5-Coder-7B-Instruct-AWQ",
    }
    catalogue.search.setText("coder")
    assert shown(catalogue.table) == ["Qwen2.5-Coder-7B-Instruct-AWQ"]
    row = row_of(catalogue.table)
    assert row[1:6] == ["Code", "7.6B", "AWQ", "≈ 5.2 GiB", "32k"]
    assert row[7] == "apache-2.0"
    assert catalogue._as_of in catalogue.note.text()
    catalogue.search.setText("no such thing")
    assert "Nothing of the catalogue" in catalogue.note.text()
    assert not catalogue.get.isEnabled()


def test_newest_series_come_first(catalogue) -> None:
    catalogue.fitting.setChecked(False)
    assert shown(catalogue.table)[0].startswith("Qwen3.8")
    assert shown(catalogue.table)[-1] == "Qwen-1_8B-Chat"


def test_getting_one_fills_in_the_dialog_and_asks_nobody(
    application,
    catalogue,
    hub,  # noqa: F811
    qtbot,
) -> None:
    application.preferences.set("huggingface_address", hub.endpoint)
    application.preferences.set("modelscope_address", hub.endpoint)
    catalogue.fitting.setChecked(False)
    catalogue.search.setText("Qwen-7B-Chat-Int4")
    catalogue.hub.setCurrentIndex(catalogue.hub.findData(Hub.MODELSCOPE.value))
    catalogue.table.setFocus()
    qtbot.keyClick(catalogue.table, Qt.Key.Key_Return)
    get = application.window.shelf.dialog.findChild(QDialog, "getDialog")
    assert get.name.text() == "qwen/Qwen-7B-Chat-Int4"
    assert get.hub.currentData() == Hub.MODELSCOPE.value
    assert hub.log == []
    get.reject()


def test_any_repository_can_be_named(application, catalogue, qtbot) -> None:
    assert not catalogue.get_any.isEnabled()
    qtbot.keyClicks(catalogue.any, "nonsense")
    qtbot.keyClick(catalogue.any, Qt.Key.Key_Return)
    assert "does not name a repository" in catalogue.note.text()
    catalogue.any.setText("https://www.modelscope.cn/models/someone/Some-Qwen")
    assert catalogue.hub.currentData() == Hub.MODELSCOPE.value
    qtbot.keyClick(catalogue.any, Qt.Key.Key_Return)
    get = application.window.shelf.dialog.findChild(QDialog, "getDialog")
    assert "someone/Some-Qwen" in get.name.text()
    get.reject()


def test_newer_ones_are_listed_and_got(application, catalogue, qtbot) -> None:
    catalogue._offers.newer.emit((RepositoryName("Qwen", "Qwen9-1B"),))
    assert catalogue.newer.isVisible()
    assert catalogue.newer.item(0).text() == "Qwen/Qwen9-1B"
    catalogue.newer.setFocus()
    qtbot.keyClick(catalogue.newer, Qt.Key.Key_Return)
    get = application.window.shelf.dialog.findChild(QDialog, "getDialog")
    assert get.name.text() == "Qwen/Qwen9-1B"
    get.reject()
    catalogue._offers.newer.emit(())
    assert "has no checkpoint that the table does not have" in catalogue.newer_label.text()


def test_a_hub_that_is_not_there_is_told(
    application,
    catalogue,
    hub,  # noqa: F811
    qtbot,
) -> None:
    application.preferences.set("huggingface_address", hub.endpoint)
    hub.close()
    catalogue.look.click()
    assert catalogue.look.text() == "Stop"
    wait(qtbot, lambda: catalogue.look.text() == "Look for newer")
    assert "does not take connections" in catalogue.note.text()


def test_the_open_dialog_leads_to_it(application, qtbot, models) -> None:
    application.window.checkpoints.look_into(models / "Whole-Qwen")
    dialog = application.window.findChild(QDialog, "openDialog")
    dialog.models.click()
    assert not dialog.isVisible()
    assert application.window.shelf.dialog.page == "library"
