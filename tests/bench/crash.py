"""kill -9 at a thousand random moments, of the real window too: kills, losses, longest tails.

The same processes and comparisons as in tests/crash, more of them, and the whole application with
its window beside. Ends with status 1 where anything is lost that was to be kept, or where a process
fails by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

WINDOW_SHARE = 20  # one of so many kills is of the whole application, which takes its time to start


def measure(kills: int, seed: int, only: str | None) -> dict[str, Any]:
    """Kill `kills` times in all, by the shares of the tests; prints a line for each kind."""
    from tests.crash.killing import ProcessFailed
    from tests.crash.kinds import SHARES, kill_often, makers
    from tests.crash.window_kind import Window
    from tests.engine.checkpoints import chatty_checkpoint

    result: dict[str, Any] = {"kills": 0, "losses": 0, "failures": 0}
    tails = {"draft_ms": 0.0, "answer_ms": 0.0, "other_ms": 0.0}
    print(f"{'':<20}{'kills':>7}{'losses':>8}{'draft ms':>10}{'answer ms':>11}{'other ms':>10}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        root = Path(temporary)
        folder = chatty_checkpoint(root / "Endless-Chat")
        shares = {**SHARES, "window": sum(SHARES.values()) // WINDOW_SHARE}
        all_makers = {**makers(folder), "window": lambda p, c: Window(p, c, folder=folder)}
        for name, share in shares.items():
            if only and name != only:
                continue
            wanted = max(1, round(kills * share / sum(shares.values())))
            done = losses = 0
            began = time.monotonic()
            for number in range(wanted):
                if number % 50 == 0:  # a new profile now and then
                    profile = root / f"{name} {number}"
                    kind = all_makers[name](profile, random.Random(f"{seed} {name} {number}"))
                try:
                    kill_often(kind, 1)
                except (AssertionError, ProcessFailed) as trouble:
                    is_loss = isinstance(trouble, AssertionError)
                    losses += is_loss
                    result["failures"] += not is_loss
                    print(f"  {name}: {'lost' if is_loss else 'failed'}: {trouble}", flush=True)
                    profile = root / f"{name} {number} after a loss"
                    kind = all_makers[name](profile, random.Random(f"{seed} {name} {number}"))
                done += 1
                for tail in tails:
                    tails[tail] = max(tails[tail], getattr(kind.losses, tail))
            found = kind.losses
            print(
                f"{name:<20}{done:>7}{losses:>8}{found.draft_ms:>10.0f}{found.answer_ms:>11.0f}"
                f"{found.other_ms:>10.0f}   {time.monotonic() - began:.0f} s",
                flush=True,
            )
            result["kills"] += done
            result["losses"] += losses
    longest = {f"longest_{name}": round(value) for name, value in tails.items()}
    print(f"{result['kills']} kills, {result['losses']} losses; longest tails: {longest}")
    return {**result, **longest}


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench crash", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", help="one kind of it, as the first column names it")
    given = parser.parse_args()
    print(f"seed {given.seed}")
    result = measure(given.kills, given.seed, given.only)
    if given.json:
        print(json.dumps(result))
    return 1 if result["losses"] or result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
