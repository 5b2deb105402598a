"""The words of exported documents, in the language they are made in. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """English unless the caller says otherwise. Texts in braces are filled in."""

    language: str = "en"  # BCP 47
    untitled: str = "New chat"
    you: str = "You"
    assistant: str = "Assistant"
    assistant_model: str = "Assistant ({model})"
    system: str = "System"
    reasoning: str = "Reasoning"
    version: str = "Version {number} of {count}"
    reply_to: str = "in reply to: {text}"
    damaged: str = "This message was damaged on disk; what could be read is shown."
    stopped: str = "Stopped."
    interrupted: str = "Interrupted: the application ended before the answer did."
    length: str = "Cut off: the longest answer was reached."
    context_full: str = "Cut off: the context was full."
    looping: str = "Stopped: it repeated itself."
    failed: str = "Failed."
    tokens: str = "{count} tokens"
    seconds: str = "{seconds} s"
    seed: str = "seed {seed}"
    page: str = "Page {number}"
