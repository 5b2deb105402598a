"""Presets as the window meets them, saved by the files thread."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.presets import Presets
from qwen_desktop.chat.presets import RECOMMENDED, Preset
from qwen_desktop.storage.presets import PresetFile


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profile" / "presets.json"


@pytest.fixture
def presets(qtbot, file):
    """Presets of a new profile, and what was told of their changes."""
    files = FileJobs()
    made = Presets(PresetFile(file), files)
    made.told = []
    made.changed.connect(lambda: made.told.append(made.entries))
    made.close = files.close
    yield made
    files.close()


def names(presets):
    return [preset.name for preset in presets.entries]


def test_the_recommended_one_is_first_and_the_others_by_name(presets):
    assert presets.entries == (RECOMMENDED,)
    for name in ("beta", "Gamma", "alpha", "你好"):
        presets.save(name, {})
    assert names(presets) == ["", "alpha", "beta", "Gamma", "你好"]
    assert presets.told[-1] == presets.entries
    assert len(presets.told) == 4


def test_what_was_saved_is_there_at_the_next_start(presets, file):
    presets.save(
        " my  own ",
        {"temperature": 0.5, "top_k": -1, "thinking": False, "seed": 3, "system_prompt": "Kurz."},
    )
    presets.save("other", {"top_k": 20})
    presets.close()
    expected = (
        RECOMMENDED,
        Preset("my own", {"temperature": 0.5, "system_prompt": "Kurz."}),
        Preset("other", {"top_k": 20}),
    )
    assert presets.entries == expected
    assert Presets(PresetFile(file), FileJobs()).entries == expected


def test_a_preset_of_the_same_name_is_replaced(presets):
    presets.save("a", {"top_k": 20, "top_p": 0.5})
    presets.save(" a ", {"top_k": 30})
    assert presets.entries == (RECOMMENDED, Preset("a", {"top_k": 30}))
    presets.save("a", {"top_k": 30})
    assert len(presets.told) == 2


def test_a_deleted_preset_is_gone_and_the_recommended_one_stays(presets, file):
    presets.save("a", {})
    presets.delete("a")
    presets.delete("")
    presets.delete("nobody")
    assert presets.entries == (RECOMMENDED,)
    assert len(presets.told) == 2
    presets.close()
    assert PresetFile(file).presets == ()


def test_the_recommended_one_cannot_be_replaced(presets):
    with pytest.raises(ValueError, match="name"):
        presets.save("  ", {"top_k": 3})
    assert presets.entries == (RECOMMENDED,)
    assert presets.told == []
