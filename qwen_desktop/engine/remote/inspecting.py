"""What a request sends to a server, taken apart before it is sent. Asks nobody. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace

from qwen_desktop.chat.attached import content
from qwen_desktop.chat.connection import RemoteTarget, ServerKind, is_of_dashscope
from qwen_desktop.chat.inspected import LeftOut, Why
from qwen_desktop.chat.messages import Message, Provenance
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.sent import SentMessage, SentRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.remote.asking import thinks
from qwen_desktop.engine.remote.fields import body_of
from qwen_desktop.engine.remote.talk import AROUND, Talk, estimate, talk_of

_PREVIEW = 80  # characters of what is left out


def sent_now(
    request: GenerationRequest,
    target: RemoteTarget,
    kind: ServerKind,
    *,
    limit: int,
    ratio: float,
    without: Collection[str],
) -> SentRequest:
    """What `request` would send now. `kind` AUTO: what the server is has not been found out."""
    talk = talk_of(request, limit, ratio)
    return _sent(request, target, kind, talk, limit=limit, ratio=ratio, without=without)


def sent_then(
    request: GenerationRequest, target: RemoteTarget, answer: Message, ratio: float
) -> SentRequest:
    """What was sent for `answer`, made once more: by what it remembers of settings and messages."""
    origin = answer.provenance or Provenance()
    gone = frozenset(origin.unseen)
    request = replace(
        request,
        messages=tuple(message for message in request.messages if message.id not in gone),
        settings=_settings_of(origin, request.settings),
    )
    kinds = (kind for kind in ServerKind if kind.label and origin.engine.startswith(kind.label))
    without = tuple(name for name in origin.not_taken.split(", ") if name)
    talk = talk_of(request, 0, ratio)
    kind = next(kinds, ServerKind.OPENAI)
    sent = _sent(request, target, kind, talk, limit=0, ratio=ratio, without=without)
    return replace(sent, answer_id=answer.id, limit=origin.context_limit, is_remade=True)


def with_left_out(sent: SentRequest, messages: Mapping[str, Message], ratio: float) -> SentRequest:
    """`sent` with what is known of the messages that are not in it: by their ids."""
    gone = tuple(
        LeftOut(
            Why.POLICY,
            message.id,
            message.role,
            AROUND + estimate(content(message), ratio),
            " ".join(content(message)[:_PREVIEW].split()),
        )
        for message in messages.values()
    )
    return replace(sent, left_out=gone)


def _sent(
    request: GenerationRequest,
    target: RemoteTarget,
    kind: ServerKind,
    talk: Talk,
    *,
    limit: int,
    ratio: float,
    without: Collection[str],
) -> SentRequest:
    connection = target.connection
    is_guess = kind is ServerKind.AUTO
    if is_guess:
        dashscope = is_of_dashscope(connection)
        kind = ServerKind.DASHSCOPE if dashscope else ServerKind.OPENAI
    body, left = body_of(
        target.model,
        talk.messages,
        request.settings,
        kind,
        thinking=thinks(request),
        continued=talk.continued,
        without=without,
    )
    messages = tuple(
        SentMessage(
            str(row["role"]), str(row["content"]), id_, AROUND + estimate(row["content"], ratio)
        )
        for row, id_ in zip(talk.messages, talk.ids, strict=True)
    )
    settings = {name: value for name, value in body.items() if name != "messages"}
    return SentRequest(
        server=connection.name,
        url=f"{connection.base}/chat/completions",
        model=target.model,
        messages=messages,
        settings=_json(settings),
        body=_json(body),
        tokens=talk.tokens,
        conversation_id=request.conversation_id,
        budget=talk.budget,
        limit=limit,
        policy=request.policy,
        overflows=talk.overflows,
        not_taken=left,
        is_guess=is_guess and not is_of_dashscope(connection),
    )


def _settings_of(origin: Provenance, now: GenerationSettings) -> GenerationSettings:
    """The settings an answer was made with, as far as it remembers them; else those of now."""
    told = dict(origin.sampling)
    return replace(
        now,
        temperature=told.get("temperature"),
        top_p=told.get("top_p"),
        min_p=told.get("min_p"),
        repetition_penalty=told.get("repetition_penalty"),
        presence_penalty=told.get("presence_penalty"),
        top_k=int(told["top_k"]) if "top_k" in told else None,
        seed=origin.seed or None,
        thinking=origin.thinking,
        thinking_budget=origin.thinking_budget,
        stop_strings="",
        exact_stops=origin.stop_strings,
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
