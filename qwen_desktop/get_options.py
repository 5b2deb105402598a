"""What `qwen-desktop get` takes. Apart from the command itself: every start reads the options."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_desktop.paths import Profile

HUBS = ("huggingface", "modelscope")  # the values of `chat.hub.Hub`, which not every start needs
MB = 10**6
MAX_CONNECTIONS = 16


@dataclass(frozen=True)
class Order:
    """What the command line asks for; None is as the settings of `profile` say.

    `folder` None: in the folder of models, by the repository's name.
    """

    repository: str
    profile: Profile
    folder: Path | None = None
    hub: str = ""  # one of HUBS
    revision: str = ""
    endpoint: str = ""
    limit: float | None = None  # bytes a second, 0 for none
    connections: int | None = None
    all_files: bool = False
    as_json: bool = False


def add_command(commands: Any) -> None:
    """Describe the command to argparse, whose `commands` are."""
    get = commands.add_parser(
        "get",
        help="fetch a checkpoint from Hugging Face or ModelScope",
        description="Fetch a checkpoint: the files that a load needs, each compared with the "
        "hub's hash. Ctrl+C pauses; the same command goes on. A folder that has some of the files "
        "already gets the missing ones. The exit status is 0 where all is there and it opens.",
        argument_default=argparse.SUPPRESS,
    )
    get.add_argument(
        "repository", metavar="REPOSITORY", help="OWNER/NAME, or the address of its page"
    )
    get.add_argument(
        "--from",
        dest="hub",
        choices=HUBS,
        help="the hub. Default: that of an address, else as the settings say.",
    )
    get.add_argument(
        "--to",
        metavar="DIR",
        type=Path,
        help="the folder of the files. Default: one in the folder of models of the settings.",
    )
    get.add_argument("--revision", metavar="NAME", help="a branch, a tag or a commit")
    get.add_argument("--endpoint", metavar="URL", help="a mirror that speaks as the hub does")
    get.add_argument("--limit", metavar="MB/s", type=_limit, help="megabytes a second in all")
    get.add_argument(
        "--connections",
        metavar="N",
        type=_connections,
        help=f"1 to {MAX_CONNECTIONS} at a time. Default: as the settings say.",
    )
    get.add_argument(
        "--all-files", action="store_true", help="also those that a load does not need"
    )
    get.add_argument("--json", action="store_true", help="print one JSON object a line")
    get.add_argument("--profile", metavar="DIR", type=Path, help="with the models and the settings")


def _limit(text: str) -> float:
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0.01 <= limit <= 100_000:
        raise argparse.ArgumentTypeError("say a number of megabytes a second: 2.5")
    return limit * MB


def _connections(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_CONNECTIONS:
        raise argparse.ArgumentTypeError(f"say a number from 1 to {MAX_CONNECTIONS}")
    return int(text)


def order(given: argparse.Namespace, profile: Profile) -> Order:
    """What was asked for, from what argparse read."""
    folder = getattr(given, "to", None)
    return Order(
        given.repository,
        profile,
        folder.expanduser().absolute() if folder is not None else None,
        getattr(given, "hub", ""),
        getattr(given, "revision", ""),
        getattr(given, "endpoint", ""),
        getattr(given, "limit", None),
        getattr(given, "connections", None),
        getattr(given, "all_files", False),
        getattr(given, "json", False),
    )
