"""The decode loop: prefill, then token after token, until something ends it.

Works on ids over a session and a sampler. Cancel is looked at between pieces of the prompt and
between tokens, by the runner also within them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Union

from qwen_desktop.chat.events import FinishReason, Progress, Stage
from qwen_desktop.engine.feeding import Feeding
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.runner import Logits
from qwen_desktop.engine.sampling import not_numbers
from qwen_desktop.engine.session import Relief, Session
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known


@dataclass(frozen=True)
class Prefilled:
    """The prompt has been read, `reused` tokens of it from the cache."""

    reused: int


@dataclass(frozen=True)
class Token:
    """One token of the answer."""

    id: int


@dataclass(frozen=True)
class End:
    """No more tokens; `token` is the one that the model ended with, -1 where it did not."""

    reason: FinishReason
    token: int = field(default=-1, compare=False)


Step = Union[Progress, Prefilled, Token, End]  # noqa: UP007


def check_length(prompt: Prompt, context_length: int, vocab_size: int) -> None:
    """Refuse a prompt the model cannot hold or whose tokens it does not know. Raises Known."""
    if not prompt.ids:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "There is nothing to answer: the message is empty."),
            QT_TRANSLATE_NOOP("errors", "Write something first."),
        )
    if len(prompt.ids) > context_length:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The prompt has {have} tokens; this model holds {limit}."),
            QT_TRANSLATE_NOOP("errors", "Shorten the message, or start a new chat."),
            code="prompt-too-long",
            have=f"{len(prompt.ids):,}",
            limit=f"{context_length:,}",
        )
    if max(prompt.ids) >= vocab_size:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The tokenizer has tokens that the weights do not know."),
            QT_TRANSLATE_NOOP("errors", "Get tokenizer and weights of the same checkpoint."),
            details=f"token {max(prompt.ids)}, vocabulary of {vocab_size}",
        )


def decode(
    session: Session,
    prompt: Prompt,
    choose: Callable[[Logits], int],
    *,
    chunk: int,
    relief: Relief,
    end_ids: frozenset[int],
    max_new_tokens: int,
    context_length: int,
    cancel: threading.Event,
    feeding: Feeding | None = None,
) -> Iterator[Step]:
    """Answer `prompt` in `session`; the last step is an End. End ids are not given out.

    `choose` draws each token from the logits, or knows better. A token is given out before it is
    fed, so that it shows at once and the next one is chosen in its light; the session never holds
    more than `context_length` tokens. `feeding` is of this session; None feeds tokens one by one.
    What allocates runs in `relief`, the prompt in pieces of
    `chunk` tokens. Raises what the runner and `relief` raise, except Cancelled.
    """
    feeding = feeding or Feeding(session, cancel, relief)
    try:
        reused = session.rewind(prompt.ids)
        total = len(prompt.ids) - reused
        yield Progress(Stage.PREFILL, 0, total)
        for done, piece_logits in session.prefill(
            prompt.ids, prompt.boundary, cancel, chunk=chunk, relief=relief
        ):
            logits = piece_logits
            yield Progress(Stage.PREFILL, done, total)
        yield Prefilled(reused)
        last = logits  # of the prompt
        if relief.run(lambda: bool(last.isnan().any()), _nothing):
            raise not_numbers(last, "after the prompt")
        for made in range(1, max_new_tokens + 1):
            if cancel.is_set():
                raise Cancelled
            logits = feeding.settled(logits)
            token = relief.run(partial(choose, logits), _nothing)
            feeding.chosen()
            if token in end_ids:
                yield End(FinishReason.STOP, token)
                return
            yield Token(token)
            if made == max_new_tokens:
                break
            if feeding.held >= context_length:
                yield End(FinishReason.CONTEXT_FULL)
                return
            room = min(max_new_tokens - made, context_length - feeding.held) - 1
            logits = feeding.after(token, room)
        yield End(FinishReason.LENGTH)
    except Cancelled:
        yield End(FinishReason.STOPPED)
    finally:
        feeding.end()


def _nothing() -> None:
    """A draw leaves nothing to repair."""
