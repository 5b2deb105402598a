"""The memory study: the experiment of the document this program grew from, done by itself.

Prompts of growing length are read in three ways (study_ways.py), and after each one stands what
it took. All of it happens in this process, one way after the other and each from the shortest
prompt to the longest, not in a child process for each point: memory is given back before every
turn and counted from what is in use then (study_memory.py), so that no point hides another; the
weights are read once, not once for each point; and in the window it is the loaded model that is
measured, on the thread that may be stopped between two layers.

A prompt that would not fit by the plan (study_plan.py) is not tried, as a system may end the
whole process where main memory runs out; a refusal all the same is an ordinary end of that way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from qwen_desktop.chat.study import (
    Ending,
    SeriesEnd,
    Study,
    StudyHead,
    StudyOutlook,
    StudyPoint,
    StudyProgress,
    StudyRecord,
    StudySetup,
    Way,
    WayOutlook,
    usual_lengths,
)
from qwen_desktop.engine import study_ways
from qwen_desktop.engine.architecture import architecture
from qwen_desktop.engine.device import give_back, is_out_of_memory, limit_memory
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.planning import Planner
from qwen_desktop.engine.relief import OutOfMemory, let_go
from qwen_desktop.engine.session import Session
from qwen_desktop.engine.study_machine import study_machine
from qwen_desktop.engine.study_memory import Meter
from qwen_desktop.engine.study_plan import Need, Pace, need
from qwen_desktop.engine.study_text import study_ids
from qwen_desktop.engine.study_ways import Series, Unsupported
from qwen_desktop.errors import Cancelled

LONGEST_ON_CPU = 8192  # tokens, where no lengths are given: beyond it a CPU takes hours
PACE_TOKENS = 32  # read to see how quick the model is

Tell = Callable[[StudyProgress], None]
_T = TypeVar("_T")


class Studying:
    """Studies one loaded checkpoint, whose conversations hold no memory meanwhile."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._planner = Planner(loaded)

    # What is to be done

    def head(self, setup: StudySetup) -> StudyHead:
        """What a study of `setup` is of, its lengths settled. Raises Known: nothing fits."""
        info = self._loaded.info
        capabilities = self._loaded.runner.capabilities
        on_card = any(device.type != "cpu" for device in self._loaded.devices)
        lengths = setup.lengths
        if not lengths:
            longest = min(self._planner.limit(0, 0), info.context_length) - setup.answer
            if longest < 2:
                raise self._planner.no_memory(setup.answer, "")
            lengths = usual_lengths(longest if on_card else min(longest, LONGEST_ON_CPU))
        free = sum(room.most for room in self._planner.rooms(0, 0))
        return StudyHead(
            name=info.name,
            fingerprint=info.fingerprint,
            precision=info.dtype,
            kv_format=info.kv_format.value,
            rope_factor=info.rope_factor,
            device=info.device,
            on_card=on_card,
            weights=capabilities.weight_bytes,
            context_length=info.context_length,
            room=capabilities.weight_bytes + free,
            setup=StudySetup(lengths, setup.ways, setup.answer),
            machine=study_machine(self._loaded.devices),
            started=time.time(),
        )

    def outlook(self, setup: StudySetup, cancel: threading.Event) -> StudyOutlook:
        """What it will take; some tokens are read for it. Raises Known, Cancelled."""
        head = self.head(setup)
        pace = self._pace(cancel)
        ways = []
        for way in head.setup.ways:
            seconds: list[float] = []
            longest = most = 0
            for tokens in head.setup.lengths:
                wanted = self._need(way, tokens, head)
                if not wanted.fits or not _has_room(head, tokens):
                    break
                longest, most = tokens, head.weights + wanted.expected
                seconds.append(pace.seconds(head.setup, way, tokens))
            ways.append(WayOutlook(way, longest, most, tuple(seconds)))
        return StudyOutlook(head, head.room - head.weights, tuple(ways))

    def _pace(self, cancel: threading.Event) -> Pace:
        loaded, runner = self._loaded, self._loaded.runner
        made = architecture(loaded.checkpoint.config)
        session = Session("", runner)
        tokens = min(PACE_TOKENS, loaded.info.context_length // 2)
        ids = study_ids(loaded.tokenizer, runner.capabilities.vocab_size, 2 * tokens)

        def read(piece: Sequence[int]) -> float:
            begun = time.perf_counter()
            logits = runner.prefill(
                session.cache, piece, chunk=len(piece), on_progress=_ignore, cancel=cancel
            )
            logits.argmax().item()  # a card is waited for
            return time.perf_counter() - begun

        read(ids[:tokens])  # the first one is slower
        token = read(ids[tokens:]) / tokens
        step = min(read(ids[:1]) for _ in range(2))
        attention = made.heads * made.head_dim * made.layers
        return Pace(token, step, attention / max(1, loaded.info.parameters))

    def _need(self, way: Way, tokens: int, head: StudyHead, held: int = 0) -> Need:
        rooms = self._planner.rooms(held, 0)
        chunk = self._loaded.runner.capabilities.prefill_chunk
        return need(rooms, way, tokens, tokens + head.setup.answer, chunk)

    # Doing it

    def run(self, study: Study, cancel: threading.Event, tell: Tell) -> Iterator[StudyRecord]:
        """Measure what is missing in `study`, each record as soon as it is there.

        Raises Cancelled soon after `cancel` is set; what was given out until then stands, and a
        later run with it goes on from there. Raises Known.
        """
        limit_memory(self._loaded.devices)
        meter = Meter(self._loaded.devices, study.head.weights)
        # What is longer than the context ends its way, however long: it needs no text.
        longest = max((n for n in study.head.setup.lengths if _has_room(study.head, n)), default=0)
        ids = study_ids(
            self._loaded.tokenizer, self._loaded.runner.capabilities.vocab_size, longest
        )
        for way in study.head.setup.ways:
            lengths = [tokens for other, tokens in study.missing() if other is way]
            if not lengths:
                continue
            try:
                series = study_ways.series(way, self._loaded, self._planner, _answer(study))
            except Unsupported:
                record: StudyRecord = SeriesEnd(way, lengths[0], Ending.UNSUPPORTED)
                study = study.with_record(record)
                yield record
                continue
            meter.settle()
            try:
                before = max((n for n in study.head.setup.lengths if n < lengths[0]), default=0)
                if before and not _refused(partial(_begun, series, ids[:before], cancel)):
                    record = SeriesEnd(way, lengths[0], Ending.MEMORY)
                    study = study.with_record(record)
                    yield record
                    continue
                for tokens in lengths:
                    tell(_progress(study, way, tokens))
                    if _has_room(study.head, tokens):
                        piece = ids[:tokens]
                        record = self._measured(series, way, piece, study, meter, cancel, tell)
                    else:
                        record = SeriesEnd(way, tokens, Ending.CONTEXT)
                    study = study.with_record(record)
                    yield record
                    if isinstance(record, SeriesEnd):
                        break
            finally:
                series.close()
                give_back(self._loaded.runner.capabilities.device)

    def _measured(
        self,
        series: Series,
        way: Way,
        ids: Sequence[int],
        study: Study,
        meter: Meter,
        cancel: threading.Event,
        tell: Tell,
    ) -> StudyRecord:
        head, tokens = study.head, len(ids)
        plan = self._need(way, tokens, head, series.held)
        if not plan.fits:
            return SeriesEnd(way, tokens, Ending.LIMIT, plan.need, plan.free)
        _check(cancel)
        with meter:
            turn = _refused(
                lambda: series.turn(
                    ids, cancel, lambda part, of: tell(_progress(study, way, tokens, part, of))
                )
            )
        if turn is None:
            return SeriesEnd(way, tokens, Ending.MEMORY, plan.need, plan.free)
        if isinstance(turn, Unsupported):
            return SeriesEnd(way, tokens, Ending.UNSUPPORTED)
        peak, kept = meter.peak, meter.kept()
        text = self._loaded.tokenizer.decode(list(ids))
        return StudyPoint(
            way=way,
            tokens=tokens,
            characters=len(text),
            read=turn.read,
            peak=peak,
            steady=meter.steady(),
            kept=kept,
            predicted=head.weights + plan.expected,
            prefill_s=turn.prefill_s,
            first_token_s=turn.first_token_s,
            decode_speed=turn.decode_speed,
            answer=turn.answer,
        )


def _begun(series: Series, ids: Sequence[int], cancel: threading.Event) -> bool:
    _check(cancel)
    series.begin(ids, cancel)
    return True


def _refused(call: Callable[[], _T]) -> _T | Unsupported | None:
    """What `call` gives; None where memory ran out, with nothing held by the exception."""
    try:
        return call()
    except Unsupported as error:
        return error
    except Exception as error:
        if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
            raise
        let_go(error)
        return None


def _has_room(head: StudyHead, tokens: int) -> bool:
    """Whether the context holds a prompt of `tokens` and its answer."""
    return tokens + head.setup.answer <= head.context_length


def _answer(study: Study) -> int:
    return study.head.setup.answer


def _progress(study: Study, way: Way, tokens: int, part: int = 0, total: int = 0) -> StudyProgress:
    left = sum(1 for _ in study.missing())
    done = len(study.points)
    return StudyProgress(way, tokens, part, total, done, done + left)


def _check(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise Cancelled


def _ignore(_done: int) -> None:
    """Too short to be told of."""
