"""The engine: one loaded checkpoint and one conversation in its cache.

The object the rest of the program holds. It lives on one worker thread; only `memory` and the
cancel events may be used from others. Frozen values go in and come out, no Qt.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from qwen_desktop.chat.card import ModelCard
from qwen_desktop.chat.checkpoint import Fit
from qwen_desktop.chat.events import Finished, FinishReason, GenerationEvent, Progress, Stage
from qwen_desktop.chat.model import GenerationRequest, LoadRequest, MemorySample, ModelInfo
from qwen_desktop.engine import loader
from qwen_desktop.engine.answer import Answer
from qwen_desktop.engine.architecture import family_name
from qwen_desktop.engine.aside import Aside, Overrun
from qwen_desktop.engine.card import make_card
from qwen_desktop.engine.checkpoint import Checkpoint, inspect
from qwen_desktop.engine.decode import check_length, decode
from qwen_desktop.engine.device import (
    device_name,
    free_memory,
    gigabytes,
    give_back,
    is_out_of_memory,
    machine,
    use_threads_for,
)
from qwen_desktop.engine.gpus import Machine
from qwen_desktop.engine.memory import cuda_sample, ram_sample
from qwen_desktop.engine.prompt import Prompt, build_prompt
from qwen_desktop.engine.runner import Runner
from qwen_desktop.engine.sampling import Sampler, settle
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.spread import bytes_by_device
from qwen_desktop.engine.tokenizer import Tokenizer, load_tokenizer
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

NEVER = threading.Event()

# A prompt is built in milliseconds, a million characters in seconds; a template may never end.
PROMPT_SECONDS = 4
PROMPT_CHARACTERS = 50_000  # in a further second


@dataclass(frozen=True)
class _Loaded:
    """Everything that belongs to the checkpoint in use."""

    info: ModelInfo
    checkpoint: Checkpoint
    tokenizer: Tokenizer
    runner: Runner[Any]
    end_ids: frozenset[int]
    bytes_by_device: Mapping[str, int]  # of the weights


class Engine:
    """Loads checkpoints and answers requests, one at a time."""

    def __init__(self) -> None:
        self._loaded: _Loaded | None = None
        self._session: Session | None = None
        self._reading = 0  # bytes of weights in memory by a load in progress
        self._aside = Aside()  # where the checkpoint's own programs and tables are at work

    @property
    def info(self) -> ModelInfo | None:
        """The checkpoint in use; None where there is none."""
        loaded = self._loaded
        return loaded.info if loaded else None

    # Loading

    def load(
        self,
        request: LoadRequest,
        cancel: threading.Event,
        progress: Callable[[Progress], None],
    ) -> ModelInfo:
        """Open the checkpoint of `request` in place of the present one.

        Raises Known or Cancelled; the present model and its conversation then stay as they are,
        except where there was no room for both: then it was closed first, `info` is None, and
        the Known says so. `progress` may be called from other threads.
        """
        progress(Progress(Stage.CHECKING))
        checkpoint = self._aside.run(lambda: inspect(request.folder), cancel)
        plan = loader.plan(checkpoint, request, self.held(), cancel)
        _check(cancel)
        # Not interrupted when it is left: it imports modules.
        tokenizer = self._aside.run(lambda: load_tokenizer(checkpoint), cancel, interrupt=False)
        _check(cancel)
        closed = self._make_room(plan, progress)
        loaded: _Loaded | None = None
        trouble: BaseException | None = None
        try:
            loaded = self._open(plan, tokenizer, cancel, progress)
        except (Known, Cancelled) as error:
            # What was read hangs on the frames of the exceptions and in cycles of the model: it
            # can be given back only when they have let go of it.
            trouble = _without_frames(error)
        finally:
            self._reading = 0
            if loaded is None and self._loaded is not None:
                use_threads_for(self._loaded.info.parameters)
        if loaded is None:
            give_back(plan.device)
            assert trouble is not None  # anything else has been raised
            raise _closed_for_nothing(trouble, closed) if closed else trouble
        old, self._loaded = self._loaded, loaded
        self._session = None
        if old is not None:
            del old
            give_back(plan.device)
        return loaded.info

    def _make_room(self, plan: loader.Plan, progress: Callable[[Progress], None]) -> str:
        """Close the present model where the new one fits only then; its name, or "".

        Raises Known where it does not fit even so.
        """
        loaded = self._loaded
        if plan.placing.fit is not Fit.NO and loader.fits_now(plan):
            return ""
        if loaded is None or plan.placing.fit is Fit.NO:
            raise loader.no_room(plan)
        name = loaded.info.name
        del loaded
        progress(Progress(Stage.FREEING, detail=name))
        self.unload()
        return name

    def _open(
        self,
        plan: loader.Plan,
        tokenizer: Tokenizer,
        cancel: threading.Event,
        progress: Callable[[Progress], None],
    ) -> _Loaded:
        def tell(event: Progress) -> None:
            # Files and memory differ where weights are packed or unpacked on the way.
            self._reading = event.done * plan.nbytes // max(event.total, 1)
            progress(event)

        model = loader.load(plan, cancel, tell)
        use_threads_for(plan.parameters)
        try:
            runner = TransformersRunner(model)
            progress(Progress(Stage.WARMING_UP))
            runner.prefill(runner.new_cache(), [0], chunk=1, on_progress=_ignore, cancel=cancel)
        except NameError:
            raise
        # A configuration that can be built need not make sense: that shows at the first token.
        except Exception as error:
            if is_out_of_memory(error):
                raise loader.no_room(plan) from error
            raise loader.no_sense(error) from error
        _check(cancel)
        checkpoint, capabilities = plan.checkpoint, runner.capabilities
        info = ModelInfo(
            name=checkpoint.name,
            folder=checkpoint.folder,
            family=checkpoint.family,
            parameters=plan.parameters,
            weight_bytes=capabilities.weight_bytes,
            context_length=capabilities.context_length,
            kv_bytes_per_token=capabilities.kv_bytes_per_token,
            device=device_name(capabilities.device),
            dtype=plan.words,
            has_chat_template=tokenizer.has_template,
            can_think=tokenizer.can_think,
            demo=checkpoint.demo,
            family_name=family_name(checkpoint.family),
        )
        return _Loaded(
            info=info,
            checkpoint=checkpoint,
            tokenizer=tokenizer,
            runner=runner,
            end_ids=_end_ids(checkpoint, tokenizer),
            bytes_by_device=bytes_by_device(model),
        )

    def unload(self) -> None:
        """Close the checkpoint in use and free its memory."""
        loaded, self._loaded, self._session = self._loaded, None, None
        if loaded is not None:
            device = loaded.runner.capabilities.device
            del loaded
            give_back(device)

    def card(self) -> ModelCard | None:
        """Everything there is to see of the checkpoint in use; None where there is none."""
        loaded = self._loaded
        if loaded is None:
            return None
        return make_card(loaded.info, loaded.checkpoint, loaded.tokenizer, loaded.runner)

    # Answering

    def generate(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer the last message of `request`: Progress, Delta and Usage events, then Finished.

        Raises Known: no model, a prompt longer than the context, no memory left. Text given out
        until then stands, and the next request works. `cancel` ends it as an ordinary STOPPED.
        """
        started = time.perf_counter()
        try:
            loaded, prompt = self._prompt(request, cancel)
        except Cancelled:
            yield Finished(FinishReason.STOPPED)
            return
        capabilities, settings = loaded.runner.capabilities, request.settings
        answer = Answer(
            loaded.tokenizer,
            prompt,
            model=loaded.info.name,
            context_length=capabilities.context_length,
            started=started,
        )
        session = self._session_of(request.conversation_id, loaded.runner)
        trouble: Known | None = None
        try:
            sampler = Sampler(
                settle(settings, loaded.checkpoint.generation),
                prompt.ids,
                capabilities.vocab_size,
                capabilities.device,
            )
            steps = decode(
                session,
                prompt,
                sampler,
                end_ids=loaded.end_ids,
                max_new_tokens=settings.max_new_tokens,
                context_length=capabilities.context_length,
                cancel=cancel,
            )
            answer.begin_prefill()
            yield from answer.events(steps)
        except Exception as error:
            self._session = None  # its cache may be inconsistent
            if not is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)  # they hold the activations
            trouble = _no_memory(loaded, prompt, session)
        if trouble is not None:
            del session
            give_back(capabilities.device)
            raise trouble

    def count_prompt(self, request: GenerationRequest) -> int:
        """Tokens of the prompt that `generate` would feed. Raises Known where it would refuse."""
        _, prompt = self._prompt(request, NEVER)
        return len(prompt.ids)

    def _prompt(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> tuple[_Loaded, Prompt]:
        loaded = self._loaded
        if loaded is None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "No checkpoint is open."),
                QT_TRANSLATE_NOOP("errors", "Open a checkpoint folder first."),
            )
        capabilities, settings = loaded.runner.capabilities, request.settings
        said = sum(len(message.text) for message in request.messages)
        try:
            prompt = self._aside.run(
                lambda: build_prompt(
                    loaded.tokenizer,
                    request.messages,
                    settings.system_prompt,
                    thinking=settings.thinking,
                    with_boundary=not capabilities.croppable,
                ),
                cancel,
                PROMPT_SECONDS + said / PROMPT_CHARACTERS,
            )
        except Overrun as error:
            raise _endless_template(error) from error
        check_length(prompt, capabilities.context_length, capabilities.vocab_size)
        return loaded, prompt

    def _session_of(self, conversation_id: str, runner: Runner[Any]) -> Session:
        """The session of the conversation; another conversation's makes way for it."""
        session = self._session
        if session is None or session.conversation_id != conversation_id:
            self._session = None
            session = self._session = Session(conversation_id, runner)
        return session

    # Memory

    def machine(self) -> Machine:
        """The memories of this machine, the open model's counted as free. From any thread."""
        return machine().giving_back(self.held())

    def held(self) -> dict[str, int]:
        """Bytes that closing the checkpoint in use would give back, by device. From any thread."""
        loaded, session = self._loaded, self._session
        if loaded is None:
            return {}
        held = dict(loaded.bytes_by_device)
        if session is not None:  # all of it counts for the main device: that is where most is
            main = str(loaded.runner.capabilities.device)
            held[main] = held.get(main, 0) + session.cache.nbytes
        return held

    def memory(self) -> MemorySample:
        """Memory of the device in use, now. From any thread."""
        loaded, session = self._loaded, self._session
        kv = session.cache.nbytes if session else 0
        weights = self._reading
        if loaded is not None:
            weights += loaded.info.weight_bytes
            device = loaded.runner.capabilities.device
            if device.type == "cuda":
                return cuda_sample(device, loaded.info.device, weights, kv)
        return ram_sample(weights, kv)


