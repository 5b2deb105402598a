"""Short words for what the engine's tests do all the time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from qwen_desktop.chat.checkpoint import Precision
from qwen_desktop.chat.events import Delta, Finished, FinishReason, GenerationEvent, Progress, Usage
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from qwen_desktop.chat.model import GenerationRequest, LoadRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.decode import Step, decode
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.relief import Relief
from qwen_desktop.engine.runner import Logits, Runner
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.tokenizer import Tokenizer, load_tokenizer
from qwen_desktop.engine.transformers_runner import TransformersRunner

NEVER = threading.Event()


def load(engine: Engine, folder: Path, **options: object) -> list[Progress]:
    """Load `folder`; the progress told."""
    told: list[Progress] = []
    engine.load(LoadRequest(folder, **options), threading.Event(), told.append)
    return told


def runner_of(folder: Path, kind: type[TransformersRunner] = LeanRunner) -> TransformersRunner:
    """A runner in float32 on the CPU: as the engine has it, or of another kind."""
    plan = loader.plan(inspect(folder), LoadRequest(folder, Precision.FP32, "cpu"))
    return kind(loader.load(plan, NEVER, lambda _: None))


def layers_of(runner: Any) -> list[Any]:
    """The objects whose `forward` computes a layer, whichever way computes."""
    lean = getattr(runner, "_lean", None)
    return list(lean.layers if lean is not None else runner.module.get_decoder().layers)


def tokenizer_of(folder: Path) -> Tokenizer:
    return load_tokenizer(inspect(folder))


def relief_of(runner: Runner[Any]) -> Relief:
    """A ladder without other conversations to give up."""
    return Relief(runner.capabilities.device, lambda: 0)


def steps_of(
    runner: Runner[Any],
    prompt: Prompt,
    choose: Callable[[Logits], int],
    *,
    end_ids: frozenset[int] = frozenset(),
    max_new_tokens: int,
    session: Session | None = None,
    **options: Any,
) -> list[Step]:
    """All steps of the decode loop, in a new session unless one is given."""
    capabilities = runner.capabilities
    values = {
        "chunk": capabilities.prefill_chunk,
        "relief": relief_of(runner),
        "context_length": capabilities.context_length,
        "cancel": NEVER,
    }
    return list(
        decode(
            session or Session("c", runner),
            prompt,
            choose,
            end_ids=end_ids,
            max_new_tokens=max_new_tokens,
            **{**values, **options},
        )
    )


def chat(*texts: str) -> tuple[Message, ...]:
    """User and assistant in turns, beginning with the user."""
    messages: list[Message] = []
    for index, text in enumerate(texts):
        parent = messages[-1].id if messages else None
        message = user_message(text, parent)
        if index % 2:
            part = Part(PartKind.TEXT, text)
            message = Message(role=Role.ASSISTANT, parts=(part,), parent_id=parent)
        messages.append(message)
    return tuple(messages)


def request(
    *texts: str, conversation: str = "c", thinking: bool = False, **settings: object
) -> GenerationRequest:
    values = {"max_new_tokens": 12, "thinking": thinking} | settings
    return GenerationRequest(conversation, chat(*texts), GenerationSettings(**values))


def ask(
    engine: Engine, asked: GenerationRequest, cancel: threading.Event = NEVER
) -> list[GenerationEvent]:
    return list(engine.generate(asked, cancel))


def text_of(events: list[GenerationEvent], kind: PartKind | None = None) -> str:
    deltas = [e for e in events if isinstance(e, Delta)]
    return "".join(d.text for d in deltas if kind is None or d.kind is kind)


def usage_of(events: list[GenerationEvent]) -> Usage:
    return [e for e in events if isinstance(e, Usage)][-1]


def reason_of(events: list[GenerationEvent]) -> FinishReason:
    (finished,) = [e for e in events if isinstance(e, Finished)]
    assert events[-1] is finished
    return finished.reason


def tiles(ranges: Sequence[tuple[int, int]], length: int) -> bool:
    """Whether `ranges` follow each other without a gap from 0 to `length`."""
    if not ranges:
        return length == 0
    meets = all(left[1] == right[0] for left, right in pairwise(ranges))
    return meets and ranges[0][0] == 0 and ranges[-1][1] == length
