"""The open dialog with real folders, looked into by the real doctor."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QFileDialog, QLabel, QWidget

from qwen_desktop.bridge.doctor import Doctor
from qwen_desktop.bridge.recents import Recents
from qwen_desktop.chat.checkpoint import (
    CheckpointFacts,
    Device,
    Fit,
    FolderReport,
    KvFormat,
    LoadPlan,
    Precision,
    Share,
)
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.chat.recent import Recent
from qwen_desktop.ui.choices_view import ChoicesView
from qwen_desktop.ui.open_dialog import OpenDialog
from qwen_desktop.ui.plan_view import PlanBar
from qwen_desktop.ui.texts import GIB
from tests.engine.checkpoints import chatty_checkpoint, make_checkpoint
from tests.layouts import qwen2_layout

ENTER = Qt.Key.Key_Return


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> Path:
    """A good one, a broken one, and one that no machine can hold."""
    root = tmp_path_factory.mktemp("checkpoints")
    chatty_checkpoint(root / "Good-Chat")
    make_checkpoint(root / "Base", "qwen2", template=None)
    broken = make_checkpoint(root / "Broken", "qwen3", shards=True)
    shards = sorted(broken.glob("*.safetensors"))
    shards[0].unlink()
    os.truncate(shards[1], 200)
    qwen2_layout(root / "Huge", num_hidden_layers=2000)
    return root


@pytest.fixture
def show(qtbot, looks):
    made = []

    def shown(*folders: Path) -> OpenDialog:
        recents = Recents([Recent(str(folder), folder.name, "qwen2", 4, 8) for folder in folders])
        doctor = Doctor()
        dialog = OpenDialog(recents, doctor)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        dialog.asked = []
        dialog.chosen.connect(dialog.asked.append)
        dialog.recents = recents
        qtbot.addWidget(dialog)
        dialog.show()
        made.append((dialog, doctor))
        return dialog

    yield shown
    for dialog, doctor in made:
        doctor.close()
        dialog.close()


def settled(qtbot, dialog: OpenDialog) -> None:
    """Wait until the folder was looked into."""
    qtbot.waitUntil(lambda: not dialog._request_id, timeout=20_000)


def texts(widget: QWidget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if label.isVisible())


def choose(box: QComboBox, value: object) -> None:
    box.setCurrentIndex(next(i for i in range(box.count()) if box.itemData(i) == value))


def test_the_newest_folder_is_looked_into_at_once(qtbot, folders, show):
    dialog = show(folders / "Good-Chat", folders / "Base")
    assert dialog.focusWidget() is dialog.recent
    assert not dialog.open_button.isEnabled()
    assert dialog.reason.text() == "Looking into the folder…"
    settled(qtbot, dialog)
    shown = texts(dialog)
    for words in ("Good-Chat", "Qwen2", "131,072 tokens", "BF16", "What fits now", "layers 0–1"):
        assert words in shown
    assert dialog.open_button.isEnabled()
    assert dialog.reason.text() == ""


def test_enter_opens_with_auto(qtbot, folders, show):
    dialog = show(folders / "Good-Chat")
    settled(qtbot, dialog)
    QTest.keyClick(dialog.recent, ENTER)
    assert dialog.asked == [LoadRequest(folders / "Good-Chat", context=8192)]
    assert not dialog.isVisible()


def test_enter_before_the_folder_was_looked_into_opens_it_then(qtbot, folders, show):
    dialog = show(folders / "Good-Chat")
    QTest.keyClick(dialog.recent, ENTER)
    assert dialog.asked == []
    qtbot.waitUntil(lambda: bool(dialog.asked), timeout=20_000)


def test_a_double_click_opens(qtbot, folders, show):
    dialog = show(folders / "Base", folders / "Good-Chat")
    settled(qtbot, dialog)
    view = dialog.recent
    place = view.visualRect(view.model().index(1, 0)).center()
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.waitUntil(lambda: bool(dialog.asked), timeout=20_000)
    assert dialog.asked[0].folder == folders / "Good-Chat"


def test_a_broken_folder_says_what_is_wrong_and_cannot_be_opened(qtbot, folders, show):
    dialog = show(folders / "Broken")
    settled(qtbot, dialog)
    findings = [label for label in dialog.findChildren(QLabel, "finding") if label.isVisible()]
    told = "\n".join(label.text() for label in findings)
    assert "model-00001" in told
    assert "truncated" in told
    assert all(label.accessibleName().startswith("Error: ") for label in findings)
    assert findings[0].textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse
    assert not dialog.open_button.isEnabled()
    assert dialog.reason.text() == "This folder cannot be opened."
    QTest.keyClick(dialog.recent, ENTER)
    assert dialog.asked == []


def test_a_model_that_does_not_fit_says_so(qtbot, folders, show):
    dialog = show(folders / "Huge")
    settled(qtbot, dialog)
    assert dialog.reason.text().startswith("Does not fit: ")
    assert not dialog.open_button.isEnabled()
    assert dialog.open_button.accessibleDescription() == dialog.reason.text()
    model = dialog.choices.table.fits
    words = model.data(model.index(0, 0), Qt.ItemDataRole.AccessibleTextRole)
    assert "2,048 tokens: does not fit" in words
    assert model.data(model.index(0, 0)) == "✗"


def test_a_folder_of_folders_offers_those(qtbot, folders, show):
    dialog = show()
    dialog.show_folder(folders)
    settled(qtbot, dialog)
    buttons = [b for b in dialog.findChildren(QWidget, "nestedFolder") if b.isVisible()]
    assert [b.text() for b in buttons] == ["Base", "Broken", "Good-Chat", "Huge"]
    assert not dialog.open_button.isEnabled()
    QTest.mouseClick(buttons[2], Qt.MouseButton.LeftButton)
    settled(qtbot, dialog)
    assert dialog.name.text() == "Good-Chat"
    assert dialog.open_button.isEnabled()


def test_models_in_a_download_cache_are_called_by_their_names(qtbot, folders, show, tmp_path):
    for place in ("models--Qwen--A/snapshots/11112222aa", "models--Qwen--B/snapshots/33334444bb"):
        shutil.copytree(folders / "Base", tmp_path / place)
    shutil.copytree(folders / "Base", tmp_path / "models--Qwen--B" / "snapshots" / "55556666cc")
    dialog = show()
    dialog.show_folder(tmp_path)
    settled(qtbot, dialog)
    buttons = [b for b in dialog.findChildren(QWidget, "nestedFolder") if b.isVisible()]
    assert [b.text() for b in buttons] == ["A", "B (33334444)", "B (55556666)"]
    QTest.mouseClick(buttons[1], Qt.MouseButton.LeftButton)
    settled(qtbot, dialog)
    assert dialog.name.text() == "B"


def test_from_the_picker_enter_goes_on_in_what_was_picked(qtbot, folders, show):
    dialog = show(folders / "Base")
    settled(qtbot, dialog)
    dialog.choose.setFocus()
    dialog.show_folder(folders)
    settled(qtbot, dialog)
    assert dialog.focusWidget().accessibleName() == "Base"
    dialog.choose.setFocus()
    dialog.show_folder(folders / "Good-Chat")
    settled(qtbot, dialog)
    assert dialog.focusWidget() is dialog.choices.precision
    QTest.keyClick(dialog.focusWidget(), ENTER)
    assert [request.folder for request in dialog.asked] == [folders / "Good-Chat"]


def test_enter_opens_also_after_the_focus_has_gone_over_all_buttons(qtbot, folders, show):
    dialog = show(folders / "Good-Chat")
    settled(qtbot, dialog)
    qtbot.waitUntil(dialog.isActiveWindow)
    for _ in range(12):
        QTest.keyClick(dialog.focusWidget(), Qt.Key.Key_Tab)
    dialog.choices.table.setFocus()
    assert dialog.open_button.isDefault()
    QTest.keyClick(dialog.choices.table, ENTER)
    assert len(dialog.asked) == 1


def test_many_findings_of_one_kind_are_counted(qtbot, show, tmp_path):
    folder = make_checkpoint(tmp_path / "Cloned", "qwen3", shards=True)
    shards = sorted(folder.glob("*.safetensors"))
    for shard in shards:
        shard.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    dialog = show(folder)
    settled(qtbot, dialog)
    told = [label.text() for label in dialog.findChildren(QLabel, "finding") if label.isVisible()]
    assert len(told) == 3 < len(shards)
    assert f"And {len(shards) - 3} more like these." in texts(dialog)
    assert [v.text() for v in dialog.facts.findChildren(QLabel) if v.text() == "–"] == ["–", "–"]


def test_the_newest_folder_wins(qtbot, folders, show):
    dialog = show(folders / "Broken")
    dialog.show_folder(folders / "Huge")
    dialog.show_folder(folders / "Good-Chat")
    settled(qtbot, dialog)
    assert dialog._report.folder == folders / "Good-Chat"
    assert "truncated" not in texts(dialog)


def test_a_base_model_says_so(qtbot, folders, show):
    dialog = show(folders / "Base")
    settled(qtbot, dialog)
    assert "Base model: it continues text" in texts(dialog)


def test_choices_are_opened_and_offered_again(qtbot, folders, show):
    dialog = show(folders / "Good-Chat")
    settled(qtbot, dialog)
    choices = dialog.choices
    choose(choices.precision, "bf16")
    choose(choices.placement, "cpu")
    choose(choices.context, 2048)
    assert choices.plan.precision is Precision.BF16
    model, current = choices.table.fits, choices.table.currentIndex()
    assert model.precisions[current.row()] is Precision.BF16
    assert model.contexts[current.column()] == 2048
    QTest.mouseClick(dialog.open_button, Qt.MouseButton.LeftButton)
    wanted = LoadRequest(folders / "Good-Chat", Precision.BF16, "cpu", 2048)
    assert dialog.asked == [wanted]

    again = show(folders / "Good-Chat")
    from tests.ui.test_memory_panel import INFO

    again.recents.remember(INFO, wanted)
    again.show_folder(folders / "Good-Chat")
    settled(qtbot, again)
    assert again.choices.request(wanted.folder) == wanted


def test_a_cell_of_the_table_is_a_choice(qtbot, folders, show):
    dialog = show(folders / "Good-Chat")
    settled(qtbot, dialog)
    table = dialog.choices.table
    row = table.fits.precisions.index(Precision.FP16)
    place = table.visualRect(table.fits.index(row, 1)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert dialog.choices.precision.currentData() == Precision.FP16
    assert dialog.choices.context.currentData() == table.fits.contexts[1]
    QTest.keyClick(table, Qt.Key.Key_Right)
    assert dialog.choices.context.currentData() == table.fits.contexts[2]
    QTest.keyClick(table, ENTER)
    assert dialog.asked[0].precision is Precision.FP16


def test_missing_folders_are_greyed_and_can_be_removed(qtbot, folders, show):
    from qwen_desktop.ui.recent_list import MISSING_ROLE

    dialog = show(folders / "Good-Chat", folders / "Gone")
    gone = dialog.rows.index_of(str(folders / "Gone"))
    qtbot.waitUntil(lambda: gone.data(MISSING_ROLE), timeout=20_000)
    assert "Folder not found" in gone.data(Qt.ItemDataRole.AccessibleTextRole)
    assert not dialog.rows.index(0).data(MISSING_ROLE)
    QTest.keyClick(dialog.recent, Qt.Key.Key_Down)
    settled(qtbot, dialog)
    assert not dialog.open_button.isEnabled()
    QTest.keyClick(dialog.recent, Qt.Key.Key_Delete)
    assert [entry.name for entry in dialog.recents.entries] == ["Good-Chat"]


def test_nothing_jumps_while_a_folder_is_looked_into(qtbot, folders, show):
    dialog = show(folders / "Good-Chat", folders / "Broken")
    settled(qtbot, dialog)
    places = [w.geometry() for w in (dialog._left, dialog._right, dialog._foot, dialog.pages)]
    dialog.show_folder(folders / "Broken")
    assert dialog.pages.currentWidget() is dialog._busy
    during = [w.geometry() for w in (dialog._left, dialog._right, dialog._foot, dialog.pages)]
    settled(qtbot, dialog)
    assert places == during


def test_escape_leaves_everything(qtbot, folders, show):
    dialog = show(folders / "Good-Chat")
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    assert dialog.asked == []


def test_texts_of_strangers_are_no_markup(qtbot, show, tmp_path):
    wild = tmp_path / "<img src=x>&amp;"
    wild.mkdir()
    (wild / "config.json").write_text(json.dumps({"model_type": "<b>qwen2</b>"}))
    dialog = show()
    dialog.show_folder(wild)
    settled(qtbot, dialog)
    assert wild.name in texts(dialog)
    for label in dialog.findChildren(QLabel):
        assert label.textFormat() is Qt.TextFormat.PlainText


# --- two cards, which the machine of the test does not have ------------------------

CARDS = (
    Device("cuda:0", "Card", 24 * GIB, 20 * GIB),
    Device("cuda:1", "Card", 24 * GIB, 8 * GIB),
    Device("cpu", "CPU", 64 * GIB, 40 * GIB),
)


def plan(placement: str, precision: Precision, context: int, *shares: Share) -> LoadPlan:
    fits = all(share.need <= share.device.free for share in shares)
    runs_in = Precision.BF16 if precision is Precision.AUTO else precision
    return LoadPlan(
        placement, precision, runs_in, False, context, shares, Fit.YES if fits else Fit.NO
    )


def report_with_cards() -> FolderReport:
    facts = CheckpointFacts(
        "qwen3", "Qwen3", 8, 8, 36, 32, 8, 128, 4096, 151936, 0, 40960, True, "BF16", "", 5,
        16 * GIB, {"BF16": 16 * GIB}, 147456, 0,
    )  # fmt: skip
    plans = {}
    for precision, weights in ((Precision.AUTO, 16), (Precision.BF16, 16), (Precision.INT4, 5)):
        for context in (2048, 8192):
            kv = context * 147456
            one = Share(CARDS[0], weights * GIB, kv, GIB, 0, 35)
            other = Share(CARDS[1], weights * GIB, kv, GIB, 0, 35)
            halves = (
                Share(CARDS[0], 12 * GIB, kv // 2, GIB, 0, 26),
                Share(CARDS[1], 4 * GIB, kv // 2, GIB, 27, 35),
            )
            for placement, shares in (
                ("auto", (one,)), ("cuda:0", (one,)), ("cuda:1", (other,)), ("split", halves),
            ):  # fmt: skip
                plans[placement, precision, context] = plan(placement, precision, context, *shares)
    return FolderReport(
        Path("/models/a"),
        facts,
        (),
        CARDS,
        ("auto", "cuda:0", "cuda:1", "split"),
        (Precision.AUTO, Precision.BF16, Precision.INT4),
        (2048, 8192),
        plans=plans,
    )


def with_variants(report: FolderReport) -> FolderReport:
    """The same, offering 8-bit keys and values, and YaRN by 2 and by 4."""
    stretched = {2.0: (8192, 65536), 4.0: (8192, 131072)}
    contexts = sorted({*report.contexts, *stretched[2.0], *stretched[4.0]})
    variants = {}
    for kv, nbytes in ((KvFormat.MODEL, 147456), (KvFormat.INT8, 78336)):
        variants[kv] = {}
        for placement, precision, _ in report.plans:
            for context in contexts:
                share = Share(CARDS[0], 5 * GIB, context * nbytes, GIB, 0, 35)
                made = replace(plan(placement, precision, context, share), kv=kv)
                variants[kv][placement, precision, context] = made
    return replace(
        report,
        kv_formats=(KvFormat.MODEL, KvFormat.INT8),
        rope_factors=(1.0, 2.0, 4.0),
        plans={key: variants[KvFormat.MODEL][key] for key in report.plans},
        variants=variants,
        stretched=stretched,
    )


@pytest.fixture
def choices(qtbot, looks):
    made = ChoicesView()
    qtbot.addWidget(made)
    made.resize(640, 600)
    made.show()
    made.set_report(report_with_cards(), LoadRequest(Path("/models/a")))
    return made


def bars(choices: ChoicesView) -> list[PlanBar]:
    return [bar for bar in choices.findChildren(PlanBar) if bar.isVisible()]


def test_each_device_has_a_bar_with_its_layers(qtbot, choices):
    assert [bar.accessibleName() for bar in bars(choices)] == ["Card layers 0–35"]
    choose(choices.placement, "split")
    qtbot.waitUntil(lambda: len(bars(choices)) == 2)
    names = [bar.accessibleName() for bar in bars(choices)]
    assert names == ["Card layers 0–26", "Card layers 27–35"]
    assert "13.6 GiB of 20.0 GiB free" in texts(choices)
    assert bars(choices)[0].accessibleDescription() == (
        "13.6 GiB of 20.0 GiB free: weights 12.0 GiB, KV cache 0.6 GiB, reserve 1.0 GiB"
    )


def test_cards_of_one_name_have_numbers(choices):
    items = [choices.placement.itemText(i) for i in range(choices.placement.count())]
    assert items == ["Auto", "Card (0)", "Card (1)", "Split over all devices"]


def test_each_precision_tells_its_weights(choices):
    items = [choices.precision.itemText(i) for i in range(choices.precision.count())]
    assert items == ["Auto (BF16) · 16.0 GiB", "BF16 · 16.0 GiB", "4-bit · 5.0 GiB"]


def test_what_does_not_fit_names_what_would(choices):
    choose(choices.placement, "cuda:1")
    assert choices.plan.fit is Fit.NO
    assert choices.better() is Precision.INT4


def test_wishes_that_are_not_offered_fall_back(choices):
    wanted = LoadRequest(Path("/models/a"), Precision.FP16, "cuda:7", 4096)
    choices.set_report(report_with_cards(), wanted)
    assert choices.request(wanted.folder) == LoadRequest(wanted.folder, context=8192)


def items(box: QComboBox) -> list[str]:
    return [box.itemText(i) for i in range(box.count())]


def test_what_is_not_offered_is_not_shown(choices):
    assert not choices.kv.isVisible()
    assert not choices.stretch.isVisible()
    assert not choices.warning.isVisible()


def test_each_format_of_the_cache_tells_its_bytes(choices):
    choices.set_report(with_variants(report_with_cards()), LoadRequest(Path("/models/a")))
    assert items(choices.kv) == ["As the model · 1.1 GiB", "8-bit · 0.6 GiB"]
    choose(choices.kv, KvFormat.INT8)
    assert choices.plan.kv is KvFormat.INT8
    assert "KV cache 0.6 GiB" in texts(choices)
    assert choices.request(Path("/models/a")).kv is KvFormat.INT8


def test_a_stretched_context_offers_more_and_warns(choices):
    choices.set_report(with_variants(report_with_cards()), LoadRequest(Path("/models/a")))
    assert items(choices.stretch) == [
        "As it is · 8,192 tokens",
        "YaRN ×2 · 65,536 tokens",
        "YaRN ×4 · 131,072 tokens",
    ]
    told = []
    choices.changed.connect(lambda: told.append(choices.plan.context))
    choose(choices.stretch, 2.0)
    assert items(choices.context) == ["8,192 tokens", "65,536 tokens"]
    assert told == [8192]  # what was chosen stays
    assert "get worse" in choices.warning.text()
    assert choices.warning.isVisible()
    assert choices.table.fits.contexts == (8192, 65536)
    choose(choices.context, 65536)
    wanted = LoadRequest(Path("/models/a"), context=65536, rope_factor=2.0)
    assert choices.request(wanted.folder) == wanted
    choose(choices.stretch, 1.0)
    assert choices.plan.context == 8192
    assert not choices.warning.isVisible()


def test_the_choices_of_the_last_time_come_first(choices):
    wanted = LoadRequest(
        Path("/models/a"), Precision.INT4, "split", 131072, KvFormat.INT8, rope_factor=4.0
    )
    choices.set_report(with_variants(report_with_cards()), wanted)
    assert choices.request(wanted.folder) == wanted


# --- in the window -----------------------------------------------------------


def test_without_recent_folders_the_picker_comes_first(
    qtbot, application, window, folders, monkeypatch
):
    monkeypatch.setenv("QWEN_DESKTOP_QT_DIALOGS", "1")
    QTest.keyClick(window, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    picker = window.findChild(QFileDialog, "openCheckpointDialog")
    assert picker.isVisible()
    assert window.findChild(OpenDialog) is None
    picker.setDirectory(str(folders / "Good-Chat"))
    picker.selectFile(str(folders / "Good-Chat"))
    picker.done(QFileDialog.DialogCode.Accepted)
    dialog = window.findChild(OpenDialog)
    assert dialog.isVisible()
    settled(qtbot, dialog)
    QTest.keyClick(dialog, ENTER)
    assert application.models.state.folder == folders / "Good-Chat"


def test_with_recent_folders_the_dialog_comes_first(qtbot, application, window, folders):
    from tests.ui.test_memory_panel import INFO

    application.recents.remember(INFO, LoadRequest(folders / "Good-Chat"))
    window.actions_by_name["open"].trigger()
    dialog = window.findChild(OpenDialog)
    assert dialog.isVisible()
    assert window.findChild(QFileDialog) is None
    settled(qtbot, dialog)
    dialog.reject()
    qtbot.waitUntil(lambda: window.findChild(OpenDialog) is None)
    window.actions_by_name["open"].trigger()  # again, with a new one
    assert window.findChild(OpenDialog).isVisible()


def test_a_failed_load_leads_to_the_findings(qtbot, application, window, folders):
    from qwen_desktop.errors import Known

    window.checkpoints.open_folder(folders / "Broken")
    trouble = Known("{file} ends too early.", "Download it again.", file="a.safetensors")
    application.models._on_load_ended(application.models._job_id, trouble.report(), None)
    assert window.banner.label.text().endswith("Download it again. No checkpoint is open.")
    assert window.banner.action.text() == "Check folder"
    QTest.mouseClick(window.banner.action, Qt.MouseButton.LeftButton)
    dialog = window.findChild(OpenDialog)
    settled(qtbot, dialog)
    assert "truncated" in texts(dialog)
    assert not window.banner.isVisible()


def test_a_cancelled_load_says_what_is_open(qtbot, application, window, folders):
    window.checkpoints.open_folder(folders / "Good-Chat")
    assert window.panel.loading.isVisible()
    application.models.cancel()
    assert window.toast.label.text() == "Loading was cancelled. No checkpoint is open."
    assert not window.panel.loading.isVisible()


def test_a_checkpoint_that_ended_the_last_start_is_not_loaded_by_itself(
    application, window, folders
):
    request = LoadRequest(folders / "Good-Chat", Precision.BF16)
    window.show_not_reopened(request)
    assert window.banner.label.text().startswith("Good-Chat was not reopened: ")
    assert not application.models.state.busy
    QTest.mouseClick(window.banner.action, Qt.MouseButton.LeftButton)
    assert application.models.request == request
    assert application.models.state.busy
