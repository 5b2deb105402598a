"""The table that comes with the program: every entry makes sense, and its numbers add up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qwen_desktop.chat.catalogue import Catalogue, Stored
from qwen_desktop.chat.hub import Hub, RepositoryName
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.described import described
from qwen_desktop.engine.families import text_families
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.hub import catalogue as table
from qwen_desktop.hub.catalogue import FILE, bundled, parse

OFFERS = bundled().offers
KNOWN = [offer for offer in OFFERS if offer.config]
# Depth, width and inner width of the eyes of the checkpoints that have some.
EYES = {0.8: (12, 768, 3072), 2: (24, 1024, 4096), 4: (24, 1024, 4096)}


def test_every_repository_stands_once_and_on_both_hubs() -> None:
    keys = [offer.key for offer in OFFERS]
    assert len(set(keys)) == len(keys) > 150
    for offer in OFFERS:
        assert set(offer.repositories) == set(Hub)
        names = {name.name for name in offer.repositories.values()}
        assert len(names) == 1, offer.key
        assert {name.owner.lower() for name in offer.repositories.values()} == {"qwen"}
        assert "Base" not in offer.key
        assert offer.parameters > 0


def test_the_series_of_the_beginning_and_of_now_are_there() -> None:
    series = {offer.series for offer in OFFERS}
    assert {"Qwen", "Qwen1.5", "Qwen2", "Qwen2.5", "QwQ", "Qwen3", "Qwen3.5"} <= series
    assert {offer.stored for offer in OFFERS} == set(Stored)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", bundled().as_of)
    assert len(json.loads(FILE.read_text(encoding="utf-8"))["made"]) > 100


@pytest.mark.parametrize("offer", KNOWN, ids=lambda offer: offer.key)
def test_numbers_reproduce_the_count_that_was_published(offer) -> None:
    family = offer.config["model_type"]
    assert family == QWEN1 or family in text_families() or family.startswith("qwen3")
    made = architecture(offer.config)
    assert made.layers > 0
    assert made.vocabulary > 90_000
    model, download = described(offer)
    counted = model.weights.parameters
    if (offer.parameters / 1e9) in (0.8, 2, 4) and offer.series == "Qwen3.5":
        # Too few digits on the card: all that is in the files is counted there.
        assert counted + beside(offer) == pytest.approx(offer.stored_parameters, rel=0.02)
    else:
        assert counted == pytest.approx(offer.parameters, rel=0.02)
    if offer.active:
        assert model.weights.active == pytest.approx(offer.active, rel=0.31)  # "A3B" is 3.9
    bits = {Stored.BF16: 16, Stored.FP8: 8, Stored.GPTQ_INT8: 8}.get(offer.stored, 4)
    assert counted * bits / 8 <= download < 1.4 * counted * 2
    assert model.codes == (0 if bits == 16 or offer.stored is Stored.FP8 else bits)


def beside(offer) -> int:
    """Parameters of the eyes, and of the layer that guesses ahead, of a checkpoint that sees."""
    depth, width, inner = EYES[offer.parameters / 1e9]
    hidden = offer.config["hidden_size"]
    merged = 4 * width
    eyes = depth * (4 * width**2 + 2 * width * inner) + merged**2 + merged * hidden
    eyes += 3 * 2 * 16 * 16 * width + 2304 * width
    heads = offer.config["num_attention_heads"] * 256
    keys = offer.config["num_key_value_heads"] * 256
    layer = hidden * (3 * heads + 2 * keys + 3 * offer.config["intermediate_size"])
    return eyes + layer + 2 * hidden**2


@pytest.mark.parametrize(
    ("key", "gigabytes"),
    [  # of model pages: what all .safetensors of the repository weigh
        ("Qwen2.5-7B-Instruct", 15.23),
        ("Qwen2.5-7B-Instruct-GPTQ-Int4", 5.57),
        ("Qwen2.5-72B-Instruct-AWQ", 41.6),
        ("Qwen3-8B-FP8", 9.44),
        ("Qwen3-8B-AWQ", 6.1),
        ("Qwen3-0.6B", 1.5),
        ("Qwen3-30B-A3B", 61.1),
    ],
)
def test_sizes_are_those_of_the_repositories(key, gigabytes) -> None:
    offer = next(offer for offer in OFFERS if offer.key == key)
    assert described(offer)[1] / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_a_repository_is_found_by_its_name_on_either_hub() -> None:
    found = bundled().offers_of(RepositoryName("qwen", "Qwen-7B-Chat"))
    assert [offer.key for offer in found] == ["Qwen-7B-Chat"]
    assert bundled().offers_of(RepositoryName("someone", "Qwen-7B-Chat")) == ()


def test_a_damaged_table_is_refused() -> None:
    value = json.loads(FILE.read_text(encoding="utf-8"))
    assert isinstance(parse(value), Catalogue)
    with pytest.raises(ValueError):
        parse({**value, "version": 2})
    with pytest.raises(ValueError):
        parse({**value, "models": [value["models"][0], value["models"][0]]})
    with pytest.raises(KeyError):
        parse({**value, "architectures": {}})


def test_the_table_is_part_of_the_package() -> None:
    project = (Path(table.__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^"qwen_desktop\.hub" = \[.*"catalogue\.json".*\]$', project, re.MULTILINE)
    assert Path(table.__file__).parent == FILE.parent
