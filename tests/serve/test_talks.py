"""Which conversation a request goes on with."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.messages import Message, Part, PartKind, Role
from qwen_desktop.chat.model import UNKEPT
from qwen_desktop.serve.talks import TALKS, Talks

ROLES = (Role.USER, Role.ASSISTANT)


def talk(*said: str) -> tuple[Message, ...]:
    """Messages of the user and the assistant in turn."""
    return tuple(Message(ROLES[n % 2], (Part(PartKind.TEXT, text),)) for n, text in enumerate(said))


def answer(text: str, *ids: int) -> Message:
    parts = (Part(PartKind.REASONING, "hm"), Part(PartKind.TEXT, text))
    return Message(Role.ASSISTANT, parts, token_ids=ids)


def asked(talks: Talks, reply: Message, *said: str) -> str:
    talk_id, messages = talks.find(talk(*said))
    talks.keep(talk_id, messages, reply)
    return talk_id


def test_the_next_turn_has_the_id_and_the_tokens_of_the_one_before() -> None:
    talks = Talks()
    first = asked(talks, answer("b", 1, 2), "a")
    talk_id, messages = talks.find(talk("a", " b\n", "c"))
    assert talk_id == first  # what clients trim does not matter for the id
    assert messages[1].token_ids == ()  # but tokens have to spell the text
    talk_id, messages = talks.find(talk("a", "b", "c"))
    assert (talk_id, messages[1].token_ids, messages[1].reasoning) == (first, (1, 2), "hm")


def test_a_turn_that_is_made_again_or_was_edited() -> None:
    talks = Talks()
    first = asked(talks, answer("b"), "a")
    assert asked(talks, answer("other"), "a") == first
    assert talks.find(talk("a", "edited", "c"))[0] != first


def test_the_same_beginning_is_not_the_same_conversation() -> None:
    talks = Talks()
    system = Message(Role.SYSTEM, (Part(PartKind.TEXT, "Be short."),))
    first, messages = talks.find((system, *talk("a")))
    talks.keep(first, messages, answer("b"))
    assert talks.find((system, *talk("z")))[0] != first
    assert talks.find((system, *talk("a", "b", "c")))[0] == first


def test_reasoning_that_a_client_gives_is_the_clients() -> None:
    talks = Talks()
    asked(talks, answer("b", 1), "a")
    given_back = Message(Role.ASSISTANT, (Part(PartKind.REASONING, "x"), *talk("a", "b")[1].parts))
    _, messages = talks.find((*talk("a"), given_back, *talk("c")))
    assert messages[1] is given_back


def test_completions_go_on_with_their_text() -> None:
    talks = Talks()
    first = talks.find_text("once")
    talks.keep_text(first, "once upon a time")
    assert talks.find_text("once upon a time there") == first
    assert talks.find_text("once") == first
    assert talks.find_text("twice") != first


@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=5).filter(lambda s: len(s) % 2))
)
def test_whatever_is_said_few_are_remembered_and_none_is_written(requests: list[list[str]]) -> None:
    talks, gone, known = Talks(), set(), set()
    for said in requests:
        talk_id, messages = talks.find(talk(*said))
        assert talk_id.startswith(UNKEPT)
        assert talk_id not in gone
        assert [m.text for m in messages] == said
        known.add(talk_id)
        gone |= set(talks.keep(talk_id, messages, answer("b")))
        assert len(known - gone) <= TALKS
    assert set(talks.clear()) == known - gone
