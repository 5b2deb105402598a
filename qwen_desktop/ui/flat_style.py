"""The look of ordinary fields in dialogs: flat, with the lines and the corners of the rest.

`dress` gives it to what is in a dialog. It is not the style of the application: the timeline and
the list paint themselves, and would pay for a style in Python with every frame.
"""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QLineEdit,
    QProxyStyle,
    QPushButton,
    QRadioButton,
    QStyle,
    QStyleOption,
    QStyleOptionButton,
    QStyleOptionComplex,
    QWidget,
)

from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import RADIUS

HEIGHT = 32  # px of a field or a button
PADDING = 14  # px on each side of the text of a button
MARK = 16  # px of the box of a check mark
FIELD_RADIUS = 6

DRESSED = (QPushButton, QComboBox, QAbstractSpinBox, QLineEdit, QCheckBox, QRadioButton)

_State = QStyle.StateFlag
_LEFT_TO_RIGHT = Qt.LayoutDirection.LeftToRight


def dress(root: QWidget) -> None:
    """Give the look to all fields in `root`. What has it already is left alone."""
    style = _style()
    for widget in root.findChildren(QWidget):
        if isinstance(widget, DRESSED) and widget.style() is not style:
            widget.setStyle(style)


@cache
def _style() -> FlatStyle:
    made = FlatStyle()
    made.setParent(QApplication.instance())
    return made


class FlatStyle(QProxyStyle):
    """Fusion with other frames and marks. Colours are those of the theme at the time."""

    def __init__(self) -> None:
        super().__init__("Fusion")

    # -- sizes -----------------------------------------------------------------------------

    def sizeFromContents(
        self,
        type: QStyle.ContentsType,  # noqa: A002 - Qt's name
        option: QStyleOption,
        size: QSize,
        widget: QWidget | None = None,
    ) -> QSize:
        """Fields and buttons of one height."""
        found = super().sizeFromContents(type, option, size, widget)  # type: ignore[arg-type]
        kinds = QStyle.ContentsType
        if type == kinds.CT_PushButton:
            width = max(found.width(), size.width() + 2 * theme.px(PADDING))
            return QSize(width, max(theme.px(HEIGHT), size.height() + 8))
        if type in (kinds.CT_ComboBox, kinds.CT_SpinBox, kinds.CT_LineEdit):
            if isinstance(widget, QLineEdit) and not widget.hasFrame():
                return found
            return QSize(found.width() + 8, max(theme.px(HEIGHT), found.height()))
        return found

    def pixelMetric(
        self,
        metric: QStyle.PixelMetric,
        option: QStyleOption | None = None,
        widget: QWidget | None = None,
    ) -> int:
        """Marks of one size."""
        marks = QStyle.PixelMetric
        if metric in (
            marks.PM_IndicatorWidth,
            marks.PM_IndicatorHeight,
            marks.PM_ExclusiveIndicatorWidth,
            marks.PM_ExclusiveIndicatorHeight,
        ):
            return theme.px(MARK)
        return super().pixelMetric(metric, option, widget)

    def subControlRect(
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex,
        part: QStyle.SubControl,
        widget: QWidget | None = None,
    ) -> QRect:
        """The arrow of a list a little away from its frame, and the text too."""
        found = super().subControlRect(control, option, part, widget)  # type: ignore[arg-type]
        if control == QStyle.ComplexControl.CC_ComboBox:
            if part == QStyle.SubControl.SC_ComboBoxArrow:
                return found.translated(-3 if option.direction == _LEFT_TO_RIGHT else 3, 0)
            if part == QStyle.SubControl.SC_ComboBoxEditField:
                return found.adjusted(3, 0, 0, 0)
        return found

    def subElementRect(
        self, element: QStyle.SubElement, option: QStyleOption, widget: QWidget | None = None
    ) -> QRect:
        """The text of a field a little away from its frame."""
        found = super().subElementRect(element, option, widget)  # type: ignore[arg-type]
        is_text = element == QStyle.SubElement.SE_LineEditContents
        if is_text and isinstance(widget, QLineEdit) and widget.hasFrame():
            return found.adjusted(3, 0, -3, 0)
        return found

    # -- painting --------------------------------------------------------------------------

    def drawPrimitive(
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """Buttons, fields, marks."""
        kinds = QStyle.PrimitiveElement
        if element == kinds.PE_PanelButtonCommand:
            self._button(option, painter, widget)
        elif element == kinds.PE_PanelLineEdit:
            if isinstance(widget, QLineEdit) and widget.hasFrame():
                _field(option, painter)
        elif element == kinds.PE_IndicatorCheckBox:
            _check(option, painter)
        elif element == kinds.PE_IndicatorRadioButton:
            _radio(option, painter)
        elif element != kinds.PE_FrameLineEdit:
            super().drawPrimitive(element, option, painter, widget)

    def drawControl(
        self,
        element: QStyle.ControlElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """The text of a button, which depends on what is behind it."""
        if element == QStyle.ControlElement.CE_PushButtonLabel and isinstance(
            option, QStyleOptionButton
        ):
            _, _, text = _button_colours(option, widget)
            coloured = QStyleOptionButton(option)
            palette = QPalette(option.palette)
            palette.setColor(QPalette.ColorRole.ButtonText, QColor(text))
            coloured.palette = palette
            super().drawControl(element, coloured, painter, widget)
            return
        super().drawControl(element, option, painter, widget)

    def drawComplexControl(
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        """Lists to choose from, and numbers."""
        kinds, parts = QStyle.ComplexControl, QStyle.SubControl
        if control == kinds.CC_ComboBox:
            _field(option, painter)
            arrow = self.subControlRect(control, option, parts.SC_ComboBoxArrow, widget)
            _chevron(painter, QRectF(arrow).center(), up=False, on=_is_on(option))
        elif control == kinds.CC_SpinBox:
            _field(option, painter)
            for part, up in ((parts.SC_SpinBoxUp, True), (parts.SC_SpinBoxDown, False)):
                arrow = self.subControlRect(control, option, part, widget)
                _chevron(painter, QRectF(arrow).center(), up=up, on=_is_on(option), size=3.0)
        else:
            super().drawComplexControl(control, option, painter, widget)

    def _button(self, option: QStyleOption, painter: QPainter, widget: QWidget | None) -> None:
        fill, line, _ = _button_colours(option, widget)
        _box(painter, QRectF(option.rect), fill, line, min(RADIUS, option.rect.height() / 4))
        if option.state & _State.State_HasFocus and option.state & _State.State_KeyboardFocusChange:
            own = theme.current()
            ring = own.on_accent if fill == own.accent else own.accent
            inner = QRectF(option.rect).adjusted(2, 2, -2, -2)
            _box(painter, inner, None, ring, RADIUS - 2)


def _is_on(option: QStyleOption) -> bool:
    return bool(option.state & _State.State_Enabled)


def _button_colours(
    option: QStyleOption, widget: QWidget | None
) -> tuple[str | None, str | None, str]:
    """Fill, line and text. What Enter does is filled, unless it only closes the dialog."""
    own = theme.current()
    state = option.state
    down = bool(state & (_State.State_Sunken | _State.State_On))
    hover = bool(state & _State.State_MouseOver)
    features = option.features if isinstance(option, QStyleOptionButton) else None
    is_default = features is not None and bool(
        features & QStyleOptionButton.ButtonFeature.DefaultButton
    )
    if is_default and not _leaves(widget):
        if not _is_on(option):
            return own.track, None, own.dim
        return own.accent, own.text if down else None, own.on_accent
    if not _is_on(option):
        return own.background, own.line, own.dim
    if is_default:
        return own.selected if down else own.background, own.accent, own.text
    return (
        own.selected if down else own.background,
        own.field_border if hover or down else own.line,
        own.text,
    )


def _leaves(widget: QWidget | None) -> bool:
    """Whether it is a button that closes a dialog and does nothing else."""
    box = widget.parentWidget() if widget is not None else None
    return (
        isinstance(box, QDialogButtonBox)
        and isinstance(widget, QPushButton)
        and box.buttonRole(widget) == QDialogButtonBox.ButtonRole.RejectRole
    )


def _box(
    painter: QPainter, rect: QRectF, fill: str | None, line: str | None, radius: float
) -> None:
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(line), 1) if line else Qt.PenStyle.NoPen)
    painter.setBrush(QColor(fill) if fill else Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), radius, radius)
    painter.restore()


