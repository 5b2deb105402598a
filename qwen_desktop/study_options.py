"""What `qwen-desktop study` takes. Apart from the command itself: every start reads the options."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.chat.study import MAX_LENGTHS, StudySetup, Way, read_lengths, read_ways
from qwen_desktop.option_groups import add_loading, load_request


@dataclass(frozen=True)
class StudyOrder:
    """What the command line asks for. `plot` is a .png or .svg file."""

    load: LoadRequest
    setup: StudySetup
    out: Path
    plot: Path | None = None


def add_command(commands: Any) -> None:
    """Describe the command to argparse, whose `commands` are."""
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
    add_loading(study, "")


def order(given: argparse.Namespace) -> StudyOrder:
    """What was asked for, from what argparse read."""
    plot = getattr(given, "plot", None)
    return StudyOrder(
        load_request(given),
        StudySetup(given.lengths, given.ways),
        given.out.expanduser().absolute(),
        plot.expanduser().absolute() if plot is not None else None,
    )


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
