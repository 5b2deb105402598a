"""Ending on a signal, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import os, signal, sys
from PySide6.QtCore import QCoreApplication, QTimer
from qwen_desktop.bridge.termination import TerminationSignals

app = QCoreApplication([])
signals = TerminationSignals(app)

def end():
    print("ended", flush=True)
    signals.close()  # as the application does it: inside of the signal
    app.quit()

signals.received.connect(end)
QTimer.singleShot(0, lambda: os.kill(os.getpid(), signal.SIGTERM))
sys.exit(app.exec())
"""

# The handler runs on the way into the notifier's slot, as it does while Qt sleeps.
LATE = CHILD.replace(
    "QTimer.singleShot(0, lambda: os.kill(os.getpid(), signal.SIGTERM))",
    "import threading; threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()",
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_signal_ends_the_program_without_a_word():
    for code in (CHILD, LATE):
        done = run(code)
        assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")
