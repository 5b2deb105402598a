"""Where an answer comes from: checkpoint, versions and settled values, as kept with it."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch

from qwen_desktop.chat.messages import Provenance, Role
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.families import transformers_version
from qwen_desktop.engine.loaded import Loaded
from qwen_desktop.engine.prompt import Prompt
from qwen_desktop.engine.sampling import Sampling
from qwen_desktop.engine.tokenizer_mark import tokenizer_mark


def provenance_of(
    loaded: Loaded,
    settings: GenerationSettings,
    sampling: Sampling,
    prompt: Prompt,
    context_limit: int,
    *,
    thinking: bool,
    begun: Provenance | None = None,
) -> Provenance:
    """All that is known before the first token; `context_limit` in tokens.

    `thinking`: the prompt was made for it, where the model can. `begun` is where an answer that is
    continued came from. Why the answer ended and what memory it took are told at its end.
    """
    begun = begun or Provenance()
    info = loaded.info
    thinking = thinking and loaded.tokenizer.can_think
    return Provenance(
        fingerprint=info.fingerprint,
        template=_hash(loaded.tokenizer.template),
        tokenizer=tokenizer_mark(loaded.checkpoint),
        family=info.family,
        precision=info.dtype,
        kv_format=info.kv_format.value,
        device=info.device,
        engine=_engine(loaded.runner.capabilities.name),
        thinking=thinking,
        sampling=sampling.numbers,
        seed=sampling.seed,
        thinking_budget=settings.thinking_budget if thinking else None,
        stop_strings=settings.stops,
        context_limit=context_limit,
        unseen=prompt.unseen,
        forked_from=begun.forked_from,
        forked_at=begun.forked_at,
        forked_token=begun.forked_token,
    )


def begun_by(request: GenerationRequest) -> Provenance | None:
    """What is known before its own run of how the answer to `request` begins."""
    fork, last = request.fork, request.messages[-1] if request.messages else None
    if fork is not None:
        token = -1 if fork.token is None else fork.token
        return Provenance(forked_from=fork.answer.id, forked_at=fork.at, forked_token=token)
    return last.provenance if last is not None and last.role is Role.ASSISTANT else None


def _hash(template: str | None) -> str:
    """SHA-256 of the chat template; "" where there is none."""
    return hashlib.sha256(template.encode()).hexdigest() if template is not None else ""


@lru_cache
def _engine(runner: str) -> str:
    """What computes, for people: versions, and what `runner` does besides."""
    versions = f"torch {torch.__version__}, transformers {transformers_version()}"
    besides = runner.removeprefix("transformers").removeprefix(", ")
    return f"{versions}, {besides}" if besides else versions
