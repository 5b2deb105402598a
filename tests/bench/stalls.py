"""Longest gaps of the event loop while the application starts, loads and answers.

The real application runs offscreen; a timer of 5 ms beats in its GUI thread, and the time between
two beats is a gap. What a person feels as a freeze is a long one. A gap counts for the phase in
which it ends, one that touches the import of torch for the import. Every run is a new process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BEAT_MS = 5
QUESTIONS = 4
LONGEST_ANSWER = 400  # tokens: a checkpoint with random weights never ends by itself
PHASES = {
    "control": "control: an empty event loop",
    "start": "first paint, building after it",
    "import": "import of torch",
    "load": "load of the checkpoint",
    "idle": "idle, model ready",
    "stream": "streaming answers",
}


class Heartbeat:
    """Collects gaps by phase in the thread that makes it."""

    def __init__(self) -> None:
        from PySide6.QtCore import Qt, QTimer

        self.phase = ""
        self.gaps: dict[str, list[float]] = {name: [] for name in PHASES}
        self._at_last_beat = ""
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)

    def begin(self, phase: str) -> None:
        """Count from now for `phase`, from a fresh beat."""
        self.phase = self._at_last_beat = phase
        self._last = time.perf_counter()
        self._timer.start(BEAT_MS)

    def stop(self) -> None:
        """Count no more, for work that is not to be measured."""
        self._timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter()
        phase = self.phase
        # The import begins in its thread before the news of it gets through to this one.
        begun = phase == "start" and "torch" in sys.modules
        if begun or "import" in (phase, self._at_last_beat):
            phase = "import"
        self.gaps[phase].append((now - self._last) * 1000)
        self._last, self._at_last_beat = now, self.phase


def one_run(profile: Path, checkpoint: Path | None) -> dict[str, object]:
    """Start, load, answer; the longest gap in ms and the number of beats of every phase."""
    from PySide6.QtCore import QEventLoop, QTimer

    from qwen_desktop import app as application
    from qwen_desktop.bridge.models import ModelState, Phase
    from qwen_desktop.chat.messages import Message, Status
    from qwen_desktop.errors import Report
    from qwen_desktop.options import Options
    from qwen_desktop.paths import Profile

    qt = application.application()
    heart = Heartbeat()
    trouble: list[str] = []

    def rest(milliseconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    heart.begin("control")
    rest(1500)
    heart.stop()

    limit = {"max_new_tokens": LONGEST_ANSWER}
    app = application.App(Options(Profile(profile), checkpoint, overrides=limit))
    questions: list[str] = []
    answers: list[Message] = []
    stopped: list[float] = []  # the moment of Stop, then the milliseconds until the end

    def on_model(state: ModelState) -> None:
        if state.phase is Phase.STARTING:
            heart.phase = "import"
        elif state.phase is Phase.LOADING and heart.phase == "import":
            heart.phase = "load"
        elif state.phase is Phase.READY and state.info and heart.phase in ("import", "load"):
            heart.phase = "idle"
            asked = state.info.demo.questions.get("en", ()) if state.info.demo else ()
            questions.extend(list(asked)[:QUESTIONS] or ["Hello!", "And then?"])
            QTimer.singleShot(1500, ask)

    def ask() -> None:
        heart.phase = "stream"
        if len(answers) % 2 == 0:
            app.chats.new()  # two turns in each conversation
        app.chats.ask(questions[len(answers)])

    def on_saved(message: Message) -> None:
        answers.append(message)
        if message.status is Status.FAILED:
            trouble.append(message.error)
        if trouble or stopped:
            heart.stop()
            qt.quit()
        elif len(answers) < len(questions):
            ask()
        else:  # one more, to be stopped
            questions.append(questions[0])
            stopped.append(0.0)
            ask()

    def on_text(message: Message) -> None:
        """Stop at the first word; the time ends with the last change, which has the status."""
        if stopped == [0.0] and message.status is Status.STREAMING:
            stopped[0] = time.perf_counter()
            app.chats.stop()
        elif stopped and message.status is not Status.STREAMING:
            stopped.append((time.perf_counter() - stopped[0]) * 1000)

    def on_problem(report: Report) -> None:
        trouble.append(f"{report.text()} {report.details}")
        qt.quit()

    def on_silence() -> None:
        trouble.append("no end after five minutes")
        qt.quit()

    def on_built() -> None:
        app.models.changed.connect(on_model)
        app.chats.answer_saved.connect(on_saved)
        app.chats.message_changed.connect(on_text)
        for source in (app.models, app.chats, app):
            source.problem.connect(on_problem)

    app.built.connect(on_built)
    app.show()
    QTimer.singleShot(0, lambda: heart.begin("start"))
    QTimer.singleShot(300_000, on_silence)
    qt.exec()
    app.close()
    if trouble:
        raise RuntimeError(trouble[0])
    characters = sum(len(message.text) for message in answers)
    longest: dict[str, object] = {name: max(gaps, default=0.0) for name, gaps in heart.gaps.items()}
    beats = {name: len(gaps) for name, gaps in heart.gaps.items()}
    return {"longest": longest, "beats": beats, "characters": characters, "stop": stopped[1]}


def measure(runs: int, checkpoint: str) -> dict[str, object]:
    """Do `runs` runs and print the table."""
    # With this set, every run would compile all modules again, which no second start does.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    results = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [sys.executable, __file__, "--child", profile, "--checkpoint", checkpoint]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, encoding="utf-8", env=environment, check=False
            )
        if done.returncode:
            raise SystemExit(f"a run failed with status {done.returncode}")
        results.append(json.loads(done.stdout.splitlines()[-1]))
    longest = {name: [run["longest"][name] for run in results] for name in PHASES}
    print(f"{'longest gap, ms':<32}{'median':>8}{'worst':>8}{'beats a run':>13}")
    for name, words in PHASES.items():
        beats = statistics.median(run["beats"][name] for run in results)
        print(f"{words:<32}{statistics.median(longest[name]):>8.0f}", end="")
        print(f"{max(longest[name]):>8.0f}{beats:>13.0f}")
    stops = [run["stop"] for run in results]
    print(f"{'Stop until the answer has ended':<32}{statistics.median(stops):>8.0f}", end="")
    print(f"{max(stops):>8.0f}")
    print(f"{runs} runs, {results[0]['characters']} characters answered in each")
    loads_and_streams = [max(run["longest"]["load"], run["longest"]["stream"]) for run in results]
    return {
        "import_gap_ms": round(statistics.median(longest["import"]), 1),
        "longest_gap_ms": round(statistics.median(loads_and_streams), 1),
        "start_gap_ms": round(statistics.median(longest["start"]), 1),
        "control_gap_ms": round(statistics.median(longest["control"]), 1),
        "stop_ms": round(statistics.median(stops), 1),
        "idle_gap_ms": round(statistics.median(longest["idle"]), 1),
        "runs": runs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench stalls", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--checkpoint", default="", help="a folder in place of the demo checkpoint")
    parser.add_argument("--child", metavar="PROFILE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        folder = Path(given.checkpoint) if given.checkpoint else None
        print(json.dumps(one_run(Path(given.child), folder)))
        return 0
    result = measure(given.runs, given.checkpoint)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
