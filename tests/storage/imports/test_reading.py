"""JSON value by value: wherever the text is cut, whatever stands between the values."""

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.storage.imports.reading import Broken, Decoded, Value, Values

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(['"', "\\", '\\"', "}", "[{", "𝄞", "\n"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=3)
CHUNKS = st.integers(1, 40)
WAYS = st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")}])


def read(text: str, chunk: int = 7, **more):
    return list(Values(io.StringIO(text), chunk=chunk, **more))


@given(st.lists(JSON, max_size=5), CHUNKS, WAYS)
def test_the_elements_of_an_array_come_one_by_one(elements, chunk, way):
    text = json.dumps(elements, **way)
    found = read(text, chunk)
    assert [one.value for one in found] == json.loads(text)
    assert [one.position for one in found] == list(range(1, len(elements) + 1))


@given(st.lists(OBJECTS, min_size=1, max_size=5), CHUNKS)
def test_the_lines_of_json_lines_come_one_by_one(lines, chunk):
    text = "\n".join(json.dumps(line) for line in lines)
    assert [one.value for one in read(text, chunk)] == lines


@given(OBJECTS, CHUNKS)
def test_a_value_alone_may_be_written_on_many_lines(value, chunk):
    (found,) = read(json.dumps(value, indent=2), chunk)
    assert found == Value(1, value)


@given(st.lists(OBJECTS, max_size=4), st.integers(0, 4), CHUNKS)
def test_a_broken_element_is_told_and_the_others_come(elements, at, chunk):
    at = min(at, len(elements))
    texts = [json.dumps(one) for one in elements]
    texts.insert(at, '{"a": [1, tru], "b": "}]\\""}')
    found = read(f"[{', '.join(texts)}]", chunk)
    assert isinstance(found.pop(at), Broken)
    assert [one.value for one in found] == elements


@given(st.lists(OBJECTS, max_size=4), st.integers(0, 4), CHUNKS)
def test_a_broken_line_is_told_and_the_others_come(lines, at, chunk):
    at = min(at, len(lines))
    texts = [json.dumps(one) for one in lines]
    texts.insert(at, '{"a": [1, "')
    if not lines:
        return  # one value that is cut off: see below
    found = read("\n".join(texts), chunk)
    assert isinstance(found.pop(at), Broken)
    assert [one.value for one in found] == lines


@given(st.lists(OBJECTS, min_size=1, max_size=4), st.data(), CHUNKS)
def test_a_file_that_ends_in_the_middle_gives_what_is_whole(elements, data, chunk):
    texts = [json.dumps(one) for one in elements]
    whole = data.draw(st.integers(0, len(texts) - 1))
    cut = data.draw(st.integers(1, len(texts[whole]) - 1))
    text = "[" + ",".join([*texts[:whole], texts[whole][:cut]])
    *found, last = read(text, chunk)
    assert [one.value for one in found] == elements[:whole]
    assert isinstance(last, Broken)


def test_deep_nesting_is_broken_and_the_others_come():
    bomb = "[" * 100_000 + "]" * 100_000
    found = read(f'[{{"a": 1}}, {bomb}, {{"b": 2}}]', 1000)
    assert [type(one) for one in found] == [Value, Broken, Value]
    open_bomb = read('{"a": 1}\n' + '{"a":' * 100_000 + '\n{"b": 2}', 1000)
    assert [type(one) for one in open_bomb] == [Value, Broken, Value]


def test_numbers_that_no_number_holds_take_no_time_and_keep_nobody_out():
    (found,) = read('{"a": ' + "9" * 100_000 + ', "b": NaN, "c": -1e999, "d": 12}')
    assert found.value["a"] == float("inf")
    assert found.value["d"] == 12


def test_a_value_that_is_too_long_is_passed_over():
    long = json.dumps({"a": "x" * 5000})
    found = read(f'[{{"a": 1}}, {long}, {{"b": 2}}]', 64, longest=1000)
    assert [type(one) for one in found] == [Value, Broken, Value]
    assert "too long" in found[1].report.text()


@pytest.mark.parametrize("text", ["", "  \n ", "\ufeff"])
def test_nothing_gives_nothing(text):
    assert read(text) == []


def test_an_array_inside_an_object_can_be_read_as_if_it_stood_alone():
    text = '{\n"format": "x",\n"items": [{"a": 1}, {"a": 2}\n], "more": {}}'
    nested = re.compile(r'\{\s*"format": "x",\s*"items": \[')
    assert [one.value for one in read(text, 64, nested=nested)] == [{"a": 1}, {"a": 2}]
    assert [one.value["format"] for one in read(text, 4)] == ["x"]


def test_reading_ends_when_it_is_stopped():
    asked = iter([False] * 8 + [True] * 1000)
    found = read("[" + "1, " * 1000 + "1]", 8, stopped=lambda: next(asked))
    assert len(found) < 20


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_bytes_are_read_in_any_of_three_encodings_and_counted(encoding):
    raw = '[{"a": "𝄞 你好"}]'.encode(encoding)
    counted = []
    values = list(Values(Decoded(io.BytesIO(raw), counted.append), chunk=3))
    assert values == [Value(1, {"a": "𝄞 你好"})]
    assert sum(counted) == len(raw)


def test_bytes_that_are_no_text_become_replacement_characters():
    raw = b'["good", "b\xffd"]'
    assert [one.value for one in Values(Decoded(io.BytesIO(raw)))] == ["good", "b\ufffdd"]
