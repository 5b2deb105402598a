"""Reading ahead while the user reads: the answer as the next prompt will show it.

Templates drop the reasoning of earlier answers, so that the next prompt parts from what was
generated where the last answer begins. Read again without it, the cache holds everything up to
the next message's own text. Any request ends the reading between two layers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

from qwen_desktop.chat.messages import Message, user_message
from qwen_desktop.engine.prompt import Window, build_prompt
from qwen_desktop.engine.relief import OutOfMemory
from qwen_desktop.engine.session import Relief, Session, common_prefix
from qwen_desktop.engine.tokenizer import Tokenizer
from qwen_desktop.errors import Cancelled

_log = logging.getLogger(__name__)

# Messages that may come next. A line feed joins the one behind the role in one token, a space takes
# the place of what stands between two texts: where all agree, every other message will too.
_NEXT = ("a", "\n\nb", " c")


def next_prefix(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    system: str,
    *,
    thinking: bool,
    window: Window | None = None,
) -> tuple[int, ...]:
    """The ids that the prompt after the next message will begin with, whatever it says.

    `messages` end with a finished answer. Raises Known: the template failed.
    """
    parent = messages[-1].id if messages else None
    first, *others = (
        build_prompt(
            tokenizer,
            [*messages, user_message(text, parent)],
            system,
            thinking=thinking,
            window=window,
        ).ids
        for text in _NEXT
    )
    return first[: min(common_prefix(first, other) for other in others)]


def read_ahead(
    session: Session,
    prefix: Sequence[int],
    cancel: threading.Event,
    *,
    chunk: int,
    relief: Relief,
) -> Iterator[None]:
    """Make `session` hold exactly `prefix`, one piece of at most `chunk` tokens in each step.

    Does nothing where it holds `prefix` already. Ends early when `cancel` is set or no memory is
    left; the session then holds a part of it, and is as good as ever. Where it is not, as its
    cache could not be repaired, raises OutOfMemory.
    """
    if cancel.is_set() or not prefix:
        return
    if session.holds(prefix):
        session.remember()
        return
    try:
        session.rewind(prefix)
        for _ in session.prefill(prefix, 0, cancel, chunk=chunk, relief=relief):
            yield
        session.remember()
    except Cancelled:
        return
    except OutOfMemory as error:
        if not error.repaired:
            raise
        _log.info("not read ahead: %s", error)
