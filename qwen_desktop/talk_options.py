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
    """What the command line asks for. `prompt` "-" is read from standard input."""

    load: LoadRequest
    options: Options
    prompt: str | None = None
    as_json: bool = False
    latest: bool = False


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Describe the command to argparse, whose `commands` are; how to load is still to be added."""
    chat: argparse.ArgumentParser = commands.add_parser(
        "chat",
        help="chat in the terminal, with the chats of the window",
        description="Chat with a checkpoint in the terminal. Chats are kept where the window keeps "
        "them. :help lists the commands; docs/terminal.md tells the rest.",
        argument_default=argparse.SUPPRESS,
    )
    chat.add_argument("folder", metavar="DIR", type=Path)
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
        "--system",
        metavar="TEXT",
        dest="setting_system_prompt",
        help="the system prompt; the same as --system-prompt",
    )
    return chat


def order(given: argparse.Namespace, options: Options) -> TalkOrder:
    """What was asked for, from what argparse read."""
    return TalkOrder(
        LoadRequest(
            given.folder.expanduser().absolute(),
            options.precision or Precision.AUTO,
            options.device or "auto",
            kv=options.kv or KvFormat.MODEL,
            rope_factor=options.rope_factor or 1.0,
        ),
        options,
        getattr(given, "prompt", None),
        bool(getattr(given, "json", False)),
        bool(getattr(given, "latest", False)),
    )
