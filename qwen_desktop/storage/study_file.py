"""A memory study as a CSV file: each record is added when it is measured, and stays.

The first line is a comment, `# qwen-desktop memory study ` and one JSON object that says what the
study is of: the checkpoint's name and fingerprint, precision, device, what is measured, and the
machine with its versions. The second line names the columns (`StudyPoint` has what they mean).
Then a line for each prompt. Where a way ended early, a comment `# end ` and a JSON object tells
why. Sizes are in bytes, times in seconds; the ids of an answer are separated by spaces.

A line that was cut short, as by a crash, is dropped; everything else that does not belong there
refuses the file.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from qwen_desktop.chat.study import (
    COLUMNS,
    MAX_LENGTHS,
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
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage import trouble
from qwen_desktop.storage.atomic import write_bytes

FORMAT = 1
MAX_BYTES = 16 * 2**20
_TITLE = "# qwen-desktop memory study "
_END = "# end "
_PLAIN: Mapping[Any, type] = {"str": str, "bool": bool}  # by the name of the type
_MOST = 2**53  # of any number: floats tell all whole ones up to there apart


def to_text(study: Study) -> str:
    """The file of a study."""
    records: tuple[StudyRecord, ...] = (*study.points, *study.ends)
    return "".join((_head(study.head), *map(_line, records)))


def read_text(text: str) -> Study:
    """The study in the text of a file. Raises ValueError where it is none."""
    lines = text.split("\n")
    if lines.pop():  # what follows the last line's end was cut short
        lines = lines if lines else [""]
    if len(lines) < 2 or not lines[0].startswith(_TITLE):
        raise ValueError("no study")
    if lines[1].rstrip("\r").split(",") != list(COLUMNS):
        raise ValueError("other columns")
    study = Study(_read_head(json.loads(lines[0][len(_TITLE) :])))
    for line in lines[2:]:
        record: StudyRecord
        if line.startswith(_END):
            record = _read_end(json.loads(line[len(_END) :]))
        elif line.strip() and not line.startswith("#"):
            (row,) = csv.reader([line])
            record = _read_point(dict(zip(COLUMNS, row, strict=True)))
        else:
            continue
        if (record.way, record.tokens) not in set(study.missing()):
            raise ValueError(
                f"{record.way.value}, {record.tokens}: not asked for, or known already"
            )
        study = study.with_record(record)
    return study


def read(file: Path) -> Study:
    """The study in `file`. Raises Known."""
    try:
        with file.open("rb") as source:
            content = source.read(MAX_BYTES)
    except OSError as error:
        raise trouble.from_os(error, file) from error
    try:
        return read_text(content.decode())
    # TypeError and the like come of JSON with other kinds of values in it.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error) as error:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} holds no memory study."),
            QT_TRANSLATE_NOOP("errors", "Choose a CSV file that a memory study has written."),
            details=f"{type(error).__name__}: {error}",
            file=file.name,
        ) from error


def begin(file: Path, study: Study) -> None:
    """Write `study`, in place of what is there; makes missing folders. Raises Known."""
    write_bytes(file, to_text(study).encode())


def append(file: Path, record: StudyRecord) -> None:
    """Add a record, on the disk when it returns. Raises Known."""
    try:
        with file.open("ab") as out:
            out.write(_line(record).encode())
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise trouble.from_os(error, file) from error


def _head(head: StudyHead) -> str:
    value = {"format": FORMAT, **asdict(head)}
    return f"{_TITLE}{json.dumps(value)}\n{','.join(COLUMNS)}\n"


def _line(record: StudyRecord) -> str:
    if isinstance(record, SeriesEnd):
        return f"{_END}{json.dumps(asdict(record))}\n"
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(
        _cell(getattr(record, column)) for column in COLUMNS
    )
    return out.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, Way):
        return value.value
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return repr(value)


def _read_head(value: Mapping[str, Any]) -> StudyHead:
    if value["format"] != FORMAT:
        raise ValueError(f"format {value['format']}")
    known = _plain(StudyHead, value)
    machine = _plain(StudyMachine, value["machine"])
    machine["cards"] = tuple((str(name), _count(size)) for name, size in value["machine"]["cards"])
    setup = value["setup"]
    lengths, ways = _counts(setup["lengths"]), tuple(map(Way, setup["ways"]))
    ascending = all(one < other for one, other in pairwise((1, *lengths)))
    if not 0 < len(lengths) <= MAX_LENGTHS or not ascending:
        raise ValueError("lengths")
    if not ways or len(set(ways)) < len(ways) or _count(setup["answer"]) < 1:
        raise ValueError("setup")
    return StudyHead(
        **known,
        setup=StudySetup(lengths, ways, setup["answer"]),
        machine=StudyMachine(**machine),
    )


def _plain(kind: type, value: Mapping[str, Any]) -> dict[str, Any]:
    """The texts and numbers among the fields of `kind`. Raises ValueError for other values."""
    found: dict[str, Any] = {}
    for field in fields(kind):
        one = value[field.name]
        if field.type == "int":
            found[field.name] = _count(one)
        elif field.type == "float":
            found[field.name] = _measure(one)
        elif field.type in _PLAIN:
            if not isinstance(one, _PLAIN[field.type]):
                raise ValueError(field.name)
            found[field.name] = one
    return found


def _measure(value: Any) -> float:
    """A number that charts can show: neither negative, nor without end, nor no number at all."""
    if type(value) not in (int, float) or not 0 <= value <= _MOST:
        raise ValueError("a number")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError("a count")
    return value


def _counts(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(map(_count, values))


def _read_end(value: Mapping[str, Any]) -> SeriesEnd:
    tokens, need, free = _counts((value["tokens"], value["need"], value["free"]))
    return SeriesEnd(Way(value["way"]), tokens, Ending(value["why"]), need, free)


def _read_point(row: Mapping[str, str]) -> StudyPoint:
    numbers: dict[str, Any] = {name: _count(int(row[name])) for name in COLUMNS[1:8]}
    times: dict[str, Any] = {name: _measure(float(row[name])) for name in COLUMNS[8:-1]}
    answer = _counts(map(int, row["answer"].split()))
    return StudyPoint(way=Way(row["way"]), **numbers, **times, answer=answer)
