"""The language of the search field. Pure; see docs/search.md for what it means to who types it.

Nothing that can be typed is an error: what cannot be made out is told in `Query.unknown` and left
out, and a word with a colon that is no filter ("http://…", "std::vector") is a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TypeVar

from qwen_desktop.chat import folding
from qwen_desktop.chat.matching import Needle
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.summary import Place

LONGEST = 1000  # characters that are looked at
MOST_NEEDLES = 32

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Query:
    """What is looked for. All of it has to hold; None and empty say nothing.

    Times are Unix seconds with `after` <= time < `before`. `models`, `tags` and `folders` are
    folded; a model is found by a part of its name, the others by their whole name.
    """

    include: tuple[Needle, ...] = ()
    exclude: tuple[Needle, ...] = ()
    role: Role | None = None
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    after: float | None = None
    before: float | None = None
    place: Place | None = None
    pinned: bool = False
    reasoning: bool = False
    unknown: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What to mark in the texts."""
        return tuple(dict.fromkeys(needle.word for needle in self.include))

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return replace(self, unknown=()) == Query()

    @property
    def is_about_messages(self) -> bool:
        """Whether it says something that no title has."""
        return self.role is not None or bool(self.models) or self.reasoning


_KEYS = {
    "model": ("model", "模型"),
    "role": ("role", "from", "角色"),
    "tag": ("tag", "label", "标签", "標籤"),
    "folder": ("folder", "文件夹", "資料夾"),
    "before": ("before", "until", "之前"),
    "after": ("after", "since", "之后", "之後"),
    "on": ("on", "date", "日期"),
    "in": ("in", "位置"),
    "is": ("is",),
    "has": ("has",),
}
_KEY_OF = {alias: key for key, aliases in _KEYS.items() for alias in aliases}
_ROLES = {
    "user": Role.USER,
    "me": Role.USER,
    "用户": Role.USER,
    "我": Role.USER,
    "assistant": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "助手": Role.ASSISTANT,
    "模型": Role.ASSISTANT,
}
_PLACES = {
    "chats": Place.CHATS,
    "archive": Place.ARCHIVE,
    "bin": Place.BIN,
    "trash": Place.BIN,
    "归档": Place.ARCHIVE,
    "回收站": Place.BIN,
}
_PINNED = {"pinned": True, "置顶": True}
_REASONING = {"reasoning": True, "thinking": True, "思考": True}

_QUOTES = {'"': '"', "\u201c": "\u201d", "\u201e": "\u201d", "「": "」", "『": "』"}
_STOPS = ".,;:!?\u2026，。；：！？、"
_OPEN = "".join(_QUOTES)
_CLOSE = "".join(_QUOTES.values())
_ITEM = re.compile(
    rf"(?P<without>-(?=[^\s-]))?"
    rf"(?:(?P<key>{'|'.join(sorted(_KEY_OF, key=len, reverse=True))})[:：](?!//|:))?"
    rf"(?:(?P<open>[{_OPEN}])(?P<phrase>[^{_CLOSE}]*)(?P<close>[{_CLOSE}])?|(?P<word>\S*))",
    re.IGNORECASE,
)
_DATE = re.compile(r"(\d{4})(?:[-/.年](\d{1,2})(?:[-/.月](\d{1,2})日?|月?)|年?)")
_AGO = re.compile(r"(\d{1,4})([dwmy])")
_DAYS = {"today": 0, "今天": 0, "yesterday": 1, "昨天": 1, "前天": 2}


def parse(text: str, now: float) -> Query:
    """The query that `text` is, at the Unix time `now`."""
    reader = _Reader(datetime.fromtimestamp(now).date())
    text = text[:LONGEST]
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = _ITEM.match(text, at)
        assert found is not None  # a word may be anything
        at = max(found.end(), at + 1)
        reader.take(found, last=at == len(text))
    return reader.query()


