"""What `qwen-desktop serve` takes. Apart from the command itself: every start reads the options."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.option_groups import load_request

PORT = 8080
WAITING = 8
LONGEST_KEY = 500  # characters


@dataclass(frozen=True)
class ServeOrder:
    """What the command line asks for. `made`: the key was made for this run, and is to be shown."""

    load: LoadRequest
    code_folder: Path
    host: str = "127.0.0.1"
    port: int = PORT
    key: str = ""
    made: bool = False
    waiting: int = WAITING
    origins: tuple[str, ...] = ()


def add_command(commands: Any) -> argparse.ArgumentParser:
    """Describe the command to argparse, whose `commands` are; how to load is still to be added."""
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="offer a checkpoint to other programs of this machine, as OpenAI's API and a page",
        description="Offer a checkpoint as an OpenAI-compatible endpoint (/v1), and a page to chat "
        "at (/). Only this machine reaches it, unless another host is given. Nothing that is asked "
        "or answered is stored. Ctrl+C ends it. docs/server.md tells the rest.",
        argument_default=argparse.SUPPRESS,
    )
    serve.add_argument("folder", metavar="DIR", type=Path)
    serve.add_argument(
        "--host",
        help="the address to listen at. Default: 127.0.0.1, this machine alone. Any other needs a "
        "key; texts and key are not encrypted on the way.",
    )
    serve.add_argument("--port", type=_port, help=f"0 for any free one. Default: {PORT}.")
    key = serve.add_mutually_exclusive_group()
    key.add_argument(
        "--api-key-env", metavar="NAME", help="ask for the key in this environment variable"
    )
    key.add_argument(
        "--generate-key", action="store_true", help="make a key for this run, and print it"
    )
    serve.add_argument(
        "--queue",
        metavar="N",
        type=_queue,
        help=f"requests that may wait, others are turned away. Default: {WAITING}.",
    )
    serve.add_argument(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        help="let pages of another origin use it, as http://localhost:3000; may be repeated",
    )
    return serve


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("say a number from 0 to 65535")
    return int(text)


def _queue(text: str) -> int:
    if not text.isdigit() or int(text) > 1000:
        raise argparse.ArgumentTypeError("say a number from 0 to 1000")
    return int(text)


def order(given: argparse.Namespace, code_folder: Path) -> ServeOrder:
    """What was asked for, from what argparse read. Raises Known where there is no such key."""
    made = bool(getattr(given, "generate_key", False))
    name = getattr(given, "api_key_env", "")
    key = ""
    if made:
        from qwen_desktop.serve.keys import new_key

        key = new_key()
    if name:
        key = os.environ.get(name, "").strip()
        if not key or len(key) > LONGEST_KEY or not key.isascii():
            raise Known(
                QT_TRANSLATE_NOOP("errors", "The environment variable {name} holds no key."),
                QT_TRANSLATE_NOOP("errors", "Set it first, to plain characters."),
                name=name,
            )
    return ServeOrder(
        load_request(given),
        code_folder,
        getattr(given, "host", ServeOrder.host),
        getattr(given, "port", PORT),
        key,
        made,
        getattr(given, "queue", WAITING),
        tuple(getattr(given, "allow_origin", ())),
    )
