"""Studies of memory, step by step, and whose records are in a file before anybody hears of them.

No Qt: used on the engine thread and by the command line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_desktop.chat.study import Study, StudyHead, StudyProgress, StudySetup
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.storage import study_file

if TYPE_CHECKING:
    from qwen_desktop.engine.engine import Engine


def steps(
    engine: Engine,
    setup: StudySetup,
    file: Path,
    cancel: threading.Event,
    tell: Callable[[StudyProgress], None],
) -> Generator[Study, None, None]:
    """Carry out a study: first what is in `file` already, then the study after each record.

    A study in `file` goes on where it was. Raises Known, also where that one is of something
    else, and Cancelled: what was measured until then is in the file.
    """
    study = _begun(engine, setup, file)
    yield study
    for record in engine.study(study, cancel, tell):
        study_file.append(file, record)
        study = study.with_record(record)
        yield study


def _begun(engine: Engine, setup: StudySetup, file: Path) -> Study:
    if file.exists() and file.stat().st_size:
        study = study_file.read(file)
        if not setup.lengths:  # what fits may be another length now
            setup = StudySetup(study.head.setup.lengths, setup.ways, setup.answer)
        _refuse_another(study, engine.study_head(setup), file)
    else:
        study = Study(engine.study_head(setup))
    study_file.begin(file, study)  # anew: a line that was cut short goes
    return study


def _refuse_another(study: Study, head: StudyHead, file: Path) -> None:
    found = head.differences(study.head)
    if found:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} holds a study of {model} that differs: {what}."),
            QT_TRANSLATE_NOOP("errors", "Take another file, or open what that study is of."),
            file=file.name,
            model=study.head.name,
            what=", ".join(name.replace("_", " ") for name in found),
        )


@dataclass(frozen=True)
class StudyJob:
    """A study to be carried out, and its file; one that is in there already goes on."""

    setup: StudySetup
    file: Path


class StudyWork:
    """At most one study under way, on the engine thread."""

    def __init__(self, moved: Callable[[str, object], None]) -> None:
        """`moved` gets the job's id with the Study after each record, or StudyProgress."""
        self._moved = moved
        self._steps: Generator[Study, None, None] | None = None
        self.job_id = ""  # "" where none is under way

    def begin(self, engine: Engine, job_id: str, job: StudyJob, stop: threading.Event) -> None:
        """Get ready for the first step; an earlier study is given up."""
        self.close()
        self.job_id = job_id
        self._steps = steps(
            engine, job.setup, job.file, stop, lambda progress: self._moved(job_id, progress)
        )

    def step(self) -> bool:
        """Measure the next prompt; False where there is none. Raises as `steps`, and then ends."""
        if self._steps is None:
            return False
        job_id = self.job_id
        try:
            study = next(self._steps, None)
        except BaseException:
            self.close()
            raise
        if study is None:
            self.close()
            return False
        self._moved(job_id, study)
        return True

    def close(self) -> None:
        """Give it up; the engine is as it was before."""
        if self._steps is not None:
            self._steps.close()
        self._steps, self.job_id = None, ""
