"""Charts: round ticks, reading by pointer and keys, zoom, legend, pictures."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QWheelEvent
from PySide6.QtTest import QTest

from qwen_desktop.ui import chart_paint, theme
from qwen_desktop.ui.chart import Chart, Limit, Plot, Series, bytes_axis, count_axis
from qwen_desktop.ui.chart_plot import View
from qwen_desktop.ui.chart_scale import seconds_axis, span, step, ticks

MIB = 2**20
PEAK = Series("Peak", ((100, 50 * MIB), (200, 60 * MIB), (400, 90 * MIB)), "kv", "points")
LINE = Series("Predicted", ((0, 40 * MIB), (400, 80 * MIB)), "dim", "dashed")


def plot(*series: Series, limits: tuple[Limit, ...] = (), empty: str = "Nothing yet") -> Plot:
    return Plot(count_axis("Tokens"), bytes_axis("Memory"), series, limits, empty, "Memory")


@pytest.fixture
def chart(qtbot, looks):
    made = Chart("Memory against context")
    qtbot.addWidget(made)
    made.resize(640, 400)
    made.set_plot(plot(PEAK, LINE, limits=(Limit("Limit", 100.0 * MIB),)))
    made.show()
    qtbot.waitExposed(made)
    return made


# Scales


@given(
    st.floats(-1e12, 1e12),
    st.floats(1e-6, 1e12),
    st.integers(1, 20),
)
def test_ticks_are_round_and_not_too_many(low, wide, most):
    high = low + wide
    if not high > low:
        return
    found = ticks(low, high, most)
    by = step(high - low, most)
    lead = by / 10 ** math.floor(math.log10(by) + 1e-9)
    assert min(abs(lead - one) for one in (1, 2, 5)) < 1e-6
    assert len(found) <= most + 1
    assert all(low - by * 1e-6 <= one <= high + by * 1e-6 for one in found)


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.booleans())
@example(-5e-324, 0.0, False)
def test_a_span_holds_its_values_and_is_never_empty(low, more, from_zero):
    first, last = span(low, low + more, from_zero=from_zero)
    assert first < last
    assert first <= low
    assert last >= low + more
    assert first <= 0 <= last or not from_zero
    assert first >= 0 or low < 0


def test_ticks_of_memory_are_round_in_their_unit(looks):
    axis = bytes_axis("Memory")
    assert [text for _, text in axis.marks(15 * 2**30, 18 * 2**30, 4)] == ["15", "16", "17", "18"]
    assert axis.title(18 * 2**30) == "Memory, GiB"
    assert [text for _, text in axis.marks(0, 2 * MIB, 5)] == ["0.0", "0.5", "1.0", "1.5", "2.0"]


@given(st.floats(1, 1e9), st.floats(0.001, 10), st.integers(1, 4))
def test_there_are_two_ticks_at_least(low, share, most):
    marks = bytes_axis("Memory").marks(low, low * (1 + share), most)
    assert 2 <= len(marks) <= most + 6
    assert all(low * (1 - 1e-6) <= at <= low * (1 + share) * (1 + 1e-6) for at, _ in marks)


def test_ticks_of_tokens_have_separators(looks):
    marks = count_axis("Tokens").marks(0, 8000, 4)
    assert [text for _, text in marks] == ["0", "2,000", "4,000", "6,000", "8,000"]
    assert seconds_axis("").title(0.2) == "ms"


# Reading


def test_arrows_go_from_point_to_point_and_say_what_is_there(chart):
    canvas = chart.canvas
    assert "Peak: 3 points" in canvas.accessibleDescription()
    assert "Limit 100.0 MiB" in canvas.accessibleDescription()
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    said = canvas.accessibleDescription()
    assert said == "Tokens 100, Peak 50.0 MiB, Predicted 50.0 MiB"
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.accessibleDescription().startswith("Tokens 200, Peak 60.0 MiB")
    QTest.keyClick(canvas, Qt.Key.Key_Down)  # the next series, where it is nearest
    assert canvas.accessibleDescription().startswith("Tokens 0, Predicted 40.0 MiB")
    QTest.keyClick(canvas, Qt.Key.Key_End)
    assert canvas.accessibleDescription().startswith("Tokens 400, Predicted 80.0 MiB, Peak 90.0")
    QTest.keyClick(canvas, Qt.Key.Key_Left)
    assert canvas.reading.x == 0


def test_points_at_one_place_are_all_reached(chart):
    twice = Series("Peak", ((5, 1.0), (5, 2.0), (5, 3.0)), "kv", "points", ("a", "b", "c"))
    chart.set_plot(plot(twice))
    heard = []
    for _ in range(3):
        QTest.keyClick(chart.canvas, Qt.Key.Key_Right)
        heard.append(chart.canvas.reading.values[0][1:])
    assert heard == [(1.0, "a"), (2.0, "b"), (3.0, "c")]


def test_the_pointer_reads_the_nearest_point_of_every_series(chart):
    canvas = chart.canvas
    area = canvas._area()
    at = QPoint(round(area.x(205)), round(area.box.center().y()))
    QTest.mouseMove(canvas, at)
    assert canvas.reading.x == 200
    values = {series.name: value for series, value, _ in canvas.reading.values}
    assert values == {"Peak": 60 * MIB, "Predicted": 60 * MIB}
    QTest.mouseMove(canvas, QPoint(2, canvas.height() - 2))
    assert canvas.reading is None


# Zoom


def wheel(canvas, at: QPoint, turns: int) -> None:
    event = QWheelEvent(
        QPointF(at),
        QPointF(canvas.mapToGlobal(at)),
        QPoint(),
        QPoint(0, 120 * turns),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QGuiApplication.sendEvent(canvas, event)


def test_the_wheel_zooms_about_the_pointer(chart):
    canvas = chart.canvas
    whole, area = canvas.view, canvas._area()
    at = QPoint(round(area.x(200)), round(area.y(60 * MIB)))
    wheel(canvas, at, 3)
    assert canvas.is_zoomed
    assert canvas.view.width < whole.width / 1.5
    assert canvas._area().x(200) == pytest.approx(at.x(), abs=3)
    wheel(canvas, at, -3)
    assert canvas.view.width == pytest.approx(whole.width)


def test_nobody_gets_lost(chart):
    canvas = chart.canvas
    for _ in range(40):
        wheel(canvas, canvas.rect().center(), -1)
    assert canvas.view.width < 2 * canvas.plot.whole.width
    for _ in range(200):
        wheel(canvas, canvas.rect().center(), 1)
    assert canvas.view.width > 0
    canvas.grab()


def test_a_drag_looks_at_a_box_and_a_double_click_at_everything(chart):
    canvas = chart.canvas
    area, whole = canvas._area(), canvas.view
    start = QPoint(round(area.x(100)), round(area.y(90 * MIB)))
    end = QPoint(round(area.x(300)), round(area.y(50 * MIB)))
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(canvas, end)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=end)
    assert canvas.view.left == pytest.approx(100, abs=2)
    assert canvas.view.right == pytest.approx(300, abs=2)
    assert canvas.view.top == pytest.approx(90 * MIB, rel=0.02)
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=end)
    assert canvas.view == whole


def test_keys_zoom_and_home_undoes_it(chart):
    canvas = chart.canvas
    whole, told = canvas.view, []
    canvas.zoomed.connect(told.append)
    QTest.keyClick(canvas, Qt.Key.Key_Plus)
    assert canvas.view.height < whole.height
    QTest.keyClick(canvas, Qt.Key.Key_Home)
    assert canvas.view == whole
    assert told == [True, False]


def test_the_mark_is_brought_into_view(chart):
    canvas = chart.canvas
    canvas.set_view(View(90, 150, 45 * MIB, 55 * MIB))
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.view.left <= 200 <= canvas.view.right
    assert canvas.view.bottom <= 60 * MIB <= canvas.view.top


def test_a_mark_out_of_view_is_not_drawn(chart):
    canvas, away = chart.canvas, View(150, 190, 45 * MIB, 55 * MIB)
    canvas.set_view(away)
    bare = canvas.grab().toImage()
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    assert canvas.grab().toImage() != bare
    canvas.set_view(away)
    assert canvas.grab().toImage() == bare


def test_another_axis_is_looked_at_as_a_whole(chart):
    chart.canvas.zoom(2)
    chart.set_plot(Plot(count_axis("Characters"), bytes_axis("Memory"), (PEAK,)))
    assert not chart.canvas.is_zoomed


# What is shown


def test_limits_near_the_values_are_in_view_and_others_are_not(looks):
    near = plot(PEAK, limits=(Limit("Limit", 100.0 * MIB), Limit("End", 500.0, True)))
    assert near.whole.top > 100 * MIB
    assert near.whole.right > 500
    far = plot(PEAK, limits=(Limit("Limit", 9000.0 * MIB), Limit("End", 32768.0, True)))
    assert far.whole == plot(PEAK).whole


def test_the_legend_hides_series_by_mouse_and_keys(chart):
    first, second = chart.legend.entries
    assert (first.text(), second.text()) == ("Peak", "Predicted")
    top = chart.canvas.view.top
    QTest.mouseClick(first, Qt.MouseButton.LeftButton)
    assert [one.name for one in chart.plot.shown] == ["Predicted"]
    assert "Peak" not in chart.canvas.accessibleDescription()
    second.setFocus()
    QTest.keyClick(second, Qt.Key.Key_Space)
    assert not chart.plot.shown
    QTest.keyClick(second, Qt.Key.Key_Return)
    chart.set_plot(plot(PEAK, LINE))  # a new turn: what was hidden stays hidden
    assert [one.name for one in chart.plot.shown] == ["Predicted"]
    assert first is chart.legend.entries[0]
    QTest.mouseClick(first, Qt.MouseButton.LeftButton)
    assert chart.canvas.view.top <= top


def test_an_equal_plot_changes_nothing(chart, qtbot):
    QTest.keyClick(chart.canvas, Qt.Key.Key_Right)
    before = chart.canvas.plot
    chart.set_plot(plot(PEAK, LINE, limits=(Limit("Limit", 100.0 * MIB),)))
    assert chart.canvas.plot is before
    assert chart.canvas.accessibleDescription().startswith("Tokens 100")


def test_without_points_it_says_why(chart):
    chart.set_plot(plot(empty="Each answer adds a point."))
    assert chart.canvas.accessibleDescription() == "Each answer adds a point."
    QTest.keyClick(chart.canvas, Qt.Key.Key_Right)
    wheel(chart.canvas, QPoint(50, 50), 1)
    assert not chart.canvas.is_zoomed
    assert chart.canvas.reading is None
    chart.grab()


def test_a_small_one_asks_for_more(qtbot, looks):
    made = Chart("Memory", small=True)
    qtbot.addWidget(made)
    made.set_plot(plot(PEAK, LINE))
    assert made.legend.isHidden()
    with qtbot.waitSignal(made.activated):
        QTest.mouseClick(made.canvas, Qt.MouseButton.LeftButton)


def luminance(colour: str) -> float:
    def linear(part: str) -> float:
        value = int(part, 16) / 255
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(colour[at : at + 2]) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", ["background", "panel"])
@pytest.mark.parametrize(
    "look", [theme.LIGHT, theme.DARK, theme.HIGH_LIGHT, theme.HIGH_DARK], ids=lambda one: one.name
)
def test_lines_are_seen_in_every_theme(look, ground):
    for name in ("weights", "kv", "activations", "other", "accent", "warning", "error", "dim"):
        pair = [luminance(getattr(look, colour)) + 0.05 for colour in (name, ground)]
        assert max(pair) / min(pair) >= 3, name


# Leaving


def test_the_picture_is_twice_as_fine(chart):
    picture = chart_paint.image([chart.page()])
    assert (picture.width(), picture.height()) == (2000, 1200)
    assert QImage.fromData(chart_paint.png([chart.page()])).size() == picture.size()


def test_the_drawing_has_words(chart):
    root = ET.fromstring(chart_paint.svg([chart.page()]).decode("utf-8"))
    assert (root.get("width"), root.get("height")) == ("1000", "600")
    words = "".join(root.itertext())
    assert "Predicted" in words
    assert "Memory, MiB" in words
