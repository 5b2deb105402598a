"""The columns and the choices of the catalogue's page."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.chat.catalogue import Kind, Offer, Outlook
from qwen_desktop.chat.checkpoint import Fit
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui.library_words import NOTHING, fit_key, fit_text, fit_tint
from qwen_desktop.ui.sorted_table import Column
from qwen_desktop.ui.texts import context_text, count_text, size_text

CONTEXT = "catalogue"
B = 10**9
# Sizes to choose from, in parameters: from the first up to the second.
SIZES: tuple[tuple[float, float], ...] = (
    (0, 1 * B), (1 * B, 4.5 * B), (4.5 * B, 10 * B), (10 * B, 40 * B), (40 * B, 1e18),
)  # fmt: skip

_KINDS = {
    Kind.GENERAL: QT_TRANSLATE_NOOP("catalogue", "Chat"),
    Kind.CODER: QT_TRANSLATE_NOOP("catalogue", "Code"),
    Kind.MATH: QT_TRANSLATE_NOOP("catalogue", "Mathematics"),
    Kind.REASONING: QT_TRANSLATE_NOOP("catalogue", "Thinking"),
}
_PER_TOKEN = QT_TRANSLATE_NOOP("catalogue", "{all}, {active} per token")
_ABOUT = QT_TRANSLATE_NOOP("catalogue", "≈ {size}")
_NEED = QT_TRANSLATE_NOOP("catalogue", "{need} of memory with a context of {context}; on: {where}")
_TOO_LARGE = QT_TRANSLATE_NOOP("catalogue", "{need} of memory needed with a short context")
_UP_TO = QT_TRANSLATE_NOOP("catalogue", "up to {count}")
_FROM = QT_TRANSLATE_NOOP("catalogue", "over {count}")
_BETWEEN = QT_TRANSLATE_NOOP("catalogue", "{first} to {last}")
_CPU = QT_TRANSLATE_NOOP("catalogue", "CPU")
_GPU = QT_TRANSLATE_NOOP("catalogue", "graphics card")


def tr(text: str) -> str:
    """A text of this module in the language of the interface."""
    return QCoreApplication.translate(CONTEXT, text)


@dataclass(frozen=True)
class Row:
    """An offer with what it would take here; `number` is its place in the order of release."""

    offer: Offer
    outlook: Outlook
    number: int = 0

    @property
    def fits(self) -> bool:
        """Whether it fits this machine."""
        return self.outlook.fit in (Fit.YES, Fit.TIGHT)


def size_words(first: float, last: float) -> str:
    """A choice of sizes."""
    locale = QLocale()
    if not first:
        return tr(_UP_TO).format(count=count_text(int(last), locale))
    if last > 1e17:
        return tr(_FROM).format(count=count_text(int(first), locale))
    return tr(_BETWEEN).format(
        first=count_text(int(first), locale), last=count_text(int(last), locale)
    )


def where_text(devices: tuple[str, ...]) -> str:
    """Where the layers would go: "graphics card", "CPU", or both."""
    words = [tr(_GPU)] if any(device != "cpu" for device in devices) else []
    return " + ".join([*words, *([tr(_CPU)] if "cpu" in devices else [])])


def need_text(row: Row) -> str:
    """The numbers behind whether it fits."""
    outlook, locale = row.outlook, QLocale()
    if outlook.fit is None:
        return ""
    need = size_text(outlook.need, locale)
    if outlook.fit is Fit.NO:
        return tr(_TOO_LARGE).format(need=need)
    return tr(_NEED).format(
        need=need,
        context=context_text(outlook.context, locale),
        where=where_text(outlook.devices),
    )


def _parameters(row: Row) -> str:
    locale, offer = QLocale(), row.offer
    count = count_text(offer.parameters, locale)
    if not offer.active:
        return count
    return tr(_PER_TOKEN).format(all=count, active=count_text(offer.active, locale))


def columns() -> tuple[Column[Row], ...]:
    """The columns of the catalogue."""
    locale = QLocale()

    def context(row: Row) -> str:
        return context_text(row.outlook.longest, locale) if row.outlook.longest else NOTHING

    def download(row: Row) -> str:
        size = row.outlook.download
        return tr(_ABOUT).format(size=size_text(size, locale)) if size else NOTHING

    return (
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "Model")),
            lambda row: row.offer.key,
            lambda row: row.number,
            tip=lambda row: "\n".join(
                f"{hub.label}: {name}" for hub, name in row.offer.repositories.items()
            ),
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "For")),
            lambda row: tr(_KINDS[row.offer.kind]),
            lambda row: (row.offer.kind.value, row.offer.key.casefold()),
            width=88,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "Size")),
            _parameters,
            lambda row: row.offer.parameters,
            width=130,
            right=True,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "Format")),
            lambda row: row.offer.stored.label,
            lambda row: (row.offer.stored.value, row.offer.key.casefold()),
            width=78,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "Download")),
            download,
            lambda row: row.outlook.download,
            width=88,
            right=True,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "Context")),
            context,
            lambda row: row.outlook.longest,
            width=68,
            right=True,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "Fits, context")),
            lambda row: fit_text(row.outlook.fit, row.outlook.context),
            lambda row: fit_key(row.outlook.fit, row.outlook.context),
            width=100,
            tint=lambda row: fit_tint(row.outlook.fit),
            tip=need_text,
        ),
        Column(
            tr(QT_TRANSLATE_NOOP("catalogue", "Licence")),
            lambda row: row.offer.licence or NOTHING,
            lambda row: row.offer.licence,
            width=110,
            tip=lambda row: row.offer.licence,
        ),
    )
