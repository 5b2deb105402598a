"""What `qwen-desktop export` and `profile` take. Apart from the commands: every start reads it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from qwen_desktop.chat.exporting import ExportOptions, ExportRequest, Format
from qwen_desktop.option_groups import add_profile


def add_commands(commands: Any) -> None:
    """Describe the commands to argparse, whose `commands` are."""
    export = commands.add_parser(
        "export",
        help="write chats into files, without a window",
        description="Write chats into TARGET: a folder, in which no file is replaced; a "
        "file with --one-file, or where it is one chat.",
        argument_default=argparse.SUPPRESS,
    )
    add_profile(export)
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
    add_profile(profile)
    profile.add_argument("what", choices=("save", "restore"))
    how = profile.add_mutually_exclusive_group()
    how.add_argument("--merge", action="store_true", help="add the chats that are missing")
    how.add_argument(
        "--replace", action="store_true", help="put it in place of this profile, which is kept"
    )
    profile.add_argument("file", metavar="FILE", type=Path)


def _is_set(given: argparse.Namespace, name: str) -> bool:
    return bool(getattr(given, name, False))


def to_replace(parser: argparse.ArgumentParser, given: argparse.Namespace) -> bool | None:
    """Whether a profile takes the place of the present one; None where that was not said.

    Ends with `parser`'s error where it makes no sense.
    """
    chosen = _is_set(given, "merge") or _is_set(given, "replace")
    if chosen and given.what == "save":
        parser.error("--merge and --replace are for profile restore")
    return _is_set(given, "replace") if chosen else None


def export_request(given: argparse.Namespace) -> ExportRequest:
    """What is to be written where."""
    options = ExportOptions(
        Format(given.format),
        versions=_is_set(given, "versions"),
        reasoning=_is_set(given, "reasoning"),
        details=_is_set(given, "details"),
        one_file=_is_set(given, "one_file"),
    )
    ids = None if _is_set(given, "all") else tuple(given.ids)
    return ExportRequest(ids, given.target.expanduser().absolute(), options)
