"""`qwen-desktop get OWNER/NAME`: fetch a checkpoint from a hub in a terminal. No Qt, no torch.

Exit status: 0 where every file is there and the folder opens, 1 where something went wrong or the
folder does not open, 130 where Ctrl+C paused it; the same command goes on from there.

`--json` prints one object a line on standard output. Each has `event`; new keys may come:

    listing     hub, endpoint, repository, revision, commit, folder, total, missing (bytes),
                files: list of {path, size, sha256, here}, left_out: list of {path, reason}
    progress    state: starting | fetching | retrying | checking | done; total, done (bytes),
                speed (bytes a second), remaining_s (or null), trouble (a sentence or null)
    file        path, size: it is whole now
    paused      total, done
    error       code, text, remedy
    done        folder, opens, findings: as `inspect --json` has them
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from qwen_desktop.chat.hub import (
    DownloadPlan,
    DownloadProgress,
    DownloadState,
    FileState,
    Hub,
    Listing,
    Standing,
)
from qwen_desktop.errors import Cancelled, Known, Report
from qwen_desktop.get_options import MB, Order
from qwen_desktop.storage.preferences import Preferences
from qwen_desktop.terminal import INTERRUPTED, interrupted_by, say

LINE_S = 10.0  # between two lines of progress where no bar can be drawn
DRAW_S = 0.1
BAR = 24  # characters
MIB = 2**20


def run(wanted: Order) -> int:
    """Carry it out and tell about it; gives the exit status."""
    teller = JsonTeller() if wanted.as_json else Teller(sys.stderr.isatty())
    stop = threading.Event()
    with interrupted_by(stop):
        try:
            folder = _fetch(wanted, teller, stop)
        except Cancelled:
            teller.paused()
            return INTERRUPTED
        except Known as trouble:
            teller.failed(trouble.report())
            return 1
    return 0 if teller.done(folder) else 1


def _fetch(wanted: Order, teller: Teller, stop: threading.Event) -> Path:
    from qwen_desktop.chat.hub_address import parse
    from qwen_desktop.hub.adopt import plan_missing
    from qwen_desktop.hub.download import Download
    from qwen_desktop.hub.endpoints import endpoint
    from qwen_desktop.hub.listing import fetch_listing

    settings = _Settings(Preferences(wanted.profile.preferences))
    named = parse(wanted.repository)
    hub = Hub(wanted.hub) if wanted.hub else named.hub or settings.hub
    address = wanted.endpoint or (named.endpoint if named.hub is hub else "")
    there = endpoint(hub, address or settings.address(hub), None, settings.proxy)
    listing = fetch_listing(there, named.repository, wanted.revision or named.revision, stop)
    models = settings.models or wanted.profile.models
    folder = wanted.folder or models / named.repository.owner / named.repository.name
    only = frozenset(file.path for file in listing.files) if wanted.all_files else None
    planned = plan_missing(folder, listing, only)
    teller.begins(planned)
    connections = wanted.connections or settings.connections
    limit = settings.limit if wanted.limit is None else int(wanted.limit)
    download = Download(planned, there, connections=connections, limit=limit)
    download.run(teller.goes_on, stop)
    return folder


class _Settings:
    """What the window's settings say of downloads."""

    def __init__(self, preferences: Preferences) -> None:
        self._get = preferences.get
        self.hub = Hub(str(self._get("hub")))
        self.proxy = str(self._get("proxy"))
        self.connections = int(str(self._get("connections")))
        self.limit = int(float(str(self._get("download_limit"))) * MIB)  # bytes a second
        folder = str(self._get("models_folder"))
        self.models = Path.home() / os.path.expanduser(folder) if folder else None  # noqa: PTH111

    def address(self, hub: Hub) -> str:
        """Of a mirror, "" for the hub's own."""
        return str(self._get(f"{hub.value}_address"))


class Teller:
    """Tells a person: a bar on a terminal, lines elsewhere; all of it on standard error."""

    def __init__(self, has_bar: bool) -> None:
        self._has_bar = has_bar
        self._shown_at = float("-inf")
        self._width = 0  # of the line that is drawn now
        self._trouble: Report | None = None
        self._whole: set[str] = set()
        self._last: DownloadProgress | None = None

    def begins(self, plan: DownloadPlan) -> None:
        """The plan is made."""
        listing = plan.listing
        commit = f" at {listing.commit[:12]}" if listing.commit else ""
        say(f"{listing.repository} from {listing.hub.label}{commit}", sys.stderr)
        say(f"into {plan.folder}", sys.stderr)
        here = f", {size(plan.here)} of them here already" if plan.here else ""
        say(f"{_files(len(plan.files))}, {size(plan.total)}{here}", sys.stderr)
        if listing.refused:
            say(f"left out, as no folder may have them: {len(listing.refused)}", sys.stderr)

    def goes_on(self, progress: DownloadProgress) -> None:
        """It has come so far."""
        self._last = progress
        self._say_trouble(progress)
        now = time.monotonic()
        is_over = progress.state is DownloadState.DONE
        if self._has_bar:
            if is_over or now - self._shown_at >= DRAW_S:
                self._shown_at = now
                self._draw(_line(progress, is_bar=True))
            return
        if is_over or now - self._shown_at >= LINE_S:
            self._shown_at = now
            say(_line(progress, is_bar=False), sys.stderr)

    def paused(self) -> None:
        """Somebody pressed Ctrl+C."""
        self._end_line()
        if self._last is not None:
            here = f"{size(self._last.done)} of {size(self._last.total)} are here."
            say(f"Paused. {here} The same command goes on from there.", sys.stderr)
        else:
            say("Stopped before anything was fetched.", sys.stderr)

    def failed(self, report: Report) -> None:
        """It does not go on."""
        self._end_line()
        say(report.text(), sys.stderr)
        if self._last is not None and self._last.done:
            say("What came is kept. The same command goes on from there.", sys.stderr)

    def done(self, folder: Path) -> bool:
        """All files are there; whether the folder opens."""
        from qwen_desktop import inspection

        self._end_line()
        text, status = inspection.run(folder, as_json=False, encoding=_encoding())
        say("", sys.stderr)
        for line in text.splitlines():
            say(line)
        if status == 0:
            say(f"Open it: qwen-desktop open {_quoted(folder)}", sys.stderr)
        return status == 0

    def _say_trouble(self, progress: DownloadProgress) -> None:
        if progress.trouble is not None and progress.trouble != self._trouble:
            self._end_line()
            again = f" Trying again in {progress.retry_in_s:.0f} s."
            say(progress.trouble.text() + again, sys.stderr)
        self._trouble = progress.trouble

    def _draw(self, line: str) -> None:
        import shutil

        room = shutil.get_terminal_size().columns - 1  # a full line would wrap
        line = line[:room]
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def _end_line(self) -> None:
        if self._width:
            say("", sys.stderr)
            self._width = 0


