"""The file of presets: what was saved is there at the next start, and no file can stop a start."""

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.presets import NAMES, Preset, made_of
from qwen_desktop.chat.settings import BY_NAME
from qwen_desktop.errors import Known
from qwen_desktop.storage.presets import PresetFile

from .strategies import TEXTS, accepted_values

VALUES = st.lists(
    st.sampled_from(NAMES).flatmap(
        lambda name: st.tuples(st.just(name), accepted_values(BY_NAME[name]))
    ),
    max_size=4,
).map(dict)
PRESETS = st.dictionaries(
    TEXTS.map(lambda text: " ".join(text.split())).filter(bool), VALUES, max_size=4
).map(lambda found: tuple(Preset(name, values) for name, values in found.items()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ENTRIES = st.lists(
    JSON
    | st.fixed_dictionaries(
        {"name": TEXTS | JSON, "values": JSON | st.dictionaries(st.sampled_from(NAMES), JSON)}
    ),
    max_size=4,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profile" / "presets.json"


@settings(deadline=None, max_examples=60)
@given(PRESETS)
def test_presets_come_back_as_they_were_saved(presets):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "presets.json"
        PresetFile(file).save(presets)
        again = PresetFile(file)
        assert (again.presets, again.problem) == (presets, None)


@settings(deadline=None, max_examples=100)
@given(ENTRIES)
def test_any_list_gives_presets_that_can_be_used(entries):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "presets.json"
        file.write_text(json.dumps(entries), encoding="utf-8")
        found = PresetFile(file)
        assert found.problem is None
        names = [preset.name for preset in found.presets]
        assert all(names)
        assert len(set(names)) == len(names)
        for preset in found.presets:
            assert made_of(preset.name, preset.values) == preset


def test_a_new_profile_has_none_and_no_file(file):
    assert PresetFile(file).presets == ()
    assert PresetFile(file).problem is None
    assert not file.parent.exists()


def test_a_damaged_entry_costs_only_itself(file, caplog):
    file.parent.mkdir()
    entries = [
        {"name": "brief", "values": {"system_prompt": "Be brief.", "temperature": 9, "top_k": "s"}},
        {"name": "secret", "values": 3},
        {"name": " ", "values": {}},
        "secret",
        {"values": {}},
        {"name": " brief\n", "values": {"top_k": 3}},
        {"name": "  two\twords ", "values": {"thinking": False, "theme": "dark", "top_p": None}},
    ]
    file.write_text(json.dumps(entries))
    with caplog.at_level(logging.WARNING):
        found = PresetFile(file).presets
    assert found == (
        Preset("brief", {"system_prompt": "Be brief."}),
        Preset("two words", {"top_p": None}),
    )
    assert len(caplog.records) == 5
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"", b'[{"name": "a"', b"{}", b"\xff\xfe\x00", b"[" * 100_000],
    ids=["empty", "cut off", "an object", "not text", "too deep"],
)
def test_a_file_that_cannot_be_read_is_set_aside_and_told(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    presets = PresetFile(file)
    assert presets.presets == ()
    aside = file.with_name("presets.json.damaged")
    assert aside.read_bytes() == content
    assert str(aside) in presets.problem.text()
    assert not presets.problem.is_bug
    presets.save((Preset("a", {}),))
    assert PresetFile(file).presets == (Preset("a", {}),)


def test_a_file_that_can_neither_be_read_nor_moved_is_told(file):
    file.mkdir(parents=True)
    aside = file.with_name("presets.json.damaged")
    aside.mkdir()
    (aside / "something").touch()
    assert str(file) in PresetFile(file).problem.text()


def test_where_saving_fails_the_sentence_names_the_file(file):
    file.parent.write_text("a file in place of the profile folder")
    with pytest.raises(Known) as caught:
        PresetFile(file).save((Preset("a", {}),))
    assert str(file) in str(caught.value)


def test_reading_presets_needs_no_database():
    code = "import sys, qwen_desktop.storage.presets; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_preset_is_made_of_what_is_fit_for_one():
    values = {
        "temperature": 0.5,
        "top_k": True,
        "thinking": False,
        "theme": "dark",
        "nonsense": 1,
        "seed": 3,
    }
    assert made_of(" my\n own ", values) == Preset("my own", {"temperature": 0.5})
    assert made_of("half \ud800", {}).name == "half \ufffd"
    for name in ("", " \t\n"):
        with pytest.raises(ValueError, match="name"):
            made_of(name, values)
