"""The command line. Its setting flags come from the settings table. Imports no Qt itself."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwen_desktop import __version__
from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.settings import SETTINGS
from qwen_desktop.errors import Known
from qwen_desktop.option_groups import add_loading, add_profile, add_settings
from qwen_desktop.options import Options
from qwen_desktop.paths import Profile, default_profile, temporary_profile

OPEN = "open"
COMMANDS = (OPEN, "inspect", "import", "export", "profile", "study", "get", "serve", "chat")
# Options without a value.
FLAGS = ("-h", "--help", "--version", "--temporary", "--headless", "--diagnose", "--json")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", metavar="DIR", type=Path, help="open this folder at start")
    add_loading(parser, "as the last time, else ")
    add_profile(parser)
    parser.add_argument(
        "--ask", metavar="TEXT", help="no window: answer once in the terminal, keep it, exit"
    )
    parser.add_argument(
        "--headless", action="store_true", help="no window: ask a first question by itself"
    )
    add_settings(parser)


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of `arguments`. A start of the window, the most frequent, does not wait for the
    options of other commands.
    """
    parser = argparse.ArgumentParser(
        allow_abbrev=False,  # else options of commands are taken for shortened ones: --to, --top-k
        prog="qwen-desktop",
        usage="%(prog)s [OPTION …] [FILE …]\n       %(prog)s [OPTION …] COMMAND …",
        description="Chat with any Qwen checkpoint folder. Everything stays on this machine. FILE: "
        "a chat, an export of another program, or a checkpoint folder, to be opened.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--diagnose", action="store_true", help="no window: print what helps to find a fault"
    )
    parser.add_argument("--json", action="store_true", help="with --diagnose: one JSON object")
    _add_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    # Left out by most: see `_with_command`. Options behind the files are options all the same.
    opening = commands.add_parser(
        OPEN, help="open files in the window", argument_default=argparse.SUPPRESS
    )
    _add_options(opening)
    opening.add_argument("files", metavar="FILE", nargs="+", type=Path)
    if any(word in COMMANDS or word.startswith(("-h", "--h")) for word in arguments):
        _add_commands(commands)
    return parser


def _add_commands(commands: Any) -> None:
    from qwen_desktop import (
        get_options,
        serve_options,
        study_options,
        talk_options,
        transfer_options,
    )

    importing = commands.add_parser(
        "import",
        help="take chats of this and other programs into the profile, without a window",
        description="Take the chats in files and folders into the profile: those of Qwen "
        "Desktop, ChatGPT, Open WebUI, LM Studio and Jan, and messages as OpenAI's API and "
        "ShareGPT write them. What is there already is not doubled. The exit status is 0 where "
        "everything came in.",
        argument_default=argparse.SUPPRESS,
    )
    add_profile(importing)
    importing.add_argument("files", metavar="FILE", nargs="+", type=Path)
    inspect = commands.add_parser(
        "inspect",
        help="say what a checkpoint folder holds, what is wrong with it and what fits",
        description="Say what a checkpoint folder holds, what is wrong with it and what fits into "
        "the memory of this machine. Reads no weights. The exit status is 0 where it opens.",
    )
    inspect.add_argument("folder", metavar="DIR", type=Path)
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    study_options.add_command(commands)
    get_options.add_command(commands)
    add_loading(serve_options.add_command(commands), "")
    chat = talk_options.add_command(commands)
    add_loading(chat, "")
    add_profile(chat)
    add_settings(chat)
    transfer_options.add_commands(commands)


def _with_command(arguments: Sequence[str]) -> list[str]:
    """`arguments` with `open` before the first word, unless that is a command itself."""
    at = 0
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] != "--":
        word = arguments[at]
        alone = "=" in word or any(flag.startswith(word) for flag in FLAGS)
        at += 1 if alone else 2
    if at >= len(arguments) or arguments[at] in COMMANDS:
        return list(arguments)
    return [*arguments[:at], OPEN, *arguments[at:]]


