"""The official client against our server: what it asks for, it gets."""

from __future__ import annotations

import signal
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.serve.process import DEMO, Served, served

MODEL = "demo-checkpoint"
QUESTION = [{"role": "user", "content": "What can you do?"}]
LONG = [{"role": "user", "content": "window " * 30}]
PATIENCE_S = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


# What was said becomes ever likelier: the demo model does not find an end.
ENDLESS = {"max_tokens": 1500, "temperature": 1.0, "seed": 1}
MORE = {"loop_guard": False, "repetition_penalty": 0.5}


def endless(client: OpenAI) -> object:
    """A stream that goes on until it is stopped, or for 1,500 tokens."""
    return client.chat.completions.create(
        model=MODEL, messages=LONG, stream=True, **ENDLESS, extra_body=MORE
    )


def test_the_model_is_listed_and_shown(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.owned_by) == (MODEL, "local")
    assert client.models.retrieve(MODEL).max_model_len == 2048
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


def test_a_stream_says_what_an_answer_in_one_piece_says(client: OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    text = whole.choices[0].message.content
    assert text
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks[-2:-1]] == ["stop"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert len({c.id for c in chunks}) == 1
    assert len(chunks) > 5  # it comes as it is made


def test_the_stream_ends_with_done_and_has_no_usage_unasked(server: Served) -> None:
    body = {"messages": QUESTION, "max_tokens": 2, "stream": True}
    status, headers, text = server.ask("/v1/chat/completions", body)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert text.endswith("data: [DONE]\n\n")
    assert "usage" not in text


def test_the_same_seed_gives_the_same_answer(client: OpenAI) -> None:
    def ask(seed: int) -> str | None:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=LONG,
            temperature=1.8,
            seed=seed,
            max_tokens=40,
            extra_body={"top_k": 0, "top_p": 1.0},
        )
        return answer.choices[0].message.content

    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in (1, 2, 3)}) > 1


@pytest.mark.parametrize("stop", [" that", ["no such words", " that"]])
def test_a_stop_string_ends_the_answer_before_it(client: OpenAI, stop: object) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, stop=stop
    )
    choice = answer.choices[0]
    assert choice.message.content == "You are talking to the demo model"
    assert choice.finish_reason == "stop"
    assert choice.model_extra["stop_reason"] == "stop_string"


def test_a_stop_string_may_have_an_end_of_line_in_it(client: OpenAI) -> None:
    answer = client.completions.create(
        model=MODEL, prompt="one\ntwo\nthree\n", max_tokens=60, temperature=1.5, seed=3, stop=["\n"]
    )
    assert "\n" not in answer.choices[0].text


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_at_its_length(client: OpenAI, field: str) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, **{field: 3})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_log_probabilities_come_with_their_tokens(client: OpenAI) -> None:
    def ask(stream: bool) -> object:
        return client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            temperature=0,
            max_tokens=8,
            stream=stream,
            logprobs=True,
            top_logprobs=3,
        )

    answer = ask(False)
    scores = answer.choices[0].logprobs.content
    assert "".join(one.token for one in scores) == answer.choices[0].message.content
    assert len(scores) == 8
    for one in scores:
        assert len(one.top_logprobs) == 3
        assert one.logprob == one.top_logprobs[0].logprob <= 0  # greedy takes the likeliest
        assert bytes(one.bytes).decode() == one.token
    told = [
        score.token
        for chunk in ask(True)
        if chunk.choices and chunk.choices[0].logprobs
        for score in chunk.choices[0].logprobs.content
    ]
    assert told == [one.token for one in scores]


def test_no_others_are_told_where_none_are_asked_for(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=2, logprobs=True
    )
    assert [one.top_logprobs for one in answer.choices[0].logprobs.content] == [[], []]


def test_a_completion_goes_on_with_a_text(client: OpenAI) -> None:
    answer = client.completions.create(
        model=MODEL, prompt="You are talking to", temperature=0, max_tokens=5, logprobs=2
    )
    choice = answer.choices[0]
    assert choice.text
    assert "".join(choice.logprobs.tokens) == choice.text
    assert choice.logprobs.text_offset[0] == 0
    assert all(len(top) == 2 for top in choice.logprobs.top_logprobs)
    chunks = client.completions.create(
        model=MODEL,
        prompt="You are talking to",
        temperature=0,
        max_tokens=5,
        stream=True,
        echo=True,
    )
    assert "".join(c.choices[0].text for c in chunks) == "You are talking to" + choice.text


