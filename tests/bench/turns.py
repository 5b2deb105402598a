"""Time to the first token of ten turns of a conversation, with the cache kept and read anew.

A folder in the shape of Qwen2.5-0.5B with random weights, on the CPU in float32. Each turn brings
the same number of new tokens; the answers are made up and read by the engine while "the user
reads", as it does with what a model has said. Beside it: the same prompts as new conversations, a
template that drops the reasoning of earlier answers, and a start from cache files. The floor is
what attention over the cached tokens costs in this shape, whatever is done around it. What is
compared is measured in turn, so that the machine's own unrest meets both.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from load import make_folder  # beside this file

TURNS = 10
QUESTION, ANSWER, THOUGHT = 60, 225, 120  # tokens
ANEW = (1, 5, 10)  # turns that are also read as a new conversation
NEVER = threading.Event()

PLAIN = """\
{%- if messages[0].role != 'system' -%}
<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif -%}
{%- for m in messages -%}
<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
# What a model thought is shown to it for the answer it belongs to only.
THINKING = (
    PLAIN.replace(
        "{{ m.content }}",
        "{% if m.reasoning_content and loop.last %}<think>\n{{ m.reasoning_content }}\n</think>\n\n"
        "{% endif %}{{ m.content }}",
    )
    + "{#- enable_thinking -#}"
)
WORDS = (
    "time", "year", "people", "way", "day", "world", "school", "state", "water", "room", "money",
    "story", "book", "eye", "job", "word", "house", "night", "road", "hand", "tree", "light",
)  # fmt: skip


def folder_with(template: str, base: Path, folder: Path) -> Path:
    """`base` as another folder whose chat template is `template`."""
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.json", "config.json", "generation_config.json"):
        try:
            os.link(base / name, folder / name)
        except OSError:  # another file system
            shutil.copyfile(base / name, folder / name)
    config = json.loads((base / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}))
    return folder


class Words:
    """Random texts of a given number of tokens."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._random = random.Random(0)

    def text(self, tokens: int) -> str:
        """About `tokens` tokens: whole words, never more."""
        words = [self._random.choice(WORDS).capitalize()]
        while len(self._tokenizer.encode(" ".join(words)).ids) < tokens:
            words.append(self._random.choice(WORDS))
        return " ".join(words[:-1])


class Talk:
    """One conversation with an engine that has a checkpoint open."""

    def __init__(self, engine: Any, words: Words, name: str, *, thinking: bool) -> None:
        self.engine, self.words, self.name, self.thinking = engine, words, name, thinking
        self.messages: list[Any] = []

    def request(self, *more: Any, name: str = "") -> Any:
        from qwen_desktop.chat.model import GenerationRequest
        from qwen_desktop.chat.settings import GenerationSettings

        settings = GenerationSettings(
            max_new_tokens=1, thinking=self.thinking, temperature=0.0, system_prompt=""
        )
        return GenerationRequest(name or self.name, (*self.messages, *more), settings)

    def first_token(self, text: str, name: str = "") -> tuple[float, Any]:
        """Seconds from the request for `text` to the first token, and the statistics."""
        from qwen_desktop.chat.events import Delta, Usage
        from qwen_desktop.chat.messages import user_message

        request = self.request(user_message(text, None), name=name)
        began = time.perf_counter()
        first = 0.0
        for event in self.engine.generate(request, NEVER):
            if not first and isinstance(event, (Delta, Usage)):
                first = time.perf_counter() - began
            if isinstance(event, Usage):
                stats = event.stats
        return first, stats

    def say(self, text: str) -> int:
        """The user's text and an answer, read by the engine to its end; pieces that took."""
        from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message

        parts = (Part(PartKind.TEXT, self.words.text(ANSWER)),)
        if self.thinking:
            parts = (Part(PartKind.REASONING, self.words.text(THOUGHT)), *parts)
        self.messages += [user_message(text, None), Message(role=Role.ASSISTANT, parts=parts)]
        return sum(1 for _ in self.engine.prepare(self.request(), NEVER))


def opened(folder: Path, kv_folder: Path) -> Any:
    """An engine with the checkpoint of `folder` open, which keeps cache files in `kv_folder`."""
    from qwen_desktop.chat.model import EngineOptions, LoadRequest
    from qwen_desktop.engine.start import create_engine

    engine = create_engine(lambda _: None)
    engine.configure(EngineOptions(kv_disk=4 * 2**30, kv_folder=kv_folder))
    engine.load(LoadRequest(folder, placement="cpu"), NEVER, lambda _: None)
    return engine


