"""The file of connections: what is kept comes back, and nothing in it can do harm."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_desktop.chat.connection import Connection, RemoteModel, ServerKind, Timeouts
from qwen_desktop.chat.context import ChatOptions, Policy, RemoteChoice
from qwen_desktop.storage import rows
from qwen_desktop.storage.connections import MOST_MODELS, ConnectionEntry, ConnectionFile
from tests.storage.strategies import TEXTS

names = TEXTS.filter(bool)
seconds = st.floats(0.001, 86_400)
addresses = st.from_regex(r"https?://[a-z0-9]{1,9}(:[1-9][0-9]{0,3})?(/v[1-9])?", fullmatch=True)
entries = st.builds(
    ConnectionEntry,
    st.builds(
        Connection,
        names,
        addresses,
        names,
        st.sampled_from(ServerKind),
        TEXTS,
        st.builds(Timeouts, seconds, seconds, seconds),
    ),
    st.lists(st.builds(RemoteModel, names, st.integers(0, 2**40)), max_size=4).map(tuple),
    st.booleans(),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Iterator:
    return tmp_path_factory.mktemp("connections") / "connections.json"


@settings(max_examples=40)
@given(st.lists(entries, max_size=4, unique_by=lambda entry: entry.connection.id))
def test_what_is_kept_comes_back(file, kept):
    kept = [
        replace(one, connection=replace(one.connection, address=one.connection.base))
        for one in kept
    ]
    ConnectionFile(file).save(kept)
    assert ConnectionFile(file).entries == tuple(kept)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
fields = ("id", "name", "address", "kind", "model", "timeouts", "titles", "models")
GOOD = {"id": "a", "name": "Lab", "address": "http://h:1/v1", "model": "m", "titles": True}
crooked = st.fixed_dictionaries(
    {}, optional={name: anything | st.just(GOOD.get(name)) for name in fields}
)


def is_sound(entry: ConnectionEntry) -> bool:
    one = entry.connection
    words = (one.id, one.name, one.address, one.model, *(m.name for m in entry.models))
    waits = (one.timeouts.connect, one.timeouts.first_token, one.timeouts.between_tokens)
    return (
        all(isinstance(word, str) for word in words)
        and bool(one.id and one.name)
        and one.base.startswith(("http://", "https://"))
        and all(isinstance(wait, float) and 0 < wait <= 86_400 for wait in waits)
        and all(0 <= model.context_length <= 2**40 for model in entry.models)
        and isinstance(entry.titles, bool)
    )


@given(anything | st.lists(crooked, max_size=4))
def test_whatever_the_file_says_what_is_read_of_it_is_sound(file, value):
    file.write_text(json.dumps(value), "utf-8")
    assert all(is_sound(entry) for entry in ConnectionFile(file).entries)


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_read(file, raw):
    file.write_bytes(raw)
    ConnectionFile(file)


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b'{"id": 1}', b"\xff\xfe"])
def test_a_damaged_file_is_set_aside_and_not_overwritten(tmp_path, raw):
    file = tmp_path / "connections.json"
    file.write_bytes(raw)
    made = ConnectionFile(file)
    assert made.entries == ()
    assert (tmp_path / "connections.json.damaged").read_bytes() == raw
    made.save([ConnectionEntry(Connection("Lab", "http://h/v1", "a"))])
    assert len(ConnectionFile(file).entries) == 1


def test_what_is_good_in_a_damaged_list_stays(tmp_path):
    file = tmp_path / "connections.json"
    bad = [5, {**GOOD, "address": "javascript:x"}, {**GOOD, "name": ""}, {"id": "b"}]
    file.write_text(json.dumps([*bad, GOOD, GOOD, {**GOOD, "id": "c", "kind": "?"}]), "utf-8")
    found = ConnectionFile(file).entries
    assert [entry.connection.id for entry in found] == ["a", "c"]
    assert found[1].connection.kind is ServerKind.AUTO


def test_a_list_of_very_many_models_is_kept_in_bounds(tmp_path):
    file = tmp_path / "connections.json"
    models = tuple(RemoteModel(f"m{number}") for number in range(MOST_MODELS + 50))
    one = Connection("Lab", "http://h/v1", "a")
    ConnectionFile(file).save([ConnectionEntry(one, models)])
    assert len(ConnectionFile(file).entries[0].models) == MOST_MODELS


# -- who answers a chat ---------------------------------------------------------------------------

choices = st.builds(RemoteChoice, names, TEXTS, TEXTS)
options = st.builds(
    ChatOptions, st.none() | st.sampled_from(Policy), st.just({}), st.none() | choices
)


@settings(max_examples=40)
@given(options)
def test_who_answers_a_chat_comes_back(wanted):
    assert rows.options_from(rows.options_json(wanted), "c") == wanted


@settings(max_examples=60)
@given(anything.filter(lambda value: value is not None))
def test_a_damaged_choice_sends_nothing_anywhere(raw):
    """What is no choice is none: the open checkpoint answers."""
    back = rows.options_from(json.dumps({"remote": raw}), "c").remote
    if back is not None:
        assert isinstance(raw, dict)
        assert back.connection
        assert all(isinstance(one, str) for one in (back.connection, back.model, back.agreed))


def test_a_damaged_choice_is_told(caplog):
    caplog.set_level(logging.WARNING)
    assert rows.options_from('{"remote": {"connection": 5, "model": "secret"}}', "c").remote is None
    assert "some options of conversation" in caplog.text
    assert "secret" not in caplog.text
