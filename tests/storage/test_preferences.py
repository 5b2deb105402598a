"""Preferences: what is set is there at the next start, and no file can stop a start."""

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.settings import BY_NAME, SETTINGS
from qwen_desktop.errors import Known
from qwen_desktop.storage.preferences import Preferences

DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


def good_values(setting):
    """All values that a setting accepts."""
    if setting.choices:
        values = st.sampled_from([key for key, _ in setting.choices])
    elif setting.kind is bool:
        values = st.booleans()
    elif setting.kind is str:
        values = st.text() | st.just("half a character: \ud800")
    elif setting.kind is int:
        values = st.integers(int(setting.minimum), int(setting.maximum))
    else:
        values = st.floats(setting.minimum, setting.maximum)
    return st.none() | values if setting.optional else values


CHANGES = st.lists(
    st.sampled_from(SETTINGS).flatmap(
        lambda setting: st.tuples(st.just(setting.name), good_values(setting))
    ),
    max_size=6,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FILES = st.dictionaries(st.sampled_from(list(BY_NAME)) | st.text(), JSON, max_size=6)


def same(a, b):
    """Equal as JSON values: a NaN equals itself, and True is not 1."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profile" / "settings.json"


@settings(deadline=None, max_examples=60)
@given(FILES, CHANGES)
def test_changes_are_there_after_a_restart_and_the_rest_of_the_file_too(entries, changes):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.json"
        file.write_text(json.dumps(entries), encoding="utf-8")
        preferences = Preferences(file)
        expected = {
            name: entries[name]
            if name in entries and not_huge(entries[name]) and BY_NAME[name].accepts(entries[name])
            else default
            for name, default in DEFAULTS.items()
        }
        assert preferences.problem is None
        assert dict(preferences.values) == expected
        for name, value in changes:
            preferences.set(name, value)
            expected[name] = value
            assert preferences.get(name) == value
        again = Preferences(file)
        assert dict(again.values) == dict(preferences.values) == expected
        if changes:
            kept = json.loads(file.read_bytes())
            assert same(kept, {**entries, **dict(changes)})
        assert [path.name for path in Path(folder).iterdir()] == ["settings.json"]


def not_huge(value):
    return not isinstance(value, int) or abs(value) < 10**300


def test_a_new_profile_has_the_defaults_and_no_file(file):
    preferences = Preferences(file)
    assert dict(preferences.values) == DEFAULTS
    assert preferences.problem is None
    assert not file.parent.exists()


def test_values_show_later_changes_and_cannot_be_changed_past_set(file):
    preferences = Preferences(file)
    values = preferences.values
    preferences.set("theme", "dark")
    assert values["theme"] == "dark"
    with pytest.raises(TypeError):
        values["theme"] = "light"  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", "sepia"),
        ("thinking", 1),
        ("max_new_tokens", 0),
        ("max_new_tokens", None),
        ("temperature", math.nan),
        ("temperature", 10**400),
        ("seed", "7"),
    ],
)
def test_a_bad_value_is_refused_and_changes_nothing(file, name, value):
    preferences = Preferences(file)
    preferences.set("theme", "dark")
    before = file.read_bytes()
    with pytest.raises(ValueError, match=name):
        preferences.set(name, value)
    assert preferences.get(name) == ("dark" if name == "theme" else DEFAULTS[name])
    assert file.read_bytes() == before


def test_an_unknown_name_is_a_mistake_of_the_caller(file):
    with pytest.raises(KeyError):
        Preferences(file).set("colour", "red")
    with pytest.raises(KeyError):
        Preferences(file).get("colour")


def test_a_bad_value_in_the_file_stays_until_the_user_sets_a_good_one(file):
    file.parent.mkdir()
    file.write_text('{"theme": "of a newer version", "zoom": 3}')
    preferences = Preferences(file)
    assert preferences.get("theme") == "system"
    preferences.set("thinking", False)
    assert json.loads(file.read_bytes()) == {
        "theme": "of a newer version",
        "zoom": 3,
        "thinking": False,
    }
    preferences.set("theme", "dark")
    assert json.loads(file.read_bytes())["theme"] == "dark"


def test_the_file_is_readable_by_people(file):
    Preferences(file).set("system_prompt", "你好")
    assert "你好" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"theme": "dark"', b"[1, 2]", b"\xff\xfe\x00", b"[" * 100_000, b"\x00" * 50],
    ids=["empty", "cut off", "a list", "not text", "too deep", "zeros"],
)
def test_a_damaged_file_is_set_aside_and_told(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    preferences = Preferences(file)
    assert dict(preferences.values) == DEFAULTS
    aside = file.with_name("settings.json.damaged")
    assert aside.read_bytes() == content
    assert str(aside) in preferences.problem.text()
    assert not preferences.problem.is_bug
    preferences.set("theme", "dark")
    again = Preferences(file)
    assert (again.get("theme"), again.problem) == ("dark", None)


def test_a_folder_in_place_of_the_file_is_set_aside_too(file):
    file.mkdir(parents=True)
    preferences = Preferences(file)
    assert preferences.problem is not None
    preferences.set("theme", "dark")
    assert Preferences(file).get("theme") == "dark"


def test_a_file_that_can_neither_be_read_nor_moved_is_told(file):
    file.mkdir(parents=True)
    aside = file.with_name("settings.json.damaged")
    aside.mkdir()
    (aside / "something").touch()  # a folder with content cannot be replaced
    preferences = Preferences(file)
    assert str(file) in preferences.problem.text()
    assert dict(preferences.values) == DEFAULTS


def test_where_saving_fails_the_value_holds_and_the_sentence_names_the_file(file):
    file.parent.write_text("a file in place of the profile folder")
    preferences = Preferences(file)
    with pytest.raises(Known) as caught:
        preferences.set("theme", "dark")
    assert str(file) in str(caught.value)
    assert preferences.get("theme") == "dark"


def test_reading_preferences_and_state_needs_no_database():
    """They are on the way to the first paint."""
    code = (
        "import sys, qwen_desktop.storage.preferences, qwen_desktop.storage.state;"
        "sys.exit('sqlite3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_keys_a_user_chose_are_kept_beside_the_settings(tmp_path):
    file = tmp_path / "settings.json"
    preferences = Preferences(file)
    assert preferences.shortcuts == {}
    preferences.set("theme", "dark")
    preferences.set_shortcuts({"new": ("Ctrl+Alt+N",), "stop": ()})
    again = Preferences(file)
    assert again.shortcuts == {"new": ("Ctrl+Alt+N",), "stop": ()}
    assert again.get("theme") == "dark"


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (None, {}),
        ([1], {}),
        ({"new": "Ctrl+N", "open": ["Ctrl+O"], "stop": [3]}, {"open": ("Ctrl+O",)}),
    ],
)
def test_a_damaged_entry_of_keys_costs_only_itself(tmp_path, entry, kept, caplog):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"shortcuts": entry, "theme": "dark"}), encoding="utf-8")
    preferences = Preferences(file)
    assert preferences.shortcuts == kept
    assert preferences.get("theme") == "dark"
    assert caplog.records
