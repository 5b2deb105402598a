"""What is known of how an answer was computed, in words. QtCore only."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QLocale

from qwen_desktop.chat.checkpoint import KvFormat
from qwen_desktop.chat.events import FinishReason
from qwen_desktop.chat.messages import Provenance
from qwen_desktop.chat.settings import BY_NAME
from qwen_desktop.errors import QT_TRANSLATE_NOOP
from qwen_desktop.ui.i18n import setting_text

CONTEXT = "provenance"

_ENDINGS = {
    FinishReason.STOP.value: QT_TRANSLATE_NOOP("provenance", "The model ended it"),
    FinishReason.STOP_STRING.value: QT_TRANSLATE_NOOP("provenance", "A stop string came"),
    FinishReason.STOPPED.value: QT_TRANSLATE_NOOP("provenance", "Stopped by you"),
    FinishReason.LENGTH.value: QT_TRANSLATE_NOOP("provenance", "Longest answer reached"),
    FinishReason.CONTEXT_FULL.value: QT_TRANSLATE_NOOP("provenance", "The context was full"),
    FinishReason.LOOPING.value: QT_TRANSLATE_NOOP("provenance", "It repeated itself"),
}
_KV = {
    KvFormat.MODEL.value: QT_TRANSLATE_NOOP("provenance", "As the model computes"),
    KvFormat.INT8.value: QT_TRANSLATE_NOOP("provenance", "8-bit"),
}
_WHERE = QT_TRANSLATE_NOOP("provenance", "Where it ran")
_HERE = QT_TRANSLATE_NOOP("provenance", "On this computer")
_SERVER = QT_TRANSLATE_NOOP("provenance", "On the server {host} (“{name}”)")
_ADDRESS = QT_TRANSLATE_NOOP("provenance", "Address")
_SERVED = QT_TRANSLATE_NOOP("provenance", "Model as the server names it")
_NOT_TAKEN = QT_TRANSLATE_NOOP("provenance", "Settings the server did not take")
_COUNTS = QT_TRANSLATE_NOOP("provenance", "Counts of tokens")
_ESTIMATED = QT_TRANSLATE_NOOP("provenance", "Estimated: the server told none")
_FINGERPRINT = QT_TRANSLATE_NOOP("provenance", "Checkpoint fingerprint")
_TEMPLATE = QT_TRANSLATE_NOOP("provenance", "Chat template (SHA-256)")
_NO_TEMPLATE = QT_TRANSLATE_NOOP("provenance", "None: a base model")
_FAMILY = QT_TRANSLATE_NOOP("provenance", "Family")
_PRECISION = QT_TRANSLATE_NOOP("provenance", "Precision")
_KV_FORMAT = QT_TRANSLATE_NOOP("provenance", "KV cache")
_DEVICE = QT_TRANSLATE_NOOP("provenance", "Device")
_ENGINE = QT_TRANSLATE_NOOP("provenance", "Computed by")
_THINKING = QT_TRANSLATE_NOOP("provenance", "Thinking")
_ON = QT_TRANSLATE_NOOP("provenance", "On")
_OFF = QT_TRANSLATE_NOOP("provenance", "Off")
_SEED = QT_TRANSLATE_NOOP("provenance", "Seed")
_BUDGET = QT_TRANSLATE_NOOP("provenance", "Thinking budget")
_STOPS = QT_TRANSLATE_NOOP("provenance", "Stop strings")
_NONE = QT_TRANSLATE_NOOP("provenance", "None")
_LIMIT = QT_TRANSLATE_NOOP("provenance", "Context limit")
_UNSEEN = QT_TRANSLATE_NOOP("provenance", "Messages left out")
_ENDED = QT_TRANSLATE_NOOP("provenance", "How it ended")
_FORKED = QT_TRANSLATE_NOOP("provenance", "Regenerated from")
_FORKED_AT = QT_TRANSLATE_NOOP("provenance", "Token {number} of another version")
_PICKED = QT_TRANSLATE_NOOP(
    "provenance", "Token {number} of another version, with token {id} there"
)
_GUESSED = QT_TRANSLATE_NOOP("provenance", "Guessed ahead")
_OF = QT_TRANSLATE_NOOP("provenance", "{accepted} of {drafted} tokens came")
_DRAFT = QT_TRANSLATE_NOOP("provenance", "Draft model")
_TOKENS = QT_TRANSLATE_NOOP("provenance", "{count} tokens")


def _tr(text: str) -> str:
    return QCoreApplication.translate(CONTEXT, text)


def origin_rows(provenance: Provenance | None) -> list[tuple[str, str]]:
    """Names and values of where an answer came from; none where nothing was kept."""
    if provenance is None:
        return []
    p, locale = provenance, QLocale()
    template = p.template or ("" if p.address else _tr(_NO_TEMPLATE))
    rows = [
        (_WHERE, server_text(p) or _tr(_HERE)),
        (_ADDRESS, p.address),
        (_SERVED, p.remote_model),
        (_NOT_TAKEN, p.not_taken),
        (_COUNTS, _tr(_ESTIMATED) if p.estimated else ""),
        (_FINGERPRINT, p.fingerprint),
        (_TEMPLATE, template),
        (_FAMILY, p.family),
        (_PRECISION, p.precision),
        (_KV_FORMAT, _kv_text(p)),
        (_DEVICE, "" if p.address else p.device),
        (_ENGINE, p.engine),
        (_THINKING, _tr(_ON if p.thinking else _OFF)),
    ]
    found = [(_tr(name), value) for name, value in rows if value]
    found += sampling_rows(p)
    if p.thinking_budget is not None:
        found.append((_tr(_BUDGET), _tokens(p.thinking_budget)))
    stops = ", ".join(f"“{stop}”" for stop in p.stop_strings)
    found.append((_tr(_STOPS), stops or _tr(_NONE)))
    if p.context_limit:
        found.append((_tr(_LIMIT), _tokens(p.context_limit)))
    found.append((_tr(_UNSEEN), locale.toString(len(p.unseen))))
    if p.drafted:
        came, all_of_them = locale.toString(p.accepted), locale.toString(p.drafted)
        found.append((_tr(_GUESSED), _tr(_OF).format(accepted=came, drafted=all_of_them)))
    if p.draft_model:
        found.append((_tr(_DRAFT), p.draft_model))
    if p.forked_at >= 0:
        words = _tr(_FORKED_AT if p.forked_token < 0 else _PICKED)
        number = locale.toString(p.forked_at + 1)
        found.append((_tr(_FORKED), words.format(number=number, id=p.forked_token)))
    if p.stop_reason:
        found.append((_tr(_ENDED), ending_words(p)))
    return found


def server_text(provenance: Provenance) -> str:
    """The server that an answer came from, for people; "" where it was made here."""
    if not provenance.address:
        return ""
    return _tr(_SERVER).format(name=provenance.connection, host=provenance.device)


def _kv_text(p: Provenance) -> str:
    if p.address:
        return ""
    return _tr(_KV[p.kv_format]) if p.kv_format in _KV else p.kv_format


def sampling_rows(provenance: Provenance) -> list[tuple[str, str]]:
    """Names and settled values of what chose the tokens, the seed last."""
    rows = [(_sampling_name(name), _number(value)) for name, value in provenance.sampling]
    if provenance.address and not provenance.seed:  # none was told: the server took one
        return rows
    return [*rows, (_tr(_SEED), str(provenance.seed))]  # to be typed in again: no separators


def ending_words(provenance: Provenance) -> str:
    """How an answer ended, for people; "" where it was not kept."""
    ending = _ENDINGS.get(provenance.stop_reason)
    return _tr(ending) if ending else provenance.stop_reason


def _tokens(count: int) -> str:
    return _tr(_TOKENS).format(count=QLocale().toString(count))


def _sampling_name(name: str) -> str:
    """As in the settings, where it stands there."""
    setting = BY_NAME.get(name)
    return setting_text(setting.label) if setting else name


def _number(value: float) -> str:
    """As short as it is written: 0.7, 20, 1.05."""
    return QLocale().toString(float(value), "g", 6)
