"""What can be searched of the row of a message. No SQL."""

from __future__ import annotations

import json
from dataclasses import dataclass

from qwen_desktop.chat.messages import PartKind, Role
from qwen_desktop.storage import rows, terms

_ROLES: dict[object, Role] = {role.value: role for role in Role}


@dataclass(frozen=True)
class Said:
    """Who said what in a message. Parts of a kind are joined, as they are read.

    `files` are the names and texts of what is attached.
    """

    role: Role
    text: str
    reasoning: str
    files: str = ""
    stats: object = None  # the column

    @classmethod
    def of(cls, role: object, stats: object, parts: object, message_id: str = "") -> Said:
        """From the columns of these names, whatever they hold."""
        kept = rows.parts_from(parts, message_id)
        if len(kept) == 1 and kept[0].kind is PartKind.TEXT:
            text, reasoning, files = kept[0].text, "", ""
        else:
            attached = (part for part in kept if part.kind is PartKind.FILE)
            files = "\n\n".join(f"{part.name}\n{part.text}" for part in attached)
            text = "".join(part.text for part in kept if part.kind is PartKind.TEXT)
            reasoning = "".join(part.text for part in kept if part.kind is PartKind.REASONING)
        # As rows.message_from reads it: unknown words are taken as the model's.
        return cls(_ROLES.get(role, Role.ASSISTANT), text, reasoning, files, stats)

    @property
    def model(self) -> str:
        """The name of the model that answered."""
        return _model(self.stats)

    def terms(self) -> set[str]:
        """All that the index keeps of it."""
        found = terms.terms_of(self.text)
        found.add(terms.USER if self.role is Role.USER else terms.ASSISTANT)
        if self.files:
            found |= terms.terms_of(self.files)
        if self.reasoning:
            found |= terms.terms_of(self.reasoning)
            found.add(terms.REASONING)
        if model := self.model:
            found.add(terms.model_term(model))
        return found


def _model(stats: object) -> str:
    if not isinstance(stats, str):
        return ""
    try:
        value = json.loads(stats)
    except (ValueError, RecursionError):
        return ""
    model = value.get("model") if isinstance(value, dict) else None
    return model if isinstance(model, str) else ""
