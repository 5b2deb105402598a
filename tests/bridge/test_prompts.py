"""The prompt library, live: read when it is asked for, every change on disk soon after."""

from __future__ import annotations

import pytest

from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.prompts import Prompts
from qwen_desktop.chat.prompts import SavedPrompt
from qwen_desktop.storage.prompts import PromptFile, write

ONE, TWO = SavedPrompt("one", "1 {x}"), SavedPrompt("two", "2")


@pytest.fixture
def jobs():
    made = FileJobs()
    yield made
    made.close()


@pytest.fixture
def make(tmp_path, jobs):
    def get():
        made = Prompts(PromptFile(tmp_path / "prompts.json"), jobs)
        made.problems = []
        made.problem.connect(made.problems.append)
        return made

    return get


def read(qtbot, prompts):
    prompts.load()
    qtbot.waitUntil(lambda: prompts.is_read)


def test_what_is_kept_is_there_again(qtbot, make, tmp_path):
    prompts = make()
    read(qtbot, prompts)
    prompts.save("two", "2")
    prompts.save("one", "1")
    prompts.save("uno", "1 {x}", before="one")
    prompts.save(" one ", "1 {x}", before="uno")
    assert prompts.entries == (ONE, TWO)
    with qtbot.waitSignal(prompts.exported):  # the thread works in order
        prompts.export(tmp_path / "out.json")
    again = make()
    read(qtbot, again)
    assert again.entries == (ONE, TWO)


def test_what_is_deleted_can_come_back(qtbot, make):
    prompts = make()
    read(qtbot, prompts)
    prompts.save(ONE.name, ONE.text)
    assert prompts.delete("one") == ONE
    assert prompts.entries == ()
    assert prompts.delete("one") is None
    with pytest.raises(ValueError):
        prompts.save("x", "  ")


def test_what_is_saved_before_the_file_is_read_joins_it(qtbot, make, tmp_path):
    write(tmp_path / "prompts.json", [TWO])
    prompts = make()
    prompts.save(ONE.name, ONE.text)
    read(qtbot, prompts)
    assert prompts.entries == (ONE, TWO)


def test_prompts_are_exported_and_imported(qtbot, make, tmp_path):
    prompts = make()
    read(qtbot, prompts)
    prompts.save(ONE.name, ONE.text)
    with qtbot.waitSignal(prompts.exported):
        prompts.export(tmp_path / "out.json")
    write(tmp_path / "more.json", [SavedPrompt("one", "other"), TWO])
    with qtbot.waitSignal(prompts.imported) as came:
        prompts.take_from(tmp_path / "more.json")
    assert came.args == [2]
    assert [p.name for p in prompts.entries] == ["one", "one (2)", "two"]
    with qtbot.waitSignal(prompts.imported) as came:
        prompts.take_from(tmp_path / "out.json")
    assert came.args == [0]


def test_a_file_without_prompts_is_a_problem_and_changes_nothing(qtbot, make, tmp_path):
    prompts = make()
    read(qtbot, prompts)
    (tmp_path / "other.json").write_text("{}")
    with qtbot.waitSignal(prompts.problem):
        prompts.take_from(tmp_path / "other.json")
    assert "holds no prompts" in prompts.problems[0].text()
    assert prompts.entries == ()
