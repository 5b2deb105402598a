"""Whole answers as `chat` and `chat_stream` of the original gave them.

Left out on purpose:

* Stop sequences of the caller, which the program does not have: held are the tokens up to there.
* Left-padded batches: a desktop answers one conversation at a time, and the original shifted the
  logn factors of padded rows. Held are the same rows alone.
* What `chat` lost and the engine shows: the last token of an answer that came to its limit, and
  first characters where the conversation had decomposed letters.
* `chat` stripped white space around an answer. The engine leaves it to the window; the tests strip.
"""

from __future__ import annotations

import dataclasses
import unicodedata

import pytest
import torch

from qwen_desktop.chat.events import FinishReason
from qwen_desktop.chat.model import GenerationRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.decode import Token
from qwen_desktop.engine.detokenize import Detokenizer
from qwen_desktop.engine.engine import Engine
from qwen_desktop.engine.prompt import build_prompt
from qwen_desktop.engine.sampling import Sampler, settle
from qwen_desktop.engine.session import Session
from tests.engine.helpers import NEVER, ask, load, reason_of, relief_of, steps_of, text_of, usage_of
from tests.engine.qwen1.checkpoints import GENERATION
from tests.engine.qwen1.conftest import golden
from tests.engine.qwen1.test_context import conversation, with_window

FFFD = "\ufffd"
SHORT = GenerationSettings(max_new_tokens=2)
CASES = [
    pytest.param(name, case, id=f"{name}-{case['label']}")
    for name in ("s-ntk-logn", "s-plain")
    for case in golden(f"chat_{name}")["cases"]
]
TURNS = [
    pytest.param(name, golden(f"chat_{name}")["turns"], id=name)
    for name in ("s-ntk-logn", "s-plain")
]


def settings_of(case) -> GenerationSettings:
    """What the caller asked for; `chat_stream` was made greedy by taking one candidate."""
    given = case["kwargs"]
    return GenerationSettings(
        temperature=0.0 if given.get("do_sample") is False else None,
        top_k=given.get("top_k"),
        repetition_penalty=given["repetition_penalty"],
        max_new_tokens=given["max_new_tokens"],
    )


def messages_of(case):
    return tuple(conversation(case["history"], case["query"], case["system"]))


def ids_of(session, runner, tokenizer, case) -> list[int]:
    """The ids of the answer, the end not among them."""
    prompt = build_prompt(tokenizer, messages_of(case), "", thinking=False)
    assert list(prompt.ids) == case["context_ids"]
    capabilities = runner.capabilities
    sampler = Sampler(
        settle(settings_of(case), GENERATION),
        prompt.ids,
        capabilities.device,
    )
    steps = steps_of(
        runner,
        prompt,
        sampler,
        end_ids=tokenizer.end_ids,
        max_new_tokens=case["kwargs"]["max_new_tokens"],
        session=session,
    )
    return [step.id for step in steps if isinstance(step, Token)]


def spoken(case, tokenizer) -> list[int]:
    """The generated ids up to the first that ends an answer."""
    ids = case["generated"]
    end = next((i for i, token in enumerate(ids) if token in tokenizer.end_ids), len(ids))
    return ids[:end]


def eaten(case) -> int:
    """First characters of the answer that `chat` lost: what NFC took from the conversation."""
    texts = [case["system"], *(text for turn in case["history"] for text in turn), case["query"]]
    return sum(len(text) - len(unicodedata.normalize("NFC", text)) for text in texts)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_answers_token_by_token(runner, tokenizer, name, case):
    wanted = spoken(case, tokenizer)
    session = Session("c", runner(name))
    found = ids_of(session, runner(name), tokenizer, case)
    if case["stop_words_ids"]:
        found = found[: len(wanted)]
    else:
        assert [session.cache.rope_scale] == case.get("ntk_alpha", [session.cache.rope_scale])
    assert found == wanted
    if case["kind"] == "chat":
        at_limit = len(case["generated"]) == len(wanted)
        text = tokenizer.decode(found[:-1] if at_limit else found)
        assert case["response"] == text[eaten(case) :].strip()
        assert case["history_out"] == [*case["history"], [case["query"], case["response"]]]
        return
    # The stream gave all of the text so far after each token, half and bad characters left out.
    stream, so_far = Detokenizer(tokenizer.piece), ""
    for token, shown in zip(wanted, case["yields"], strict=False):
        so_far += stream.step(token)
        assert so_far.replace(FFFD, "") == shown.replace(FFFD, "")
    assert {text.replace(FFFD, "") for text in case["yields"][len(wanted) :]} <= {
        so_far.replace(FFFD, "")
    }


