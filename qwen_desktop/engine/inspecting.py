"""Prompts taken apart for who looks at them: what would be sent now, and what answers were given.

Used by the engine on its thread; templates run aside, as for any prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qwen_desktop.chat.attached import content, title_of
from qwen_desktop.chat.inspected import (
    AnswerPrompt,
    Doubt,
    Inspected,
    LeftOut,
    Maker,
    Recipe,
    Row,
    SegmentKind,
    Why,
    ids_alone,
    reused_by,
)
from qwen_desktop.chat.messages import Message, Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.text import whole
from qwen_desktop.chat.tokens import Tokens
from qwen_desktop.engine.inspect_prompt import Parted, Told, lookalikes, part, spelled
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.prompt import (
    Prompt,
    Window,
    build_prompt,
    continued,
    drafted,
    is_silent,
    rows_of,
)
from qwen_desktop.engine.prompting import Prompting, thinks
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.sessions import Sessions
from qwen_desktop.engine.tokenizer import Tokenizer
from qwen_desktop.engine.tokenizer_mark import tokenizer_mark
from qwen_desktop.errors import Known

_PREVIEW = 80  # characters of what was left out


@dataclass(frozen=True)
class _Made:
    """What a prompt was made from.

    `length` are the ids it gives, without what is given; None: others than the prompt has.
    """

    shown: list[Message]
    system: str
    thinking: bool
    length: int | None
    boundary: int = 0  # of them, before the beginning of the answer; 0 where that is not known


class Inspecting:
    """Takes the prompts of one loaded checkpoint apart. Used on the engine's thread."""

    def __init__(self, loaded: Loaded, prompting: Prompting, sessions: Sessions) -> None:
        self._loaded = loaded
        self._tokenizer = loaded.tokenizer
        self._prompting = prompting
        self._sessions = sessions

    def now(self, request: GenerationRequest, cancel: threading.Event, limit: int) -> Inspected:
        """The prompt that would be sent for `request` in a context of `limit` tokens.

        Also one that does not fit. Raises Cancelled, and Known where the template fails.
        """
        budget = self._prompting.budget(limit, request)
        prompt, found, left_out = self._prompting.aside(
            lambda: self._taken_apart(request, budget), request, cancel
        )
        tokens, parted, doubts, recipe, similar = found
        pinned = [m.id for m in request.messages if m.pinned and m.id not in prompt.unseen]
        return Inspected(
            tokens=tokens,
            segments=tuple(parted.segments),
            conversation_id=request.conversation_id,
            model=self._loaded.info.name,
            reused=self._sessions.would_keep(request.conversation_id, prompt.ids),
            budget=budget,
            limit=limit,
            policy=request.policy,
            overflows=prompt.overflows,
            thinking=thinks(request) if self._tokenizer.can_think else None,
            left_out=left_out,
            pinned=tuple(pinned) if prompt.unseen else (),
            lookalikes=similar,
            doubts=doubts,
            recipe=recipe,
        )

    def answer(self, asked: AnswerPrompt, cancel: threading.Event) -> Inspected:
        """The prompt of an answer that was given. Raises Cancelled, and Known as `now`."""
        origin = asked.answer.provenance
        if not self._knows(asked):
            return ids_alone(asked)
        unseen = origin.unseen if origin is not None else ()
        found, left_out, thinking = self._prompting.aside(
            lambda: self._recognised(asked, unseen), asked.request, cancel
        )
        tokens, parted, doubts, recipe, similar = found
        if origin is not None and origin.fingerprint != self._loaded.info.fingerprint:
            doubts = (Doubt.OTHER_CHECKPOINT, *doubts)
        stats = asked.answer.stats
        return Inspected(
            tokens=tokens,
            segments=tuple(parted.segments),
            conversation_id=asked.request.conversation_id,
            answer_id=asked.answer.id,
            model=stats.model if stats is not None else "",
            reused=reused_by(asked.answer, len(asked.ids)),
            limit=origin.context_limit if origin is not None else 0,
            policy=asked.request.policy,
            thinking=thinking,
            left_out=left_out,
            lookalikes=similar,
            doubts=doubts,
            recipe=recipe,
        )

    def _knows(self, asked: AnswerPrompt) -> bool:
        """Whether the open tokenizer is the one that made the prompt."""
        origin, info = asked.answer.provenance, self._loaded.info
        if origin is None or not asked.ids:
            return False
        if origin.tokenizer:
            return origin.tokenizer == tokenizer_mark(self._loaded.checkpoint)
        return bool(info.fingerprint) and origin.fingerprint == info.fingerprint

    # -- aside -----------------------------------------------------------------------------

    def _taken_apart(
        self, request: GenerationRequest, budget: int
    ) -> tuple[Prompt, _Found, tuple[LeftOut, ...]]:
        system, thinking = request.settings.system_prompt, thinks(request)
        prompt = build_prompt(
            self._tokenizer,
            request.messages,
            system,
            thinking=thinking,
            window=Window(budget, request.policy),
            fork=request.fork,
        )
        said = _answered(request.messages)
        shown = _shown(said, prompt.unseen)
        made = _Made(shown, system, thinking, len(prompt.ids) - prompt.given, prompt.boundary)
        found = self._found(prompt.ids, prompt.given, made)
        gone = self._left_out(request, said, prompt.unseen, found[1], budget)
        return prompt, found, gone

    def _recognised(
        self, asked: AnswerPrompt, unseen: Sequence[str]
    ) -> tuple[_Found, tuple[LeftOut, ...], bool | None]:
        request, origin = asked.request, asked.answer.provenance
        said = _answered(request.messages)
        shown = _shown(said, unseen)
        thinking = origin.thinking if origin is not None else request.settings.thinking
        made = self._like(asked.ids, shown, request.settings.system_prompt, thinking)
        given = len(asked.ids) - made.length if made.length is not None else 0
        found = self._found(asked.ids, given, made)
        limit = origin.context_limit if origin is not None else 0
        gone = self._left_out(request, said, unseen, found[1], limit)
        return found, gone, thinking if self._tokenizer.can_think else None

    def _like(
        self, ids: tuple[int, ...], shown: list[Message], system: str, thinking: bool
    ) -> _Made:
        """How `ids` came about: the system prompt may have been another than it is now."""
        written = self._system_in(ids, shown, system)
        for candidate in dict.fromkeys((system, written, "")):
            try:
                draft = drafted(self._tokenizer, shown, candidate, thinking)
            except Known:  # what the ids say need not be something the template takes
                continue
            if tuple(draft.ids) == ids[: len(draft.ids)]:
                return _Made(shown, candidate, thinking, len(draft.ids), draft.boundary)
        return _Made(shown, written or system, thinking, None)

    def _system_in(self, ids: tuple[int, ...], shown: list[Message], system: str) -> str:
        """The system prompt that `ids` begin with, `system` being what it is now."""
        pieces = spelled(self._tokenizer, ids)
        if not self._tokenizer.has_template:
            text = b"".join(pieces).decode("utf-8", "replace")
            at = text.find(whole(content(shown[0]))) if shown else len(text)
            return text[: max(at, 0)].removesuffix("\n\n")
        for segment in part(self._tokenizer, ids, pieces, Told(shown, system)).segments:
            if segment.kind is SegmentKind.SYSTEM and segment.message_id is None:
                return b"".join(pieces[segment.start : segment.end]).decode("utf-8", "replace")
        return ""

    def _found(self, ids: tuple[int, ...], given: int, made: _Made) -> _Found:
        tokenizer = self._tokenizer
        pieces = spelled(tokenizer, ids)
        opening = None
        if made.length is not None and made.boundary:
            opening = made.length - made.boundary
        parted = part(tokenizer, ids, pieces, Told(made.shown, made.system, given, opening))
        doubts = []
        if made.length is None:
            doubts.append(Doubt.CHANGED)
        if not parted.marked or not parted.all_found:
            doubts.append(Doubt.NO_MARKS)
        edges = {segment.start for segment in parted.segments}
        tokens = Tokens.of(ids, pieces, frozenset(tokenizer.added) & frozenset(ids), edges)
        recipe = self._recipe(ids, given, made) if made.length is not None else None
        return tokens, parted, tuple(doubts), recipe, lookalikes(tokenizer, ids, pieces)

    def _recipe(self, ids: tuple[int, ...], given: int, made: _Made) -> Recipe:
        tokenizer, length = self._tokenizer, len(ids) - given
        if not tokenizer.has_template:
            text = whole(continued(made.shown, made.system))
            usual, maker, rows = tokenizer.encode(text), Maker.TEXT, []
        else:
            rows = rows_of(made.shown, made.system)
            usual = tokenizer.render(rows, answer=True, thinking=made.thinking).ids
            text = ""
            qwen1 = self._loaded.checkpoint.family == QWEN1
            maker = Maker.TIKTOKEN if qwen1 else Maker.TEMPLATE
        return Recipe(
            maker=maker,
            folder=str(self._loaded.checkpoint.folder),
            rows=tuple(
                Row(row["role"], row["content"], row.get("reasoning_content")) for row in rows
            ),
            text=text,
            thinking=made.thinking,
            patches=_patches(usual, ids[:length], tokenizer.message_start),
            given=ids[length:],
        )

    def _left_out(
        self,
        request: GenerationRequest,
        said: list[Message],
        unseen: Sequence[str],
        parted: Parted,
        budget: int,
    ) -> tuple[LeftOut, ...]:
        tokenizer, gone = self._tokenizer, set(unseen)
        found: list[LeftOut] = []
        tokens: dict[str, int] = {}
        if gone:
            whole_draft = drafted(tokenizer, said, request.settings.system_prompt, thinks(request))
            tokens = {m.id: n for m, n in zip(said, whole_draft.tokens, strict=True)}
        window = tokenizer.prompt_window
        why = Why.TEMPLATE if window is not None and window <= budget else Why.POLICY
        for message in said:
            if message.id in gone:
                count = tokens.get(message.id, 0) or _count(tokenizer, message.text)
                found.append(
                    LeftOut(why, message.id, message.role, count, title_of(message)[:_PREVIEW])
                )
            elif message.id in parted.dropped:
                thought = message.reasoning
                count = _count(tokenizer, thought)
                found.append(
                    LeftOut(Why.REASONING, message.id, message.role, count, thought[:_PREVIEW])
                )
        return tuple(found)


