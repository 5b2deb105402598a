"""What looking at memory costs: a sample on its own thread, an update of the panel in the GUI's.

A sample is everything the ledger of main memory takes, with the demo checkpoint open. An update is
a new sample given to the panel, with the layout and the painting that follow; every number of it is
another one than before, which is the worst there is. Offscreen, CPU time of the thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

MIB = 2**20
SAMPLES = 500
UPDATES = 300
ALLOWED_MS = 1.0  # of the GUI's thread for an update


def _each(times: int, work: Callable[[int], object]) -> list[float]:
    """Milliseconds of CPU time that each call takes."""
    found = []
    for number in range(times):
        began = time.thread_time()
        work(number)
        found.append((time.thread_time() - began) * 1000)
    return found


def sampling() -> dict[str, float]:
    """Microseconds of a sample with a model open, and of one before there is an engine."""
    from qwen_desktop.chat.model import LoadRequest
    from qwen_desktop.engine.memory import Meter
    from qwen_desktop.engine.start import create_engine
    from qwen_desktop.paths import demo_checkpoint

    meter = Meter()
    without = statistics.median(_each(SAMPLES, lambda _: meter.ram()))
    engine = create_engine(lambda _: None)
    folder = demo_checkpoint()
    engine.load(LoadRequest(folder), threading.Event(), lambda _: None)
    times = _each(SAMPLES, lambda _: engine.memory())
    found = {
        "sample_us": round(statistics.median(times) * 1000, 1),
        "sample_longest_us": round(max(times) * 1000, 1),
        "sample_without_engine_us": round(without * 1000, 1),
    }
    print(
        f"a sample: {found['sample_us']:.0f} us, at most {found['sample_longest_us']:.0f} us; "
        f"five in a second: {found['sample_us'] * 5 / 1e4:.3f} % of a core"
    )
    return found


def updating() -> dict[str, float]:
    """Milliseconds of an update of the panel."""
    from PySide6.QtWidgets import QApplication

    from qwen_desktop.chat.ledger import Ledger, MemoryKind, MemorySample
    from qwen_desktop.ui import theme
    from qwen_desktop.ui.memory_panel import MemoryPanel

    application = QApplication([])
    application.setStyle("Fusion")
    theme.use(theme.DARK)
    panel = MemoryPanel()
    panel.resize(theme.PANEL_WIDTH, 900)
    panel.show()
    names = ("weights", "kv", "kv_others", "activations", "slack", "runtime", "other")
    first = Ledger(MemoryKind.CUDA, "cuda:0", "A card", 24_576 * MIB, 0, kv_to_come=2000 * MIB)

    def sample(number: int) -> MemorySample:
        sizes = {name: (100 + 13 * n + 11 * number) * MIB for n, name in enumerate(names)}
        free = first.total - sum(sizes.values())
        coming = {"kv_to_come": (4000 - 11 * number) * MIB, "working": (200 + number) * MIB}
        return MemorySample((replace(first, free=free, **sizes, **coming),), 32_768)

    samples = [sample(number) for number in range(UPDATES)]

    def update(number: int) -> None:
        panel.set_sample(samples[number])
        application.processEvents()

    _each(20, update)  # the first paints make glyphs
    times = _each(UPDATES, update)
    found = {
        "update_ms": round(statistics.median(times), 3),
        "update_p95_ms": round(sorted(times)[int(0.95 * len(times))], 3),
        "update_longest_ms": round(max(times), 3),
    }
    print(
        f"an update with its paint: {found['update_ms']:.2f} ms, 95 % under "
        f"{found['update_p95_ms']:.2f} ms, at most {found['update_longest_ms']:.2f} ms"
    )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench panel", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    given = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    result = updating() | sampling()
    if given.json:
        print(json.dumps(result))
    if result["update_ms"] > ALLOWED_MS:
        print(f"an update takes more than {ALLOWED_MS:g} ms", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
