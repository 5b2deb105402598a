"""What `qwen-desktop chat` takes. Apart from the command itself: every start reads the options."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.options import Options


@dataclass(frozen=True)
class TalkOrder:
    """What the command line asks for. `prompt` "-" is read from standard input.

    `connection` names one that answers in place of the checkpoint in `folder`; `assents`: whatever
    is said may go there. `files` go with the first message.
    """

    options: Options
    folder: Path | None = None
    prompt: str | None = None
    as_json: bool = False
    latest: bool = False
    connection: str = ""
    model: str = ""
    assents: bool = False
    files: tuple[Path, ...] = ()

    def opening(self, folder: Path) -> LoadRequest:
        """How a checkpoint is to be opened."""
        options = self.options
        return LoadRequest(
            folder,
            options.precision or Precision.AUTO,
            options.device or "auto",
            kv=options.kv or KvFormat.MODEL,
            rope_factor=options.rope_factor or 1.0,
        )


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Describe the command to argparse, whose `commands` are; how to load is still to be added."""
    chat: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="chat in the terminal, with the chats of the window",
        description="Chat in the terminal with the checkpoint in DIR, or with a server. Chats are "
        "kept where the window keeps them. :help lists the commands; docs/terminal.md tells the "
        "rest.",
        argument_default=argparse.SUPPRESS,
    )
    chat.add_argument("folder", metavar="DIR", type=Path, nargs="?", default=None)
    how = chat.add_mutually_exclusive_group()
    how.add_argument("--prompt", metavar="TEXT", help="answer once and exit; - reads it from stdin")
    how.add_argument(
        "--json",
        action="store_true",
        help="a request on each line of stdin, events on the lines of stdout; nothing is kept",
    )
    how.add_argument(
        "--continue", dest="latest", action="store_true", help="open the newest chat first"
    )
    chat.add_argument(
        "--attach",
        metavar="FILE",
        dest="attached",
        action="append",
        type=Path,
        help="send a text file or a PDF along; may be repeated",
    )
    chat.add_argument(
        "--connection", metavar="NAME", help="let a server answer: one of the window's connections"
    )
    chat.add_argument("--model", metavar="NAME", help="which of its models. Default: its first.")
    chat.add_argument(
        "--yes",
        dest="assents",
        action="store_true",
        help="do not ask before chats are sent to the servers that answer them",
    )
    chat.add_argument(
        "--system",
        metavar="TEXT",
        dest="setting_system_prompt",
        help="the system prompt; the same as --system-prompt",
    )
    return chat


def order(
    parser: argparse.ArgumentParser, given: argparse.Namespace, options: Options
) -> TalkOrder:
    """What was asked for, from what argparse read. Ends with `parser`'s error if it makes none."""
    folder = getattr(given, "folder", None)
    made = TalkOrder(
        options,
        folder.expanduser().absolute() if folder is not None else None,
        getattr(given, "prompt", None),
        bool(getattr(given, "json", False)),
        bool(getattr(given, "latest", False)),
        getattr(given, "connection", ""),
        getattr(given, "model", ""),
        bool(getattr(given, "assents", False)),
        tuple(one.expanduser().absolute() for one in getattr(given, "attached", ())),
    )
    if made.folder is None and not made.connection:
        parser.error("chat needs a checkpoint folder, or --connection NAME")
    if made.model and not made.connection:
        parser.error("--model is one of a --connection")
    if made.files and made.as_json:
        parser.error("--json takes no --attach")
    return made
