"""The command line. Its setting flags come from the settings table. Imports no Qt itself."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qwen_desktop import __version__, get_options, serve_options, talk_options
from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.chat.settings import SETTINGS, Setting, Value
from qwen_desktop.chat.study import MAX_LENGTHS, StudySetup, Way, read_lengths, read_ways
from qwen_desktop.errors import Known
from qwen_desktop.options import Options
from qwen_desktop.paths import Profile, default_profile, temporary_profile

OPEN = "open"
COMMANDS = (OPEN, "inspect", "import", "export", "profile", "study", "get", "serve", "chat")
FLAGS = ("-h", "--help", "--version", "--temporary", "--headless")  # options without a value
MAX_STRETCH = 64  # times; which of them a checkpoint can do, it says itself


def _flag_type(setting: Setting) -> object:
    def parse(text: str) -> Value:
        value: Value = text
        if setting.kind is bool:
            if text not in ("on", "off"):
                raise argparse.ArgumentTypeError("say on or off")
            value = text == "on"
        elif setting.kind in (int, float):
            value = setting.kind(text)
        if not setting.accepts(value):
            low, high = setting.minimum, setting.maximum
            choices = ", ".join(key for key, _ in setting.choices)
            raise argparse.ArgumentTypeError(
                f"one of {choices}" if choices else f"must lie between {low:g} and {high:g}"
            )
        return value

    parse.__name__ = setting.kind.__name__  # argparse names it in its message
    return parse


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|split|[a-z]+(:\d+)?", text):
        raise argparse.ArgumentTypeError("say auto, cpu, cuda, cuda:1 or split")
    return text


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1 <= factor <= MAX_STRETCH:
        raise argparse.ArgumentTypeError(f"say a number from 1 to {MAX_STRETCH}")
    return factor


def _add_profile(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--profile", metavar="DIR", type=Path, help="keep all data in this folder")
    where.add_argument("--temporary", action="store_true", help="keep nothing after this run")


def _add_loading(parser: argparse.ArgumentParser, usual: str) -> None:
    """How a checkpoint is opened; `usual` tells what holds where nothing is said."""
    parser.add_argument(
        "--precision",
        choices=[precision.value for precision in Precision],
        help=f"of its weights. Default: {usual}auto.",
    )
    parser.add_argument(
        "--device",
        metavar="auto|cpu|cuda[:N]|split",
        type=_device,
        help=f"where it runs; split is over all cards and main memory. Default: {usual}auto.",
    )
    parser.add_argument(
        "--kv",
        choices=[kv.value for kv in KvFormat],
        help="what its KV cache is kept in; int8 takes about half of 16 bits. Default: "
        f"{usual}model.",
    )
    parser.add_argument(
        "--rope-factor",
        metavar="N",
        type=_factor,
        help=f"stretch its context N times by YaRN; 1 is not at all. Default: {usual}1.",
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", metavar="DIR", type=Path, help="open this folder at start")
    _add_loading(parser, "as the last time, else ")
    _add_profile(parser)
    parser.add_argument(
        "--ask", metavar="TEXT", help="no window: answer once in the terminal, keep it, exit"
    )
    parser.add_argument(
        "--headless", action="store_true", help="no window: ask a first question by itself"
    )
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """The table of settings as options of their own."""
    settings = parser.add_argument_group("settings for this run")
    for setting in SETTINGS:
        default = "as the checkpoint recommends" if setting.default is None else setting.default
        settings.add_argument(
            "--" + setting.name.replace("_", "-"),
            dest=f"setting_{setting.name}",
            metavar="|".join(key for key, _ in setting.choices) or setting.kind.__name__,
            type=_flag_type(setting),  # type: ignore[arg-type]
            help=f"{setting.help} Default: {default if default != '' else 'none'}.".replace(
                "%", "%%"
            ),
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,  # else options of commands are taken for shortened ones: --to, --top-k
        prog="qwen-desktop",
        usage="%(prog)s [OPTION …] [FILE …]\n       %(prog)s [OPTION …] COMMAND …",
        description="Chat with any Qwen checkpoint folder. Everything stays on this machine. FILE: "
        "a chat, an export of another program, or a checkpoint folder, to be opened.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    _add_options(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    # Left out by most: see `_with_command`. Options behind the files are options all the same.
    opening = commands.add_parser(
        OPEN, help="open files in the window", argument_default=argparse.SUPPRESS
    )
    _add_options(opening)
    opening.add_argument("files", metavar="FILE", nargs="+", type=Path)
    importing = commands.add_parser(
        "import",
        help="take chats of this and other programs into the profile, without a window",
        description="Take the chats in files and folders into the profile: those of Qwen "
        "Desktop, ChatGPT, Open WebUI, LM Studio and Jan, and messages as OpenAI's API and "
        "ShareGPT write them. What is there already is not doubled. The exit status is 0 where "
        "everything came in.",
        argument_default=argparse.SUPPRESS,
    )
    _add_profile(importing)
    importing.add_argument("files", metavar="FILE", nargs="+", type=Path)
    inspect = commands.add_parser(
        "inspect",
        help="say what a checkpoint folder holds, what is wrong with it and what fits",
        description="Say what a checkpoint folder holds, what is wrong with it and what fits into "
        "the memory of this machine. Reads no weights. The exit status is 0 where it opens.",
    )
    inspect.add_argument("folder", metavar="DIR", type=Path)
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    _add_study(commands)
    get_options.add_command(commands)
    _add_loading(serve_options.add_command(commands), "")
    chat = talk_options.add_command(commands)
    _add_loading(chat, "")
    _add_profile(chat)
    _add_settings(chat)
    _add_outgoing(commands)
    return parser


def _add_study(commands: Any) -> None:
    """The command that measures; `commands` is argparse's."""
    study = commands.add_parser(
        "study",
        help="measure what prompts of growing length take: memory and speed, in three ways",
        description="Measure memory and speed for prompts of growing length: as this program "
        "reads them, all read anew each turn, and with eager attention, all logits and no cache. "
        "Each result is in FILE as soon as it is there; the same command goes on from a FILE that "
        "is not complete. The exit status is 0 where all was measured.",
        argument_default=argparse.SUPPRESS,
    )
    study.add_argument("folder", metavar="DIR", type=Path)
    study.add_argument("--out", metavar="FILE", type=Path, required=True, help="a CSV file")
    study.add_argument("--plot", metavar="FILE", type=_picture, help="draw it: .png or .svg")
    study.add_argument(
        "--lengths",
        metavar="N,N…",
        type=_lengths,
        default=(),
        help="tokens of the prompts. Default: 64, 128, 256 … as far as it fits; 8,192 on a CPU.",
    )
    study.add_argument(
        "--ways",
        metavar="|".join(way.value for way in Way) + ",…",
        type=_ways,
        default=tuple(Way),
        help="how they are read. Default: in all three ways.",
    )
    _add_loading(study, "")


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return read_lengths(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"say at most {MAX_LENGTHS} numbers of tokens from 2 on: 64,256,1024"
        ) from None


