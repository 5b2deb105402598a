"""The command line: ``python -m qwen_desktop.demo train`` and ``… evaluate``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from .guide import GuideError, read_guide

_RESOURCES = Path(__file__).resolve().parents[2] / "resources"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status: 1 when a goal is missed, 2 when the guide is bad."""
    options = _parser().parse_args(arguments)
    try:
        guide = read_guide(options.guide)
    except GuideError as error:
        print(error, file=sys.stderr)
        return 2
    report = partial(print, flush=True)
    # Imported late: torch takes seconds, and neither --help nor a bad guide needs it.
    if options.command == "train":
        from .train import Recipe, train

        recipe = Recipe(seed=options.seed)
        if options.steps:
            recipe = replace(recipe, steps=options.steps, refining_steps=())
        train(guide, options.out, recipe, report)
        return 0
    from .evaluate import evaluate, table

    results = evaluate(guide, options.folder, threads=options.threads)
    print(table(results))
    if options.json:
        print(json.dumps({result.name: result.as_dict() for result in results}))
    return 0 if all(result.reached for result in results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qwen_desktop.demo", description="Make and measure the demo checkpoint."
    )
    parser.add_argument("--guide", type=Path, default=_RESOURCES / "demo-guide", metavar="DIR")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train it from the guide")
    train.add_argument("--out", type=Path, default=_RESOURCES / "demo-checkpoint", metavar="DIR")
    train.add_argument("--steps", type=int, metavar="N", help="fewer steps, for a quick trial")
    train.add_argument("--seed", type=int, default=1, metavar="N")
    evaluate = commands.add_parser("evaluate", help="ask it the questions of the guide")
    evaluate.add_argument(
        "--folder", type=Path, default=_RESOURCES / "demo-checkpoint", metavar="DIR"
    )
    evaluate.add_argument("--threads", type=int, default=1, metavar="N")
    evaluate.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser


if __name__ == "__main__":
    sys.exit(main())