@dataclass
class _Reader:
    today: date
    include: list[Needle] = field(default_factory=list)
    exclude: list[Needle] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    said: Query = field(default_factory=Query)

    def query(self) -> Query:
        return replace(
            self.said,
            include=tuple(dict.fromkeys(self.include))[:MOST_NEEDLES],
            exclude=tuple(dict.fromkeys(self.exclude))[:MOST_NEEDLES],
            unknown=tuple(dict.fromkeys(self.unknown)),
        )

    def take(self, item: re.Match[str], last: bool) -> None:
        quoted = item["open"] is not None
        value = item["phrase"] if quoted else item["word"]
        without = item["without"] is not None
        if item["key"] is not None:
            if value or not last:  # else the value is about to be typed
                self._filter(item, _KEY_OF[item["key"].lower()], value, without)
            return
        growing = last and not without and item["close"] is None
        bare = value if quoted else value.strip(_STOPS)
        if bare != value and folding.TOKEN.search(bare):  # "why?" as one would say it
            growing, value = growing and value.endswith(bare), bare
        needle = Needle.of(value, prefix=growing)
        if needle is not None:
            (self.exclude if without else self.include).append(needle)

    def _filter(self, item: re.Match[str], key: str, value: str, without: bool) -> None:
        said = None if without else self._with(key, folding.folded(value).strip())
        if said is None:
            self.unknown.append(item[0].strip())
        else:
            self.said = said

    def _with(self, key: str, value: str) -> Query | None:
        """The query with another filter; None where the value says nothing."""
        said = self.said
        if not value:
            return None
        if key in ("model", "tag", "folder"):
            name = f"{key}s"
            return replace(said, **{name: (*getattr(said, name), value)})  # type: ignore[arg-type]
        if key in ("before", "after", "on"):
            return self._dated(key, value)
        if key == "role":
            return _chosen(value, _ROLES, lambda role: replace(said, role=role))
        if key == "in":
            return _chosen(value, _PLACES, lambda place: replace(said, place=place))
        if key == "is":
            return _chosen(value, _PINNED, lambda on: replace(said, pinned=on))
        return _chosen(value, _REASONING, lambda on: replace(said, reasoning=on))

    def _dated(self, key: str, value: str) -> Query | None:
        days = _days(value, self.today)
        if days is None:
            return None
        try:
            begin, end = (datetime(d.year, d.month, d.day).timestamp() for d in days)
        except (ValueError, OverflowError, OSError):  # beyond what the system's clock can say
            return None
        said = self.said
        if key in ("after", "on"):
            said = replace(said, after=max(begin, said.after or begin))
        if key in ("before", "on"):
            last = begin if key == "before" else end
            said = replace(said, before=min(last, said.before or last))
        return said


def _chosen(
    value: str, known: Mapping[str, _Value], use: Callable[[_Value], Query]
) -> Query | None:
    """By the name of a value or, while it is typed, the beginning of one."""
    if value in known:
        return use(known[value])
    meant = {kept for name, kept in known.items() if name.startswith(value)}
    return use(meant.pop()) if len(meant) == 1 else None


def _days(value: str, today: date) -> tuple[date, date] | None:
    """The first day of what a date names, and the day after its last."""
    try:
        if value in _DAYS:
            return _day(today - timedelta(_DAYS[value]))
        if ago := _AGO.fullmatch(value):
            return _day(_before(today, int(ago[1]), ago[2]))
        found = _DATE.fullmatch(value)
        if found is None:
            return None
        year, month, day = (int(part) if part else None for part in found.groups())
        assert year is not None
        if month is None:
            return date(year, 1, 1), date(year + 1, 1, 1)
        if day is None:
            return date(year, month, 1), _months_later(date(year, month, 1), 1)
        return _day(date(year, month, day))
    except (ValueError, OverflowError):
        return None


def _day(day: date) -> tuple[date, date]:
    return day, day + timedelta(1)


def _before(today: date, count: int, unit: str) -> date:
    if unit in "dw":
        return today - timedelta(count * (7 if unit == "w" else 1))
    return _months_later(today, -count * (12 if unit == "y" else 1))


def _months_later(day: date, months: int) -> date:
    """The same day of another month, or its last one where there are fewer."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for number in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, number)
        except ValueError:
            if number <= 28:
                raise
    raise AssertionError("every month has 28 days")
