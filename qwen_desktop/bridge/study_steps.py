"""A study whose records are in a file before anybody hears of them. No Qt: used by the worker and
by the command line alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
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
) -> Iterator[Study]:
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
