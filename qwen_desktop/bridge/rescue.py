"""Writes what is not on disk to a file elsewhere, on a thread of its own. QtCore only."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from qwen_desktop.bridge.saving import Unsaved
from qwen_desktop.chat.draft import Draft
from qwen_desktop.errors import report_of


class Rescue(QObject):
    """The file is one of several conversations, as docs/formats.md tells, and can be imported.

    Beside them it has "drafts": a list of {"conversation", "text", "files"}, "" being a new
    conversation, and files being {"name", "text"} where there are any.
    Signals: `written(Path)` or `failed(Report)`.
    """

    written = Signal(object)
    failed = Signal(object)

    def write(self, file: Path, unsaved: Unsaved) -> None:
        """Write all of `unsaved` to `file`; one of the signals tells the end."""
        threading.Thread(
            target=self._write, args=(file, unsaved), name="rescue", daemon=True
        ).start()

    def _write(self, file: Path, unsaved: Unsaved) -> None:
        try:
            from qwen_desktop.storage.atomic import write_json

            write_json(file, _value(unsaved))
        except Exception as error:  # noqa: BLE001 - the border of this thread: all become Reports
            self.failed.emit(report_of(error))
        else:
            self.written.emit(file)


def _value(unsaved: Unsaved) -> dict[str, Any]:
    from qwen_desktop.chat.record import Record
    from qwen_desktop.chat.text import whole
    from qwen_desktop.storage import conversation_json

    return {
        "format": conversation_json.SEVERAL,
        "version": conversation_json.WITHOUT_FILES,
        "conversations": [
            conversation_json.to_value(Record(conversation))
            for conversation in unsaved.conversations
        ],
        "drafts": [
            {"conversation": whole(key), **_draft(Draft.read(text))}
            for key, text in unsaved.drafts.items()
        ],
    }


def _draft(draft: Draft) -> dict[str, Any]:
    from qwen_desktop.chat.text import whole

    files = [{"name": whole(file.name), "text": whole(file.text)} for file in draft.files]
    return {"text": whole(draft.text), **({"files": files} if files else {})}
