"""The file of a memory study: what was put in comes out, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.study import (
    Ending,
    SeriesEnd,
    Study,
    StudyHead,
    StudyMachine,
    StudyPoint,
    StudyRecord,
    StudySetup,
    Way,
)
from qwen_desktop.errors import Known
from qwen_desktop.storage import study_file

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
sizes = st.integers(0, 2**50)
times = st.floats(0, 1e6, allow_nan=False)
ways = st.sampled_from(Way)
setups = st.builds(
    StudySetup,
    st.lists(st.integers(2, 10**6), min_size=1, max_size=5, unique=True).map(sorted).map(tuple),
    st.lists(ways, min_size=1, unique=True).map(tuple),
    st.integers(1, 64),
)
machines = st.builds(
    StudyMachine, texts, sizes, sizes, sizes, st.lists(st.tuples(texts, sizes)).map(tuple), texts
)
heads = st.builds(
    StudyHead, texts, texts, texts, texts, times, texts, st.booleans(), sizes, sizes, sizes,
    setups, machines, times,
)  # fmt: skip


@st.composite
def studies(draw) -> tuple[StudyHead, list[StudyRecord]]:
    """A head, and records in any order of what it asks for."""
    head = draw(heads)
    study, made = Study(head), []
    for _ in range(draw(st.integers(0, 8))):
        missing = list(study.missing())
        if not missing:
            break
        way, tokens = draw(st.sampled_from(missing))
        point = st.builds(
            StudyPoint, st.just(way), st.just(tokens), sizes, sizes, sizes, sizes, sizes, sizes,
            times, times, times, st.lists(sizes, max_size=5).map(tuple),
        )  # fmt: skip
        end = st.builds(
            SeriesEnd, st.just(way), st.just(tokens), st.sampled_from(Ending), sizes, sizes
        )
        record = draw(point | end)
        study = study.with_record(record)
        made.append(record)
    return head, made


HEAD = StudyHead("m", "f", "BF16", "model", 1.0, "CPU", False, 1, 2, 3, StudySetup((64, 128)))
POINT = StudyPoint(Way.APP, 64, 190, 64, 10, 9, 10, 11, 0.5, 0.6, 12.0, (1, 2))
END = SeriesEnd(Way.EAGER, 128, Ending.LIMIT, 9, 8)


def study_of(head: StudyHead, made: list) -> Study:
    study = Study(head)
    for record in made:
        study = study.with_record(record)
    return study


@given(studies())
def test_what_is_written_is_read(drawn):
    study = study_of(*drawn)
    assert study_file.read_text(study_file.to_text(study)) == study


@given(studies(), st.data())
def test_a_file_that_was_cut_short_has_all_of_its_whole_lines(drawn, data):
    head, made = drawn
    text = study_file.to_text(Study(head)) + "".join(map(study_file._line, made))
    start = len(study_file.to_text(Study(head)))
    cut = data.draw(st.integers(start, len(text)))
    whole = text[:cut].count("\n") - text[:start].count("\n")
    assert study_file.read_text(text[:cut]) == study_of(head, made[:whole])


def test_records_are_added_one_by_one(tmp_path):
    file = tmp_path / "studies" / "one.csv"
    study_file.begin(file, Study(HEAD))
    study_file.append(file, POINT)
    assert study_file.read(file) == study_of(HEAD, [POINT])
    study_file.append(file, END)
    assert study_file.read(file) == study_of(HEAD, [POINT, END])


def test_other_programs_read_it_as_csv(tmp_path):
    lines = study_file.to_text(study_of(HEAD, [POINT, END])).splitlines()
    table = [line for line in lines if not line.startswith("#")]
    assert table[0].startswith("way,tokens,characters,read,peak,steady,kept,predicted,")
    assert table[1] == "app,64,190,64,10,9,10,11,0.5,0.6,12.0,1 2"
    assert len(table) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        b"\xff\xfe\x00",
        b"# qwen-desktop memory study {}\n",
        b"# qwen-desktop memory study []\nway\n",
        study_file.to_text(Study(HEAD)).replace('"format": 1', '"format": 2').encode(),
        (study_file.to_text(Study(HEAD)) + "app,1,2\n").encode(),
        (study_file.to_text(Study(HEAD)) + "# end {}\n").encode(),
        study_file.to_text(Study(HEAD)).replace('"weights": 1', '"weights": "1"').encode(),
        b"# qwen-desktop memory study " + b"[" * 100_000 + b"\n" + b"x\n",
    ],
)
def test_what_is_no_study_is_one_sentence(tmp_path, content):
    file = tmp_path / "other.csv"
    file.write_bytes(content)
    with pytest.raises(Known, match="holds no memory study"):
        study_file.read(file)


@pytest.mark.parametrize(
    ("there", "damaged"),
    [
        ("0.6,12.0", "nan,12.0"),
        ("0.6,12.0", "0.6,inf"),
        ("0.6,12.0", "-0.6,12.0"),
        (",10,9,", ",-10,9,"),
        (",10,9,", f",{'9' * 400},9,"),
        ("app,64,", "app,77,"),  # not asked for
        ("1 2\n", "1 2\napp,64,190,64,10,9,10,11,0.5,0.6,12.0,1 2\n"),  # twice
        ('"tokens": 128', '"tokens": -128'),
        ('"name": "m"', '"name": 5'),
        ('"room": 3', '"room": NaN'),
        ('"lengths": [64, 128]', '"lengths": []'),
        ('"lengths": [64, 128]', '"lengths": [128, 64]'),
        ('"lengths": [64, 128]', '"lengths": [1, 64, 128]'),
        ('"answer": 8', '"answer": 0'),
        ('["app", "reread", "eager"]', "[]"),
        ('["app", "reread", "eager"]', '["app", "app", "eager"]'),
        ('"cores": 0', '"cores": "many"'),
    ],
)
def test_values_that_no_study_has_refuse_the_file(there, damaged):
    text = study_file.to_text(study_of(HEAD, [POINT, END]))
    assert there in text
    study_file.read_text(text)
    with pytest.raises((ValueError, TypeError)):
        study_file.read_text(text.replace(there, damaged))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(Known, match="cannot be opened"):
        study_file.read(tmp_path / "none.csv")
    with pytest.raises(Known, match="cannot be opened"):
        study_file.append(Path(tmp_path), POINT)
