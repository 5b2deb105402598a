"""Writing, answers, Stop, edits, versions: as a person does it, read as a screen reader does."""

from __future__ import annotations

import json

import pytest

from tests.blackbox.person import SENDING

pytestmark = pytest.mark.e2e

QUESTION = "What is a token?"
ABOUT_TOKENS = "token"
HOW_TO_STOP = "How do I stop an answer?"
ABOUT_STOP = "Stop"


def test_a_message_is_typed_sent_edited_answered_anew_and_there_after_a_restart(start):
    person = start()
    person.wait("text", "Message", "focused")  # one can begin to type at once
    person.wait("push button", SENDING, "sensitive")

    person.send(QUESTION)
    assert person.questions() == [QUESTION]
    assert ABOUT_TOKENS in person.answers()[0]
    person.wait_name("label", r"\d+ tokens · .* tok/s · .* to first token")
    person.wait_name("list item", rf"{QUESTION[:-1]}\?, Token.*")
    assert person.text("text", "Message") == ""

    # Another answer, twice: the third of three; back and forth between them.
    first = person.answers()
    person.click("push button", "Retry")
    person.wait("label", "Version 2 of 2")
    person.wait_idle()
    person.keys("ctrl+r")
    person.wait("label", "Version 3 of 3")
    person.wait_idle()
    person.click("push button", "Previous version")
    person.wait("label", "Version 2 of 3")
    person.click("push button", "Previous version")
    person.wait("label", "Version 1 of 3")
    person.until("the first answer", lambda: person.answers() == first)
    person.until(
        "no version before it",
        lambda: "sensitive" not in person.wait("push button", "Previous version").states,
    )
    person.click("push button", "Next version")
    person.wait("label", "Version 2 of 3")

    # Another question in the place of the first; both are kept.
    person.click("push button", "Edit message")
    field = person.wait("text", "Edit message", "focused")
    assert person.reader.text(field) == QUESTION
    person.keys("ctrl+a")
    person.type(HOW_TO_STOP)
    person.until("what was typed", lambda: person.text("text", "Edit message") == HOW_TO_STOP)
    person.click("push button", "Send edited message")
    person.wait("label", "Version 2 of 2")
    person.wait_idle()
    assert person.questions() == [HOW_TO_STOP]
    assert ABOUT_STOP in person.answers()[0]
    person.click("push button", "Previous version")
    person.until("the first question", lambda: person.questions() == [QUESTION])
    person.wait("label", "Version 1 of 2")
    person.wait("label", "Version 3 of 3")  # below it the newest answer to it
    person.click("push button", "Next version")
    person.until("the edited question", lambda: person.questions() == [HOW_TO_STOP])
    said = person.messages()
    person.quit()

    person = start()
    person.until("what was said before", lambda: person.messages() == said)
    person.wait("label", "Version 2 of 2")
    person.wait("push button", SENDING, "sensitive")
    person.send(QUESTION)
    assert person.questions() == [HOW_TO_STOP, QUESTION]
    person.quit()


def test_code_is_wrapped_and_saved_from_its_block(start, tmp_path):
    code = f"print({'+'.join(map(str, range(100)))})\n"
    said = [
        {"role": "user", "content": "Add up."},
        {"role": "assistant", "content": f"So:\n\n```python\n{code}```\n"},
    ]
    (tmp_path / "talk.json").write_text(json.dumps(said), "utf-8")
    person = start(tmp_path / "talk.json")

    block = person.wait("label", "Code")
    assert person.reader.text(block) == code.rstrip()
    height = person.reader.box(block)[3]
    person.click("check box", "Wrap lines")
    person.wait("check box", "Wrap lines", "checked")
    person.until(
        "a higher block", lambda: person.reader.box(person.wait("label", "Code"))[3] > height
    )
    person.click("push button", "Save code as…")
    person.wait("dialog", "Save code as — Qwen Desktop", "active")
    person.wait("text", "File name:", "focused")
    person.keys("ctrl+a")
    person.type(str(tmp_path / "sum.py"))
    person.until("the name", lambda: person.text("text", "File name:").endswith("sum.py"))
    person.keys("Return")
    person.wait("label", "Saved “sum.py”")
    assert (tmp_path / "sum.py").read_text("utf-8") == code
    person.quit()


def test_another_checkpoint_is_opened_and_its_answer_stopped_by_button_and_by_key(start, endless):
    person = start()
    person.wait("push button", "Checkpoint: demo-checkpoint")
    person.keys("ctrl+o")
    person.wait("dialog", "Open checkpoint folder — Qwen Desktop")
    person.wait("text", "Directory:", "focused")
    person.type(str(endless))
    person.until("the folder", lambda: person.text("text", "Directory:").endswith(endless.name))
    person.keys("Return")
    person.wait("dialog", "Open checkpoint — Qwen Desktop")
    person.click("push button", "Open")
    person.wait("push button", "Checkpoint: Endless-Chat")
    person.wait("push button", SENDING, "sensitive")

    person.write("Go on for ever")
    person.click("push button", SENDING)
    person.until("a long answer", lambda: person.answers() and len(person.answers()[0]) > 80)
    person.click("push button", "Stop")
    person.wait_idle()
    person.wait_name("label", "Stopped.*")
    stopped = person.answers()[0]
    assert len(stopped) > 80

    person.click("push button", "Continue")
    person.until("more of it", lambda: len(person.answers()[0]) > len(stopped) + 80)
    person.keys("Escape")
    person.wait_idle()
    person.wait_name("label", "Stopped.*")
    assert person.answers()[0].startswith(stopped)
    person.quit()
