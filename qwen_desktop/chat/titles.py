"""A title that a model writes: what it is asked, and what becomes of what it says. Pure."""

from __future__ import annotations

import re
import unicodedata

from qwen_desktop.chat.attached import title_of
from qwen_desktop.chat.messages import Role, user_message
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.chat.tree import Conversation

MAX_TOKENS = 24  # of what the model may say
MAX_WORDS = 6
MAX_CHARACTERS = 12  # of a Chinese title, a Latin word among them counting as one
MAX_LENGTH = 48
SHOWN = 600  # characters of question and answer that the model is shown: a title needs no more

_ASKED = (
    "Give the following conversation a title in its own language, at most six words long. "
    "Say nothing but the title.\n\nUser: {question}\n\nAssistant: {answer}"
)
_ASKED_CHINESE = (
    "请为下面的对话拟一个标题，不超过十二个字。只输出标题。\n\n用户：{question}\n\n助手：{answer}"
)

# Ideographs, kana and syllables of Hangul: written without spaces, or counted by the character.
_CHARACTER = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_UNIT = re.compile(_CHARACTER.pattern + r"|[^\W_]+(?:['’.-][^\W_]+)*")
_LABEL = re.compile(
    r"^(?:the )?(?:conversation )?(?:title|标题|題目|题目)(?: is)?\s*[:：]\s*", re.I
)
_NUMBER = re.compile(r"^\d{1,2}[.)、]\s*(?=\D)")
_FENCE = re.compile(r"\s*(?:```[^`]*|~~~.*)$")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_MARKS = "*_`#>~|=\\[]【】{}<"
_QUOTES = '"“”‘„«»‹›「」『』《》〈〉'
_ENDS = ".,;:!，。；：！、…—–-'’ " + _QUOTES

# The likeliest words, and no thoughts: 24 tokens would not hold them.
SETTINGS = GenerationSettings(
    thinking=False,
    max_new_tokens=MAX_TOKENS,
    temperature=0.0,
    repetition_penalty=1.0,
    presence_penalty=0.0,
)


def title_request(conversation: Conversation) -> GenerationRequest | None:
    """What is asked of the model: by the first question and its answer; None without an answer."""
    question = ""
    for message in conversation.tree.path():
        if message.role is Role.USER:
            question = question or title_of(message)
        elif message.role is Role.ASSISTANT and question and message.text.strip():
            asked = user_message(request_text(question, message.text), None)
            return GenerationRequest(conversation.id, (asked,), SETTINGS)
    return None


def request_text(question: str, answer: str) -> str:
    """What the model is asked: for a title of a conversation that begins with these two."""
    asked = _ASKED_CHINESE if _is_chinese(question) else _ASKED
    return asked.format(question=_beginning(question), answer=_beginning(answer))


def clean(said: str) -> str:
    """The title in what a model said; "" where there is none worth showing.

    One line without quotes, marks of Markdown and control characters, cut to MAX_WORDS words or
    MAX_CHARACTERS Chinese characters, and to MAX_LENGTH in any case.
    """
    lines = [raw.strip() for raw in said.splitlines() if _plain(raw) and not _FENCE.match(raw)]
    if len(lines) > 1 and lines[0].endswith((":", "：")):
        del lines[0]  # "Here is a title:"
    line = _plain(lines[0]) if lines else ""
    units = list(_UNIT.finditer(line))
    if not units or _repeats([unit.group().casefold() for unit in units]):
        return ""
    most = MAX_CHARACTERS if _CHARACTER.search(line) else MAX_WORDS
    if len(units) > most:
        line = line[: units[most - 1].end()]
    return line[:MAX_LENGTH].strip(_ENDS)


def _beginning(text: str) -> str:
    text = text.strip()
    return text if len(text) <= SHOWN else text[: SHOWN - 1].rstrip() + "…"


def _is_chinese(text: str) -> bool:
    """Whether more of the text is Chinese than words of another script."""
    units = _UNIT.findall(text[:SHOWN])
    return sum(1 for unit in units if _CHARACTER.match(unit)) * 2 > len(units)


def _plain(line: str) -> str:
    line = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in _TAG.sub("", line))
    line = line.translate(dict.fromkeys(map(ord, _MARKS + _QUOTES)))
    line = " ".join(line.split()).strip(_ENDS)
    return _NUMBER.sub("", _LABEL.sub("", line)).strip(_ENDS)


def _repeats(units: list[str]) -> bool:
    """Whether a title says the same again and again, as a model does that is lost."""
    return len(units) >= 4 and len(set(units)) * 2 <= len(units)
