"""What the settings say about the look, carried out at once in every window that is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt, Slot
from PySide6.QtGui import QGuiApplication, QWheelEvent, QWindow
from PySide6.QtWidgets import QApplication, QStyle, QWidget
from shiboken6 import isValid

from qwen_desktop.chat.settings import BY_NAME, Value
from qwen_desktop.ui import theme

if TYPE_CHECKING:
    from qwen_desktop.bridge.preferences import PreferencesModel

COLOURS = ("theme", "high_contrast")
SIZES = ("zoom", "font_family", "density", "text_width", "reduced_motion")
ZOOM = "zoom"
STEPS = (50, 67, 80, 90, 100, 110, 125, 150, 175, 200)  # percent, of one key after the other
_NOTCH = 120  # of a wheel, in eighths of a degree
_FLASH_MS = 1000  # of a text cursor, where the system says nothing of it

_EFFECTS = (
    Qt.UIEffect.UI_AnimateMenu,
    Qt.UIEffect.UI_FadeMenu,
    Qt.UIEffect.UI_AnimateCombo,
    Qt.UIEffect.UI_AnimateTooltip,
    Qt.UIEffect.UI_FadeTooltip,
    Qt.UIEffect.UI_AnimateToolBox,
)


def look_of(values: Mapping[str, Value], still: bool) -> theme.Look:
    """The look that the settings ask for; `still` is what the system says of motion."""
    zoom = values[ZOOM]
    motion = values["reduced_motion"]
    return theme.Look(
        zoom=zoom / 100 if isinstance(zoom, int) else 1.0,
        family=str(values["font_family"]),
        compact=values["density"] == "compact",
        text_width=str(values["text_width"]),
        still=still if motion == "system" else motion == "on",
    )


def use(values: Mapping[str, Value]) -> None:
    """Use theme and look of the settings. To be called before the first widget is made."""
    theme.choose(str(values["theme"]), str(values["high_contrast"]))
    theme.use_look(look_of(values, False))
    application = QApplication.instance()
    if isinstance(application, QApplication):
        application.setFont(theme.body_font())
    colour_menus()


def colour_menus() -> None:
    """Give menus the colours of the theme in use."""
    colours = theme.menu_palette(theme.current())
    QApplication.setPalette(colours, "QMenu")  # type: ignore[arg-type]  # the stub says bytes


class Appearance(QObject):
    """Belongs to the window. `recolour` and `refit` are called after a change."""

    def __init__(
        self,
        window: QWidget,
        preferences: PreferencesModel,
        recolour: Callable[[], None],
        refit: Callable[[], None],
    ) -> None:
        super().__init__(window)
        self._preferences = preferences
        self._recolour = recolour
        self._refit = refit
        self._turned = 0  # by the wheel, since the last step
        self._flash = QApplication.cursorFlashTime() or _FLASH_MS
        self._system_still = self._asks_for_stillness()
        self._hints = QGuiApplication.styleHints()  # PySide lets go of what is not held
        self._accessibility = self._hints.accessibility()
        self._hints.colorSchemeChanged.connect(self._on_system)
        self._accessibility.contrastPreferenceChanged.connect(self._on_system)
        preferences.changed.connect(self._on_preference)
        self._follow()

    @staticmethod
    def _asks_for_stillness() -> bool:
        """Whether the system wants nothing to move, as far as Qt hears of it."""
        duration = QStyle.StyleHint.SH_Widget_Animation_Duration
        style = QApplication.style()
        return QApplication.cursorFlashTime() == 0 or style.styleHint(duration) == 0

    # -- zoom ------------------------------------------------------------------------------

    def zoom_by(self, steps: int) -> None:
        """One step larger for 1, one smaller for -1."""
        now = self._preferences.get(ZOOM)
        if steps > 0:
            ahead = [step for step in STEPS if step > now]  # type: ignore[operator]
        else:
            ahead = [step for step in reversed(STEPS) if step < now]  # type: ignore[operator]
        if ahead:
            self._preferences.set(ZOOM, ahead[0])

    def zoom_reset(self) -> None:
        """Back to 100 %."""
        self._preferences.set(ZOOM, BY_NAME[ZOOM].default)

    def watch(self, handle: QWindow | None) -> None:
        """Let the wheel zoom with Ctrl, wherever it turns over the window of this `handle`."""
        if handle is not None:
            handle.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A notch of the wheel with Ctrl is a step, before a text scrolls or grows by itself."""
        if event.type() != QEvent.Type.Wheel or not isinstance(event, QWheelEvent):
            return False
        if event.modifiers() != Qt.KeyboardModifier.ControlModifier:
            self._turned = 0
            return False
        self._turned += event.angleDelta().y()
        if abs(self._turned) >= _NOTCH:
            self.zoom_by(1 if self._turned > 0 else -1)
            self._turned = 0
        return True

    # -- following -------------------------------------------------------------------------

    @Slot(str, object)
    def _on_preference(self, name: str, _value: object) -> None:
        if name in COLOURS:
            self._colour()
        elif name in SIZES:
            self._follow()

    @Slot()
    def _on_system(self) -> None:
        if "system" in (self._preferences.get(name) for name in COLOURS):
            self._colour()

    def _colour(self) -> None:
        before = theme.current()
        choice, contrast = (str(self._preferences.get(name)) for name in COLOURS)
        if theme.choose(choice, contrast) != before:
            colour_menus()
            self._recolour()

    def _follow(self) -> None:
        wanted = look_of(self._preferences.values, self._system_still)
        QApplication.setCursorFlashTime(0 if wanted.still else self._flash)
        for effect in _EFFECTS:
            QApplication.setEffectEnabled(effect, not wanted.still)
        if wanted == theme.look():
            return
        theme.use_look(wanted)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.setFont(theme.body_font())
        follow_everywhere()
        self._refit()


def follow_everywhere() -> None:
    """Let every widget take its fonts and sizes anew, what is inside of others first."""
    for top in QApplication.topLevelWidgets():
        for widget in (*reversed(top.findChildren(QWidget)), top):
            follow = getattr(widget, "follow_look", None)
            if follow is not None and isValid(widget):  # some make their parts anew
                follow()
