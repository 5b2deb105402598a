"""What the library's page says of a folder, and the columns of its table."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.checkpoint import Fit
from qwen_desktop.chat.hub import Clue
from qwen_desktop.chat.library import Health, LibraryEntry, Place
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui.sorted_table import Column
from qwen_desktop.ui.texts import context_text, count_text, small_size_text, when_text

CONTEXT = "library"
NOTHING = "–"

_HEALTH = {
    Health.UNKNOWN: QT_TRANSLATE_NOOP("library", "Not looked into yet"),
    Health.GOOD: QT_TRANSLATE_NOOP("library", "Good"),
    Health.WARNED: QT_TRANSLATE_NOOP("library", "Opens, with a warning"),
    Health.INCOMPLETE: QT_TRANSLATE_NOOP("library", "Incomplete"),
    Health.BROKEN: QT_TRANSLATE_NOOP("library", "Does not open"),
    Health.GONE: QT_TRANSLATE_NOOP("library", "Not there"),
}
_TINTS = {
    Health.GOOD: "activations",
    Health.WARNED: "warning",
    Health.INCOMPLETE: "error",
    Health.BROKEN: "error",
    Health.GONE: "dim",
    Health.UNKNOWN: "dim",
}
_ORDER = tuple(_HEALTH)
_PLACES = {
    Place.ADDED: QT_TRANSLATE_NOOP("library", "Added by you"),
    Place.OPENED: QT_TRANSLATE_NOOP("library", "Opened before"),
    Place.WATCHED: QT_TRANSLATE_NOOP("library", "Found in a folder of yours"),
    Place.HUGGING_FACE: QT_TRANSLATE_NOOP("library", "In the cache of Hugging Face"),
    Place.MODELSCOPE: QT_TRANSLATE_NOOP("library", "In the cache of ModelScope"),
    Place.DOWNLOADED: QT_TRANSLATE_NOOP("library", "Downloaded here"),
}
_FITS = QT_TRANSLATE_NOOP("library", "Yes, {context}")
_TIGHT = QT_TRANSLATE_NOOP("library", "Tight, {context}")
_FITS_NOT = QT_TRANSLATE_NOOP("library", "No")
_CLUES = {
    Clue.SOURCE: QT_TRANSLATE_NOOP("library", "as this program noted when it fetched it"),
    Clue.GIT: QT_TRANSLATE_NOOP("library", "the remote of the git clone"),
    Clue.CACHE: QT_TRANSLATE_NOOP("library", "its place in the hub's cache"),
    Clue.CARD: QT_TRANSLATE_NOOP("library", "named in README.md"),
    Clue.NAME: QT_TRANSLATE_NOOP("library", "by the folder's name"),
    Clue.CONFIG: QT_TRANSLATE_NOOP("library", "named in config.json"),
    Clue.ARCHITECTURE: QT_TRANSLATE_NOOP("library", "has the same numbers in config.json"),
}


def tr(text: str) -> str:
    """A text of this module in the language of the interface."""
    return QCoreApplication.translate(CONTEXT, text)


def health_text(health: Health) -> str:
    """The verdict for people."""
    return tr(_HEALTH[health])


def clue_text(clue: Clue) -> str:
    """What a guess is based on."""
    return tr(_CLUES[clue])


def fit_text(fit: Fit | None, context: int) -> str:
    """Whether it fits, and up to which context."""
    if fit is None:
        return NOTHING
    if fit is Fit.NO:
        return tr(_FITS_NOT)
    words = tr(_FITS if fit is Fit.YES else _TIGHT)
    return words.format(context=context_text(context, QLocale()))


def fit_tint(fit: Fit | None) -> str:
    """The colour of that."""
    tints = {Fit.YES: "activations", Fit.TIGHT: "warning", Fit.NO: "error"}
    return tints[fit] if fit is not None else "dim"


def fit_key(fit: Fit | None, context: int) -> tuple[int, int]:
    """What is sorted by: what does not fit, then by context."""
    return ({None: 0, Fit.NO: 1, Fit.TIGHT: 2, Fit.YES: 2}[fit], context)


def tip(entry: LibraryEntry) -> str:
    """Where a folder is and how it came here."""
    return f"{entry.folder}\n{tr(_PLACES[entry.place])}"


def verdict(entry: LibraryEntry) -> str:
    """The worst that the doctor found, or the verdict alone."""
    if entry.verdict is None:
        return health_text(entry.health)
    return translated(entry.verdict)


def columns() -> tuple[Column[LibraryEntry], ...]:
    """The columns of the library."""
    locale = QLocale()

    def number(count: int) -> str:
        return count_text(count, locale) if count else NOTHING

    return (
        Column(
            tr(QT_TRANSLATE_NOOP("library", "Name")),
            lambda e: e.name,
            lambda e: e.name.casefold(),
            tip=tip,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("library", "Family")),
            lambda e: e.family or NOTHING,
            lambda e: (e.family, e.name.casefold()),
            width=96,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("library", "Size")),
            lambda e: number(e.parameters),
            lambda e: e.parameters,
            width=60,
            right=True,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("library", "Precision")),
            lambda e: e.stored or NOTHING,
            lambda e: e.stored,
            width=110,
            tip=lambda e: e.stored,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("library", "Health")),
            lambda e: health_text(e.health),
            lambda e: _ORDER.index(e.health),
            width=150,
            tint=lambda e: _TINTS[e.health],
            tip=verdict,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("library", "Fits, context")),
            lambda e: fit_text(e.fit, e.context),
            lambda e: fit_key(e.fit, e.context),
            width=104,
            tint=lambda e: fit_tint(e.fit),
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("library", "On disk")),
            lambda e: small_size_text(e.size, locale) if e.size else NOTHING,
            lambda e: e.size,
            width=84,
            right=True,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("library", "Last used")),
            lambda e: when_text(e.used_at, locale) or NOTHING,
            lambda e: e.used_at,
            width=96,
            right=True,
        ),
    )
