"""Colours, fonts and sizes of the window. QtGui only, no widgets of its own.

Contrast of text on its background is at least 4.5 in both themes, 7 in those of high contrast.

Sizes in this program are written as they are at 100 %: `px(14)` is what they come to now. Nobody
keeps the result for longer than a layout, or takes it anew in `follow_look()`, which every widget
that has one is called by when the look changes (`ui/appearance.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette

SIDEBAR_WIDTH = 264
PANEL_WIDTH = 288
COLUMN_MARGIN = 24
UNLIMITED = 16777215  # px, the widest a widget can be
_TEXT_WIDTHS = {"narrow": 640, "normal": 760, "wide": 960}  # of the text column
_LINE_HEIGHT = 22  # of body text; fixed, as CJK fallback fonts would stretch a relative one
_COMPACT_LINE_HEIGHT = 20
_CODE_LINE_HEIGHT = 19
_COMPACT = 0.6  # of the space between things

BODY_FAMILIES = (
    "Inter",
    "Segoe UI",
    "Noto Sans",
    "Noto Sans CJK SC",
    "Microsoft YaHei",
    "Noto Color Emoji",
    "Segoe UI Emoji",
)
CODE_FAMILIES = (
    "JetBrains Mono",
    "Cascadia Mono",
    "Consolas",
    "DejaVu Sans Mono",
    "Noto Sans Mono CJK SC",
    "monospace",
)


@dataclass(frozen=True)
class Theme:
    """Colour tokens as `#rrggbb`."""

    name: str
    background: str
    sidebar: str
    panel: str
    line: str
    text: str
    dim: str
    accent: str
    on_accent: str
    user: str  # card of a user message
    code: str
    selected: str  # row of the open conversation
    found: str  # behind a word that was searched for
    found_now: str  # behind the one that is gone to
    error: str
    error_background: str
    warning: str
    warning_background: str
    weights: str
    kv: str
    activations: str
    other: str
    track: str  # empty part of a bar
    field_border: str  # 3:1 against the background
    syntax: str  # Pygments style


LIGHT = Theme(
    name="light",
    background="#ffffff",
    sidebar="#f5f6f8",
    panel="#fafbfc",
    line="#e2e5ea",
    text="#1b1f24",
    dim="#5e6875",
    accent="#2563eb",
    on_accent="#ffffff",
    user="#eef3ff",
    code="#f8f9fb",
    selected="#e3ebfd",
    found="#ffe699",
    found_now="#ffb84d",
    error="#c0322b",
    error_background="#fdeceb",
    warning="#9a6200",
    warning_background="#fff4dc",
    weights="#2563eb",
    kv="#8250df",
    activations="#0f8a8a",
    other="#76808c",
    track="#e6e9ee",
    field_border="#8b95a1",
    syntax="default",
)

DARK = Theme(
    name="dark",
    background="#1b1d21",
    sidebar="#141619",
    panel="#17191d",
    line="#2c3037",
    text="#e6e8eb",
    dim="#9aa4b1",
    accent="#6ea0ff",
    on_accent="#0d1117",
    user="#242c3d",
    code="#121417",
    selected="#253250",
    found="#574711",
    found_now="#80600a",
    error="#ff7b72",
    error_background="#3a1d1d",
    warning="#e3a93c",
    warning_background="#352a14",
    weights="#6ea0ff",
    kv="#b392f0",
    activations="#39c5bb",
    other="#7b8594",
    track="#2a2e35",
    field_border="#68717d",
    syntax="github-dark",
)


# High contrast. Code is told apart by its weight alone, as "bw" does.
HIGH_LIGHT = Theme(
    name="high contrast light",
    background="#ffffff",
    sidebar="#ffffff",
    panel="#ffffff",
    line="#b8b8b8",
    text="#000000",
    dim="#2b2b2b",
    accent="#0b3d91",
    on_accent="#ffffff",
    user="#e6eeff",
    code="#f5f5f5",
    selected="#d6e4ff",
    found="#ffe066",
    found_now="#ffb02e",
    error="#8f0a05",
    error_background="#ffe9e7",
    warning="#5c3a00",
    warning_background="#fff0cf",
    weights="#0b3d91",
    kv="#5b21a6",
    activations="#005f5f",
    other="#4d4d4d",
    track="#d0d0d0",
    field_border="#4d4d4d",
    syntax="bw",
)

HIGH_DARK = Theme(
    name="high contrast dark",
    background="#000000",
    sidebar="#000000",
    panel="#000000",
    line="#464646",
    text="#ffffff",
    dim="#e0e0e0",
    accent="#a8c8ff",
    on_accent="#000000",
    user="#10213f",
    code="#0d0d0d",
    selected="#00336f",
    found="#3d3000",
    found_now="#6e5200",
    error="#ffb3ad",
    error_background="#3d0000",
    warning="#ffd479",
    warning_background="#332200",
    weights="#a8c8ff",
    kv="#d0b8ff",
    activations="#6fe0d8",
    other="#b0b0b0",
    track="#333333",
    field_border="#bdbdbd",
    syntax="bw",
)

_current = LIGHT


def current() -> Theme:
    """The theme in use. Widgets that paint themselves read it in every paintEvent."""
    return _current


def use(theme: Theme) -> None:
    """Make `theme` the one in use; the palette change makes every widget paint again."""
    global _current
    _current = theme
    QGuiApplication.setPalette(palette(theme))


def choose(choice: str, contrast: str = "off") -> Theme:
    """Use the theme for a setting of `system`, `light` or `dark`, and tell which it is.

    `contrast` is the setting of high contrast. The platform hears of the choice too: on Windows
    the title bar follows.
    """
    schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    QGuiApplication.styleHints().setColorScheme(schemes.get(choice, Qt.ColorScheme.Unknown))
    use(resolve(choice, contrast))
    return current()


def resolve(choice: str, contrast: str = "off") -> Theme:
    """The theme for a setting of `system`, `light` or `dark`, and one of `system`, `on`, `off`."""
    hints = QGuiApplication.styleHints()
    dark = choice == "dark"
    if choice not in ("light", "dark"):
        dark = hints.colorScheme() == Qt.ColorScheme.Dark
    high = contrast == "on"
    if contrast == "system":
        wish = hints.accessibility().contrastPreference()
        high = wish == Qt.ContrastPreference.HighContrast
    if high:
        return HIGH_DARK if dark else HIGH_LIGHT
    return DARK if dark else LIGHT


# --- Sizes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """What the user chose beside the colours; `text_width` is a key of the setting."""

    zoom: float = 1.0
    family: str = ""  # of the interface font; "" for ours
    compact: bool = False
    text_width: str = "normal"
    still: bool = False  # nothing moves by itself


_look = Look()


def look() -> Look:
    """The look in use."""
    return _look


def use_look(wanted: Look) -> None:
    """Make `wanted` the look in use. Widgets hear of it by `follow_look()`."""
    global _look
    _look = wanted


def px(size: float) -> int:
    """What a length of `size` px at 100 % comes to; at least 1."""
    return max(1, round(size * _look.zoom))


def space(size: float) -> int:
    """The same for what lies between things: less where the look is compact."""
    return px(size * _COMPACT if _look.compact else size)


def line_height() -> int:
    """Of body text, in px."""
    return px(_COMPACT_LINE_HEIGHT if _look.compact else _LINE_HEIGHT)


def code_line_height() -> int:
    """Of code, in px."""
    return px(_CODE_LINE_HEIGHT)


def column_width() -> int:
    """The widest that the text column gets, in px."""
    width = _TEXT_WIDTHS.get(_look.text_width)
    return UNLIMITED if width is None else px(width)


def families() -> list[str]:
    """The interface font and what stands in for signs it has not."""
    own = [_look.family] if _look.family else []
    return own + [family for family in BODY_FAMILIES if family not in own]


def body_font(pixels: int = 14, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The interface font; `pixels` at 100 %."""
    font = QFont()
    font.setFamilies(families())
    font.setPixelSize(px(pixels))
    font.setWeight(weight)
    return font


