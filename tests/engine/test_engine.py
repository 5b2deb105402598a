"""Answers as the rest of the program sees them: events, endings, turns, trouble."""

from __future__ import annotations

import threading

import pytest
from safetensors.torch import load_file, save_file

from qwen_desktop.chat.events import Delta, Finished, FinishReason, Progress, Stage, Started, Usage
from qwen_desktop.chat.messages import PartKind
from qwen_desktop.engine.lean.forward import Layer
from qwen_desktop.errors import Known
from tests.engine.checkpoints import (
    PLAIN,
    THINKING_OPEN,
    chatty_checkpoint,
    edit_json,
    make_tokenizer,
)
from tests.engine.helpers import ask, load, reason_of, request, text_of, usage_of


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    return chatty_checkpoint(tmp_path_factory.mktemp("chatty") / "Chatty")


@pytest.fixture
def talking(engine, chatty):
    load(engine, chatty)
    return engine


def test_events_come_in_order(talking):
    begun, *events = ask(talking, request("hello", max_new_tokens=30))
    assert isinstance(begun, Started)
    kinds = [type(event) for event in events]
    deltas = min(kinds.index(Delta), kinds.index(Usage))
    assert set(kinds[:deltas]) == {Progress}
    assert Progress not in kinds[deltas:]
    first = next(event for event in events if isinstance(event, Usage))
    assert first.stats.new_tokens == 1
    assert kinds[-2:] == [Usage, Finished]
    assert kinds.count(Finished) == 1

    progress = events[:deltas]
    prompt = usage_of(events).stats.prompt_tokens
    assert len(begun.prompt_ids) == prompt
    assert {event.stage for event in progress} == {Stage.PREFILL}
    assert [e.done for e in progress] == [0, prompt]
    assert all(event.total == prompt for event in progress)


def test_counts_and_times(talking):
    events = ask(talking, request("hello", max_new_tokens=30, temperature=1.0, seed=1))
    usage = usage_of(events)
    stats = usage.stats
    assert reason_of(events) is FinishReason.LENGTH
    assert (stats.model, stats.answer_tokens, stats.reasoning_tokens) == ("Chatty", 30, 0)
    assert stats.prompt_tokens == talking.count_prompt(request("hello")).prompt
    assert sum(e.tokens for e in events if isinstance(e, Delta)) == 30
    assert stats.reused_tokens == 0
    assert 0 < stats.prefill_seconds <= stats.first_token_seconds
    assert stats.decode_seconds > 0
    assert usage.context_tokens == stats.prompt_tokens + 30
    assert usage.context_length == talking.info.context_length


def test_a_seed_repeats_the_answer_also_with_the_cache(talking):
    asked = request("hello", max_new_tokens=30, temperature=1.0, seed=5)
    first = text_of(ask(talking, asked))
    assert text_of(ask(talking, asked)) == first
    other = request("hello", max_new_tokens=30, temperature=1.0, seed=6)
    assert text_of(ask(talking, other)) != first


def test_stop_keeps_the_text_and_the_next_turn_works(talking):
    cancel = threading.Event()
    events = []
    for event in talking.generate(request("hello", max_new_tokens=100_000), cancel):
        events.append(event)
        if len(text_of(events)) > 20:
            cancel.set()
    assert reason_of(events) is FinishReason.STOPPED
    assert 20 < len(text_of(events)) < 60
    following = request("hello", text_of(events), "go on", temperature=0.0)
    reused = ask(talking, following)
    assert usage_of(reused).stats.reused_tokens > usage_of(events).stats.prompt_tokens - 5
    fresh = request("hello", text_of(events), "go on", temperature=0.0, conversation="other")
    assert text_of(ask(talking, fresh)) == text_of(reused)


def test_stop_during_the_prompt(talking):
    cancel = threading.Event()
    cancel.set()
    events = ask(talking, request("hello"), cancel)
    assert reason_of(events) is FinishReason.STOPPED
    assert text_of(events) == ""
    assert text_of(ask(talking, request("hello")))


def test_stop_within_a_forward(opened, monkeypatch):
    engine = opened("qwen3")
    before = text_of(ask(engine, request("hello", conversation="a")))
    cancel = threading.Event()
    original = Layer.forward

    def press_stop(layer, *args, **kwargs):
        cancel.set()  # while the first layer works
        return original(layer, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Layer, "forward", press_stop)
        events = ask(engine, request("hello", conversation="b"), cancel)
    assert reason_of(events) is FinishReason.STOPPED
    assert text_of(ask(engine, request("hello", conversation="b"))) == before


def test_an_abandoned_answer_leaves_the_engine_usable(talking):
    first = text_of(ask(talking, request("hello", temperature=0.0)))
    events = talking.generate(request("hello", temperature=0.0), threading.Event())
    for _ in range(3):
        next(events)
    events.close()
    assert text_of(ask(talking, request("hello", temperature=0.0))) == first