def conversation(talk: Talk, anew: tuple[int, ...]) -> dict[int, float]:
    """TURNS turns, the last one still to be answered; by turn of `anew`, seconds of reading anew.

    Prints seconds to the first token of each turn.
    """
    print(f"{'turn':>4}{'tokens':>9}{'fed':>7}{'kept':>10}{'anew':>11}", flush=True)
    found = {}
    for turn in range(1, TURNS + 1):
        question = talk.words.text(QUESTION)
        seconds, stats = talk.first_token(question)
        fed = stats.prompt_tokens - stats.reused_tokens
        line = f"{turn:>4}{stats.prompt_tokens:>9}{fed:>7}{seconds:>8.2f} s"
        if turn in anew:
            name = f"{talk.name}, turn {turn} alone"
            found[turn] = talk.first_token(talk.words.text(QUESTION), name)[0]
            talk.engine.forget(name)
            line += f"{found[turn]:>9.2f} s"
        print(line, flush=True)
        if turn < TURNS:
            talk.say(question)
    return found


@dataclass(frozen=True)
class Pair:
    """Medians of two things done in turn, in seconds; `fed` and `cached` are tokens."""

    short: float
    long: float
    fed: int = 0
    cached: int = 0

    @property
    def ratio(self) -> float:
        """How many times the shorter one the longer one takes."""
        return self.long / self.short


def first_and_last(talk: Talk, runs: int) -> Pair:
    """The first turn of a conversation and the last one of `talk`, `runs` times in turn.

    Each time another question of the same length: all begin at the same place, so that each feeds
    the same number of tokens. What each did for the first time does not count.
    """
    first = Talk(talk.engine, talk.words, "first turn", thinking=talk.thinking)
    times = []
    for _ in range(runs + 1):
        short, _ = first.first_token(talk.words.text(QUESTION))
        long, stats = talk.first_token(talk.words.text(QUESTION))
        times.append((short, long))
    talk.engine.forget(first.name)
    return Pair(
        statistics.median(short for short, _ in times[1:]),
        statistics.median(long for _, long in times[1:]),
        stats.prompt_tokens - stats.reused_tokens,
        stats.reused_tokens,
    )


def floor(folder: Path, kv: Path, wanted: Pair, runs: int) -> float:
    """How much longer a piece takes after so many cached tokens than after none.

    The forward alone, of the same module on the same cache: what nothing around it can change.
    """
    from qwen_desktop.chat.model import LoadRequest
    from qwen_desktop.engine import loader
    from qwen_desktop.engine.checkpoint import inspect
    from qwen_desktop.engine.device import use_threads_for
    from qwen_desktop.engine.transformers_runner import TransformersRunner

    plan = loader.plan(inspect(folder), LoadRequest(folder, placement="cpu"))
    runner = TransformersRunner(loader.load(plan, NEVER, lambda _: None))
    use_threads_for(plan.parameters)
    caches = {length: runner.new_cache() for length in (0, wanted.cached)}
    (file,) = kv.glob("*.safetensors")
    caches[wanted.cached].load(file)
    caches[wanted.cached].crop(wanted.cached)
    piece = [1000 + i for i in range(wanted.fed)]

    def seconds(length: int) -> float:
        began = time.perf_counter()
        runner.prefill(
            caches[length], piece, chunk=len(piece), on_progress=lambda _: None, cancel=NEVER
        )
        took = time.perf_counter() - began
        caches[length].crop(length)
        return took

    times = [(seconds(0), seconds(wanted.cached)) for _ in range(runs + 1)][1:]
    return Pair(*(statistics.median(column) for column in zip(*times))).ratio


def restarts(folder: Path, kv: Path, talk: Talk, runs: int) -> Iterator[float]:
    """Seconds to the first token of new engines that have only the cache file."""
    for _ in range(runs):
        engine = opened(folder, kv)
        other = Talk(engine, talk.words, talk.name, thinking=talk.thinking)
        other.messages = talk.messages
        seconds, stats = other.first_token(talk.words.text(QUESTION))
        assert stats.reused_tokens > stats.prompt_tokens / 2, "the cache file was not used"
        del engine, other
        gc.collect()
        yield seconds