def _field(option: QStyleOption, painter: QPainter) -> None:
    own = theme.current()
    focused = bool(option.state & _State.State_HasFocus)
    line = own.accent if focused else own.field_border if _is_on(option) else own.line
    rect = QRectF(option.rect)
    _box(painter, rect, own.background, line, FIELD_RADIUS)
    if focused:
        _box(painter, rect.adjusted(1, 1, -1, -1), None, line, FIELD_RADIUS - 1)


def _chevron(painter: QPainter, middle: QPointF, *, up: bool, on: bool, size: float = 4.0) -> None:
    own = theme.current()
    half = size * theme.look().zoom
    rise = half / 2 if up else -half / 2
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor(own.text if on else own.field_border), 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline(
        QPolygonF(
            [
                middle + QPointF(-half, rise),
                middle + QPointF(0, -rise),
                middle + QPointF(half, rise),
            ]
        )
    )
    painter.restore()


def _mark_colours(option: QStyleOption) -> tuple[str, str, str]:
    """Fill, line and sign of a mark."""
    own = theme.current()
    chosen = bool(option.state & (_State.State_On | _State.State_NoChange))
    if not _is_on(option):
        return own.track if chosen else own.background, own.line, own.dim
    if chosen:
        return own.accent, own.accent, own.on_accent
    hover = bool(option.state & _State.State_MouseOver)
    return own.background, own.accent if hover else own.field_border, own.text


def _check(option: QStyleOption, painter: QPainter) -> None:
    fill, line, sign = _mark_colours(option)
    rect = QRectF(option.rect)
    _box(painter, rect, fill, line, 4)
    at, side = rect.topLeft(), rect.width()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(QColor(sign), max(1.5, side / 9))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if option.state & _State.State_NoChange:
        painter.drawLine(at + QPointF(side * 0.28, side / 2), at + QPointF(side * 0.72, side / 2))
    elif option.state & _State.State_On:
        places = ((0.25, 0.52), (0.43, 0.7), (0.76, 0.32))
        painter.drawPolyline(QPolygonF([at + QPointF(side * x, side * y) for x, y in places]))
    painter.restore()


def _radio(option: QStyleOption, painter: QPainter) -> None:
    fill, line, sign = _mark_colours(option)
    rect = QRectF(option.rect)
    _box(painter, rect, fill, line, rect.width() / 2)
    if option.state & _State.State_On:
        third = rect.width() * 0.32
        _box(painter, rect.adjusted(third, third, -third, -third), sign, sign, third)
