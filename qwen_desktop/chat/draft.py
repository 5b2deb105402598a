"""What is being written: a text and the files attached to it, as one string. Pure.

A draft without files is its text. Each file stands behind the text as a JSON object between two
record separators (U+001E), which JSON never holds itself; one in the text is doubled. So drafts
are kept, compared and handed on as text, and whoever knows nothing of files loses nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.messages import Message, Part

MARK = "\x1e"
_RECORD = re.compile(f"{MARK}([^{MARK}]*){MARK}")


@dataclass(frozen=True)
class Draft:
    """A text and its files, in their order."""

    text: str = ""
    files: tuple[Part, ...] = ()

    @classmethod
    def read(cls, written: str) -> Draft:
        """The draft in a string. Whatever is no file is text."""
        if MARK not in written:
            return cls(written)
        files: list[Part] = []

        def take(match: re.Match[str]) -> str:
            record = match.group(1)
            if not record:
                return MARK
            file = _file(record)
            if file is None:
                return match.group()
            files.append(file)
            return ""

        text = _RECORD.sub(take, written)
        return cls(text, tuple(files))

    @classmethod
    def of(cls, message: Message) -> Draft:
        """What would say `message` again."""
        return cls(message.text, message.files)

    def written(self) -> str:
        """The string that `read` takes."""
        text = self.text.replace(MARK, MARK * 2)
        return text + "".join(written_file(file) for file in self.files)

    def then(self, other: Draft) -> Draft:
        """This and `other` below it; what is in both is there once."""
        texts = [text for text in (self.text, other.text) if text]
        more = tuple(file for file in other.files if file not in self.files)
        return Draft("\n".join(texts), self.files + more)

    def without(self, other: Draft) -> Draft | None:
        """What `other.then` made this of; None where it did not."""
        files = self.files[: len(other.files)] == other.files
        if not files or not self.text.startswith(other.text):
            return None
        rest = self.text[len(other.text) :]
        if rest and other.text:
            if not rest.startswith("\n"):
                return None
            rest = rest[1:]
        return Draft(rest, self.files[len(other.files) :])


def written_file(file: Part) -> str:
    """A file as it stands in a draft."""
    record = {"name": file.name, "text": file.text}
    return f"{MARK}{json.dumps(record, ensure_ascii=False)}{MARK}"


def joined(*drafts: str) -> str:
    """Written drafts below each other, as one."""
    filled = [draft for draft in drafts if draft]
    if not any(MARK in draft for draft in filled):
        return "\n".join(filled)
    whole = Draft()
    for draft in filled:
        whole = whole.then(Draft.read(draft))
    return whole.written()


def _file(record: str) -> Part | None:
    try:
        found = json.loads(record)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    name, text = found.get("name"), found.get("text")
    if not isinstance(name, str) or not isinstance(text, str):
        return None
    return attached(name, text)