@pytest.fixture(scope="module")
def engines(first, started):
    """An engine for each checkpoint, loaded the way the program does."""
    loaded = {}

    def get(name: str) -> Engine:
        if name not in loaded:
            loaded[name] = Engine()
            load(loaded[name], first(name), placement="cpu")
        return loaded[name]

    return get


@pytest.mark.parametrize(("name", "turns"), TURNS)
def test_a_conversation(engines, tokenizer, name, turns):
    """One conversation through the engine: what was read stays in the cache while it can.

    Where the prompt outgrows the length of training and alpha changes, it is read anew.
    """
    engine, alphas = engines(name), []
    for turn in turns[:-1]:  # the last one has a window of its own: below
        request = GenerationRequest("talk", messages_of(turn), settings_of(turn))
        events = ask(engine, request)
        ids = spoken(turn, tokenizer)
        assert text_of(events) == tokenizer.decode(ids)
        at_limit = len(ids) == turn["kwargs"]["max_new_tokens"]
        assert reason_of(events) is (FinishReason.LENGTH if at_limit else FinishReason.STOP)
        stats = usage_of(events).stats
        assert stats.prompt_tokens == turn["prompt_len"]
        same = bool(alphas) and alphas[-1] == turn["ntk_alpha_prefill"]
        assert (stats.reused_tokens > 0) == same
        alphas.append(turn["ntk_alpha_prefill"])
    assert alphas == ([[1.0], [1.0], [3.0], [3.0]] if "ntk" in name else [[1.0]] * 4)


@pytest.mark.parametrize(("name", "turns"), TURNS)
def test_turns_one_by_one(runner, tokenizer, name, turns):
    """The same conversation as ids, with the window of its last turn."""
    session = Session("c", runner(name))
    for turn in turns:
        reader = with_window(tokenizer, turn["kwargs"].get("max_window_size", 6144))
        prompt = build_prompt(reader, messages_of(turn), "", thinking=False)
        assert list(prompt.ids) == turn["context_ids"]
        if "first_step_top5" in turn:
            session.rewind(prompt.ids)
            relief = relief_of(runner(name))
            *_, (_, logits) = session.prefill(prompt.ids, 0, NEVER, chunk=50, relief=relief)
            assert [session.cache.rope_scale] == turn["ntk_alpha_prefill"]
            ids, values = turn["first_step_top5"]
            torch.testing.assert_close(logits[ids], torch.tensor(values), atol=1e-3, rtol=0)
        assert ids_of(session, runner(name), reader, turn) == spoken(turn, reader)


@pytest.mark.parametrize("name", ["s-ntk-logn", "s-plain"])
def test_rows_of_a_batch_alone(runner, name):
    batch = golden(f"chat_{name}")["batch"]
    for row, (ids, values) in zip(batch["rows"], batch["last_top10_alone"], strict=True):
        cache = runner(name).new_cache(runner(name).rope_scale(len(row)))
        logits = runner(name).prefill(
            cache, row, chunk=50, on_progress=lambda _: None, cancel=NEVER
        )
        torch.testing.assert_close(logits[ids], torch.tensor(values), atol=1e-3, rtol=0)


def test_what_the_checkpoint_recommends():
    """Its own top-p and repetition penalty, and no top-k."""
    settled = settle(GenerationSettings(seed=7), GENERATION)
    assert dataclasses.asdict(settled) == {
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 0.8,
        "min_p": 0.0,
        "repetition_penalty": 1.1,
        "presence_penalty": 0.0,
        "seed": 7,
    }


def test_what_is_told_of_it(engines, first):
    info = engines("s-ntk-logn").info
    assert info is not None
    assert (info.family, info.has_chat_template, info.can_think) == ("qwen", True, False)
    assert info.context_length == 512  # the stated maximum: more than four times 64
    before = sorted(path.name for path in first("s-ntk-logn").iterdir())
    assert before == sorted(
        ["config.json", "generation_config.json", "model.safetensors", "qwen.tiktoken",
         "tokenizer_config.json"]
    )  # fmt: skip


def test_messages_left_out_are_told(engines):
    """The old turn is beyond the window of 6144 tokens; the prompt is that of the short talk."""
    engine = engines("s-ntk-logn")
    short = ask(engine, GenerationRequest("w", tuple(conversation([("a", "b")], "c")), SHORT))
    assert usage_of(short).unseen == ()
    long = tuple(conversation([("x " * 3100, "y " * 3100), ("a", "b")], "c"))
    events = ask(engine, GenerationRequest("w", long, SHORT))
    assert len(usage_of(events).unseen) == 2
    assert usage_of(events).stats.prompt_tokens == usage_of(short).stats.prompt_tokens
