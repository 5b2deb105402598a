"""Finds the checkpoints of this machine and looks into each; on the library's thread. No Qt."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.chat.checkpoint import Fit, FolderReport, Precision, Severity, model_name
from qwen_desktop.chat.library import Health, LibraryEntry, Place, Shelf, health_of

if TYPE_CHECKING:
    from qwen_desktop.engine.gpus import Machine

STEPS = 20  # parts of a memory that make a difference to what fits
_PAUSE_S = 0.002  # between two folders, for the window
_TELL_S = 0.2


@dataclass(frozen=True)
class Search:
    """What is looked through. `opened` are folders that were, `used` the times, by `key_of`."""

    shelf: Shelf
    opened: tuple[Path, ...]
    used: Mapping[str, float]
    downloads: Path
    machine: Machine
    hugging_face: Path
    modelscope: Path


Found = Callable[[tuple[LibraryEntry, ...], int], object]  # entries so far, how many are waiting


def key_of(folder: Path | str) -> str:
    """What tells two folders apart on this system."""
    return os.path.normcase(str(folder))


def machine_mark(machine: Machine) -> str:
    """Changes when what is free has changed so much that other things fit."""
    return " ".join(
        f"{device.id}:{device.total}:{device.free * STEPS // max(device.total, 1)}"
        for device in machine.devices
    )


def scan(search: Search, found: Found, cancel: threading.Event) -> tuple[LibraryEntry, ...]:
    """All entries, each looked into where something has changed; `found` hears now and then.

    Cancelled, it gives what it has so far with the rest as it was.
    """
    known = {key_of(entry.folder): entry for entry in search.shelf.entries}
    places: dict[str, tuple[Path, Place]] = {}
    for folder, place in _candidates(search, cancel):
        key = key_of(folder)
        if key not in search.shelf.hidden:
            places.setdefault(key, (folder, place))
    mark = machine_mark(search.machine)
    entries: dict[str, LibraryEntry] = {}
    told = time.monotonic()
    for number, (key, (folder, place)) in enumerate(places.items()):
        if cancel.is_set():
            break
        before = known.get(key)
        entry = _look(folder, place, before, search.machine, mark, cancel)
        entries[key] = replace(entry, used_at=search.used.get(key, entry.used_at))
        if time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            found(tuple(entries.values()), len(places) - number - 1)
        if entry is not before:
            time.sleep(_PAUSE_S)
    if cancel.is_set():
        return tuple({**known, **entries}.values())
    return tuple(entries.values())


def _candidates(search: Search, cancel: threading.Event) -> Iterator[tuple[Path, Place]]:
    from qwen_desktop.hub import places

    for entry in search.shelf.entries:
        if entry.place in (Place.ADDED, Place.OPENED) or _is_unplugged(entry, search):
            yield entry.folder, entry.place
    for folder in search.opened:
        yield folder, Place.OPENED
    for folder in places.below(search.downloads, cancel):
        yield folder, Place.DOWNLOADED
    for parent in search.shelf.watched:
        for folder in places.below(parent, cancel):
            yield folder, Place.WATCHED
    for folder in places.in_hugging_face_cache(search.hugging_face, cancel):
        yield folder, Place.HUGGING_FACE
    for folder in places.in_modelscope_cache(search.modelscope, cancel):
        yield folder, Place.MODELSCOPE


def _is_unplugged(entry: LibraryEntry, search: Search) -> bool:
    """Whether a folder that was found is gone because all that is watched around it is."""
    return entry.place is Place.WATCHED and any(
        parent in entry.folder.parents and not parent.is_dir() for parent in search.shelf.watched
    )


def _look(
    folder: Path,
    place: Place,
    before: LibraryEntry | None,
    machine: Machine,
    mark: str,
    cancel: threading.Event,
) -> LibraryEntry:
    from qwen_desktop.engine.doctor import examine
    from qwen_desktop.hub import places

    stamp = places.stamp(folder)
    if before is not None and before.stamp == stamp and before.machine == mark and stamp:
        return before if before.place is place else replace(before, place=place)
    entry = entry_of(examine(folder, machine, brief=True), place, before)
    size = places.disk_use(folder, cancel) if stamp else 0
    return replace(entry, stamp=stamp, machine=mark, size=size)


def entry_of(report: FolderReport, place: Place, before: LibraryEntry | None) -> LibraryEntry:
    """The entry that a brief report comes to; of what cannot be read now as it was `before`."""
    facts, health = report.facts, health_of(report)
    told = [f for f in report.findings if f.severity is not Severity.NOTE]
    fit, context = _fit(report)
    entry = LibraryEntry(
        folder=report.folder,
        name=model_name(report.folder) or str(report.folder),
        place=place,
        health=health,
        codes=tuple(dict.fromkeys(finding.code for finding in told)),
        verdict=told[0].report if told else None,
        fit=fit,
        context=context,
        used_at=before.used_at if before is not None else 0.0,
    )
    if facts is not None:
        return replace(
            entry,
            family=facts.family_name,
            parameters=facts.parameters,
            stored=facts.stored,
            is_chat=facts.is_chat,
        )
    if health is Health.GONE and before is not None:
        return replace(
            entry, family=before.family, parameters=before.parameters, stored=before.stored
        )
    return entry


def _fit(report: FolderReport) -> tuple[Fit | None, int]:
    """With the context of a first answer, and the longest context that fits."""
    plans = [
        (context, plan)
        for context in report.contexts
        if (plan := (report.plans or {}).get(("auto", Precision.AUTO, context))) is not None
    ]
    if not plans:
        return None, 0
    fitting = [context for context, plan in plans if plan.fit is not Fit.NO]
    return plans[0][1].fit, max(fitting, default=0)