def _without_frames(error: BaseException) -> BaseException:
    """`error` and what led to it, none of them holding on to a frame."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()  # causes and contexts may lead back to where they came from
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        link.__traceback__ = None
        waiting += [link.__cause__, link.__context__]
    return error


def _closed_for_nothing(trouble: BaseException, closed: str) -> BaseException:
    """`trouble`, saying also that the model named `closed` had to go for it."""
    if not isinstance(trouble, Known):
        return trouble
    reason = replace(trouble.report(), remedy="").text()
    values: dict[str, Any] = {**trouble.values, "reason": reason, "closed": closed}
    return Known(
        QT_TRANSLATE_NOOP("errors", "{reason} {closed} was closed to make room for it."),
        trouble.remedy,
        details=trouble.details,
        **values,
    )


def _check(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise Cancelled


def _ignore(_done: int) -> None:
    """The warm-up has nothing to report."""


def _end_ids(checkpoint: Checkpoint, tokenizer: Tokenizer) -> frozenset[int]:
    """Every id that ends an answer: of both configurations and of the tokenizer."""
    found: set[int] = set(tokenizer.end_ids)
    text: Any = checkpoint.config.get("text_config")
    for source in (checkpoint.generation, checkpoint.config, text):
        ids: Any = source.get("eos_token_id") if isinstance(source, dict) else None
        found.update(i for i in (ids if isinstance(ids, list) else [ids]) if type(i) is int)
    return frozenset(found)


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


def _no_memory(loaded: _Loaded, prompt: Prompt, session: Session) -> Known:
    held = session.cache.nbytes
    device = loaded.runner.capabilities.device
    return Known(
        QT_TRANSLATE_NOOP("errors", "Memory ran out: the context of {tokens} tokens took {kv}."),
        QT_TRANSLATE_NOOP("errors", "{free} are free now; start a new chat or close programs."),
        tokens=f"{max(len(prompt.ids), session.cache.length):,}",
        kv=gigabytes(held),
        free=gigabytes(free_memory(device) + held),
    )