class JsonTeller(Teller):
    """Tells a program."""

    def __init__(self) -> None:
        super().__init__(has_bar=False)

    def begins(self, plan: DownloadPlan) -> None:
        """The plan is made."""
        listing = plan.listing
        self._whole = {one.file.path for one in plan.files if one.standing is Standing.CHECKED}
        files = [
            {
                "path": one.file.path,
                "size": one.file.size,
                "sha256": one.file.sha256,
                "here": one.here,
            }
            for one in plan.files
        ]
        left_out = [{"path": path, "reason": reason.value} for path, reason in plan.left_out]
        _emit(
            "listing",
            **_where(listing),
            folder=str(plan.folder),
            total=plan.total,
            missing=plan.missing,
            files=files,
            left_out=left_out,
        )

    def goes_on(self, progress: DownloadProgress) -> None:
        """It has come so far."""
        self._last = progress
        for file in progress.files:
            if file.state is FileState.DONE and file.path not in self._whole:
                self._whole.add(file.path)
                _emit("file", path=file.path, size=file.size)
        _emit(
            "progress",
            state=progress.state.value,
            total=progress.total,
            done=progress.done,
            speed=round(progress.speed),
            remaining_s=progress.remaining_s,
            trouble=progress.trouble.text() if progress.trouble is not None else None,
        )

    def paused(self) -> None:
        """Somebody pressed Ctrl+C."""
        last = self._last
        _emit("paused", total=last.total if last else 0, done=last.done if last else 0)

    def failed(self, report: Report) -> None:
        """It does not go on."""
        text = report.template.format_map(report.values)
        remedy = report.remedy.format_map(report.values)
        _emit("error", code=report.code, text=text, remedy=remedy)

    def done(self, folder: Path) -> bool:
        """All files are there; whether the folder opens."""
        from qwen_desktop import inspection

        text, status = inspection.run(folder, as_json=True, encoding="ascii")
        findings = json.loads(text)["findings"]
        _emit("done", folder=str(folder), opens=status == 0, findings=findings)
        return status == 0


def _emit(event: str, **values: Any) -> None:
    say(json.dumps({"event": event, **values}))


def _where(listing: Listing) -> dict[str, str]:
    return {
        "hub": listing.hub.value,
        "endpoint": listing.endpoint,
        "repository": str(listing.repository),
        "revision": listing.revision,
        "commit": listing.commit,
    }


def _line(progress: DownloadProgress, *, is_bar: bool) -> str:
    """How far it is: "  42 % [##########--------------] 412.3 of 942.3 MiB, 11.8 MB/s, …"."""
    share = progress.done / progress.total if progress.total else 1.0
    # The last percent is for what is really there.
    percent = 100 if progress.done >= progress.total else min(99, int(100 * share))
    bar = ""
    if is_bar:
        full = int(BAR * share)
        bar = f" [{'#' * full}{'-' * (BAR - full)}]"
    parts = [f"{size(progress.done)} of {size(progress.total)}"]
    if progress.state is DownloadState.CHECKING:
        parts.append("comparing with the hub's hashes")
    elif progress.state is not DownloadState.DONE and progress.speed > 0:
        parts.append(f"{progress.speed / MB:.1f} MB/s")
        if progress.remaining_s is not None:
            parts.append(f"{duration(progress.remaining_s)} left")
    whole = sum(file.state is FileState.DONE for file in progress.files)
    parts.append(f"{whole}/{len(progress.files)} files")
    return f"{percent:3} %{bar} " + ", ".join(parts)


def size(count: int) -> str:
    """A byte count: "942.3 MiB"."""
    for unit, value in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= value:
            return f"{count / value:.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """A time: "0:47", "1:02:03"."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _encoding() -> str:
    return sys.stdout.encoding or "ascii"


def _quoted(folder: Path) -> str:
    text = str(folder)
    return f'"{text}"' if " " in text else text