def _ways(text: str) -> tuple[Way, ...]:
    try:
        return read_ways(text.split(","))
    except ValueError:
        known = ", ".join(way.value for way in Way)
        raise argparse.ArgumentTypeError(f"one or more of {known}") from None


def _picture(text: str) -> Path:
    if Path(text).suffix.lower() not in (".png", ".svg"):
        raise argparse.ArgumentTypeError("say a file that ends with .png or .svg")
    return Path(text)


def _add_outgoing(commands: Any) -> None:
    """The commands about what leaves the profile; `commands` is argparse's."""
    export = commands.add_parser(
        "export",
        help="write chats into files, without a window",
        description="Write chats into TARGET: a folder, in which no file is replaced; a "
        "file with --one-file, or where it is one chat.",
        argument_default=argparse.SUPPRESS,
    )
    _add_profile(export)
    which = export.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="archived ones included")
    which.add_argument("--id", dest="ids", metavar="ID", action="append", help="may be repeated")
    export.add_argument(
        "--format", default="markdown", choices=[form.value for form in Format], help="of the files"
    )
    export.add_argument("--one-file", action="store_true", help="all chats in one file")
    export.add_argument("--versions", action="store_true", help="all versions of messages")
    export.add_argument("--reasoning", action="store_true", help="with the reasoning")
    export.add_argument(
        "--details", action="store_true", help="with times, and how each answer was computed"
    )
    export.add_argument("target", metavar="TARGET", type=Path)
    profile = commands.add_parser(
        "profile",
        help="save the whole profile as one file, or bring one back, without a window",
        description="Save chats, settings and presets as one file, or bring them back.",
        argument_default=argparse.SUPPRESS,
    )
    _add_profile(profile)
    profile.add_argument("what", choices=("save", "restore"))
    how = profile.add_mutually_exclusive_group()
    how.add_argument("--merge", action="store_true", help="add the chats that are missing")
    how.add_argument(
        "--replace", action="store_true", help="put it in place of this profile, which is kept"
    )
    profile.add_argument("file", metavar="FILE", type=Path)


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
    parser = _parser()
    return _options(parser, parser.parse_args(_with_command(arguments)))


