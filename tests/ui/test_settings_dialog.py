"""The settings dialog: every row of the table can be changed, applies at once and is kept."""

from __future__ import annotations

import json

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QSpinBox,
)

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.preferences import PreferencesModel
from qwen_desktop.chat.settings import BY_NAME, SETTINGS
from qwen_desktop.storage.preferences import Preferences
from qwen_desktop.ui.settings_dialog import SettingsDialog

NAMES = [setting.name for setting in SETTINGS]
OPTIONAL = [setting.name for setting in SETTINGS if setting.optional]


@pytest.fixture
def preferences(qapp, tmp_path):
    files = FileJobs()
    made = PreferencesModel(Preferences(tmp_path / "settings.json"), files, {})
    made.file = tmp_path / "settings.json"
    made.files = files
    yield made
    files.close()


@pytest.fixture
def dialog(qtbot, looks, preferences):
    made = SettingsDialog(preferences)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    qtbot.addWidget(made)
    made.show()
    return made


def change_by_hand(dialog, name: str) -> object:
    """Change a setting with mouse and keys; gives the value it should have now."""
    field = dialog.fields[name]
    if field.recommended is not None and field.recommended.isChecked():
        field.recommended.setFocus()
        QTest.keyClick(field.recommended, Qt.Key.Key_Space)
    control = field.control
    if name == "spelling_language":
        field.set_languages(["en_US", "de_DE"])
    if isinstance(control, QCheckBox):
        before = control.isChecked()
        QTest.keyClick(control, Qt.Key.Key_Space)
        return not before
    if isinstance(control, QComboBox):
        following = control.itemData(control.currentIndex() + 1)
        QTest.keyClick(control, Qt.Key.Key_Down)
        return following
    if isinstance(control, QPlainTextEdit):
        QTest.keyClicks(control, "Be brief.")
        return "Be brief."
    if isinstance(control, QLineEdit):
        control.selectAll()
        QTest.keyClicks(control, "http://127.0.0.1:8080")
        return "http://127.0.0.1:8080"
    assert isinstance(control, (QSpinBox, QDoubleSpinBox))
    control.selectAll()
    typed = "0.75"
    if isinstance(control, QSpinBox):
        typed = str(next(n for n in (control.minimum() or 1, 2) if n != control.value()))
    QTest.keyClicks(control, typed)
    QTest.keyClick(control, Qt.Key.Key_Tab)
    return int(typed) if isinstance(control, QSpinBox) else float(typed)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_can_be_changed_and_is_kept(dialog, preferences, name):
    wanted = change_by_hand(dialog, name)
    dialog.accept()
    assert preferences.get(name) == wanted
    assert type(preferences.get(name)) is type(wanted)
    preferences.files.close()
    assert json.loads(preferences.file.read_text(encoding="utf-8"))[name] == wanted


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_setting_goes_back_to_the_checkpoint(dialog, preferences, name):
    assert preferences.get(name) is None
    assert not dialog.fields[name].control.isEnabled()
    change_by_hand(dialog, name)
    assert preferences.get(name) is not None
    QTest.keyClick(dialog.fields[name].recommended, Qt.Key.Key_Space)
    assert preferences.get(name) is None


@pytest.mark.parametrize(
    "name", [setting.name for setting in SETTINGS if setting.kind in (int, float)]
)
def test_numbers_stay_in_the_range_of_the_table(dialog, preferences, name):
    setting, field = BY_NAME[name], dialog.fields[name]
    assert field.control.minimum() == setting.minimum
    assert field.control.maximum() == setting.maximum
    if field.recommended is not None:
        field.recommended.setChecked(False)
    field.control.selectAll()
    QTest.keyClicks(field.control, "99999999999")
    QTest.keyClick(field.control, Qt.Key.Key_Return)
    assert setting.accepts(preferences.get(name))


@pytest.mark.parametrize("name", ["max_new_tokens", "temperature"])
def test_enter_takes_a_number_and_leaves_the_dialog_open(dialog, preferences, name):
    field = dialog.fields[name]
    if field.recommended is not None:
        field.recommended.setChecked(False)
    field.control.setFocus()
    field.control.selectAll()
    QTest.keyClicks(field.control, "2")
    QTest.keyClick(field.control, Qt.Key.Key_Return)
    assert preferences.get(name) == 2
    assert dialog.isVisible()


@pytest.mark.parametrize("name", [n for n in OPTIONAL if n != "seed"])
def test_a_setting_that_is_taken_up_starts_where_it_changes_nothing(dialog, preferences, name):
    neutral = {
        "temperature": 1,
        "top_k": 0,
        "top_p": 1,
        "min_p": 0,
        "repetition_penalty": 1,
        "presence_penalty": 0,
        "thinking_budget": 4096,
        "kv_memory": 1,
    }
    dialog.fields[name].recommended.setChecked(False)
    assert preferences.get(name) == neutral[name]


def test_a_change_from_elsewhere_is_shown(dialog, preferences):
    preferences.set("temperature", 0.5)
    assert dialog.fields["temperature"].value == 0.5
    assert not dialog.fields["temperature"].recommended.isChecked()
    preferences.set("temperature", None)
    assert dialog.fields["temperature"].value is None
    preferences.set("theme", "dark")
    assert dialog.fields["theme"].value == "dark"


def test_every_setting_is_explained_to_a_screen_reader(dialog):
    for name, field in dialog.fields.items():
        assert field.control.accessibleName() == BY_NAME[name].label
        assert field.control.accessibleDescription() == BY_NAME[name].help
    assert list(dialog.fields) == NAMES


def wheel_over(dialog, control) -> None:
    point = control.mapTo(dialog, control.rect().center())
    QTest.wheelEvent(dialog.windowHandle(), QPointF(point), QPoint(0, -120))


@pytest.mark.parametrize("name", ["theme", "max_new_tokens"])
def test_the_wheel_scrolls_and_changes_nothing(dialog, preferences, name):
    dialog.resize(620, 400)
    dialog.fields["thinking"].control.setFocus()
    before = preferences.get(name)
    control = dialog.fields[name].control
    bar = dialog.findChild(QScrollArea).verticalScrollBar()
    bar.setValue(max(0, control.mapTo(dialog.findChild(QScrollArea).widget(), QPoint()).y() - 50))
    held = bar.value()
    wheel_over(dialog, control)
    assert preferences.get(name) == before
    assert bar.value() > held


def test_only_controls_take_the_focus(dialog):
    seen, widget = [], dialog.nextInFocusChain()
    while widget is not dialog:
        tab = widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        if tab and widget.isVisible() and widget.focusProxy() is None:
            seen.append(widget)
        widget = widget.nextInFocusChain()
    assert [widget.objectName() for widget in seen if not widget.accessibleName()] == []
    assert dialog.fields["theme"].control in seen
