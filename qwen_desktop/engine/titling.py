"""A title for a conversation, written while nobody waits, in a session of its own.

Nothing of it touches the caches of the conversations: it reads a short prompt, writes a few tokens,
and is thrown away. Any request ends it within a forward.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator

from qwen_desktop.chat.messages import PartKind
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.engine.budget import MIN_CHUNK
from qwen_desktop.engine.choose import Chooser
from qwen_desktop.engine.decode import Token, decode
from qwen_desktop.engine.device import is_out_of_memory
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.output import OutputParser
from qwen_desktop.engine.planning import Planner
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.recommended import settled
from qwen_desktop.engine.relief import OutOfMemory, Relief
from qwen_desktop.engine.sampling import Sampler
from qwen_desktop.engine.session import Session

_log = logging.getLogger(__name__)

PIECE_SHARE = 4  # pieces are so many times shorter than those of a request that somebody waits for


class Titling:
    """Writes one title at a time with a loaded checkpoint. Used on the engine's thread."""

    def __init__(self, loaded: Loaded, planner: Planner) -> None:
        self._loaded = loaded
        self._planner = planner
        self._session: Session | None = None

    @property
    def nbytes(self) -> int:
        """Memory of the session under way. From any thread."""
        session = self._session
        return session.nbytes if session is not None else 0

    def write(
        self, request: GenerationRequest, prompt: Prompt, held: int, cancel: threading.Event
    ) -> Generator[None, None, str]:
        """What the model says to `prompt`, without its reasoning; a forward in each step.

        `held` are the bytes of all conversations, which stay. "" where `cancel` was set, memory is
        short, or nothing was said.
        """
        device = self._loaded.runner.capabilities.device
        end = len(prompt.ids) + request.settings.max_new_tokens
        plan = self._planner.plan(len(prompt.ids), end, 0, held)
        if plan.drop or not plan.fits:  # no title is worth another chat's cache
            return ""
        chunk = max(MIN_CHUNK, plan.chunk // PIECE_SHARE)
        try:
            self._session = Session("", self._loaded.runner)
            ids = yield from self._tokens(
                self._session, request, prompt, chunk, end, Relief(device, lambda: 0), cancel
            )
        except Exception as error:
            if not isinstance(error, OutOfMemory) and not is_out_of_memory(error):
                raise
            _log.info("no title is written: %s", str(error) or "no memory")
            return ""
        finally:
            self._session = None
        return "" if cancel.is_set() else self._text(ids, prompt)

    def _tokens(
        self,
        session: Session,
        request: GenerationRequest,
        prompt: Prompt,
        chunk: int,
        end: int,
        relief: Relief,
        cancel: threading.Event,
    ) -> Generator[None, None, list[int]]:
        loaded, settings = self._loaded, request.settings
        capabilities = loaded.runner.capabilities
        sampling = settled(settings, loaded.checkpoint, loaded.tokenizer, thinking=False)
        sampler = relief.run(
            lambda: Sampler(sampling, prompt.ids, capabilities.device, expect=loaded.runner.expect),
            _nothing,
        )
        found = []
        for step in decode(
            session,
            prompt,
            Chooser(sampler, loaded.tokenizer),
            chunk=chunk,
            relief=relief,
            end_ids=loaded.end_ids,
            max_new_tokens=settings.max_new_tokens,
            context_length=end,
            cancel=cancel,
        ):
            if isinstance(step, Token):
                found.append(step.id)
            yield
        return found

    def _text(self, ids: list[int], prompt: Prompt) -> str:
        parser = OutputParser(self._loaded.tokenizer, thinking_open=prompt.thinking_open)
        pieces = [piece for token in ids for piece in parser.feed(token)]
        return "".join(text for kind, text in pieces + parser.flush() if kind is PartKind.TEXT)


def _nothing() -> None:
    """There is nothing to repair yet."""
