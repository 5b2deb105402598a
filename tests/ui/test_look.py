"""Contrast of the themes, icons, and what may not be imported before the first paint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtWidgets import QMenu

from qwen_desktop.ui import appearance, icons, theme

ICONS = sorted(file.stem for file in icons.folder().glob("*.svg") if file.stem != "app")


def luminance(colour: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(v) for v in QColor(colour).getRgbF()[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


GROUNDS = ("background", "sidebar", "panel", "user", "code", "selected", "line")
PAIRS = [("text", ground) for ground in (*GROUNDS, "found", "found_now", "track")]
PAIRS += [("dim", ground) for ground in GROUNDS if ground != "line"]
PAIRS += [("accent", ground) for ground in ("background", "panel")]
PAIRS += [("on_accent", "accent"), ("background", "text"), ("error", "sidebar")]
PAIRS += [("error", "error_background"), ("error", "background")]
PAIRS += [("warning", "warning_background"), ("warning", "background"), ("warning", "panel")]
THEMES = {one.name: one for one in (theme.LIGHT, theme.DARK, theme.HIGH_LIGHT, theme.HIGH_DARK)}
LEAST = {"light": 4.5, "dark": 4.5, "high contrast light": 7, "high contrast dark": 7}


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_is_readable(name, ink, ground):
    colours = THEMES[name]
    assert contrast(getattr(colours, ink), getattr(colours, ground)) >= LEAST[name]


@pytest.mark.parametrize("name", THEMES)
def test_code_is_readable_in_all_its_colours(name):
    from pygments.styles import get_style_by_name

    colours = THEMES[name]
    for token, style in get_style_by_name(colours.syntax):
        if str(token) == "Token.Text.Whitespace":  # there is nothing to read
            continue
        ink = f"#{style['color']}" if style["color"] else colours.text
        assert contrast(ink, colours.code) >= LEAST[name], token


@pytest.mark.parametrize("colours", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("part", ["weights", "kv", "activations", "other"])
def test_the_gauge_stands_out_of_its_track(colours, part):
    assert contrast(getattr(colours, part), colours.track) >= 3


@pytest.mark.parametrize("colours", THEMES.values(), ids=THEMES)
def test_fields_have_a_border_that_is_seen(colours):
    assert contrast(colours.field_border, colours.background) >= 3


@pytest.mark.parametrize("name", THEMES)
def test_menus_are_readable_and_have_a_frame_that_is_seen(qtbot, looks, name):
    colours = THEMES[name]
    theme.use(colours)
    appearance.colour_menus()
    menu = QMenu()
    qtbot.addWidget(menu)
    menu.addAction("One")
    menu.addSeparator()
    menu.addAction("Two")
    menu.ensurePolished()
    menu.adjustSize()
    picture = menu.grab().toImage()
    line = menu.actionGeometry(menu.actions()[1])
    ground = picture.pixelColor(2, 2).name()
    for ink in (colours.text, colours.dim):
        assert contrast(ink, ground) >= LEAST[name]
    assert contrast(picture.pixelColor(0, picture.height() // 2).name(), colours.background) >= 3
    rows = [picture.pixelColor(20, y).name() for y in range(line.top(), line.bottom() + 1)]
    assert max(contrast(row, ground) for row in rows) >= 1.15


@pytest.mark.parametrize("colours", THEMES.values(), ids=THEMES)
def test_the_ring_of_the_focus_is_seen_on_every_ground(colours):
    for ground in ("background", "sidebar", "panel", "user", "code", "selected"):
        assert contrast(colours.accent, getattr(colours, ground)) >= 3


@pytest.mark.parametrize("name", ICONS)
def test_an_icon_is_drawn_in_the_colour_asked_for(qapp, name):
    image = QImage(48, 48, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    icons.draw(painter, name, QRectF(0, 0, 48, 48), "#ff0000")
    painter.end()
    seen = {
        image.pixelColor(x, y).name()
        for x in range(48)
        for y in range(48)
        if image.pixelColor(x, y).alpha() == 255
    }
    assert seen == {"#ff0000"}


@pytest.mark.parametrize("data", ["M1", "A1 2 3", "M1 2Q1 2 3 4", "1 2", "M1 2Z3 4"])
def test_bad_path_data_is_refused(data):
    with pytest.raises(ValueError):
        icons.parse(data)


def test_the_application_icon_is_drawn_by_qt(qapp):
    picture = icons.application_icon().pixmap(64, 64).toImage()
    assert picture.pixelColor(32, 8).alpha() == 255


def test_every_icon_that_is_named_exists():
    sources = Path(icons.__file__).parent.glob("*.py")
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    for name in ICONS:
        assert f'"{name}"' in text, f"icon {name} is used nowhere"


def test_nothing_heavy_is_imported_before_the_first_paint():
    code = (
        "import sys, qwen_desktop.ui.main_window\n"
        "heavy = 'markdown_it pygments torch numpy sqlite3 transformers PySide6.QtSvg'.split()\n"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
