"""Window state, the copy of the list, and the atomic writing below both."""

import errno
import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.recent import Recent
from qwen_desktop.chat.summary import Summary
from qwen_desktop.errors import Known
from qwen_desktop.paths import Profile
from qwen_desktop.storage import atomic, trouble
from qwen_desktop.storage.state import (
    CACHED_ROWS,
    RECENTS,
    LoadMark,
    SidebarCache,
    StateFile,
    WindowState,
)

RECENT = Recent("/models/Qwen3-4B 你好", "Qwen3-4B", "qwen3", 4, 8, "int4", "cuda:1", 8192, 1.5e9)
STATE = WindowState("01d9", False, "c1", "/models/Qwen3-4B 你好", (RECENT,))
JUNK = [b"", b"{", b"3", b"null", b"\xff", b"[" * 100_000, b'["a"]', b"[[]]", b"[{}]", b'"x"']


@pytest.fixture
def profile(tmp_path):
    return Profile(tmp_path / "profile")


def test_the_files_of_a_profile_are_all_different(profile):
    files = {
        profile.state,
        profile.preferences,
        profile.sidebar_cache,
        profile.database,
        profile.log,
        profile.load_mark,
    }
    assert len(files) == 6
    assert {file.parent for file in files} == {profile.root}


def test_state_is_there_after_a_restart(profile):
    assert StateFile(profile.state).load() == WindowState()
    StateFile(profile.state).save(STATE)
    assert StateFile(profile.state).load() == STATE
    assert [path.name for path in profile.root.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", JUNK)
def test_damaged_state_is_the_default(profile, content):
    profile.root.mkdir()
    profile.state.write_bytes(content)
    assert StateFile(profile.state).load() == WindowState()


@pytest.mark.parametrize(
    ("field", "value"),
    [("geometry", "not hex"), ("geometry", 3), ("panel_visible", 1), ("conversation_id", None)],
)
def test_a_damaged_field_of_the_state_costs_only_itself(profile, field, value):
    StateFile(profile.state).save(STATE)
    entries = {**json.loads(profile.state.read_bytes()), field: value, "newer": []}
    profile.state.write_text(json.dumps(entries))
    default = getattr(WindowState(), field)
    assert StateFile(profile.state).load() == replace(STATE, **{field: default})


@pytest.mark.parametrize(
    "entry",
    [3, None, [], {}, {"folder": "/a"}, {"folder": 3, "name": "a"}, {"folder": "", "name": "a"}],
)
def test_a_damaged_recent_checkpoint_costs_only_itself(profile, entry):
    StateFile(profile.state).save(STATE)
    entries = json.loads(profile.state.read_bytes())
    entries["recents"] = [entry, *entries["recents"], *entries["recents"]]
    profile.state.write_text(json.dumps(entries))
    assert StateFile(profile.state).load() == STATE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("parameters", -1),
        ("weight_bytes", 10**30),
        ("context", "8192"),
        ("precision", None),
        ("used_at", float("nan")),
        ("used_at", float("inf")),
        ("used_at", True),
    ],
)
def test_a_damaged_field_of_a_recent_checkpoint_costs_only_itself(profile, field, value):
    StateFile(profile.state).save(STATE)
    entries = json.loads(profile.state.read_bytes())
    entries["recents"][0][field] = value
    profile.state.write_text(json.dumps(entries))
    default = getattr(Recent("", ""), field)
    assert StateFile(profile.state).load().recents == (replace(RECENT, **{field: default}),)


@pytest.mark.parametrize("recents", [None, {}, "x", 3])
def test_damaged_recent_checkpoints_are_none(profile, recents):
    StateFile(profile.state).save(STATE)
    entries = {**json.loads(profile.state.read_bytes()), "recents": recents}
    profile.state.write_text(json.dumps(entries))
    assert StateFile(profile.state).load() == replace(STATE, recents=())


def test_only_the_newest_checkpoints_are_kept(profile):
    many = tuple(Recent(f"/models/{n}", str(n)) for n in range(30))
    StateFile(profile.state).save(WindowState(recents=many))
    assert StateFile(profile.state).load().recents == many[:RECENTS]


