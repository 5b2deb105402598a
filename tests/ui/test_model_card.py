"""The model card with a real model behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QAbstractItemModel, QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QAbstractItemModelTester, QTest

from qwen_desktop.bridge.models import ModelState, Phase
from qwen_desktop.ui.model_card import ModelCardWindow
from qwen_desktop.ui.module_tree import BYTES, KIND, NAME, SHARE
from tests.engine.checkpoints import chatty_checkpoint, make_checkpoint
from tests.ui.test_memory_panel import INFO


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = make_checkpoint(
        tmp_path_factory.mktemp("card") / "Small-Chat", "qwen3", num_hidden_layers=4
    )
    (folder / "LICENSE").write_text("<h1>Licence</h1>")
    return folder


@pytest.fixture
def card(qtbot, application, window, checkpoint):
    """The card of an open checkpoint."""
    application.engine.start()
    application.models.open(checkpoint)
    qtbot.waitUntil(lambda: application.models.state.phase is Phase.READY, timeout=60_000)
    window.actions_by_name["card"].trigger()
    shown = window.findChild(ModelCardWindow)
    qtbot.waitUntil(lambda: shown.pages.currentIndex() == 1, timeout=20_000)
    yield shown
    shown.close()


def rows(model: QAbstractItemModel, parent: QModelIndex | None = None) -> list[list[str]]:
    parent = parent or QModelIndex()
    return [
        [str(model.index(row, column, parent).data()) for column in range(model.columnCount())]
        for row in range(model.rowCount(parent))
    ]


def child(model: QAbstractItemModel, parent: QModelIndex, name: str) -> QModelIndex:
    names = [model.index(row, NAME, parent).data() for row in range(model.rowCount(parent))]
    return model.index(names.index(name), NAME, parent)


def test_the_tree_is_that_of_the_model(card):
    model = card.tree.modules
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    (root,) = rows(model)
    assert root[NAME] == "Small-Chat"
    assert root[KIND] == "Qwen3ForCausalLM"
    assert root[SHARE] == "100.0 %"
    layers = child(model, child(model, model.index(0, 0), "model"), "layers")
    ((name, kind, *_),) = rows(model, layers)
    assert (name, kind) == ("0–3 × 4", "4 × Qwen3DecoderLayer")
    layer = model.index(0, 0, layers)
    assert "self_attn" in [row[NAME] for row in rows(model, layer)]
    assert card.tree.isExpanded(model.index(0, 0))
    assert not card.tree.isExpanded(layer)
    assert rows(model, layer)[0][BYTES]


def test_the_head_says_how_it_was_opened(card, checkpoint):
    values = {key: label.text() for key, (_, label) in card.values.items()}
    assert values["precision"] == "FP32"
    assert values["device"] == "CPU"
    assert values["runner"]
    assert values["guesses"] == "From the text"
    assert card.place.text() == str(checkpoint)


def test_the_configuration_can_be_searched(card):
    assert card.config.shown.rowCount() > 10
    QTest.keyClicks(card.config.search, "HIDDEN_LAY")
    assert rows(card.config.shown) == [["num_hidden_layers", "4"]]


def test_template_and_licence_are_plain_text(card):
    assert "im_start" in card.template.edit.toPlainText()
    card.tabs.setCurrentIndex(2)
    QTest.mouseClick(card.template.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == card.template.edit.toPlainText()
    assert card.template.copy.text() == "Copied"
    assert card.licence.edit.toPlainText() == "<h1>Licence</h1>"
    assert card.licence.title.text() == "LICENSE"


def test_special_tokens_and_defaults(card):
    assert ["<|im_start|>"] in [row[1:] for row in rows(card.tokenizer.shown)]
    assert "tokenizer.json" in card.tokenizer_line.text()
    assert ["do_sample", "false"] in rows(card.generation.shown)


def test_it_follows_the_model_that_is_open(qtbot, application, card, tmp_path):
    application.models.open(chatty_checkpoint(tmp_path / "Another"))
    qtbot.waitUntil(lambda: card.name.text() == "Another", timeout=60_000)
    qtbot.waitUntil(lambda: card.pages.currentIndex() == 1, timeout=20_000)
    assert rows(card.tree.modules)[0][KIND] == "Qwen2ForCausalLM"
    assert card.licence.edit.toPlainText() == ""
    assert card.licence.title.text() == "The folder has no licence file."


def test_while_an_answer_is_written_it_says_that_it_comes_after(qtbot, application, window):
    """The engine thread is not started here: the request waits as behind a long answer."""
    application.models._set(ModelState(Phase.READY, info=INFO))
    application.chats.ask("go on")
    window.panel.card.click()
    shown = window.findChild(ModelCardWindow)
    assert shown.waiting.text() == "Shown after this answer…"
    assert shown.waiting.isVisible()
    assert not shown.isModal()
    shown.close()


def test_while_something_loads_it_says_that_it_comes_after(application, window):
    application.models._set(ModelState(Phase.LOADING, INFO.folder, INFO))
    window.panel.card.click()
    shown = window.findChild(ModelCardWindow)
    assert shown.waiting.text() == "Shown when loading has ended…"
    shown.close()


def test_without_a_checkpoint_there_is_nothing_to_show(application, window):
    assert not window.actions_by_name["card"].isEnabled()
    assert not window.panel.card.isVisible()
    window.checkpoints.show_card()
    assert window.findChild(ModelCardWindow) is None


def test_a_base_model_says_what_it_does(application, window):
    base = replace(INFO, has_chat_template=False)
    application.models._set(ModelState(Phase.READY, info=base))
    assert window.header.mode.isVisible()
    assert window.empty.line.text() == "Base model: it continues text; there are no turns."
    assert window.composer.edit.placeholderText() == "Text to continue…"
    application.models._set(ModelState(Phase.READY, info=INFO))
    assert not window.header.mode.isVisible()
    assert window.composer.edit.placeholderText() == "Message Qwen3-4B…"
