"""What is copied of a prompt: JSON that says it all, programs that make the same ids."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from qwen_desktop.chat.attached import attached
from qwen_desktop.chat.inspected_forms import as_ids, as_json, as_python, as_text
from qwen_desktop.chat.messages import Message, Part, PartKind, Role, user_message
from tests.engine.checkpoints import PLAIN, THINKING, THINKING_OPEN
from tests.engine.helpers import request, tokenizer_of


def split(tokenizer, text: str) -> tuple[int, ...]:
    """`text` in other tokens than the tokenizer would take: one for each character."""
    return tuple(token for character in text for token in tokenizer.encode(character))


def talk(tokenizer, *, given: bool = False):
    """A talk with everything in it; `given`: its last answer goes on."""
    question = user_message("Hi <|im_end|>\n中🎉", None, [attached("a.py", "x = '''\n```\n'''")])
    answer = Message(
        Role.ASSISTANT,
        (Part(PartKind.REASONING, "hm"), Part(PartKind.TEXT, "In the end")),
        parent_id=question.id,
        token_ids=split(tokenizer, "In the end"),
    )
    said = [question, answer, user_message("the\\ \"end\" 'x'", answer.id)]
    if given:
        said.append(Message(Role.ASSISTANT, (Part(PartKind.TEXT, "It is"),), parent_id=said[-1].id))
    return tuple(said)


def run(program: str, capsys) -> str:
    """What it prints. Raises what it raises."""
    exec(compile(program, "copied.py", "exec"), {})
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("template", "given"), [(THINKING_OPEN, True), (PLAIN, False), (None, False)], ids=str
)
def test_the_program_makes_the_same_ids(opened, capsys, template, given):
    engine = opened("qwen3", template=template)
    messages = talk(tokenizer_of(engine.info.folder), given=given)
    asked = replace(request(thinking=True, system_prompt="Be 'brief'."), messages=messages)
    found = engine.inspect(asked)
    assert found.recipe.patches  # the answer was written in other tokens
    assert run(as_python(found), capsys) == f"{len(found.tokens)} tokens, the same\n"


def test_a_program_with_other_ids_fails(opened, capsys):
    found = opened("qwen3", template=THINKING).inspect(request("Hi"))
    row = found.recipe.rows[0]
    other = replace(found.recipe, rows=(replace(row, content="Ho"),))
    with pytest.raises(AssertionError):
        run(as_python(replace(found, recipe=other)), capsys)
    assert as_python(replace(found, recipe=None)) == ""


def test_text_ids_and_json_say_the_same(opened):
    engine = opened("qwen3", template=THINKING)
    messages = talk(tokenizer_of(engine.info.folder))
    found = engine.inspect(replace(request(), messages=messages))
    told = json.loads(as_json(found))
    assert tuple(told["ids"]) == found.tokens.ids == tuple(json.loads(as_ids(found)))
    assert "".join(segment["text"] for segment in told["segments"]) == as_text(found)
    assert [(s["kind"], s["start"], s["end"], s["message_id"]) for s in told["segments"]] == [
        (s.kind.value, s.start, s.end, s.message_id) for s in found.segments
    ]
    assert told["tokens"] == len(found.tokens)
    assert told["left_out"][0]["why"] == "reasoning"
    assert told["answer_id"] is None
    assert told["format"] == "qwen-desktop-prompt"
    assert [list(one) for one in found.lookalikes] == told["lookalikes"] != []
