"""Answers requests with one loaded checkpoint, and keeps what the model has read of each chat.

From messages to a prompt that fits, from the prompt to events. Used by the engine on its thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from qwen_desktop.chat.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    PromptCount,
)
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.answer import Answer
from qwen_desktop.engine.aside import Aside, Overrun
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.decode import check_length, decode
from qwen_desktop.engine.device import free_memory, gigabytes, give_back
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.prompt import Prompt, Window, build_prompt
from qwen_desktop.engine.provenance import provenance_of
from qwen_desktop.engine.recommended import recommended
from qwen_desktop.engine.relief import OutOfMemory, Relief
from qwen_desktop.engine.sampling import Sampler, settle
from qwen_desktop.engine.session import Session
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

NEVER = threading.Event()

ANSWER_SHARE = 4  # a quarter of the context is kept for the answer, or less where it is limited

# A prompt is built in milliseconds, a million characters in seconds; a template may never end.
PROMPT_SECONDS = 4
PROMPT_CHARACTERS = 50_000  # in a further second


class Answering:
    """Owns the caches of the conversations that a loaded checkpoint has read."""

    def __init__(self, loaded: Loaded, aside: Aside) -> None:
        self._loaded = loaded
        self._aside = aside
        self._session: Session | None = None
        self._last: tuple[GenerationRequest, int, Prompt] | None = None

    @property
    def kv_bytes(self) -> int:
        """Bytes of all caches. From any thread."""
        session = self._session
        return session.cache.nbytes if session is not None else 0

    def generate(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer `request`: Progress, Started, then Delta, Usage and others, at last Finished.

        Raises Known: a prompt longer than the context, no memory left. Text given out until then
        stands, and the next request works. `cancel` ends it as an ordinary STOPPED.
        """
        started = time.perf_counter()
        loaded = self._loaded
        try:
            limit = self._limit()
            prompt = self._prompt(request, cancel, limit)
        except Cancelled:
            yield Finished(FinishReason.STOPPED)
            return
        if prompt.overflows:
            raise _overflow(prompt, self._budget(limit, request))
        capabilities, settings = loaded.runner.capabilities, request.settings
        session = self._session_of(request.conversation_id)
        relief = Relief(capabilities.device, lambda: 0)
        thinking = _thinks(request)
        mode = recommended(
            loaded.checkpoint.generation,
            loaded.tokenizer.template,
            can_think=loaded.tokenizer.can_think,
            thinking=thinking,
        )
        sampling = settle(settings, mode)
        trouble: Known | None = None
        try:
            sampler = relief.run(
                lambda: Sampler(
                    sampling,
                    prompt.ids,
                    capabilities.vocab_size,
                    capabilities.device,
                    given=prompt.given,
                ),
                _nothing,
            )
            chooser = Chooser(sampler, loaded.tokenizer, settings.logprobs)
            answer = Answer(
                loaded.tokenizer,
                prompt,
                chooser,
                settings,
                provenance=provenance_of(
                    loaded, settings, sampling, prompt, limit, thinking=thinking
                ),
                model=loaded.info.name,
                context_length=limit,
                started=started,
            )
            steps = decode(
                session,
                prompt,
                chooser,
                chunk=capabilities.prefill_chunk,
                relief=relief,
                end_ids=loaded.end_ids,
                max_new_tokens=settings.max_new_tokens,
                context_length=limit,
                cancel=cancel,
            )
            answer.begin_prefill()
            yield from answer.events(steps)
        except OutOfMemory as error:
            if not error.repaired:
                self._session = None
            trouble = _no_memory(loaded, prompt, session)
        except Exception:
            self._session = None  # its cache may be inconsistent
            raise
        if trouble is not None:
            del session
            give_back(capabilities.device)
            raise trouble

    def count(self, request: GenerationRequest, cancel: threading.Event = NEVER) -> PromptCount:
        """Count the prompt that `generate` would feed for the draft that `request` ends with.

        Raises Known where `generate` would refuse, but for a prompt that overflows under
        Policy.ASK: the count says so. Raises Cancelled.
        """
        limit = self._limit()
        prompt = self._prompt(request, cancel, limit)
        draft = request.messages[-1].text if request.messages else ""
        return PromptCount(
            prompt=len(prompt.ids),
            draft=len(self._loaded.tokenizer.encode(whole(draft))),
            budget=self._budget(limit, request),
            limit=limit,
            unseen=prompt.unseen,
            overflows=prompt.overflows,
        )

    def _limit(self) -> int:
        """Tokens that the context may hold now."""
        return self._loaded.runner.capabilities.context_length

    def _budget(self, limit: int, request: GenerationRequest) -> int:
        """Tokens a prompt may take of a context of `limit`: the rest is for the answer.

        Not more than a quarter is kept free: a short context is worth more to the conversation.
        """
        room = limit - min(request.settings.max_new_tokens, limit // ANSWER_SHARE)
        window = self._loaded.tokenizer.prompt_window
        return room if window is None else min(room, window)

    def _prompt(self, request: GenerationRequest, cancel: threading.Event, limit: int) -> Prompt:
        """The prompt for `request` in a context of `limit` tokens. Raises Known, Cancelled.

        The last one is kept: a request is counted before it is answered.
        """
        if self._last is None or self._last[0] is not request or self._last[1] != limit:
            self._last = (request, limit, self._built(request, cancel, limit))
        return self._last[2]

    def _built(self, request: GenerationRequest, cancel: threading.Event, limit: int) -> Prompt:
        loaded = self._loaded
        settings = request.settings
        said = sum(len(message.text) for message in request.messages)
        try:
            prompt = self._aside.run(
                lambda: build_prompt(
                    loaded.tokenizer,
                    request.messages,
                    settings.system_prompt,
                    thinking=_thinks(request),
                    window=Window(self._budget(limit, request), request.policy),
                ),
                cancel,
                PROMPT_SECONDS + said / PROMPT_CHARACTERS,
            )
        except Overrun as error:
            raise _endless_template(error) from error
        if not prompt.overflows:
            check_length(prompt, limit, loaded.runner.capabilities.vocab_size)
        return prompt

    def _session_of(self, conversation_id: str) -> Session:
        """The session of the conversation; another conversation's makes way for it."""
        session = self._session
        if session is None or session.conversation_id != conversation_id:
            self._session = None
            session = self._session = Session(conversation_id, self._loaded.runner)
        return session


def _budget(limit: int, request: GenerationRequest) -> int:
    """Tokens a prompt may take of a context of `limit`: the rest is for the answer.

    Not more than a quarter is kept free: a short context is worth more to the conversation.
    """
    return limit - min(request.settings.max_new_tokens, limit // ANSWER_SHARE)


def _thinks(request: GenerationRequest) -> bool:
    """Whether the model is to think; an answer that is continued goes on as it was begun."""
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role is Role.ASSISTANT and last.provenance is not None:
        return last.provenance.thinking
    return request.settings.thinking


def _nothing() -> None:
    """There is nothing to repair yet."""


def _overflow(prompt: Prompt, budget: int) -> Known:
    return Known(
        QT_TRANSLATE_NOOP(
            "errors", "The conversation has {have} tokens; {budget} fit beside an answer."
        ),
        QT_TRANSLATE_NOOP("errors", "Choose what to leave out, or start a new chat."),
        have=f"{len(prompt.ids):,}",
        budget=f"{budget:,}",
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


def _no_memory(loaded: Loaded, prompt: Prompt, session: Session) -> Known:
    held = session.cache.nbytes
    device = loaded.runner.capabilities.device
    return Known(
        QT_TRANSLATE_NOOP("errors", "Memory ran out: the context of {tokens} tokens took {kv}."),
        QT_TRANSLATE_NOOP("errors", "{free} are free now; start a new chat or close programs."),
        tokens=f"{max(len(prompt.ids), session.cache.length):,}",
        kv=gigabytes(held),
        free=gigabytes(free_memory(device) + held),
    )
