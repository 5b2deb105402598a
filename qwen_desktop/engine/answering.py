"""Answers requests with one loaded checkpoint, and keeps what the model has read of each chat.

From messages to a prompt that fits, from the prompt to events. Used by the engine on its thread.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace

from qwen_desktop.chat.attached import read_as
from qwen_desktop.chat.events import Finished, FinishReason, GenerationEvent, PromptCount
from qwen_desktop.chat.inspected import AnswerPrompt, Inspected
from qwen_desktop.chat.ledger import Forecast
from qwen_desktop.chat.measured import Predicted
from qwen_desktop.chat.messages import Part, Role
from qwen_desktop.chat.model import EngineOptions, GenerationRequest
from qwen_desktop.chat.text import whole
from qwen_desktop.engine.answer import Answer
from qwen_desktop.engine.aside import Aside
from qwen_desktop.engine.budget import MIN_CHUNK
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.counted import Counting
from qwen_desktop.engine.decode import decode
from qwen_desktop.engine.device import give_back, is_out_of_memory, limit_memory
from qwen_desktop.engine.forecast import Forecasts, Now
from qwen_desktop.engine.idle import read_ahead
from qwen_desktop.engine.inspecting import Inspecting
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.memory import Counted, PeakMeter
from qwen_desktop.engine.planning import Planner
from qwen_desktop.engine.predicting import held_now, in_use, predict
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.prompting import Prompting, overflow, thinks
from qwen_desktop.engine.provenance import begun_by, provenance_of
from qwen_desktop.engine.recommended import settled
from qwen_desktop.engine.relief import OutOfMemory, Relief, let_go
from qwen_desktop.engine.sampling import Sampler
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.sessions import NEVER, Sessions
from qwen_desktop.engine.speculation.offer import Speculation
from qwen_desktop.engine.spill import CacheKey
from qwen_desktop.engine.titling import Titling
from qwen_desktop.engine.watch import SpeedWatch, is_full
from qwen_desktop.errors import Cancelled, Known

_log = logging.getLogger(__name__)

FILES_REMEMBERED = 32  # files of drafts whose tokens are known

AHEAD_SHARE = 4  # pieces that are read ahead are so many times shorter than those of a request


class Answering:
    """Owns the caches of the conversations that a loaded checkpoint has read."""

    def __init__(self, loaded: Loaded, aside: Aside, options: EngineOptions) -> None:
        self._loaded = loaded
        self._prompting = Prompting(loaded, aside)
        self._file_tokens: dict[bytes, int] = {}  # by the mark of a file
        self._sessions = Sessions(loaded.runner, _cache_key(loaded), options)
        self._inspecting = Inspecting(loaded, self._prompting, self._sessions)
        self._speculation = Speculation(loaded.runner, loaded.end_ids, loaded.draft)
        self._planner = Planner(loaded, lambda: self._speculation.nbytes)
        self._titling = Titling(loaded, self._planner)
        self._counting = Counting(
            self._planner,
            self._sessions,
            lambda: self._titling.nbytes + self._speculation.nbytes,
        )
        self._forecasts = Forecasts(loaded, self._planner)
        self._watch = SpeedWatch(lambda: is_full(loaded.runner.capabilities.device))

    @property
    def kv_bytes(self) -> int:
        """Bytes of all caches. From any thread."""
        return self._sessions.nbytes + self._titling.nbytes + self._speculation.nbytes

    @property
    def window(self) -> int:
        """Tokens of context that are counted on. From any thread."""
        return self._counting.window

    def counted(self) -> Mapping[str, Counted]:
        """What caches take and will take, by device. From any thread."""
        return self._counting.by_device()

    def configure(self, options: EngineOptions) -> None:
        """Keep of conversations at rest what `options` allow."""
        self._sessions.configure(options)

    # Answering

    def generate(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer `request`: Started and Progress, then Delta, Usage and others, at last Finished.

        Raises Known: a prompt longer than the context, no memory left. Text given out until then
        stands, and the next request works. `cancel` ends it as an ordinary STOPPED.
        """
        started = time.perf_counter()
        conversation = request.conversation_id
        limit_memory(self._loaded.devices)
        limit = self._limit(conversation)
        try:
            prompt = self._prompting.prompt(request, cancel, limit)
        except Cancelled:
            yield Finished(FinishReason.STOPPED)
            return
        if prompt.overflows:
            raise overflow(prompt, self._prompting.budget(limit, request))
        device = self._loaded.runner.capabilities.device
        relief = Relief(
            device, lambda: self._speculation.drop() + self._sessions.drop_others(conversation)
        )
        trouble: Known | None = None
        try:
            yield from self._answer(request, prompt, relief, limit, started, cancel)
        except OutOfMemory as error:
            trouble = self._no_memory(conversation, prompt, error)
            if not error.repaired:
                self._sessions.drop(conversation)
        except Exception as error:
            if is_out_of_memory(error):  # where relief is no help, as a new cache is refused
                trouble = self._no_memory(conversation, prompt, let_go(error))
            self._sessions.drop(conversation)  # its cache may be inconsistent
            if trouble is None:
                raise
        if trouble is not None:
            give_back(device)
            raise trouble

    def _no_memory(self, conversation_id: str, prompt: Prompt, error: BaseException) -> Known:
        session = self._sessions.find(conversation_id)
        held = len(session.ids) if session is not None else 0
        return self._planner.no_memory(max(len(prompt.ids), held), str(error))

    def _answer(
        self,
        request: GenerationRequest,
        prompt: Prompt,
        relief: Relief,
        limit: int,
        started: float,
        cancel: threading.Event,
    ) -> Iterator[GenerationEvent]:
        session = self._sessions.take(request.conversation_id, prompt.ids, cancel)
        loaded, settings, thinking = self._loaded, request.settings, thinks(request)
        capabilities, tokenizer = loaded.runner.capabilities, loaded.tokenizer
        # What a fork keeps counts for the length of its answer.
        kept = prompt.given if request.fork is not None else 0
        most = max(1, settings.max_new_tokens - kept)
        end = min(limit, len(prompt.ids) + most)
        others = self._sessions.at_rest(request.conversation_id)
        plan = self._planner.plan(len(prompt.ids), end, session.cache.nbytes, others)
        if plan.drop:
            self._sessions.make_room(plan.drop, request.conversation_id, cancel)
        peak = PeakMeter(capabilities.device)
        sampling = settled(settings, loaded.checkpoint, tokenizer, thinking=thinking)
        sampler = relief.run(
            lambda: Sampler(
                sampling,
                prompt.ids,
                capabilities.device,
                given=prompt.given,
                expect=lambda token: feeding.expect(token),
            ),
            _nothing,
        )
        chooser = Chooser(sampler, tokenizer, settings.logprobs)
        feeding = self._speculation.feeding(session, prompt, settings, chooser, relief, cancel)
        origin = provenance_of(
            loaded, settings, sampling, prompt, limit, thinking=thinking, begun=begun_by(request)
        )
        origin = replace(origin, draft_model=self._speculation.draft_model(feeding))
        answer = Answer(
            tokenizer,
            prompt,
            chooser,
            settings,
            provenance=origin,
            model=loaded.info.name,
            context_length=limit,
            started=started,
            fork=request.fork,
        )
        steps = decode(
            session,
            prompt,
            chooser,
            chunk=plan.chunk,
            relief=relief,
            end_ids=loaded.end_ids,
            max_new_tokens=most,
            context_length=limit,
            cancel=cancel,
            feeding=feeding,
        )
        answer.begin_prefill()
        for event in self._watch.over(answer.events(steps), len(prompt.ids)):
            if isinstance(event, Finished):
                read = min(plan.chunk, max(1, len(prompt.ids) - answer.reused))
                event = self._measured(event, peak, prompt, session, read)
                event = replace(event, kv_bytes=session.cache.nbytes, prefill_chunk=plan.chunk)
                event = replace(event, drafted=feeding.drafted, accepted=feeding.accepted)
            yield event

    def _measured(
        self, event: Finished, peak: PeakMeter, prompt: Prompt, session: Session, read: int
    ) -> Finished:
        """`event` with the memory that the answer took on the main device.

        Its prompt was read `read` tokens at a time.
        """
        device = self._loaded.runner.capabilities.device
        weights = self._loaded.bytes_by_device.get(str(device), 0)
        given, end = len(prompt.ids), max(1, len(session.ids))
        working = max(self._planner.working(read, given), self._planner.working(1, end))
        held = weights + self._planner.on_main(self._sessions.nbytes) + self._speculation.nbytes
        used, total = in_use(device)
        now = held_now(device, held)
        highest = peak.read(held + working)
        if device.type != "cpu":  # elsewhere it is only counted
            self._counting.measured(highest - held)
        return replace(
            event,
            peak_bytes=highest,
            held_bytes=now,
            others_bytes=self._planner.on_main(self._sessions.at_rest(session.conversation_id)),
            planned_bytes=weights + max(0, now - held) + self._planner.peak(given, end, read),
            used_bytes=used,
            device_bytes=total,
        )

    def predict(self, conversation_id: str, read: int) -> Predicted:
        """What the conversation will take as it grows: see `engine/predicting.py`."""
        session = self._sessions.find(conversation_id)
        held = session.cache.nbytes if session is not None else 0
        others = self._sessions.at_rest(conversation_id)
        return predict(self._loaded, self._planner, held, others, self._sessions.nbytes, read)

    def count(self, request: GenerationRequest, cancel: threading.Event = NEVER) -> PromptCount:
        """Count the prompt that `generate` would feed for the draft that `request` ends with.

        Raises Known where `generate` would refuse, but for a prompt that overflows under
        Policy.ASK, and for a draft with files: the count says so. Raises Cancelled.
        """
        limit = self._limit(request.conversation_id)
        last = request.messages[-1] if request.messages else None
        draft = last if last is not None and last.role is Role.USER else None
        files = [self._tokens_of(file) for file in draft.files] if draft is not None else []
        own = len(self._loaded.tokenizer.encode(whole(draft.text))) if draft is not None else 0
        try:
            prompt = self._prompting.prompt(request, cancel, limit)
        except Known as known:
            if not files:
                raise
            return PromptCount(
                0, own + sum(files), 0, limit, files=tuple(files), refusal=known.report()
            )
        return PromptCount(
            prompt=len(prompt.ids),
            draft=own + sum(files),
            files=tuple(files),
            budget=self._prompting.budget(limit, request),
            limit=limit,
            unseen=prompt.unseen,
            overflows=prompt.overflows,
            forecast=self._forecast(request, prompt, limit),
        )

    def _forecast(self, request: GenerationRequest, prompt: Prompt, limit: int) -> Forecast:
        session = self._sessions.find(request.conversation_id)
        return self._forecasts.of(
            Now(
                prompt=len(prompt.ids),
                turns=prompt.turns,
                limit=limit,
                max_new_tokens=request.settings.max_new_tokens,
                held=session.cache.nbytes if session is not None else 0,
                others=self._sessions.at_rest(request.conversation_id),
                met=prompt.overflows or bool(prompt.unseen),
            )
        )

    def inspect(self, request: GenerationRequest, cancel: threading.Event = NEVER) -> Inspected:
        """The prompt that `generate` would feed, taken apart, also where it does not fit.

        Raises Cancelled, and Known where the template fails.
        """
        limit = self._limit(request.conversation_id)
        return self._inspecting.now(request, cancel, limit)

    def inspect_answer(self, asked: AnswerPrompt, cancel: threading.Event = NEVER) -> Inspected:
        """The prompt of an answer that was given, taken apart. Raises as `inspect`."""
        return self._inspecting.answer(asked, cancel)

    def _tokens_of(self, file: Part) -> int:
        """Tokens of an attached file. Remembered: it is counted at every pause of the typing."""
        text = read_as(file)
        mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()  # texts may be long
        known = self._file_tokens.pop(mark, None)
        if known is None:
            known = len(self._loaded.tokenizer.encode(whole(text)))
        self._file_tokens[mark] = known  # the one that was used last is at the end
        if len(self._file_tokens) > FILES_REMEMBERED:
            del self._file_tokens[next(iter(self._file_tokens))]
        return known

    def _limit(self, conversation_id: str) -> int:
        """Tokens that the context of a conversation may hold now."""
        session = self._sessions.find(conversation_id)
        held = session.cache.nbytes if session is not None else 0
        others = self._sessions.at_rest(conversation_id)
        limit = self._planner.limit(held, others)
        self._counting.follow(conversation_id, limit, held, others)
        return limit

    # At rest

    def prepare(self, request: GenerationRequest, cancel: threading.Event) -> Iterator[None]:
        """Read ahead what the next prompt begins with; `request` ends with a finished answer.

        One piece of the prompt in each step. An answer that was cut short is left as it is: it
        may be continued. Ends early when `cancel` is set, leaving what was read in use.
        """
        last = request.messages[-1] if request.messages else None
        session = self._sessions.find(request.conversation_id)
        if session is None or last is None or last.role is not Role.ASSISTANT or last.status.is_cut:
            return
        limit = self._limit(request.conversation_id)
        try:
            prefix = self._prompting.next_prefix(request, cancel, limit)
        except Cancelled:
            return
        except Known as known:  # the next request will say so, if it is still true then
            _log.info("not read ahead: %s", known)
            return
        if len(prefix) >= limit:  # the next message will be refused
            return
        capabilities = self._loaded.runner.capabilities
        relief = Relief(capabilities.device, lambda: 0)  # not worth another chat's cache
        # A check of the next message waits for the piece under way, which it most likely needs.
        chunk = max(MIN_CHUNK, capabilities.prefill_chunk // AHEAD_SHARE)
        try:
            yield from read_ahead(session, prefix, cancel, chunk=chunk, relief=relief)
        except Exception as error:
            self._sessions.drop(request.conversation_id)  # its cache may be inconsistent
            if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
                raise
            _log.info("not read ahead: %s", str(error) or "no memory")

    def put_away(self, cancel: threading.Event) -> None:
        """Hold no memory for conversations; what may be kept in files is written before."""
        self._sessions.make_room(self._sessions.nbytes, "", cancel)
        self._sessions.drop_others("")
        self._speculation.drop()

    def write_title(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Generator[None, None, str]:
        """What the model says to `request`, a forward in each step; see `Titling.write`."""
        held = self._sessions.nbytes
        prompt = self._prompting.other(request, cancel, self._planner.limit(0, held))
        if prompt is None or cancel.is_set():
            return ""
        return (yield from self._titling.write(request, prompt, held, cancel))

    def rest(self, cancel: threading.Event = NEVER) -> Iterator[None]:
        """Write the caches that changed since they were last written, one in each step.

        Ends soon after `cancel` is set, within a step too.
        """
        yield from self._sessions.rest(cancel)

    def forget(self, conversation_id: str) -> None:
        """Give up what is kept of a conversation."""
        self._sessions.forget(conversation_id)


def _cache_key(loaded: Loaded) -> CacheKey:
    info = loaded.info
    return CacheKey(
        fingerprint=info.fingerprint,
        precision=info.dtype,
        dtype=str(loaded.runner.capabilities.dtype),
        kv_format=info.kv_format.value,
        rope_factor=info.rope_factor,
    )


def _nothing() -> None:
    """There is nothing to repair yet."""