def test_the_mark_of_a_load_stands_until_it_is_cleared(profile):
    mark = LoadMark(profile.load_mark)
    assert mark.folder() == ""
    mark.set("/models/a")
    mark.set("/models/b 你好")
    assert LoadMark(profile.load_mark).folder() == "/models/b 你好"
    mark.clear()
    mark.clear()
    assert mark.folder() == ""
    assert list(profile.root.iterdir()) == []


@pytest.mark.parametrize("content", JUNK)
def test_a_damaged_mark_is_none(profile, content):
    profile.root.mkdir()
    profile.load_mark.write_bytes(content)
    assert LoadMark(profile.load_mark).folder() == ""


LABELS = st.lists(st.text(max_size=9), max_size=2).map(tuple)


@given(
    st.lists(
        st.builds(
            Summary,
            *[st.text(max_size=9)] * 3,
            st.floats(0, 4e9),
            pinned=st.booleans(),
            folder=st.text(max_size=9),
            tags=LABELS,
        ),
        max_size=5,
    )
)
def test_the_list_is_read_as_it_was_saved(tmp_path_factory, summaries):
    cache = SidebarCache(tmp_path_factory.mktemp("profile") / "sidebar.json")
    cache.save(summaries)
    assert cache.load() == tuple(summaries)


def test_only_the_top_of_a_long_list_is_kept(profile):
    summaries = [Summary(str(n), "title", "preview", float(n)) for n in range(10_000)]
    cache = SidebarCache(profile.sidebar_cache)
    assert cache.load() == ()
    cache.save(summaries)
    assert cache.load() == tuple(summaries[:CACHED_ROWS])


def test_a_list_of_an_earlier_version_or_with_bad_labels_is_read(profile):
    profile.root.mkdir()
    row = '{"id": "a", "title": "b", "preview": "c", "updated_at": 1'
    labels = '"pinned": "yes", "folder": 3, "tags": [4, "t", null]'
    content = f'[{row}}}, {row}, {labels}}}, {row}, "tags": 1}}]'
    profile.sidebar_cache.write_text(content, encoding="utf-8")
    plain = Summary("a", "b", "c", 1.0)
    read = SidebarCache(profile.sidebar_cache).load()
    assert read == (plain, replace(plain, tags=("t",)), plain)


@pytest.mark.parametrize(
    "content",
    [
        *JUNK,
        b'[{"id": 3, "title": "", "preview": "", "updated_at": 1}]',
        b'[{"id": "", "title": "", "preview": "", "updated_at": "1"}]',
        b'[{"id": "", "title": "", "preview": "", "updated_at": true}]',
    ],
)
def test_a_damaged_list_is_empty(profile, content):
    profile.root.mkdir()
    profile.sidebar_cache.write_bytes(content)
    assert SidebarCache(profile.sidebar_cache).load() == ()


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(profile, monkeypatch):
    """The disk fills up at the last moment: while the new content is made safe."""
    files = StateFile(profile.state)
    files.save(STATE)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Known, match="disk is full"):
        files.save(WindowState())
    assert files.load() == STATE
    assert [path.name for path in profile.root.iterdir()] == ["state.json"]
    monkeypatch.undo()
    files.save(WindowState())
    assert files.load() == WindowState()


def test_a_file_is_exchanged_and_not_written_over(profile):
    """A second name of the old file shows that its content was never touched."""
    StateFile(profile.state).save(STATE)
    old = profile.root / "old.json"
    os.link(profile.state, old)
    StateFile(profile.state).save(WindowState())
    assert StateFile(old).load() == STATE


def test_a_value_that_is_no_json_leaves_the_old_file(profile):
    atomic.write_json(profile.state, {"a": 1})
    with pytest.raises(TypeError):
        atomic.write_json(profile.state, {"a": object()})
    assert atomic.read_json(profile.state) == {"a": 1}
    assert [path.name for path in profile.root.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "cannot be written"),
        (errno.EROFS, "cannot be written"),
        (errno.ENOTDIR, "cannot be opened"),
    ],
)
def test_every_refusal_of_the_system_is_a_sentence_with_a_remedy(profile, code, sentence):
    known = trouble.from_os(OSError(code, os.strerror(code)), profile.state)
    assert sentence in str(known)
    assert str(profile.state) in str(known)
    assert known.remedy
    assert os.strerror(code) in known.details
