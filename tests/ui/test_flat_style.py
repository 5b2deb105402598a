"""The look of fields in dialogs, as it is painted."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPushButton, QSpinBox, QVBoxLayout

from qwen_desktop.ui import theme
from qwen_desktop.ui.dialog import Dialog

THEMES = (theme.LIGHT, theme.DARK, theme.HIGH_LIGHT, theme.HIGH_DARK)


@pytest.fixture(params=THEMES, ids=lambda one: one.name)
def dialog(request, qtbot, looks):
    theme.use(request.param)
    made = Dialog("d", "A dialog")
    column = QVBoxLayout(made)
    made.line, made.choice, made.number = QLineEdit(), QComboBox(), QSpinBox()
    made.choice.addItems(["One", "Two"])
    made.mark, made.go, made.off = QCheckBox("Mark"), QPushButton("Go"), QPushButton("Off")
    made.go.setDefault(True)
    made.off.setAutoDefault(False)
    for widget in (made.line, made.choice, made.number, made.mark, made.go, made.off):
        column.addWidget(widget)
    column.addWidget(made.close_box())
    made.show()
    qtbot.addWidget(made)
    qtbot.waitExposed(made)
    return made


def colour(widget, x, y) -> str:
    return widget.grab().toImage().pixelColor(QPoint(x, y)).name()


def inside(widget) -> str:
    """The fill, left of the text."""
    return colour(widget, 6, widget.height() // 2)


def test_what_enter_does_is_filled_and_the_rest_is_flat(dialog):
    now = theme.current()
    dialog.close_button = dialog.findChild(QPushButton, "closeDialog")
    dialog.close_button.setDefault(False)
    dialog.go.setDefault(True)
    assert inside(dialog.go) == QColor(now.accent).name()
    assert inside(dialog.off) == inside(dialog.close_button) == QColor(now.background).name()
    dialog.go.setEnabled(False)
    assert inside(dialog.go) == QColor(now.track).name()


def test_a_button_that_only_leaves_is_never_filled(dialog):
    close = dialog.findChild(QPushButton, "closeDialog")
    dialog.go.setDefault(False)
    close.setDefault(True)
    assert inside(close) == QColor(theme.current().background).name()
    assert colour(close, close.width() // 2, 0) == QColor(theme.current().accent).name()


def test_fields_have_one_frame_and_one_height(dialog):
    now = theme.current()
    dialog.off.setFocus()
    fields = (dialog.line, dialog.choice, dialog.number)
    for field in fields:
        assert colour(field, field.width() // 2, 0) == QColor(now.field_border).name()
    assert len({field.height() for field in fields}) == 1
    dialog.line.setFocus(Qt.FocusReason.TabFocusReason)
    assert colour(dialog.line, dialog.line.width() // 2, 0) == QColor(now.accent).name()


def test_a_mark_is_seen(dialog):
    box = dialog.mark
    before = box.grab().toImage()
    box.setChecked(True)
    assert box.grab().toImage() != before
    assert colour(box, 8, box.height() // 2 + 5) == QColor(theme.current().accent).name()
