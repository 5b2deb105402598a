"""One process of `decode.py`: loads a folder once and prints figures as one JSON object.

    ours PLAN        this program: the engine's own loop, from logits to events of an answer
    generate PLAN    generate() of transformers, on a cache that is filled with noise
    bandwidth PLAN   what reading a large tensor gives

A plan names folder, device, precision, threads, contexts, tokens, prefill.
"""

from __future__ import annotations

import inspect
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _quiet import Groups  # beside this file

NEVER = threading.Event()
WARM = 32  # tokens that are read first
CODE = Path(tempfile.gettempdir()) / "qwen-desktop-bench" / "code"


def ids_of(count: int) -> list[int]:
    """A prompt of so many tokens."""
    return [1000 + n % 7919 for n in range(count)]


class Kernels:
    """The time within the compiled functions, less what calling them takes from Python."""

    def __init__(self, step: Any) -> None:
        self.seconds: list[float] = []  # of each token
        self._sofar = 0.0  # of the token under way
        self._step = step
        self._calls: dict[str, tuple[Any, tuple[Any, ...]]] = {}
        for name in ("layers", "head"):
            self._time(name, getattr(step, name))

    def _time(self, name: str, function: Any) -> None:
        def timed(*given: Any) -> Any:
            began = time.perf_counter()
            found = function(*given)
            self._sofar += time.perf_counter() - began
            self._calls[name] = function, given
            if name == "head":
                self.seconds.append(self._sofar)
                self._sofar = 0.0
            return found

        setattr(self._step, name, timed)

    def dispatch(self) -> float:
        """Seconds of one call of each with nothing to do."""
        total = 0.0
        for function, given in self._calls.values():
            names = list(inspect.signature(function.py_func).parameters)
            empty = dict(zip(names, given, strict=True))
            if "last" in empty:
                empty["last"] = empty["first"]
            else:
                empty["logits"] = empty["logits"][:0]
            arguments, seconds = tuple(empty.values()), []
            for _ in range(30):
                began = time.perf_counter()
                function(*arguments)
                seconds.append(time.perf_counter() - began)
            total += statistics.median(seconds)
        return total


class Ours:
    """The engine with a folder open; answers as it does for the window, one session long."""

    def __init__(self, plan: Any) -> None:
        from qwen_desktop.chat.checkpoint import Precision
        from qwen_desktop.chat.model import EngineOptions, LoadRequest
        from qwen_desktop.engine.session import Session
        from qwen_desktop.engine.start import create_engine

        engine = create_engine(lambda _: None)
        engine.configure(EngineOptions(code_folder=CODE))
        precision = Precision(plan["precision"])
        request = LoadRequest(Path(plan["folder"]), precision, placement=plan["device"])
        engine.load(request, NEVER, lambda _: None)
        self._loaded: Any = engine._loaded
        self.runner = self._loaded.runner
        if hasattr(self.runner, "wait"):
            self.runner.wait()
        self._session = Session("bench", self.runner)

    @property
    def name(self) -> str:
        """Which way it decodes."""
        return self.runner.capabilities.name

    def kernels(self) -> Kernels | None:
        """A clock in the compiled step; None where there is none."""
        if "compiled" not in self.name:
            return None
        from qwen_desktop.engine.cpu import step

        return Kernels(step)

    def answer(self, length: int, tokens: int) -> tuple[float, list[float], Groups]:
        """Read a prompt of `length` tokens, write at most `tokens`.

        Seconds until the first, those of each other one, and the same in groups.
        """
        from qwen_desktop.chat.messages import Provenance
        from qwen_desktop.chat.settings import GenerationSettings
        from qwen_desktop.engine.answer import Answer
        from qwen_desktop.engine.choose import Chooser
        from qwen_desktop.engine.decode import Token, decode
        from qwen_desktop.engine.prompt import Prompt
        from qwen_desktop.engine.relief import Relief
        from qwen_desktop.engine.sampling import Sampler, Sampling

        able, ids = self.runner.capabilities, tuple(ids_of(length))
        prompt, relief = Prompt(ids, length, False), Relief(able.device, lambda: 0)
        tokenizer = self._loaded.tokenizer
        sampler = Sampler(Sampling(0.0), ids, able.device, expect=self.runner.expect)
        chooser = Chooser(sampler, tokenizer)
        answer = Answer(
            tokenizer, prompt, chooser, GenerationSettings(), provenance=Provenance(), model="",
            context_length=able.context_length, started=time.perf_counter(),
        )  # fmt: skip
        steps = decode(
            self._session, prompt, chooser, chunk=able.prefill_chunk, relief=relief,
            end_ids=frozenset(), max_new_tokens=tokens + 1, context_length=able.context_length,
            cancel=NEVER,
        )  # fmt: skip
        marks: list[float] = []
        groups = Groups()

        def marked() -> Iterator[Any]:
            nonlocal groups
            for one in steps:
                if isinstance(one, Token):
                    marks.append(time.perf_counter())
                    if len(marks) == 1:
                        groups = Groups()
                    else:
                        groups.add(marks[-1] - marks[-2])
                    if groups.enough:
                        return
                yield one

        began = time.perf_counter()
        for _ in answer.events(marked()):
            pass
        return marks[0] - began, [b - a for a, b in zip(marks, marks[1:], strict=False)], groups

    def forget(self) -> None:
        """Begin with an empty cache."""
        self._session.rewind([0])