def _options(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Options:
    if given.ask is not None and not given.ask.strip():
        parser.error("--ask needs a question")
    if given.temporary:
        profile = temporary_profile()
    elif given.profile is not None:
        profile = Profile(given.profile.expanduser().absolute())
    else:
        profile = default_profile()
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
    parser = _parser()
    given = parser.parse_args(_with_command(arguments))
    if given.command == "inspect":
        return _inspect(given)
    options = _options(parser, given)
    try:
        if given.command == "study":
            return _study(given)
        if given.command == "get":
            from qwen_desktop import getting

            return getting.run(get_options.order(given, options.profile.models))
        if given.command == "serve":
            from qwen_desktop import serving

            return serving.run(serve_options.order(given, options.profile.compiled_code))
        if given.command == "chat":
            from qwen_desktop.talk import running

            return running.run(talk_options.order(given, options))
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


def _study(given: argparse.Namespace) -> int:
    from qwen_desktop import studying

    load = LoadRequest(
        given.folder.expanduser().absolute(),
        Precision(given.precision or "auto"),
        given.device or "auto",
        kv=KvFormat(given.kv or "model"),
        rope_factor=given.rope_factor or 1.0,
    )
    plot = getattr(given, "plot", None)
    return studying.run(
        studying.StudyOrder(
            load,
            StudySetup(given.lengths, given.ways),
            given.out.expanduser().absolute(),
            plot.expanduser().absolute() if plot is not None else None,
        )
    )


def _transfer(parser: argparse.ArgumentParser, given: argparse.Namespace, profile: Profile) -> int:
    from qwen_desktop import transfer

    def is_set(name: str) -> bool:
        return bool(getattr(given, name, False))

    if given.command == "profile":
        file = given.file.expanduser().absolute()
        if given.what == "save":
            if is_set("merge") or is_set("replace"):
                parser.error("--merge and --replace are for profile restore")
            return transfer.save_profile(profile, file)
        chosen = is_set("merge") or is_set("replace")
        return transfer.restore_profile(
            profile, file, replace=is_set("replace") if chosen else None
        )
    options = ExportOptions(
        Format(given.format),
        versions=is_set("versions"),
        reasoning=is_set("reasoning"),
        details=is_set("details"),
        one_file=is_set("one_file"),
    )
    ids = None if is_set("all") else tuple(given.ids)
    target = given.target.expanduser().absolute()
    return transfer.export(profile, ExportRequest(ids, target, options))


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
