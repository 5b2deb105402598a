"""The card of a loaded checkpoint: sums that are right, long things cut, unread files left out."""

from __future__ import annotations

import json
import threading

import pytest

from qwen_desktop.chat.card import ModuleNode
from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine.card import MAX_TEXT, MAX_VALUE, flattened
from qwen_desktop.engine.engine import Engine
from tests.engine.checkpoints import edit_json
from tests.engine.helpers import load


def every(node: ModuleNode):
    yield node
    for child in node.children:
        yield from every(child)


def find(node: ModuleNode, kind: str) -> ModuleNode:
    return next(n for n in every(node) if n.kind == kind)


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "qwen3_moe", "qwen3_5_text"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_sums_are_those_of_the_model(opened, family, tied):
    engine = opened(family, tie_word_embeddings=tied)
    card = engine.card()
    assert card.root.nbytes == engine.info.weight_bytes
    assert card.root.parameters == engine.info.parameters
    for node in every(card.root):
        below = sum(child.nbytes for child in node.children) * node.repeats
        assert node.nbytes >= below
    heads = [node for node in every(card.root) if node.name == "lm_head"]
    assert heads[0].shared_with == ("model.embed_tokens" if tied else "")
    assert (heads[0].nbytes == 0) is tied


def test_equal_layers_are_one_node(opened):
    card = opened("qwen3", num_hidden_layers=5).card()
    (layers,) = find(card.root, "ModuleList").children
    assert (layers.name, layers.repeats, layers.kind) == ("0–4", 5, "Qwen3DecoderLayer")
    assert layers.nbytes == 5 * sum(child.nbytes for child in layers.children)


def test_layers_of_two_kinds_are_two_nodes(opened):
    card = opened("qwen3_5_text", num_hidden_layers=8).card()
    kinds = find(card.root, "ModuleList").children
    assert [(node.name, node.repeats) for node in kinds] == [("0–2, 4–6", 6), ("3, 7", 2)]


@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT4])
def test_packed_layers_count_the_weights_they_stand_for(made, engine, precision):
    folder = made("qwen3", num_hidden_layers=2)
    load(engine, folder)
    plain = engine.info.parameters
    info = engine.load(LoadRequest(folder, precision), threading.Event(), lambda _: None)
    card = engine.card()
    assert info.dtype == precision.name
    assert card.root.parameters == plain
    assert card.root.nbytes == info.weight_bytes
    packed = next(node for node in every(card.root) if node.name == "o_proj")
    assert packed.dtype == precision.value
    assert packed.parameters == 32 * 32


def test_files_of_the_folder_are_told_as_text(copied):
    folder = copied("qwen3")
    (folder / "LICENSE").write_bytes(b"<b>Licence</b> \xff " + b"x" * 2 * MAX_TEXT)
    edit_json(folder / "config.json", nested={"a": {"b": [1, 2]}}, long="y" * 10_000)
    engine = Engine()
    load(engine, folder)
    card = engine.card()
    assert card.licence_file == "LICENSE"
    assert card.licence.startswith("<b>Licence</b> \ufffd xxx")
    assert len(card.licence) < MAX_TEXT + 10
    config = dict(card.config)
    assert config["nested.a.b"] == "[1, 2]"
    assert len(config["long"]) < MAX_VALUE + 10
    assert config["num_hidden_layers"] == "2"
    assert "im_start" in card.template
    assert dict(card.generation)["do_sample"] == "false"
    special = {token.text: token.id for token in card.tokenizer.special}
    assert {"<|im_start|>", "<think>"} <= set(special)
    assert card.tokenizer.vocabulary > max(special.values())
    assert card.tokenizer.files == ("tokenizer.json",)
    assert card.devices == ("CPU",)
    assert card.runner


def test_without_a_checkpoint_there_is_no_card(engine):
    assert engine.card() is None


def test_a_folder_without_a_licence_has_none(opened):
    assert opened("qwen3").card().licence == ""


def test_values_nested_too_deeply_are_cut():
    deep: object = 1
    for _ in range(900):
        deep = {"a": deep}
    rows = flattened({"deep": deep})
    assert len(rows) == 1
    assert len(rows[0][1]) < MAX_VALUE + 10
    json.dumps(rows)
