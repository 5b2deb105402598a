"""Opens the model that guesses for the one that was just loaded. It goes when that one goes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen_desktop.chat.checkpoint import Fit, KvFormat
from qwen_desktop.chat.events import Progress, Stage
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.aside import Aside
from qwen_desktop.engine.checkpoint import Checkpoint, inspect
from qwen_desktop.engine.cpu.runner import compiled_runner
from qwen_desktop.engine.device import give_back, is_out_of_memory
from qwen_desktop.engine.lean.runner import LeanRunner
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.placement import FIRST_CONTEXT
from qwen_desktop.engine.relief import let_go
from qwen_desktop.engine.speculation.draft_model import DraftModel, check_vocabulary
from qwen_desktop.engine.spread import bytes_by_device
from qwen_desktop.engine.tokenizer import load_tokenizer
from qwen_desktop.engine.tokenizer_mark import tokenizer_mark
from qwen_desktop.engine.transformers_runner import TransformersRunner
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known

_log = logging.getLogger(__name__)


def with_draft(
    loaded: Loaded,
    folder: Path,
    aside: Aside,
    cancel: threading.Event,
    progress: Callable[[Progress], None],
    *,
    code_folder: Path | None = None,
) -> Loaded:
    """`loaded` with the checkpoint in `folder` as its draft model, or with the reason why not.

    Where the caches of the model cannot be cropped there is nothing to guess, and none is opened.
    `cancel` leaves the model without one. `code_folder` is for its compiled step, if it may have
    one.
    """
    if not loaded.runner.capabilities.croppable:
        return loaded
    trouble: BaseException
    try:
        return _opened(loaded, folder, aside, cancel, progress, code_folder)
    except Cancelled as left:
        trouble = let_go(left)
    except Known as known:
        trouble = let_go(known)
    give_back(loaded.runner.capabilities.device)
    if isinstance(trouble, Cancelled):
        return loaded
    assert isinstance(trouble, Known)
    _log.warning("no draft model: %s", trouble)
    return replace(loaded, no_draft=trouble.report())


def _opened(
    loaded: Loaded,
    folder: Path,
    aside: Aside,
    cancel: threading.Event,
    progress: Callable[[Progress], None],
    code_folder: Path | None,
) -> Loaded:
    checkpoint = aside.run(lambda: inspect(folder), cancel)
    device = loaded.runner.capabilities.device
    # The first answer of the large model needs its room, too.
    kept = {str(device): -loaded.info.kv_bytes_per_token * FIRST_CONTEXT}
    plan = loader.plan(checkpoint, LoadRequest(folder, placement=str(device)), kept, cancel)
    if plan.parameters >= loaded.info.parameters:
        raise Known(
            QT_TRANSLATE_NOOP(
                "errors", "{draft} is not smaller than the model it would guess for."
            ),
            QT_TRANSLATE_NOOP("errors", "Choose a smaller model of the same series."),
            draft=checkpoint.name,
        )
    if plan.placing.fit is Fit.NO or not loader.fits_now(plan):
        raise loader.no_room(plan)
    _compare(loaded, checkpoint, aside, cancel)
    model = loader.load(plan, cancel, progress, rows=code_folder is not None)
    progress(Progress(Stage.WARMING_UP))
    runner = _runner(model, plan, code_folder, cancel)
    bytes_here = dict(loaded.bytes_by_device)
    for where, nbytes in bytes_by_device(model).items():
        bytes_here[where] = bytes_here.get(where, 0) + nbytes
    draft = DraftModel(checkpoint.name, runner, runner.capabilities.weight_bytes)
    return replace(loaded, bytes_by_device=bytes_here, draft=draft, no_draft=None)


def _compare(loaded: Loaded, checkpoint: Checkpoint, aside: Aside, cancel: threading.Event) -> None:
    tokenizer = aside.run(lambda: load_tokenizer(checkpoint), cancel, interrupt=False)
    check_vocabulary(
        loaded.tokenizer,
        tokenizer,
        checkpoint.name,
        marks=(tokenizer_mark(loaded.checkpoint), tokenizer_mark(checkpoint)),
    )


def _runner(
    model: Any, plan: loader.Plan, code_folder: Path | None, cancel: threading.Event
) -> TransformersRunner:
    """A runner that has run once. Raises Known, Cancelled."""
    runner: TransformersRunner | None = None
    try:
        if code_folder is not None:
            runner = compiled_runner(model, KvFormat.MODEL, code_folder)
        runner = runner or LeanRunner(model, KvFormat.MODEL)
        if not runner.capabilities.croppable:
            raise Known(
                QT_TRANSLATE_NOOP(
                    "errors", "{draft} cannot take back what it has read, so it cannot guess."
                ),
                QT_TRANSLATE_NOOP("errors", "Choose a smaller model of the same series."),
                draft=plan.checkpoint.name,
            )
        runner.prefill(runner.new_cache(), [0], chunk=1, on_progress=_ignore, cancel=cancel)
        return runner
    # A configuration that can be built need not make sense: that shows at the first token.
    except (Exception, Cancelled) as error:
        if runner is not None:
            runner.close()
        if isinstance(error, (NameError, Cancelled, Known)):
            raise
        if is_out_of_memory(error):
            raise loader.no_room(plan) from error
        raise loader.no_sense(error) from error


def _ignore(_done: int) -> None:
    """The warm-up has nothing to report."""
