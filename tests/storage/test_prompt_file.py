"""The file of the prompt library: whole or not at all, and no entry is lost for another one."""

from __future__ import annotations

import json

import pytest

from qwen_desktop.chat.prompts import SavedPrompt
from qwen_desktop.errors import Known
from qwen_desktop.storage.prompts import PromptFile, read_foreign, write

PROMPTS = (SavedPrompt("a", "one {x}"), SavedPrompt("ä 你好", "two\n🙂"))


def test_what_is_saved_is_read(tmp_path):
    file = tmp_path / "deep" / "prompts.json"
    assert PromptFile(file).read() == ()
    PromptFile(file).save(PROMPTS)
    assert PromptFile(file).read() == PROMPTS
    assert read_foreign(file) == PROMPTS


def test_damaged_entries_are_passed_over(tmp_path):
    file = tmp_path / "prompts.json"
    entries = [{"name": "a", "text": "one {x}"}, {"name": 3}, "x", {"name": "", "text": "y"}]
    entries += [{"name": "a", "text": "again"}, {"name": "b", "text": " "}]
    file.write_text(json.dumps(entries))
    kept = PromptFile(file)
    assert kept.read() == PROMPTS[:1]
    assert kept.problem is None


def test_entries_that_are_passed_over_stay_in_the_file(tmp_path):
    file = tmp_path / "prompts.json"
    others = [
        {"name": 3, "more": [1]},
        "x",
        {"name": "a", "text": "again"},
        {"name": "", "text": 1},
    ]
    file.write_text(json.dumps([others[0], {"name": "a", "text": "one {x}"}, *others[1:]]))
    kept = PromptFile(file)
    kept.read()
    kept.save(PROMPTS)
    assert json.loads(file.read_text("utf-8"))[len(PROMPTS) :] == others
    kept.save(())
    again = PromptFile(file)
    assert again.read() == (SavedPrompt("a", "again"),)  # the name is free now
    again.save(PROMPTS)
    assert json.loads(file.read_text("utf-8"))[len(PROMPTS) :] == [*others[:2], others[3]]
    write(tmp_path / "out.json", PROMPTS)
    assert len(json.loads((tmp_path / "out.json").read_text("utf-8"))) == len(PROMPTS)


@pytest.mark.parametrize("content", ["{", '{"a": 1}', "[" * 100_000])
def test_a_file_that_cannot_be_read_is_kept_aside(tmp_path, content):
    file = tmp_path / "prompts.json"
    file.write_text(content)
    kept = PromptFile(file)
    assert kept.read() == ()
    assert "prompts.json.damaged" in kept.problem.text()
    assert (tmp_path / "prompts.json.damaged").read_text() == content


@pytest.mark.parametrize("content", ["{", "[]", '[{"name": "a"}]', '{"a": 1}'])
def test_a_foreign_file_without_prompts_is_refused_and_stays(tmp_path, content):
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(Known, match=r"other\.json holds no prompts"):
        read_foreign(file)
    assert file.read_text() == content


def test_what_the_disk_refuses_is_a_sentence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(Known):
        write(blocked / "prompts.json", PROMPTS)


def test_a_file_that_is_neither_read_nor_kept_aside_is_not_replaced(tmp_path):
    file = tmp_path / "prompts.json"
    file.write_text("words in no JSON")
    (tmp_path / "prompts.json.damaged" / "in the way").mkdir(parents=True)
    kept = PromptFile(file)
    assert kept.read() == ()
    with pytest.raises(Known, match="cannot be read") as refused:
        kept.save(PROMPTS)
    assert refused.value.report() == kept.problem
    assert file.read_text() == "words in no JSON"


def test_names_of_files_that_are_handed_in_stay_out_of_the_log(tmp_path, caplog):
    file = tmp_path / "letters to Ada.json"
    file.write_text(json.dumps([{"name": "a", "text": "one {x}"}, {"name": 3}]))
    assert read_foreign(file) == PROMPTS[:1]
    assert "left out" in caplog.text
    assert "Ada" not in caplog.text
