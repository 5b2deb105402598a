"""Messages of Qt that end the program go into the crash report. QtCore only."""

from __future__ import annotations

import sys
from collections.abc import Callable

from PySide6.QtCore import QMessageLogContext, QtMsgType, qFormatLogMessage, qInstallMessageHandler

from qwen_desktop.crash_report import CrashWatch

Handler = Callable[[QtMsgType, QMessageLogContext, str], object]


def report_fatal_messages(watch: CrashWatch) -> None:
    """From now on, until the end of the process; other messages go to standard error as before."""

    def handle(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        if kind is QtMsgType.QtFatalMsg:
            watch.note(f"Qt: {text}")
        if sys.stderr is not None:
            print(qFormatLogMessage(kind, context, text), file=sys.stderr, flush=True)  # noqa: T201

    qInstallMessageHandler(handle)


def leave_messages() -> None:
    """Qt writes its messages itself again, as it does behind the end of the interpreter."""
    qInstallMessageHandler(None)