def test_a_completion_has_no_more_than_the_text_for_its_prompt(client: OpenAI) -> None:
    few = client.completions.create(model=MODEL, prompt="the", max_tokens=1).usage
    assert few.prompt_tokens == 1  # nothing of a chat format is around it


def test_the_next_turn_reads_only_what_is_new(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "What is a checkpoint, and where does it come from?"}]
    kept, prompts = [], []
    for question in ("And then?", "Why is that?", "Is it?"):
        answer = client.chat.completions.create(
            model=MODEL, messages=messages, temperature=1.5, seed=5, max_tokens=60
        )
        prompts.append(answer.usage.prompt_tokens)
        kept.append(answer.usage.prompt_tokens_details.cached_tokens)
        messages += [
            {"role": "assistant", "content": answer.choices[0].message.content},
            {"role": "user", "content": question},
        ]
    # All that was read and written before is there, but for what ends a turn.
    assert kept[1] >= prompts[0]
    assert kept[2] >= prompts[1]
    assert prompts[2] - kept[2] < 20
    again = client.chat.completions.create(
        model=MODEL, messages=messages[:-2], temperature=1.5, seed=9, max_tokens=5
    )
    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens - 1


def test_conversations_do_not_take_each_others_place(client: OpenAI) -> None:
    def ask(*said: str) -> object:
        roles = ("user", "assistant")
        messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
        return client.chat.completions.create(model=MODEL, messages=messages, temperature=0)

    first = ask("How do I export a chat?").choices[0].message.content
    other = ask("Which keys are there?").choices[0].message.content
    for said in (("How do I export a chat?", first), ("Which keys are there?", other)):
        usage = ask(*said, "More, please.").usage
        assert usage.prompt_tokens_details.cached_tokens > 20


def test_a_message_of_the_assistant_at_the_end_is_continued(client: OpenAI) -> None:
    messages = [*QUESTION, {"role": "assistant", "content": "You are talking to the"}]
    answer = client.chat.completions.create(
        model=MODEL, messages=messages, temperature=0, max_tokens=3
    )
    assert answer.choices[0].message.content.startswith(" demo model")


def test_marks_of_the_chat_format_stay_text(client: OpenAI) -> None:
    def tokens(text: str) -> int:
        return client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": text}], max_tokens=1
        ).usage.prompt_tokens

    plain = tokens("x")
    assert tokens("x<|im_end|>") > plain + 3  # spelled out, not one token
    answer = client.completions.create(model=MODEL, prompt="<|im_start|>", max_tokens=1)
    assert answer.usage.prompt_tokens > 3


def test_a_client_that_leaves_ends_the_answer_at_once(client: OpenAI, server: Served) -> None:
    stream = endless(client)
    next(iter(stream))
    stream.close()
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=2)
    assert answer.usage.completion_tokens == 2
    wait_for(lambda: any(line.endswith("left") for line in server.lines))
    line = next(line for line in server.lines if line.endswith("left"))
    made = int(line.split("+ ")[1].split(",")[0].split()[0].replace(",", ""))
    assert made < 1400  # and not all it was allowed


def test_one_that_does_not_stream_may_leave_too(server: Served, client: OpenAI) -> None:
    lines = len(server.lines)
    impatient = client.with_options(timeout=0.3)
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(model=MODEL, messages=LONG, **ENDLESS, extra_body=MORE)
    wait_for(lambda: any(line.endswith("left") for line in server.lines[lines:]))


def test_who_waits_hears_of_the_place_and_is_answered(client: OpenAI) -> None:
    first = endless(client)
    next(iter(first))
    waiting = client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=QUESTION, max_tokens=2, stream=True
    )
    with waiting as response:
        assert response.headers["x-queue-position"] == "1"
        lines = response.iter_lines()
        assert next(lines) == ": queued 1"
        first.close()
        assert list(lines)[-2] == "data: [DONE]"


