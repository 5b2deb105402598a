"""Makes the prompt of a request: with the checkpoint's template, within the context, or a sentence.

Templates are programs of strangers, so prompts are built aside, with limits on time and memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.engine.aside import Aside, Overrun
from qwen_desktop.engine.budget import prompt_budget
from qwen_desktop.engine.decode import check_length
from qwen_desktop.engine.idle import next_prefix
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.prompt import Prompt, Window, build_prompt
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

_log = logging.getLogger(__name__)

T = TypeVar("T")

# A prompt is built in milliseconds, a million characters in seconds; a template may never end.
PROMPT_SECONDS = 4
PROMPT_CHARACTERS = 50_000  # in a further second


class Prompting:
    """Builds prompts for one loaded checkpoint. Used on the engine's thread."""

    def __init__(self, loaded: Loaded, aside: Aside) -> None:
        self._loaded = loaded
        self._aside = aside
        self._last: tuple[GenerationRequest, int, Prompt] | None = None

    def budget(self, limit: int, request: GenerationRequest) -> int:
        """Tokens a prompt may take of a context of `limit`: see `prompt_budget`."""
        window = self._loaded.tokenizer.prompt_window
        return prompt_budget(limit, request.settings.max_new_tokens, window)

    def prompt(self, request: GenerationRequest, cancel: threading.Event, limit: int) -> Prompt:
        """The prompt for `request` in a context of `limit` tokens.

        One that overflows its budget under Policy.ASK says so. Raises Cancelled, and Known where
        the template fails or even what always stays does not fit. The last prompt is kept, as a
        request is counted before it is answered.
        """
        if self._last is None or self._last[0] is not request or self._last[1] != limit:
            prompt = self._built(request, cancel, limit)
            capabilities = self._loaded.runner.capabilities
            if not prompt.overflows:
                check_length(prompt, capabilities.context_length, capabilities.vocab_size)
                if len(prompt.ids) > limit:
                    raise _too_long_for_memory(len(prompt.ids), limit)
            self._last = (request, limit, prompt)
        return self._last[2]

    def other(
        self, request: GenerationRequest, cancel: threading.Event, limit: int
    ) -> Prompt | None:
        """The prompt for a request of the program's own; None where there can be none.

        Nothing of it is kept: the prompt that was counted last may be asked for next.
        """
        try:
            prompt = self._built(request, cancel, limit)
            capabilities = self._loaded.runner.capabilities
            check_length(prompt, min(limit, capabilities.context_length), capabilities.vocab_size)
        except (Cancelled, Known) as trouble:
            _log.info("no prompt: %s", trouble)
            return None
        return prompt

    def next_prefix(
        self, request: GenerationRequest, cancel: threading.Event, limit: int
    ) -> tuple[int, ...]:
        """What the prompt after the next message begins with; `request` ends with an answer.

        Raises Cancelled, and Known where the template fails.
        """
        return self.aside(
            lambda: next_prefix(
                self._loaded.tokenizer,
                request.messages,
                request.settings.system_prompt,
                thinking=request.settings.thinking,
                window=Window(self.budget(limit, request), request.policy),
            ),
            request,
            cancel,
        )

    def _built(self, request: GenerationRequest, cancel: threading.Event, limit: int) -> Prompt:
        return self.aside(
            lambda: build_prompt(
                self._loaded.tokenizer,
                request.messages,
                request.settings.system_prompt,
                thinking=thinks(request),
                window=Window(self.budget(limit, request), request.policy),
                fork=request.fork,
                plain=request.plain,
            ),
            request,
            cancel,
        )

    def aside(
        self, build: Callable[[], T], request: GenerationRequest, cancel: threading.Event
    ) -> T:
        """What `build` makes of the messages of `request`, with limits on its time and memory.

        Raises Cancelled, and Known where the template does not end.
        """
        said = sum(len(part.text) for message in request.messages for part in message.parts)
        try:
            return self._aside.run(build, cancel, PROMPT_SECONDS + said / PROMPT_CHARACTERS)
        except Overrun as error:
            raise _endless_template(error) from error


def thinks(request: GenerationRequest) -> bool:
    """Whether the model is to think; an answer that was begun goes on as it was."""
    last = request.messages[-1] if request.messages else None
    if request.fork is not None:
        last = request.fork.answer
    if last is not None and last.role is Role.ASSISTANT and last.provenance is not None:
        return last.provenance.thinking
    return request.settings.thinking


def overflow(prompt: Prompt, budget: int) -> Known:
    """The sentence for a conversation of which nothing may be left out."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The chat has {have} tokens; {budget} fit beside an answer."),
        QT_TRANSLATE_NOOP("errors", "Choose what to leave out, or start a new chat."),
        code="context-overflow",
        have=f"{len(prompt.ids):,}",
        budget=f"{budget:,}",
    )


def _too_long_for_memory(tokens: int, limit: int) -> Known:
    return Known(
        QT_TRANSLATE_NOOP(
            "errors", "The prompt has {have} tokens; the memory that is free now holds {limit}."
        ),
        QT_TRANSLATE_NOOP(
            "errors", "Close other programs, or open the checkpoint with an 8-bit KV cache."
        ),
        code="context-overflow",
        have=f"{tokens:,}",
        limit=f"{limit:,}",
    )


def _endless_template(error: Overrun) -> Known:
    """The sentence for a chat template that was left before it had made a prompt."""
    if error.memory:
        template = QT_TRANSLATE_NOOP("errors", "The checkpoint's chat template took all memory.")
    else:
        template = QT_TRANSLATE_NOOP("errors", "The checkpoint's chat template does not end.")
    return Known(
        template,
        QT_TRANSLATE_NOOP("errors", "Download the tokenizer files again."),
        details=f"after {PROMPT_SECONDS} s and 1 s per {PROMPT_CHARACTERS} characters",
    )