def parse(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with status 2 on a wrong one."""
    parser = _parser(arguments)
    return _options(parser, parser.parse_args(_with_command(arguments)))


def chosen_profile(given: argparse.Namespace) -> Profile:
    """The profile that the command line names, else the user's own."""
    if given.profile is None:
        return default_profile()
    return Profile(given.profile.expanduser().absolute())


def _options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Options:
    if given.ask is not None and not given.ask.strip():
        parser.error("--ask needs a question")
    profile = temporary_profile() if given.temporary else chosen_profile(given)
    overrides = {
        setting.name: value
        for setting in SETTINGS
        if (value := getattr(given, f"setting_{setting.name}")) is not None
    }
    checkpoint = given.checkpoint.expanduser().absolute() if given.checkpoint else None
    files = [file.expanduser().absolute() for file in getattr(given, "files", ())]
    if files and (given.ask is not None or given.headless):
        parser.error("--ask and --headless take no files")
    if checkpoint is None and given.command == OPEN:
        # One that is named here takes the place of the one that was open last.
        checkpoint = next((file for file in files if (file / "config.json").is_file()), None)
        files = [file for file in files if file != checkpoint]
    return Options(
        profile,
        checkpoint,
        Precision(given.precision) if given.precision else None,
        given.device,
        given.ask,
        given.headless,
        overrides,
        KvFormat(given.kv) if given.kv else None,
        given.rope_factor,
        tuple(files),
    )


def main(arguments: Sequence[str]) -> int:
    """Run the window, one question in the terminal or a command; gives the exit status."""
    parser = _parser(arguments)
    given = parser.parse_args(_with_command(arguments))
    if given.command == "inspect":
        return _inspect(given)
    if given.diagnose:
        from qwen_desktop import diagnosing

        return diagnosing.run(chosen_profile(given), as_json=given.json)
    if given.json and given.command in (None, OPEN):
        parser.error("--json goes with --diagnose, or with a command that has it")
    options = _options(parser, given)
    try:
        if given.command == "study":
            from qwen_desktop import study_options, studying

            return studying.run(study_options.order(given))
        if given.command == "get":
            from qwen_desktop import get_options, getting

            return getting.run(get_options.order(given, options.profile))
        if given.command == "serve":
            from qwen_desktop import serve_options, serving

            return serving.run(serve_options.order(given, options.profile.compiled_code))
        if given.command == "chat":
            from qwen_desktop import talk_options
            from qwen_desktop.talk import running

            return running.run(talk_options.order(parser, given, options))
        if given.command == "import":
            from qwen_desktop import importing

            return importing.run(options)
        if given.command in ("export", "profile"):
            return _transfer(parser, given, options.profile)
        if options.headless or options.ask is not None:
            from qwen_desktop import headless

            return headless.run(options)
        from qwen_desktop import app

        return app.run(options)
    except Known as trouble:
        print(trouble, file=sys.stderr)
        return 1


def _transfer(parser: argparse.ArgumentParser, given: argparse.Namespace, profile: Profile) -> int:
    from qwen_desktop import transfer, transfer_options

    if given.command == "export":
        return transfer.export(profile, transfer_options.export_request(given))
    file, replace = given.file.expanduser().absolute(), transfer_options.to_replace(parser, given)
    if given.what == "save":
        return transfer.save_profile(profile, file)
    return transfer.restore_profile(profile, file, replace=replace)


def _inspect(given: argparse.Namespace) -> int:
    from qwen_desktop import inspection

    folder = given.folder.expanduser().absolute()
    text, status = inspection.run(
        folder, as_json=given.json, encoding=sys.stdout.encoding or "ascii"
    )
    try:
        print(text, flush=True)
    except OSError as error:  # whoever read it has seen enough, as `head` does
        if error.errno not in (errno.EPIPE, errno.EINVAL):  # EINVAL on Windows
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
