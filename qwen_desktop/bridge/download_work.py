"""What the threads of downloads do: ask a hub what there is, fetch it, take it away. No Qt.

Every function may block for as long as a network or a disk does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.chat.downloads import DownloadEntry
from qwen_desktop.chat.hub import (
    DownloadPlan,
    DownloadProgress,
    Endpoint,
    Hub,
    Listing,
    RepositoryAddress,
)
from qwen_desktop.errors import Known

if TYPE_CHECKING:
    from qwen_desktop.hub.pace import Limit

# Asked for on the thread that needs it: a token may come from a keyring, which takes its time.
Token = Callable[[Hub], "str | None"]


@dataclass(frozen=True)
class Server:
    """Who is asked, as the settings say. `address` "" is the hub's own."""

    hub: Hub
    address: str = ""
    proxy: str = field(default="", repr=False)  # may hold a password


@dataclass(frozen=True)
class LookUp:
    """What somebody wants to know of a repository. `parent` is where its folder would lie."""

    address: RepositoryAddress
    server: Server
    revision: str
    parent: Path


def endpoint_of(server: Server, token: Token) -> Endpoint:
    """The server, and as whom it is asked: no token goes to a mirror that it was not made for."""
    from qwen_desktop.hub.endpoints import default_address, endpoint

    there = endpoint(server.hub, server.address, None, server.proxy)
    mine = token(server.hub)
    if mine and there.address == default_address(server.hub):
        there = replace(there, token=mine)
    return there


def folder_in(parent: Path, listing: Listing) -> Path:
    """Where a repository goes below the folder of models: OWNER/NAME."""
    return parent / listing.repository.owner / listing.repository.name


def folder_of(text: str) -> Path:
    """The folder that a user typed: from the home folder on, wherever the program was started."""
    return Path.home() / os.path.expanduser(text)  # noqa: PTH111 - that of Path raises for "~x"


def look_up(asked: LookUp, token: Token, stop: threading.Event) -> DownloadPlan:
    """Ask the hub, and look at what is here of it. Raises Known, Cancelled."""
    from qwen_desktop.hub.listing import fetch_listing
    from qwen_desktop.hub.planning import plan

    there = endpoint_of(asked.server, token)
    listing = fetch_listing(there, asked.address.repository, asked.revision, stop)
    return plan(folder_in(asked.parent, listing), listing)


def plan_in(folder: Path, listing: Listing) -> DownloadPlan:
    """What a download of `listing` into another folder would take. No network."""
    from qwen_desktop.hub.planning import plan

    return plan(folder, listing)


def here(entry: DownloadEntry) -> int:
    """Bytes of a download that are in its folder; 0 where that cannot be said. No network."""
    from qwen_desktop.hub.planning import plan

    try:
        return plan(entry.folder, entry.listing, entry.only).here
    except Known:
        return 0


@dataclass
class Job:
    """One run of a download. Its thread reads; `stop` is set by the main thread."""

    run_id: str
    folder: Path
    listing: Listing
    only: frozenset[str] | None
    server: Server
    connections: int
    limit: Limit
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


def fetch(job: Job, token: Token, told: Callable[[DownloadProgress], None]) -> None:
    """Fetch what is missing, and compare all of it. Raises Known, Cancelled where it is paused."""
    from qwen_desktop.hub.download import Download
    from qwen_desktop.hub.planning import plan

    there = endpoint_of(job.server, token)
    planned = plan(job.folder, job.listing, job.only)
    download = Download(planned, there, connections=job.connections, limit=job.limit)
    download.run(told, job.stop)


def take_away(folder: Path, paths: Iterable[str]) -> None:
    """Delete what a download fetched into `folder`, and the folder where nothing else is in it.

    Only `paths` and what belongs to the downloader itself go. Raises Known.
    """
    from qwen_desktop.hub.download import discard
    from qwen_desktop.storage import trouble

    try:
        discard(folder, paths)
        for outer in (folder, folder.parent):
            _remove_empty(outer)
    except OSError as error:
        raise trouble.from_os(error, folder) from error


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and next(folder.iterdir(), None) is None:
        folder.rmdir()
