"""What the dialogs share: the look of their fields, seen well in both themes, a Close button."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor, QPalette, QShowEvent
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QListWidget,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

from qwen_desktop.ui import theme
from qwen_desktop.ui.flat_style import dress

_FRAMED = (QListWidget, QPlainTextEdit)


class Dialog(QDialog):
    """A dialog that is deleted when it is closed."""

    def __init__(self, name: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)

    def close_box(self) -> QDialogButtonBox:
        """A row with the Close button, which Enter presses."""
        close = QPushButton(self.tr("Close"))
        close.setObjectName("closeDialog")
        close.setAccessibleName(self.tr("Close"))
        close.setDefault(True)
        close.clicked.connect(self.accept)
        buttons = QDialogButtonBox()
        # Of all roles this one stands at the right on every platform, behind other buttons.
        buttons.addButton(close, QDialogButtonBox.ButtonRole.RejectRole)
        return buttons

    def fit_height(self) -> None:
        """Be as high as the lines of wrapped labels need, which Qt does not see to by itself."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.setFixedHeight(layout.totalHeightForWidth(self.width()))

    def event(self, event: QEvent) -> bool:
        """All fields are there when it is polished, and its size is not yet asked for."""
        if event.type() == QEvent.Type.Polish:
            dress(self)
        return super().event(event)

    def showEvent(self, event: QShowEvent) -> None:
        """All fields are there now."""
        dress(self)
        self._frame()
        for button in self.findChildren(QPushButton):
            # Made the default before it was in the dialog, it would cease to be that for good
            # once the focus has gone over it.
            if button.isDefault():
                button.setDefault(False)
                button.setDefault(True)
        super().showEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """The theme changed while the dialog is open."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.isVisible():
            self._frame()

    def _frame(self) -> None:
        # Fusion draws frames in Window.darker(140), which on a dark window nobody sees.
        now = theme.current()
        colour = QColor(now.field_border).lighter(140)
        for widget in self.findChildren(QWidget):
            if isinstance(widget, _FRAMED):
                own = widget.palette()
                own.setColor(QPalette.ColorRole.Window, colour)
                if isinstance(widget, QListWidget):  # a row is chosen as in the list of chats
                    own.setColor(QPalette.ColorRole.Highlight, QColor(now.selected))
                    own.setColor(QPalette.ColorRole.HighlightedText, QColor(now.text))
                widget.setPalette(own)
