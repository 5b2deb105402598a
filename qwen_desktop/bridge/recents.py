"""The checkpoints that were opened before, and the choices made for each. QtCore only.

Lives on the main thread and touches no disk: the application saves what `changed` tells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from qwen_desktop.chat.checkpoint import FolderReport, KvFormat, Precision
from qwen_desktop.chat.downloads import DownloadEntry
from qwen_desktop.chat.model import LoadRequest, ModelInfo
from qwen_desktop.chat.recent import Recent

LIMIT = 12


class Recents(QObject):
    """Newest first, each folder once. The demo checkpoint is not one of them."""

    changed = Signal()

    def __init__(self, entries: Iterable[Recent] = (), parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries = tuple(entries)[:LIMIT]

    @property
    def entries(self) -> tuple[Recent, ...]:
        """The list now."""
        return self._entries

    def remember(self, info: ModelInfo, request: LoadRequest) -> None:
        """Put what was just opened on top, with the choices it was opened with."""
        if info.demo is not None:
            return
        recent = Recent(
            folder=str(request.folder),
            name=info.name,
            family=info.family_name or info.family,
            parameters=info.parameters,
            weight_bytes=info.weight_bytes,
            precision=request.precision.value,
            placement=request.placement,
            context=request.context,
            kv=request.kv.value,
            rope_factor=request.rope_factor,
            used_at=time.time(),
        )
        self._set((recent, *self._without(recent.folder)))

    def enter(self, entry: DownloadEntry, report: FolderReport | None) -> None:
        """Put a checkpoint on top that was downloaded and was never opened."""
        if report is None or not report.opens or report.facts is None:
            return
        facts, folder = report.facts, str(entry.folder)
        if any(_same(recent.folder, folder) for recent in self._entries):
            return
        recent = Recent(
            folder=folder,
            name=entry.repository.name,
            family=facts.family_name or facts.family,
            parameters=facts.parameters,
            weight_bytes=facts.stored_bytes,
        )
        self._set((recent, *self._entries))

    def forget(self, folder: str) -> None:
        """Take a folder off the list."""
        self._set(self._without(folder))

    def request_for(self, folder: Path) -> LoadRequest:
        """How `folder` was opened the last time; the defaults for a new one."""
        recent = next((r for r in self._entries if _same(r.folder, str(folder))), None)
        if recent is None:
            return LoadRequest(folder)
        try:
            precision, kv = Precision(recent.precision), KvFormat(recent.kv)
        except ValueError:  # of a newer version
            precision, kv = Precision.AUTO, KvFormat.MODEL
        placement = recent.placement or "auto"
        return LoadRequest(folder, precision, placement, recent.context, kv, recent.rope_factor)

    def _without(self, folder: str) -> tuple[Recent, ...]:
        return tuple(r for r in self._entries if not _same(r.folder, folder))

    def _set(self, entries: tuple[Recent, ...]) -> None:
        if entries != self._entries:
            self._entries = entries[:LIMIT]
            self.changed.emit()


def _same(one: str, other: str) -> bool:
    return os.path.normcase(one) == os.path.normcase(other)