_Found = tuple[Tokens, Parted, tuple[Doubt, ...], "Recipe | None", tuple[tuple[int, int], ...]]


def _answered(messages: Iterable[Message]) -> list[Message]:
    """The messages without an answer at their end that is continued."""
    said = list(messages)
    if said and said[-1].role is Role.ASSISTANT:
        said.pop()
    return said


def _shown(said: list[Message], unseen: Sequence[str]) -> list[Message]:
    gone = set(unseen)
    return [message for message in said if message.id not in gone and not is_silent(message)]


def _count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(whole(text)))


def _patches(
    usual: Sequence[int], ids: Sequence[int], mark: int | None
) -> tuple[tuple[int, int, tuple[int, ...]], ...]:
    """What to replace in `usual` to get `ids`: turn by turn where both have as many."""
    left, right = _turns(usual, mark), _turns(ids, mark)
    if len(left) != len(right):
        left, right = [0, len(usual)], [0, len(ids)]
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for number in range(len(left) - 1):
        before = list(usual[left[number] : left[number + 1]])
        after = list(ids[right[number] : right[number + 1]])
        if before == after:
            continue
        start = 0
        while start < min(len(before), len(after)) and before[start] == after[start]:
            start += 1
        end = 0
        while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
            end += 1
        at = left[number]
        new = tuple(after[start : len(after) - end])
        found.append((at + start, at + len(before) - end, new))
    return tuple(found)


def _turns(ids: Sequence[int], mark: int | None) -> list[int]:
    return [0, *(i for i, one in enumerate(ids) if one == mark and i), len(ids)]
