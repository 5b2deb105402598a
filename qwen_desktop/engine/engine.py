"""The engine: one loaded checkpoint and the conversations it has read.

The object the rest of the program holds. It lives on one worker thread; only `memory` and the
cancel events may be used from others. Frozen values go in and come out, no Qt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from qwen_desktop.chat.card import ModelCard
from qwen_desktop.chat.checkpoint import Fit
from qwen_desktop.chat.events import GenerationEvent, Progress, PromptCount, Stage
from qwen_desktop.chat.inspected import AnswerPrompt, Inspected, ids_alone
from qwen_desktop.chat.ledger import MemorySample
from qwen_desktop.chat.measured import Predicted
from qwen_desktop.chat.messages import Message
from qwen_desktop.chat.model import (
    EngineOptions,
    GenerationRequest,
    LoadRequest,
    ModelInfo,
)
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.chat.study import (
    Study,
    StudyHead,
    StudyOutlook,
    StudyProgress,
    StudyRecord,
    StudySetup,
)
from qwen_desktop.chat.turn_tokens import TurnTokens
from qwen_desktop.engine import loader, spill
from qwen_desktop.engine.answering import Answering
from qwen_desktop.engine.architecture import family_name
from qwen_desktop.engine.aside import Aside
from qwen_desktop.engine.card import make_card
from qwen_desktop.engine.checkpoint import Checkpoint, inspect
from qwen_desktop.engine.cpu.runner import Ahead, CompiledRunner, compiled_runner
from qwen_desktop.engine.cpu.start import why_not_here
from qwen_desktop.engine.device import (
    device_name,
    give_back,
    is_out_of_memory,
    limit_memory,
    machine,
    unlimit_memory,
    use_threads_for,
)
from qwen_desktop.engine.fingerprint import fingerprint
from qwen_desktop.engine.gpus import Machine
from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.memory import Counted, Meter
from qwen_desktop.engine.recommended import settled
from qwen_desktop.engine.relief import let_go
from qwen_desktop.engine.sessions import NEVER
from qwen_desktop.engine.speculation.opening import with_draft
from qwen_desktop.engine.spread import bytes_by_device
from qwen_desktop.engine.study import Studying
from qwen_desktop.engine.tokenizer import Tokenizer, load_tokenizer
from qwen_desktop.engine.tokenizer_mark import tokenizer_mark
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.engine.turn_tokens import turn_tokens
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

# Parameters from which a compiled decode step is worth its making: smaller models are quick anyway.
COMPILED_FROM = 20_000_000


class Engine:
    """Loads checkpoints and answers requests, one at a time."""

    def __init__(self) -> None:
        self._loaded: Loaded | None = None
        self._answering: Answering | None = None  # of the same checkpoint
        # Bytes of weights in memory by a load in progress, by the devices they go to.
        self._reading: dict[str, int] = {}
        self._meter = Meter()
        self._aside = Aside()  # where the checkpoint's own programs and tables are at work
        self._options = EngineOptions()

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
        mark = self._aside.run(lambda: fingerprint(checkpoint), cancel)
        plan = loader.plan(checkpoint, request, self.held(), cancel)
        _check(cancel)
        # Not interrupted when it is left: it imports modules.
        tokenizer = self._aside.run(lambda: load_tokenizer(checkpoint), cancel, interrupt=False)
        _check(cancel)
        closed = self._make_room(plan, cancel, progress)
        limit_memory(plan.devices)
        self._reading = dict.fromkeys((share.device.id for share in plan.placing.shares), 0)
        loaded: Loaded | None = None
        trouble: BaseException | None = None
        try:
            loaded = self._open(plan, mark, tokenizer, cancel, progress)
        except (Known, Cancelled) as error:
            # What was read hangs on the frames of the exceptions and in cycles of the model: it
            # can be given back only when they have let go of it.
            trouble = let_go(error)
        finally:
            self._reading = {}
            if loaded is None:
                self._stay(plan)
        if loaded is None:
            give_back(plan.device)
            assert trouble is not None  # anything else has been raised
            raise _closed_for_nothing(trouble, closed) if closed else trouble
        old, self._loaded = self._loaded, loaded
        self._put_away(cancel)
        self._answering = Answering(loaded, self._aside, self._options)
        if old is not None:
            old.close()
            unlimit_memory(old.devices - loaded.devices)
            del old
            give_back(plan.device)
        if self._options.draft_folder is not None:
            self._open_draft(loaded, self._options.draft_folder, cancel, progress)
        return loaded.info

    def _open_draft(
        self,
        loaded: Loaded,
        folder: Path,
        cancel: threading.Event,
        progress: Callable[[Progress], None],
    ) -> None:
        """Open the model in `folder` beside `loaded`, to guess for it, where that can be."""
        code = self._options.code_folder
        small = loaded.info.parameters < COMPILED_FROM or why_not_here()
        self._loaded = with_draft(
            loaded, folder, self._aside, cancel, progress, code_folder=None if small else code
        )
        self._answering = Answering(self._loaded, self._aside, self._options)

    def _stay(self, plan: loader.Plan) -> None:
        """Undo what the load of `plan`, which failed, has set for itself."""
        kept: frozenset[torch.device] = frozenset()
        if self._loaded is not None:
            use_threads_for(self._loaded.info.parameters)
            kept = self._loaded.devices
        unlimit_memory(plan.devices - kept)

    def _make_room(
        self, plan: loader.Plan, cancel: threading.Event, progress: Callable[[Progress], None]
    ) -> str:
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
        self.unload(cancel)
        return name

    def _open(
        self,
        plan: loader.Plan,
        mark: str,
        tokenizer: Tokenizer,
        cancel: threading.Event,
        progress: Callable[[Progress], None],
    ) -> Loaded:
        def tell(event: Progress) -> None:
            if event.stage is Stage.READING:
                self._reading = _read_by_device(plan, event.done / max(event.total, 1))
            progress(event)

        ahead = self._compile_ahead(plan)
        try:
            model = loader.load(plan, cancel, tell, rows=ahead is not None)
            use_threads_for(plan.parameters)
            runner = self._ready_runner(model, plan, ahead, cancel, progress)
        finally:
            if ahead is not None:
                ahead.stop()
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
            fingerprint=mark,
            kv_format=capabilities.kv_format,
            rope_factor=plan.rope_factor,
            sampling=_recommended(checkpoint, tokenizer, thinking=False),
            thinking_sampling=_recommended(checkpoint, tokenizer, thinking=True),
            cpu_fallback=plan.cpu_fallback,
        )
        return Loaded(
            info=info,
            checkpoint=checkpoint,
            tokenizer=tokenizer,
            runner=runner,
            end_ids=_end_ids(checkpoint, tokenizer),
            bytes_by_device=bytes_by_device(model),
        )

    def _compile_ahead(self, plan: loader.Plan) -> Ahead | None:
        """Begin with the compiled step of `plan`; None where there will be none."""
        folder = self._options.code_folder
        if folder is None or plan.variant is None or plan.parameters < COMPILED_FROM:
            return None
        if why_not_here():
            return None
        return Ahead(folder, plan.variant)

    def _ready_runner(
        self,
        model: Any,
        plan: loader.Plan,
        ahead: Ahead | None,
        cancel: threading.Event,
        progress: Callable[[Progress], None],
    ) -> TransformersRunner:
        """A runner that has run once. Raises Known, Cancelled."""
        folder = self._options.code_folder
        compiled: CompiledRunner | None = None
        runner: TransformersRunner | None = None
        try:
            if ahead is not None and folder is not None:
                compiled = compiled_runner(model, plan.placing.kv, folder, ahead)
            runner = compiled or LeanRunner(model, plan.placing.kv)
            if compiled is not None and compiled.waits:
                progress(Progress(Stage.COMPILING))
                compiled.wait(cancel)
            progress(Progress(Stage.WARMING_UP))
            runner.prefill(runner.new_cache(), [0], chunk=1, on_progress=_ignore, cancel=cancel)
            return runner
        # A configuration that can be built need not make sense: that shows at the first token.
        except (Exception, Cancelled) as error:
            if runner is not None:
                runner.close()
            if isinstance(error, (NameError, Cancelled)):
                raise
            if is_out_of_memory(error):
                raise loader.no_room(plan) from error
            raise loader.no_sense(error) from error

    def unload(self, cancel: threading.Event = NEVER) -> None:
        """Close the checkpoint in use and free its memory.

        Its caches are written before, as far as `cancel` is not set.
        """
        self._put_away(cancel)
        loaded, self._loaded, self._answering = self._loaded, None, None
        if loaded is not None:
            device = loaded.runner.capabilities.device
            loaded.close()
            unlimit_memory(loaded.devices)
            del loaded
            give_back(device)

    def card(self) -> ModelCard | None:
        """Everything there is to see of the checkpoint in use; None where there is none."""
        loaded = self._loaded
        if loaded is None:
            return None
        made = make_card(loaded.info, loaded.checkpoint, loaded.tokenizer, loaded.runner)
        draft = loaded.draft.name if loaded.draft is not None else ""
        return replace(made, draft=draft, no_draft=loaded.no_draft)

    # Answering

    def generate(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Answer the last message of `request`, or continue it: see `Answering.generate`.

        Raises Known where no checkpoint is open.
        """
        yield from self._open_one().generate(request, cancel)

    def count_prompt(
        self, request: GenerationRequest, cancel: threading.Event = NEVER
    ) -> PromptCount:
        """Count the prompt that `generate` would feed: see `Answering.count`."""
        return self._open_one().count(request, cancel)

    def predict(self, conversation_id: str, read: int) -> Predicted | None:
        """What a conversation will take: see `Answering.predict`. None where nothing is open."""
        answering = self._answering
        return answering.predict(conversation_id, read) if answering is not None else None

    def inspect(self, request: GenerationRequest, cancel: threading.Event = NEVER) -> Inspected:
        """The prompt that `generate` would feed, taken apart: see `Answering.inspect`."""
        return self._open_one().inspect(request, cancel)

    def inspect_answer(self, asked: AnswerPrompt, cancel: threading.Event = NEVER) -> Inspected:
        """The prompt of an answer that was given: ids alone where no checkpoint is open."""
        if self._answering is None:
            return ids_alone(asked)
        return self._answering.inspect_answer(asked, cancel)

    def _open_one(self) -> Answering:
        if self._answering is None:
            raise Known(
                QT_TRANSLATE_NOOP("errors", "No checkpoint is open."),
                QT_TRANSLATE_NOOP("errors", "Open a checkpoint folder first."),
                code="no-checkpoint",
            )
        return self._answering

    # Studies of memory

    def study_head(self, setup: StudySetup) -> StudyHead:
        """What a study of `setup` would be of: see `Studying`. Raises Known."""
        return self._studying().head(setup)

    def study_outlook(self, setup: StudySetup, cancel: threading.Event) -> StudyOutlook:
        """What it would take. Raises Known, Cancelled."""
        return self._studying().outlook(setup, cancel)

    def study(
        self, study: Study, cancel: threading.Event, tell: Callable[[StudyProgress], None]
    ) -> Iterator[StudyRecord]:
        """Measure what `study` lacks: see `Studying.run`. Raises Known, Cancelled.

        Conversations hold no memory meanwhile; what was read of them comes back from their
        files, or is read again.
        """
        studying = self._studying()
        if self._answering is not None:
            self._answering.put_away(cancel)
        yield from studying.run(study, cancel, tell)

    def _studying(self) -> Studying:
        self._open_one()
        assert self._loaded is not None
        return Studying(self._loaded)

    # At rest

    def configure(self, options: EngineOptions) -> None:
        """Keep of conversations at rest what `options` allow, from now on and for later loads."""
        self._options = options
        if self._answering is not None:
            self._answering.configure(options)
        elif options.kv_folder is not None:
            spill.shrink(options.kv_folder, options.kv_disk)

    def turn_tokens(self, answer: Message, prompt: Sequence[int]) -> TurnTokens | None:
        """The tokens of an answer and of its prompt with texts; None where nothing is open."""
        loaded = self._loaded
        if loaded is None:
            return None
        mark = tokenizer_mark(loaded.checkpoint)
        return turn_tokens(loaded.tokenizer, loaded.end_ids, answer, prompt, mark)

    def prepare(self, request: GenerationRequest, cancel: threading.Event) -> Iterator[None]:
        """Read ahead what the next prompt begins with: see `Answering.prepare`."""
        if self._answering is not None:
            yield from self._answering.prepare(request, cancel)

    def write_title(
        self, request: GenerationRequest, cancel: threading.Event
    ) -> Generator[None, None, str]:
        """What the model says to `request`, in a session of its own: see `Titling.write`."""
        if self._answering is None:
            return ""
        return (yield from self._answering.write_title(request, cancel))

    def rest(self, cancel: threading.Event = NEVER) -> Iterator[None]:
        """Write the caches that changed since they were last written, one in each step.

        Ends soon after `cancel` is set, within a step too.
        """
        if self._answering is not None:
            yield from self._answering.rest(cancel)

    def forget(self, conversation_id: str) -> None:
        """The conversation is deleted: its caches go, and its cache files of any checkpoint."""
        if self._answering is not None:
            self._answering.forget(conversation_id)
        if self._options.kv_folder is not None:
            spill.forget(self._options.kv_folder, conversation_id)

    def _put_away(self, cancel: threading.Event) -> None:
        """Write the caches of a checkpoint that is about to be closed."""
        for _ in self.rest(cancel):
            pass

    # Memory

    def machine(self) -> Machine:
        """The memories of this machine, the open model's counted as free. From any thread."""
        return machine().giving_back(self.held())

    def held(self) -> dict[str, int]:
        """Bytes that closing the checkpoint in use would give back, by device. From any thread."""
        loaded, answering = self._loaded, self._answering
        if loaded is None:
            return {}
        held = dict(loaded.bytes_by_device)
        if answering is not None:  # all of it counts for the main device: that is where most is
            main = str(loaded.runner.capabilities.device)
            held[main] = held.get(main, 0) + answering.kv_bytes
        return held

    def memory(self) -> MemorySample:
        """Where the memory of the devices in use has gone. From any thread, one at a time."""
        loaded, answering, reading = self._loaded, self._answering, self._reading
        counted: dict[str, Counted] = {}
        if loaded is not None:
            main = str(loaded.runner.capabilities.device)
            for device in sorted(loaded.bytes_by_device, key=lambda device: device != main):
                counted[device] = Counted(weights=loaded.bytes_by_device[device])
        if answering is not None:
            for device, caches in answering.counted().items():
                weights = counted.get(device, Counted()).weights
                counted[device] = replace(caches, weights=weights)
        for device, nbytes in reading.items():
            known = counted.get(device, Counted())
            counted[device] = replace(known, weights=known.weights + nbytes)
        self._meter.rest(tuple(counted))
        ledgers = tuple(
            self._meter.ram(one) if device == "cpu" else self._meter.card(torch.device(device), one)
            for device, one in (counted or {"cpu": Counted()}).items()
        )
        return MemorySample(ledgers, answering.window if answering is not None else 0)


def _read_by_device(plan: loader.Plan, share: float) -> dict[str, int]:
    """Bytes in memory when so much of the files is read.

    Files and memory differ where weights are packed or unpacked on the way.
    """
    planned = max(1, plan.placing.weights)
    return {
        one.device.id: int(share * plan.nbytes * one.weights / planned)
        for one in plan.placing.shares
    }


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


def _recommended(
    checkpoint: Checkpoint, tokenizer: Tokenizer, *, thinking: bool
) -> tuple[tuple[str, float], ...]:
    return settled(GenerationSettings(), checkpoint, tokenizer, thinking=thinking).numbers


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
