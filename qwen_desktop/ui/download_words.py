"""Downloads in words: how quick, how long still, what one does. QtCore only."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.bridge.words import joined, translated
from qwen_desktop.chat.downloads import DownloadEntry, Overview, Stage
from qwen_desktop.chat.hub import DownloadState, FileState, LeftOut
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui.texts import duration_text, small_size_text

CONTEXT = "downloads"
_HOURS = QT_TRANSLATE_NOOP("downloads", "{hours} h {minutes} min")
_PER_SECOND = QT_TRANSLATE_NOOP("downloads", "{size}/s")
_LEFT = QT_TRANSLATE_NOOP("downloads", "{time} left")
_OF = QT_TRANSLATE_NOOP("downloads", "{done} of {total}")
_RETRYING = QT_TRANSLATE_NOOP("downloads", "Trying again in {time}.")
_STAGES = {
    Stage.QUEUED: QT_TRANSLATE_NOOP("downloads", "Waits for its turn"),
    Stage.PAUSING: QT_TRANSLATE_NOOP("downloads", "Pausing…"),
    Stage.PAUSED: QT_TRANSLATE_NOOP("downloads", "Paused"),
}
_STATES = {
    DownloadState.STARTING: QT_TRANSLATE_NOOP("downloads", "Getting ready…"),
    DownloadState.CHECKING: QT_TRANSLATE_NOOP("downloads", "Comparing what came…"),
}
_HERE = QT_TRANSLATE_NOOP("downloads", "All of it is here")
_OPENS_NOT = QT_TRANSLATE_NOOP("downloads", "All of it is here, but the folder does not open")
_FILES = {
    FileState.WAITING: QT_TRANSLATE_NOOP("downloads", "waits"),
    FileState.CHECKING: QT_TRANSLATE_NOOP("downloads", "is compared"),
    FileState.FETCHING: QT_TRANSLATE_NOOP("downloads", "is fetched"),
    FileState.DONE: QT_TRANSLATE_NOOP("downloads", "is here"),
}
_LEFT_OUT = {
    LeftOut.CODE: QT_TRANSLATE_NOOP("downloads", "a program, never run"),
    LeftOut.PICKLE: QT_TRANSLATE_NOOP("downloads", "weights that could run code"),
    LeftOut.OTHER_WEIGHTS: QT_TRANSLATE_NOOP("downloads", "weights that are not read"),
    LeftOut.NOT_NEEDED: QT_TRANSLATE_NOOP("downloads", "not needed"),
    LeftOut.REFUSED: QT_TRANSLATE_NOOP("downloads", "a name that leads out of the folder"),
}


def _tr(text: str) -> str:
    return QCoreApplication.translate(CONTEXT, text)


def time_text(seconds: float) -> str:
    """A remaining time, rounded as one can trust it: "40 s", "12 min 30 s", "3 h 5 min"."""
    locale, whole = QLocale(), max(1, round(seconds))
    if whole >= 3600:
        return _tr(_HOURS).format(
            hours=locale.toString(whole // 3600), minutes=locale.toString(whole % 3600 // 60)
        )
    step = 1 if whole < 60 else 10
    return duration_text(whole // step * step)


def speed_text(speed: float) -> str:
    """Bytes a second: "3.2 MiB/s"."""
    return _tr(_PER_SECOND).format(size=small_size_text(round(speed), QLocale()))


def left_text(remaining_s: float | None) -> str:
    """ "12 min left"; empty where nobody can say."""
    if remaining_s is None or remaining_s <= 0:
        return ""
    return _tr(_LEFT).format(time=time_text(remaining_s))


def amount_text(done: int, total: int) -> str:
    """ "1.2 GiB of 3.4 GiB"; of one that is whole only its size."""
    locale = QLocale()
    if done >= total:
        return small_size_text(total, locale)
    return _tr(_OF).format(done=small_size_text(done, locale), total=small_size_text(total, locale))


def state_text(entry: DownloadEntry) -> str:
    """What a download does, in a sentence or a few words."""
    progress = entry.progress
    if entry.stage is Stage.FAILED and entry.trouble is not None:
        return translated(entry.trouble)
    if entry.stage is Stage.DONE:
        return _tr(_OPENS_NOT if entry.opens is False else _HERE)
    if entry.stage in _STAGES:
        return _tr(_STAGES[entry.stage])
    if progress is None:
        return _tr(_STATES[DownloadState.STARTING])
    if progress.state is DownloadState.RETRYING:
        again = _tr(_RETRYING).format(time=time_text(progress.retry_in_s))
        why = translated(progress.trouble) if progress.trouble is not None else ""
        return joined(why, again)
    if progress.state in _STATES:
        return _tr(_STATES[progress.state])
    parts = [speed_text(progress.speed) if progress.speed > 0 else ""]
    parts.append(left_text(progress.remaining_s))
    return " · ".join(part for part in parts if part) or _tr(_STATES[DownloadState.STARTING])


def file_text(state: FileState) -> str:
    """What becomes of one file."""
    return _tr(_FILES[state])


def left_out_text(reason: LeftOut) -> str:
    """Why a file is not fetched."""
    return _tr(_LEFT_OUT[reason])


def overview_text(overview: Overview) -> str:
    """All downloads: "42 % · 3.2 MiB/s · 12 min left"."""
    parts = [f"{QLocale().toString(overview.percent)} %"]
    if overview.speed > 0:
        parts += [speed_text(overview.speed), left_text(overview.remaining_s)]
    return " · ".join(part for part in parts if part)