def code_font(pixels: int = 13) -> QFont:
    """The font of code; `pixels` at 100 %."""
    font = QFont()
    font.setFamilies(list(CODE_FAMILIES))
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPixelSize(px(pixels))
    return font


def palette(theme: Theme) -> QPalette:
    """A palette for the Fusion style; inactive windows look like active ones."""
    roles = {
        QPalette.ColorRole.Window: theme.background,
        QPalette.ColorRole.Base: theme.background,
        QPalette.ColorRole.AlternateBase: theme.sidebar,
        QPalette.ColorRole.Text: theme.text,
        QPalette.ColorRole.WindowText: theme.text,
        QPalette.ColorRole.ButtonText: theme.text,
        QPalette.ColorRole.Button: theme.sidebar,
        QPalette.ColorRole.Highlight: theme.accent,
        QPalette.ColorRole.HighlightedText: theme.on_accent,
        QPalette.ColorRole.PlaceholderText: theme.dim,
        QPalette.ColorRole.Link: theme.accent,
        QPalette.ColorRole.Mid: theme.line,
        QPalette.ColorRole.ToolTipBase: theme.sidebar,
        QPalette.ColorRole.ToolTipText: theme.text,
    }
    # This constructor also derives the bevel shades that Fusion draws frames with.
    result = QPalette(QColor(theme.sidebar), QColor(theme.background))
    for role, colour in roles.items():
        result.setColor(role, QColor(colour))
    for role in (
        QPalette.ColorRole.Text,
        QPalette.ColorRole.WindowText,
        QPalette.ColorRole.ButtonText,
    ):
        result.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.dim))
    return result


def menu_ground(theme: Theme) -> str:
    """The colour of menus: above a dark window they are a little lighter than it."""
    is_dark = QColor(theme.background).lightness() < 128
    return theme.track if is_dark else theme.background


def menu_palette(theme: Theme) -> QPalette:
    """The palette of menus. Fusion draws their frame in Window.darker(160), their lines in a
    darker Base: in the palette of a dark window nobody sees either.
    """
    result = palette(theme)
    result.setColor(QPalette.ColorRole.Window, QColor(theme.field_border).lighter(160))
    result.setColor(QPalette.ColorRole.Base, QColor(menu_ground(theme)))
    return result