def weights_of_a_token(runner: Any) -> int:
    """Bytes of weights that a token reads: all but the embeddings, where they are not the head."""
    model = runner.module
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    own = {p.data_ptr() for p in embeddings.parameters()} - {
        p.data_ptr() for p in head.parameters()
    }
    apart = sum(p.nbytes for p in embeddings.parameters() if p.data_ptr() in own)
    return int(runner.capabilities.weight_bytes - apart)


def ours(plan: Any) -> dict[str, Any]:
    """Tokens a second by context, prefill, and what lies outside the kernels."""
    made = Ours(plan)
    made.answer(WARM, 4)
    able = made.runner.capabilities
    found: dict[str, Any] = {
        "name": made.name,
        "bytes": weights_of_a_token(made.runner),
        "kv": able.kv_bytes_per_token,
    }
    if plan["prefill"]:
        made.forget()
        seconds, *_ = made.answer(plan["prefill"], 1)
        found["prefill"] = plan["prefill"] / seconds
        found["first_token"] = seconds
    for context in plan["contexts"]:
        _, _, groups = made.answer(context, plan["tokens"])
        found[str(context)] = 1 / groups.median
        found[f"quiet_{context}"] = groups.quiet
    kernels = made.kernels()
    if kernels is not None:
        # The prompt's last token is read by the module: the step runs once for each other one.
        _, seconds, groups = made.answer(plan["contexts"][-1], plan["tokens"])
        called = kernels.dispatch()
        outside = [a - b + called for a, b in zip(seconds, kernels.seconds, strict=False)]
        found["outside_ms"] = statistics.median(outside) * 1000
        found["outside_share"] = statistics.median(outside) / groups.median
    return found


def generate(plan: Any) -> dict[str, Any]:
    """Tokens a second of transformers alone, by context."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(plan["threads"])
    model = transformers.AutoModelForCausalLM.from_pretrained(
        plan["folder"], dtype=torch.bfloat16
    ).to(plan["device"])
    config = model.config
    heads = config.num_key_value_heads
    width = config.hidden_size // config.num_attention_heads

    model.generation_config.eos_token_id = None

    class Clock:
        """A streamer: what transformers puts into it after the prompt are tokens."""

        def __init__(self) -> None:
            self.groups = Groups()
            self._last = 0.0
            self._count = 0

        def put(self, _: Any) -> None:
            now = time.perf_counter()
            self._count += 1
            if self._count == 2:
                self.groups = Groups()
            elif self._count > 2:
                self.groups.add(now - self._last)
            self._last = now

        def end(self) -> None:
            """The answer is over."""

    def stop(clock: Clock) -> Any:
        return lambda ids, *_, **__: torch.full((len(ids),), clock.groups.enough, device=ids.device)

    found = {}
    for context in (WARM, *plan["contexts"]):
        cache = transformers.DynamicCache(config=config)
        for layer in range(config.num_hidden_layers):
            noise = torch.randn(
                2, 1, heads, context - 1, width, dtype=torch.bfloat16, device=plan["device"]
            )
            cache.update(noise[0], noise[1], layer)
        clock = Clock()
        with torch.inference_mode():
            model.generate(
                torch.tensor([ids_of(context)], device=plan["device"]),
                attention_mask=torch.ones(1, context, dtype=torch.long, device=plan["device"]),
                past_key_values=cache, max_new_tokens=plan["tokens"] + 1, do_sample=False,
                streamer=clock, pad_token_id=0, stopping_criteria=[stop(clock)],
            )  # fmt: skip
        found[str(context)] = 1 / clock.groups.median
    return found


def bandwidth(plan: Any) -> dict[str, Any]:
    """Bytes a second of reading a gibibyte."""
    import torch

    torch.set_num_threads(plan["threads"])
    large = torch.ones(2**28, device=plan["device"])
    seconds = []
    for _ in range(12):
        began = time.perf_counter()
        float(large.sum())
        seconds.append(time.perf_counter() - began)
    return {"bytes": large.nbytes / statistics.median(seconds)}


def main() -> int:
    what, plan = sys.argv[1], json.loads(sys.argv[2])
    found = {"ours": ours, "generate": generate, "bandwidth": bandwidth}[what](plan)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