def test_one_too_many_is_turned_away() -> None:
    with (
        served(DEMO, "--queue", "0") as server,
        OpenAI(base_url=server.url, api_key="none", max_retries=0) as client,
    ):
        first = endless(client)
        next(iter(first))
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=MODEL, messages=QUESTION)
        assert caught.value.response.headers["retry-after"]
        assert caught.value.code == "queue_full"
        ends_in_order(server, first, signal.SIGINT)


def ends_in_order(server: Served, stream: object, number: signal.Signals) -> None:
    """The signal ends a server in the middle of an answer, whose client is told."""
    server.process.send_signal(number)
    with pytest.raises(openai.APIError, match="stopped by the server"):
        for _ in stream:
            pass
    assert server.process.wait(PATIENCE_S) == 0
    wait_for(lambda: any(line.endswith("left") for line in server.lines))
    assert not any("Traceback" in line for line in server.lines)


def test_nothing_of_what_was_said_is_in_the_log(client: OpenAI, server: Served) -> None:
    client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Kohlrabi secret"}], max_tokens=3
    )
    server.ask("/v1/Kohlrabi?q=Kohlrabi")
    wait_for(lambda: any(" other " in line for line in server.lines))
    assert "Kohlrabi" not in "\n".join(server.lines)


def test_health_tells_that_it_is_ready(server: Served) -> None:
    with urllib.request.urlopen(f"{server.address}/health") as answer:
        assert answer.read() == b'{"status":"ok"}'


def test_reasoning_comes_apart_and_can_be_left_out(thinker: Served) -> None:
    with OpenAI(base_url=thinker.url, api_key="none") as client:
        usual = {"model": "Thinker", "messages": QUESTION, "max_tokens": 250, "seed": 1}
        answer = client.chat.completions.create(**usual, extra_body={"thinking_budget": 6})
        message, usage = answer.choices[0].message, answer.usage
        assert message.model_extra["reasoning_content"]
        assert message.content
        assert 6 <= usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens
        chunks = client.chat.completions.create(
            **usual, stream=True, extra_body={"thinking_budget": 6}
        )
        deltas = [chunk.choices[0].delta for chunk in chunks]
        thought = "".join((d.model_extra or {}).get("reasoning_content", "") for d in deltas)
        assert thought == message.model_extra["reasoning_content"]
        assert "".join(d.content or "" for d in deltas) == message.content
        without = client.chat.completions.create(
            **usual, extra_body={"chat_template_kwargs": {"enable_thinking": False}}
        )
        assert "reasoning_content" not in without.choices[0].message.model_extra
        assert without.usage.completion_tokens_details.reasoning_tokens == 0


def test_reasoning_that_clients_leave_out_is_not_read_again(thinker: Served) -> None:
    """While nobody asks the cache becomes what the next prompt begins with."""
    with OpenAI(base_url=thinker.url, api_key="none") as client:
        more = {"thinking_budget": 6, "loop_guard": False}

        def ask(messages: list[dict[str, str]], stop: list[str]) -> object:
            return client.chat.completions.create(
                model="Thinker",
                messages=messages,
                max_tokens=200,
                seed=1,
                stop=stop,
                extra_body=more,
            )

        def new_in_the_second_turn(question: str) -> int:
            messages = [{"role": "user", "content": question}]
            text = ask(messages, []).choices[0].message.content
            end = next(text[i : i + 4] for i in range(60, 180) if text.find(text[i : i + 4]) == i)
            said = ask(messages, [end]).choices[0].message
            assert said.model_extra["reasoning_content"]
            assert len(said.content) >= 60
            answer = {"role": "assistant", "content": said.content}
            usage = ask([*messages, answer, {"role": "user", "content": "On"}], [end]).usage
            return usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens

        # A request that comes at once may be quicker than what is read for it.
        questions = iter(range(1000))
        wait_for(lambda: new_in_the_second_turn(f"Question {next(questions)}") < 30)


def test_nothing_is_stored_and_the_system_may_end_it_in_the_middle(home: Path) -> None:
    before = set(home.rglob("*"))
    with served(DEMO) as server, OpenAI(base_url=server.url, api_key="none") as client:
        client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=4)
        stream = endless(client)
        next(iter(stream))
        ends_in_order(server, stream, signal.SIGTERM)
    assert {path for path in home.rglob("*") if path.is_file()} <= before
