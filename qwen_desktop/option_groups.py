"""Groups of options that several commands share. The flags of settings come from their table."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.chat.settings import SETTINGS, Setting, Value

MAX_STRETCH = 64  # times; which of them a checkpoint can do, it says itself


def add_profile(parser: argparse.ArgumentParser) -> None:
    """Where data is kept, or that it is not."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--profile", metavar="DIR", type=Path, help="keep all data in this folder")
    where.add_argument("--temporary", action="store_true", help="keep nothing after this run")


def add_loading(parser: argparse.ArgumentParser, usual: str) -> None:
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


def add_settings(parser: argparse.ArgumentParser) -> None:
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


def load_request(given: argparse.Namespace) -> LoadRequest:
    """How the folder of a command is to be opened; what was not said is left to the checkpoint."""
    return LoadRequest(
        given.folder.expanduser().absolute(),
        Precision(given.precision or "auto"),
        given.device or "auto",
        kv=KvFormat(given.kv or "model"),
        rope_factor=given.rope_factor or 1.0,
    )


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