def stops(talk: Talk, runs: int) -> dict[str, float]:
    """Milliseconds from Stop until the engine is free again, at most: by what it was doing."""
    from qwen_desktop.chat.messages import user_message

    question = user_message(talk.words.text(QUESTION), None)
    rng = random.Random(2)

    def longest(work: Callable[[int, threading.Event], Iterator[object]], latest: float) -> float:
        found = []
        for run in range(runs):
            stop = threading.Event()
            pressed: list[float] = []

            def press(stop: threading.Event = stop, pressed: list[float] = pressed) -> None:
                pressed.append(time.perf_counter())
                stop.set()

            timer = threading.Timer(rng.uniform(0.1, latest), press)
            timer.start()
            for _ in work(run, stop):
                pass
            timer.join()
            found.append((time.perf_counter() - pressed[0]) * 1000)
        return max(found)

    def reading(run: int, stop: threading.Event) -> Iterator[object]:
        yield from talk.engine.generate(talk.request(question, name=f"stop {run}"), stop)
        talk.engine.forget(f"stop {run}")

    def writing(_run: int, stop: threading.Event) -> Iterator[object]:
        asked = talk.request(question)
        settings = replace(asked.settings, max_new_tokens=10_000, loop_guard=False)
        yield from talk.engine.generate(replace(asked, settings=settings), stop)

    for run in range(runs):  # so that there is something to go on with
        short = replace(talk.request(name=f"ahead {run}"), messages=(question,))
        list(talk.engine.generate(short, NEVER))

    def ahead(run: int, stop: threading.Event) -> Iterator[object]:
        yield from talk.engine.prepare(talk.request(name=f"ahead {run}"), stop)
        talk.engine.forget(f"ahead {run}")

    return {
        "stop_reading_ms": longest(reading, 8.0),
        "stop_writing_ms": longest(writing, 4.0),
        "stop_ahead_ms": longest(ahead, 8.0),
    }


def measure(base: Path, runs: int) -> dict[str, object]:
    """Everything; prints a table."""
    with tempfile.TemporaryDirectory(dir=base.parent, ignore_cleanup_errors=True) as temporary:
        root = Path(temporary)
        words = Words(base)
        plain, kv = folder_with(PLAIN, base, root / "plain"), root / "kv"
        talk = Talk(opened(plain, kv), words, "talk", thinking=False)
        anew = conversation(talk, ANEW)[TURNS]
        kept = first_and_last(talk, runs)
        stopped = stops(talk, 4 * runs)
        files = sum(1 for _ in talk.engine.rest())
        size = sum(path.stat().st_size for path in kv.iterdir())
        print(f"written: {files} cache file, {size / 2**20:.0f} MiB", flush=True)
        talk.engine.unload()
        disk = statistics.median(restarts(plain, kv, talk, min(runs, 3)))
        lowest = floor(plain, kv, kept, runs)
        gc.collect()

        thinking = folder_with(THINKING, base, root / "thinking")
        talk = Talk(opened(thinking, kv), words, "thoughts", thinking=True)
        print("a template that drops what was thought, read ahead after each answer")
        thought_anew = conversation(talk, (TURNS,))[TURNS]
        thought = first_and_last(talk, runs)

    result: dict[str, object] = {
        "turn10_over_turn1": round(kept.ratio, 3),
        "turn10_floor": round(lowest, 3),
        "reuse_speedup": round(anew / kept.long, 1),
        "thinking_turn10_over_turn1": round(thought.ratio, 3),
        "thinking_reuse_speedup": round(thought_anew / thought.long, 1),
        "disk_over_prefill": round(disk / anew, 4),
        **{name: round(value) for name, value in stopped.items()},
        "turn1_ms": round(kept.short * 1000),
        "turn10_ms": round(kept.long * 1000),
        "anew_ms": round(anew * 1000),
        "disk_ms": round(disk * 1000),
        "tokens": kept.cached + kept.fed,
        "fed": kept.fed,
        "runs": runs,
    }
    print(
        f"turn {TURNS} {kept.long:.2f} s, turn 1 {kept.short:.2f} s: {kept.ratio:.2f} times"
        f" (floor {lowest:.2f}); anew {anew:.1f} s, {anew / kept.long:.1f} times as long\n"
        f"with thoughts {thought.long:.2f} s, {thought.short:.2f} s: {thought.ratio:.2f} times;"
        f" anew {thought_anew:.1f} s, {thought_anew / thought.long:.1f} times as long\n"
        f"after a restart {disk:.2f} s, {disk / anew:.3f} of reading anew\n"
        f"Stop at most {stopped['stop_reading_ms']:.0f} ms while reading,"
        f" {stopped['stop_writing_ms']:.0f} while writing, {stopped['stop_ahead_ms']:.0f} while"
        " reading ahead"
    )
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.py bench turns", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    base = Path(tempfile.gettempdir()) / "qwen-desktop-bench" / "half-a-billion"
    if not (base / "tokenizer_config.json").exists():
        print("making the folder …", flush=True)
        make_folder(base)
    result = measure(base, given.runs)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
