"""Downloads in processes that can be killed at any moment; they begin within milliseconds.

A process of one thread imports the downloader once and forks whenever it is told to:

    python -m tests.hub.nursery ENDPOINT FOLDER

Each line of its input is a start. It prints the number of the child, and when that has ended its
status as `subprocess` has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]


def _download(endpoint: str, folder: Path) -> None:
    from qwen_desktop.chat.hub import Endpoint, Hub
    from qwen_desktop.hub.download import Download
    from qwen_desktop.hub.listing import fetch_listing
    from qwen_desktop.hub.planning import plan
    from tests.hub.fetching import REPOSITORY

    there = Endpoint(Hub.HUGGING_FACE, endpoint)
    found = plan(folder, fetch_listing(there, REPOSITORY))
    Download(found, there).run(lambda _: None, threading.Event())


def main() -> int:
    """Fork for each line."""
    import tests.hub.fetching  # noqa: F401 - with all that the children need

    endpoint, folder = sys.argv[1], Path(sys.argv[2])
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            status = 1
            try:
                _download(endpoint, folder)
                status = 0
            except BaseException:  # noqa: BLE001 - a child must not go on in the loop
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(status)
        print(child, flush=True)
        _, ended = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)
    return 0


class Nursery:
    """The process, for a test."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.nursery", endpoint, str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def start(self) -> int:
        """A download begins; the number of its process."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def ended(self) -> int:
        """Wait for its end: 0 where all came, -9 where it was killed."""
        return self._read()

    def _read(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


if __name__ == "__main__":
    sys.exit(main())
