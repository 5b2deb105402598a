"""Memory and speed of a conversation against its context: plots, table, dialog, panel."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from functools import partial

import pytest
from PySide6.QtCore import QCoreApplication, Qt, QTranslator
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtTest import QTest

from qwen_desktop.chat.measured import Measured, Predicted
from qwen_desktop.chat.messages import AnswerStats, Message, Part, PartKind, Provenance, Role
from qwen_desktop.chat.messages import user_message as asked
from qwen_desktop.chat.tree import Conversation, Tree
from qwen_desktop.ui import chart_paint
from qwen_desktop.ui.context_chart import ContextChart
from qwen_desktop.ui.context_chart_plots import SPEEDS, memory_plot, speed_plot
from qwen_desktop.ui.context_chart_table import CSV_COLUMNS, csv_text

GIB = 2**30


def point(turn: int, **changes: object) -> Measured:
    made = Measured(
        message_id=f"m{turn}",
        turn=turn,
        tokens=500 * turn,
        characters=2000 * turn,
        peak=15 * GIB + turn * GIB // 4,
        steady=15 * GIB + turn * GIB // 8,
        planned=15 * GIB + turn * GIB // 4,
        first_token_seconds=0.2 * turn,
        prefill_speed=2000.0,
        decode_speed=40.0 - turn,
        new_tokens=50,
        model="Qwen3-8B",
        fingerprint="f",
        precision="BF16",
        kv_format="model",
        device="CPU",
    )
    return replace(made, **changes)


POINTS = tuple(point(turn) for turn in range(1, 5))
PREDICTED = Predicted(
    name="Qwen3-8B",
    fingerprint="f",
    precision="BF16",
    kv_format="model",
    device="CPU",
    points=((1, 15 * GIB, 16 * GIB), (32768, 20 * GIB, 22 * GIB)),
    weights=15 * GIB,
    context_length=32768,
    limit_tokens=32768,
    limit_bytes=23 * GIB,
    device_bytes=24 * GIB,
)


def by_name(plot):
    return {series.name: series for series in plot.series}


# Plots


def test_measured_points_stand_over_predicted_lines(looks):
    shown = by_name(memory_plot(POINTS, PREDICTED))
    assert set(shown) == {"Peak", "After the turn", "Peak, predicted", "After the turn, predicted"}
    assert shown["Peak"].points[0] == (500.0, 15.25 * GIB)
    assert shown["Peak"].notes == ("Turn 1", "Turn 2", "Turn 3", "Turn 4")
    line = shown["Peak, predicted"].points
    assert line[-1][0] == 3000  # half as far again as the conversation has come
    assert line[-1][1] == PREDICTED.at(3000)[1]


def test_the_lines_go_to_the_limit_when_asked(looks):
    plot = memory_plot(POINTS, PREDICTED, whole=True)
    assert by_name(plot)["Peak, predicted"].points[-1] == (32768.0, 22.0 * GIB)
    assert {(one.name, one.value) for one in plot.limits} == {
        ("Memory limit", 23.0 * GIB),
        ("Context limit", 32768.0),
    }
    assert plot.whole.right > 32768
    assert plot.whole.top > 23 * GIB


def test_characters_are_those_of_the_conversation(looks):
    plot = memory_plot(POINTS, PREDICTED, characters=True)
    shown = by_name(plot)
    assert plot.x.name == "Characters in the context"
    assert shown["Peak"].points[0][0] == 2000
    assert shown["Peak, predicted"].points[-1][0] == 4 * 3000
    assert {one.value for one in plot.limits if one.upright} == {4.0 * 32768}


def test_other_checkpoints_and_precisions_are_told_apart(looks):
    mixed = (
        point(1, precision="INT4 (GPTQ)"),
        point(2, fingerprint="g", model="Qwen3-4B"),
        *POINTS[2:],
    )
    shown = by_name(memory_plot(mixed, PREDICTED))
    assert len(shown["Peak"].points) == 2
    assert shown["Peak, Qwen3-8B · INT4 (GPTQ)"].faint
    assert shown["Peak, Qwen3-4B · BF16"].faint
    speeds = by_name(speed_plot(mixed, PREDICTED, SPEEDS[0]))
    assert len(speeds) == 3
    assert len(speeds["Qwen3-8B · BF16"].points) == 2


def test_twins_keep_names_of_their_own(looks):
    mixed = (point(1, fingerprint="g"), point(2, fingerprint="h"), point(3))
    names = [one.name for one in memory_plot(mixed, None).series]
    assert len(set(names)) == len(names) == 4


def test_answers_without_figures_leave_no_points_of_zero(looks):
    bare = (point(1, peak=0, steady=0, first_token_seconds=0.0), point(2))
    shown = by_name(memory_plot(bare, None))
    assert len(shown["Peak"].points) == len(shown["After the turn"].points) == 1
    assert len(speed_plot(bare, None, SPEEDS[0]).series[0].points) == 1


def test_answers_of_servers_have_no_memory_here(looks):
    points = [replace(one, peak=0, steady=0, served=True) for one in POINTS]
    plot = memory_plot(points, None)
    assert not [series for series in plot.series if series.points]
    assert "not known here" in plot.empty


def test_values_that_no_axis_reaches_are_left_out(looks):
    odd = (
        point(5, first_token_seconds=1e300, peak=10**300, characters=9000),
        point(6, first_token_seconds=float("inf"), decode_speed=float("nan")),
    )
    for made in (memory_plot, *(partial(speed_plot, speed=speed) for speed in SPEEDS)):
        plot = made((*POINTS, *odd), PREDICTED)
        chart_paint.png([(plot, plot.whole)])
    first = speed_plot((*POINTS, *odd), PREDICTED, SPEEDS[0]).series[0]
    assert len(first.points) == len(first.notes) == len(POINTS)


def test_a_new_chat_shows_what_is_to_come(looks):
    plot = memory_plot((), PREDICTED)
    assert by_name(plot)["Peak, predicted"].points[-1][0] == 32768
    assert not memory_plot((), PREDICTED, small=True).series
    assert memory_plot((), None).empty.startswith("Nothing has been measured")


def test_a_small_one_has_no_more_points_than_can_be_seen(looks):
    many = tuple(point(turn) for turn in range(1, 1001))
    peak = by_name(memory_plot(many, PREDICTED, small=True))["Peak"].points
    assert len(peak) <= 101
    assert peak[-1][0] == many[-1].tokens
    assert len(by_name(memory_plot(many, PREDICTED))["Peak"].points) == 1000


# Numbers


def test_csv_has_everything_in_whole_units():
    first, *_ = rows = list(csv.DictReader(io.StringIO(csv_text(POINTS))))
    assert tuple(first) == CSV_COLUMNS
    assert len(rows) == 4
    assert int(first["peak_bytes"]) == POINTS[0].peak
    assert first["other_chats_bytes"] == "0"
    assert float(first["decode_tokens_per_second"]) == 39.0
    bare = next(csv.DictReader(io.StringIO(csv_text([point(1, peak=0, steady=0)]))))
    assert bare["peak_bytes"] == bare["other_chats_bytes"] == ""


def test_names_are_no_formulas():
    row = next(csv.DictReader(io.StringIO(csv_text([point(1, model="=1+1")]))))
    assert row["model"] == "'=1+1"


# The dialog


@pytest.fixture
def dialog(qtbot, looks):
    made = ContextChart()
    qtbot.addWidget(made)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    made.show_data(POINTS, PREDICTED, "A talk")
    made.show()
    qtbot.waitExposed(made)
    return made


def test_choices_change_the_chart(dialog):
    chart = dialog.memory
    assert chart.plot.x.name == "Tokens in the context"
    assert chart.plot.title == "Memory against context – A talk"
    dialog.across.setCurrentIndex(1)
    assert chart.plot.x.name == "Characters in the context"
    right = chart.plot.whole.right
    dialog.up_to_limit.click()
    assert chart.plot.whole.right > right


def test_a_new_turn_is_shown_at_once_and_the_zoom_stays(dialog):
    QTest.keyClick(dialog.memory.canvas, Qt.Key.Key_Plus)
    assert dialog.reset.isEnabled()
    view = dialog.memory.canvas.view
    dialog.show_data((*POINTS, point(5)), PREDICTED, "A talk")
    assert len(by_name(dialog.memory.plot)["Peak"].points) == 5
    assert dialog.memory.canvas.view == view
    QTest.mouseClick(dialog.reset, Qt.MouseButton.LeftButton)
    assert not dialog.memory.canvas.is_zoomed
    assert not dialog.reset.isEnabled()


def test_speeds_stand_on_their_own_page(dialog):
    dialog.tabs.setCurrentIndex(1)
    first, reading, writing = dialog.speeds
    assert first.plot.series[0].points[1] == (1000.0, 0.4)
    assert reading.plot.series[0].points[0][1] == 2000.0
    assert writing.plot.series[0].points[0][1] == 39.0
    QTest.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().image()
    assert (copied.width(), copied.height()) == (2000, 3 * 680)


def test_the_table_is_read_and_copied(dialog):
    dialog.tabs.setCurrentIndex(2)
    table = dialog.table
    assert table.points.rowCount() == 4
    assert table.points.texts(0)[:4] == ("1", "500", "2,000", "15.250 GiB")
    table.selectRow(1)
    QTest.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["Turn", "2"]
    table.clearSelection()
    assert dialog.copy.text() == "Copy table"
    QTest.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    assert len(QGuiApplication.clipboard().text().splitlines()) == 5


def test_a_new_row_leaves_what_is_chosen(dialog):
    dialog.tabs.setCurrentIndex(2)
    dialog.table.selectRow(1)
    dialog.show_data((*POINTS, point(5)), PREDICTED, "A talk")
    assert dialog.table.points.rowCount() == 5
    assert dialog.table.selectionModel().isRowSelected(1)


class Marked(QTranslator):
    """Another language: every sentence of an error stands in brackets."""

    def isEmpty(self) -> bool:
        return False

    def translate(self, context, text, *_rest) -> str:
        return f"[{text}]" if context == "errors" else ""


def test_why_it_was_not_saved_is_told_in_the_language_of_the_interface(dialog, qtbot, tmp_path):
    other = Marked()
    QCoreApplication.installTranslator(other)
    try:
        (tmp_path / "file").touch()
        with qtbot.waitSignal(dialog.saving.failed):
            dialog.saving.save(tmp_path / "file" / "a.csv", ".csv")
        qtbot.waitUntil(lambda: bool(dialog.said.text()))
        assert dialog.said.text().startswith("[")
    finally:
        QCoreApplication.removeTranslator(other)


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.csv", "a.b"])
def test_the_name_says_what_is_saved(dialog, qtbot, tmp_path, name):
    dialog.tabs.setCurrentIndex(2)  # also of charts that nobody has looked at yet
    with qtbot.waitSignal(dialog.saving.saved) as saved:
        dialog.saving.save(tmp_path / name, ".png")
    (file,) = saved.args
    if name.endswith("svg"):
        assert "<svg" in file.read_text("utf-8")
    elif name.endswith("csv"):
        assert file.read_bytes().decode() == csv_text(POINTS)
    else:
        assert file.suffix == ".png"
        assert QImage(str(file)).width() == 2000
    qtbot.waitUntil(lambda: file.name in dialog.said.text())


# The window


def talk(count: int) -> Conversation:
    messages: list[Message] = []
    for number in range(1, count + 1):
        question = asked(f"question {number}", messages[-1].id if messages else None)
        reply = Message(
            Role.ASSISTANT,
            (Part(PartKind.TEXT, "An answer."),),
            parent_id=question.id,
            stats=AnswerStats(
                model="Qwen3-8B",
                prompt_tokens=100 * number,
                answer_tokens=20,
                first_token_seconds=0.1,
                decode_seconds=1.0,
            ),
            provenance=Provenance(
                fingerprint="f",
                precision="BF16",
                device="CPU",
                peak_bytes=16 * GIB + number * 2**20,
                held_bytes=15 * GIB + number * 2**20,
            ),
        )
        messages += [question, reply]
    return Conversation(title="A talk", tree=Tree.of(messages))


@pytest.fixture
def filled(application, qtbot):
    conversation = talk(3)
    application.store.keep(lambda store: store.create(conversation))
    application.chats.open(conversation.id)
    qtbot.waitUntil(lambda: len(application.measuring.points) == 3)
    return application


def test_the_panel_has_a_small_one_that_leads_to_the_large(filled, qtbot):
    charting = filled.window.charting
    assert len(by_name(charting.small.plot)["Peak"].points) == 3
    assert filled.window.panel.isAncestorOf(charting.small)
    QTest.mouseClick(charting.small.canvas, Qt.MouseButton.LeftButton)
    assert charting.dialog.isVisible()
    assert charting.dialog.title.text() == "A talk"
    assert not charting.dialog.isModal()


def test_the_dialog_follows_the_shown_chat_and_comes_back_where_it_was(filled, qtbot):
    window = filled.window
    window.actions_by_name["memory_chart"].trigger()
    dialog = window.charting.dialog
    window.actions_by_name["memory_chart"].trigger()
    assert window.charting.dialog is dialog
    filled.chats.new()
    qtbot.waitUntil(lambda: dialog.title.text() == "New chat")
    assert not dialog.memory.plot.shown
    dialog.resize(760, 610)
    dialog.accept()
    assert window.charting.dialog is None
    qtbot.waitUntil(lambda: filled.remembered.state.chart_place != "")
    window.charting.show()
    assert (window.charting.dialog.width(), window.charting.dialog.height()) == (760, 610)


def test_the_button_in_the_panel_is_reached_by_keys(filled):
    window = filled.window
    more = window.charting.more
    assert more.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert window.right_handle.nextInFocusChain() is more
    QTest.keyClick(more, Qt.Key.Key_Return)
    assert window.charting.dialog.isVisible()