def test_the_context_ends_honestly(tmp_path, engine, chatty):
    import shutil

    folder = shutil.copytree(chatty, tmp_path / "short")
    edit_json(folder / "config.json", max_position_embeddings=64)
    load(engine, folder)
    asked = request("hello", max_new_tokens=1000, seed=1)
    events = ask(engine, asked)
    stats = usage_of(events).stats
    assert reason_of(events) is FinishReason.CONTEXT_FULL
    # The last token needs no place: nothing follows it.
    assert stats.prompt_tokens + stats.new_tokens == 65
    assert usage_of(events).context_tokens == 64

    for refused in (engine.count_prompt, lambda r: ask(engine, r)):
        with pytest.raises(Known, match=r"prompt has 3\d\d tokens; this model holds 64"):
            refused(request("x" * 300))
    assert text_of(ask(engine, asked)) == text_of(events)


def test_a_megabyte_is_refused_with_both_numbers(talking):
    with pytest.raises(Known, match=r"has 1,0\d\d,\d\d\d tokens; this model holds 131,072"):
        talking.count_prompt(request("x" * 1_000_000))


def test_all_stop_ids_of_the_checkpoint_count(copied, engine):
    folder = copied("qwen3")
    load(engine, folder)
    assert text_of(ask(engine, request("hello")))
    every = list(range(len(make_tokenizer(PLAIN)) + 5))
    for where in ("generation_config.json", "config.json"):
        edit_json(folder / where, eos_token_id=every)
        load(engine, folder)
        events = ask(engine, request("hello"))
        assert reason_of(events) is FinishReason.STOP
        assert text_of(events) == ""
        assert usage_of(events).stats.new_tokens == 0
        edit_json(folder / where, eos_token_id=None)


def test_turns_reuse_the_cache_and_conversations_do_not_mix(talking):
    first = ask(talking, request("hello", temperature=0.0))
    answer = text_of(first)
    second = request("hello", answer, "and then?", temperature=0.0)
    reused = ask(talking, second)
    stats = usage_of(first).stats
    # everything but the last token, which was never fed, and the end of the turn
    assert usage_of(reused).stats.reused_tokens >= stats.prompt_tokens + 5
    ask(talking, request("something else", conversation="other"))
    again = ask(talking, second)
    stats = usage_of(again).stats
    assert stats.reused_tokens == stats.prompt_tokens - 1  # both are kept
    assert text_of(again) == text_of(reused)


def test_thinking_is_a_part_of_its_own(opened, monkeypatch):
    engine = opened("qwen3", template=THINKING_OPEN)
    events = ask(engine, request("hello", thinking=True, max_new_tokens=20))
    stats = usage_of(events).stats
    assert text_of(events, PartKind.REASONING)
    assert stats.reasoning_tokens > 1
    assert 0 < stats.reasoning_seconds <= stats.decode_seconds
    events = ask(engine, request("hello", thinking=False, max_new_tokens=20))
    assert text_of(events, PartKind.TEXT)
    assert usage_of(events).stats.reasoning_seconds == 0
    assert isinstance(events[-1], Finished)


def test_base_models_complete_text(opened):
    engine = opened("qwen2", template=None)
    assert not engine.info.has_chat_template
    assert not engine.info.can_think
    events = ask(engine, request("Once upon"))
    assert usage_of(events).stats.prompt_tokens == len(make_tokenizer(None).encode("Once upon"))
    assert isinstance(events[-1], Finished)


def test_a_base_model_goes_on_after_its_own_words(opened):
    """The follow-up begins with what the model has read and written: its cache is used again."""
    engine = opened("qwen2", template=None)
    events = ask(engine, request("Once upon"))
    first = usage_of(events).stats
    events = ask(engine, request("Once upon", text_of(events), "then"))
    assert first.prompt_tokens <= usage_of(events).stats.reused_tokens


def test_an_empty_prompt_is_refused(opened):
    engine = opened("qwen2", template=None)
    with pytest.raises(Known, match="the message is empty"):
        ask(engine, request(""))


def test_tokens_beyond_the_weights_are_refused(copied, engine):
    load(
        engine, copied("qwen2", vocab_size=200, template=None, eos_token_id=None, pad_token_id=None)
    )
    with pytest.raises(Known, match="tokens that the weights do not know"):
        ask(engine, request("字"))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_weights_that_are_not_numbers_are_told_and_no_token_is_made_up(copied, engine, temperature):
    folder = copied()
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, file, {"format": "pt"})
    load(engine, folder)

    with pytest.raises(Known, match="not numbers"):
        ask(engine, request("hello", temperature=temperature))


def test_nothing_open_is_a_sentence(engine):
    with pytest.raises(Known, match="No checkpoint is open"):
        ask(engine, request("hello"))


def test_other_errors_are_bugs_and_the_next_request_works(opened, monkeypatch):
    engine = opened("qwen3")
    with monkeypatch.context() as patch:
        patch.setattr(Layer, "forward", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ask(engine, request("hello"))
    assert text_of(ask(engine, request("hello")))


def test_a_model_tells_what_sampling_is_recommended_in_each_mode(opened):
    engine = opened("qwen3")
    direct, thinking = dict(engine.info.sampling), dict(engine.info.thinking_sampling)
    assert (direct["temperature"], thinking["temperature"]) == (0.0, 0.6)  # do_sample: false
    for mode, expected in ((False, direct), (True, thinking)):
        (started,) = [e for e in ask(engine, request("hi", thinking=mode)) if type(e) is Started]
        assert dict(started.provenance.sampling) == expected
