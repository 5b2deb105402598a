"""Tokens a second with guessing ahead and without, on text that repeats its prompt and on text
that does not.

In the shape of Qwen2.5-0.5B with random weights, which copy nothing. So the tokens are dictated: an
answer that gives a text of `TEXT` tokens back with every 40th changed, as one that edits code does,
and one of tokens that came in no such order before. Everything else is real: steps of one row and
of several, their logits, the sampler, what is looked up, costs and chances as they are learnt, and
what is taken back. Only whether a choice is near another one does not count, as that of random
weights often is. Two answers, with and without, take turns
token by token in one process; a ratio is the median of the rounds' own.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from decode import KINDS, ROOM, load_now  # beside this file
from load import make_folder

NEVER = threading.Event()
TEXT = 600  # tokens of the prompt
CHANGED = 40  # of how many tokens one is another


def scripts(tokens: int) -> tuple[tuple[int, ...], dict[str, list[int]]]:
    """A prompt, and what is answered: by whether it repeats."""
    dice = random.Random(0)
    prompt = tuple(dice.randrange(1000, 120_000) for _ in range(TEXT))
    copied = [
        dice.randrange(1000, 120_000) if n % CHANGED == CHANGED - 1 else prompt[n % TEXT]
        for n in range(tokens)
    ]
    # Words of a language come again, singly; so do these.
    words = [dice.randrange(1000, 120_000) for _ in range(60)]
    return prompt, {"repeating": copied, "other": dice.choices(words, k=tokens)}


class Model:
    """The checkpoint as the engine opens it, answering what is dictated."""

    def __init__(self, folder: Path, precision: str, threads: int) -> None:
        import torch
        from _decoding import CODE

        from qwen_desktop.chat.checkpoint import Precision
        from qwen_desktop.chat.model import EngineOptions, LoadRequest
        from qwen_desktop.engine.session import Session
        from qwen_desktop.engine.speculation.offer import Speculation
        from qwen_desktop.engine.start import create_engine

        self._engine = create_engine(lambda _: None)
        self._engine.configure(EngineOptions(code_folder=CODE))
        request = LoadRequest(folder, Precision(precision), placement="cpu")
        self._engine.load(request, NEVER, lambda _: None)
        if threads:
            torch.set_num_threads(threads)
        self._loaded: Any = self._engine._loaded
        self.runner = self._loaded.runner
        if hasattr(self.runner, "wait"):
            self.runner.wait()
        self._sessions = {how: Session(how, self.runner) for how in ("off", "auto")}
        self._speculation = Speculation(self.runner, frozenset())

    @property
    def costs(self) -> str:
        """What steps of several rows were found to take, over one of one row."""
        from qwen_desktop.engine.speculation.costs import SIZES

        known = self._speculation._costs
        return ", ".join(f"{n}: {known.of(n):.2f}" for n in SIZES if n in known._ratios)

    def answer(
        self, prompt_ids: tuple[int, ...], said: list[int], how: str
    ) -> tuple[Iterator[Any], Any]:
        """The tokens as they come, and what feeds them."""
        from qwen_desktop.chat.settings import GenerationSettings
        from qwen_desktop.engine.choose import Chooser
        from qwen_desktop.engine.decode import Token, decode
        from qwen_desktop.engine.prompt import Prompt
        from qwen_desktop.engine.relief import Relief
        from qwen_desktop.engine.sampling import Sampler, Sampling

        class Dictated(Chooser):
            """Chooses as ever, and says what it is told."""

            def __call__(self, logits: Any) -> int:
                super().__call__(logits)
                return next(coming)

            def is_clear(self, logits: Any, doubt: float) -> bool:
                super().is_clear(logits, doubt)
                return True

        able, coming, session = self.runner.capabilities, iter(said), self._sessions[how]
        prompt, relief = Prompt(prompt_ids, 0, False), Relief(able.device, lambda: 0)
        chooser = Dictated(Sampler(Sampling(0.0), prompt_ids, able.device), self._loaded.tokenizer)
        feeding = self._speculation.feeding(
            session, prompt, GenerationSettings(speculation=how), chooser, relief, NEVER
        )
        steps = decode(
            session, prompt, chooser, chunk=able.prefill_chunk, relief=relief,
            end_ids=frozenset(), max_new_tokens=len(said),
            context_length=able.context_length, cancel=NEVER, feeding=feeding,
        )  # fmt: skip
        return (step for step in steps if isinstance(step, Token)), feeding

    def both(self, prompt_ids: tuple[int, ...], said: list[int]) -> tuple[float, float, Any]:
        """Tokens a second without and with guesses, token by token in turn, and what guessed."""
        ways = [self.answer(prompt_ids, said, how) for how in ("off", "auto")]
        seconds = [0.0, 0.0]
        for steps, _ in ways:
            next(steps)
        for _ in said[1:]:
            for way, (steps, _) in enumerate(ways):
                began = time.perf_counter()
                next(steps)
                seconds[way] += time.perf_counter() - began
        for steps, _ in ways:
            steps.close()
        without, with_it = ((len(said) - 1) / total for total in seconds)
        return without, with_it, ways[1][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--only", nargs="*", choices=list(KINDS), help="of these precisions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=160, help="of an answer")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    folder = ROOM / "half-a-billion"
    if not (folder / "tokenizer_config.json").exists():
        print("making the folder …", flush=True)
        make_folder(folder)
    prompt, answers = scripts(given.tokens)
    result: dict[str, object] = {}
    for kind in given.only or KINDS:
        model = Model(folder, KINDS[kind][0], given.threads)
        print(f"{kind}: {model.runner.capabilities.name}, load {load_now()}", flush=True)
        for text, said in answers.items():
            rounds = [model.both(prompt, said) for _ in range(given.rounds)]
            without, with_it = (statistics.median(one[way] for one in rounds) for way in (0, 1))
            ratio = statistics.median(one[1] / one[0] for one in rounds)
            guessed, came = (
                sum(getattr(one[2], of) for one in rounds) for of in ("drafted", "accepted")
            )
            print(
                f"  {text:<10} without {without:6.1f} tok/s, with {with_it:6.1f}: {ratio:.2f} "
                f"({came} of {guessed} guesses came)",
                flush=True,
            )
            result[f"speculation_{kind}_{text}"] = round(ratio, 3)
        print(f"  rows of a step, over one: {model.costs or 'none was tried'}", flush=True)
    if given.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
