"""A memory study through the real bridge: it has the model to itself, and nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwen_desktop.bridge.study import Studies
from qwen_desktop.chat.study import Study, StudyHead, StudySetup, Way
from qwen_desktop.storage import study_file

SETUP = StudySetup((24, 48), (Way.APP, Way.REREAD))
HEAD = StudyHead("m", "f", "BF16", "model", 1.0, "CPU", False, 1, 2, 3, SETUP)
LONG = StudySetup(tuple(range(100, 3000, 100)), (Way.REREAD,))


@pytest.fixture
def studies(desk, tmp_path):
    made = Studies(desk.engine, desk.models, desk.chats, tmp_path / "studies")
    made.problem.connect(desk.problems.append)
    yield made
    made.close()
    desk.wait(lambda: not made.state.running)
    made.deleteLater()


def test_a_study_is_measured_and_kept(desk, studies):
    states = []
    studies.changed.connect(states.append)
    assert studies.start(SETUP)
    desk.wait(lambda: not studies.state.running)
    study = studies.state.study
    assert study is not None
    assert study.is_complete
    assert study_file.read(studies.state.file) == study
    assert studies.state.file.parent == studies.folder
    assert [len(s.study.points) for s in states if s.study is not None][-1] == 4
    assert any(state.progress is not None for state in states)
    assert not desk.models.state.engaged
    assert not desk.problems


def test_nothing_is_asked_of_the_model_meanwhile(desk, studies):
    assert studies.start(LONG)
    assert desk.models.state.engaged
    assert not desk.chats.ask("hello")
    assert "study" in desk.problems[-1].template
    desk.wait(lambda: studies.state.study is not None and studies.state.study.points)
    studies.stop()
    assert studies.state.stopping
    desk.wait(lambda: not studies.state.running)
    assert not studies.state.study.is_complete
    assert desk.ask_and_wait("hello").text


def test_stopped_it_goes_on_where_it_was(desk, studies):
    assert studies.start(LONG)
    desk.wait(lambda: studies.state.study is not None and len(studies.state.study.points) > 1)
    studies.stop()
    desk.wait(lambda: not studies.state.running)
    part, file = studies.state.study, studies.state.file
    assert studies.state.can_resume
    assert study_file.read(file) == part
    assert studies.resume()
    desk.wait(lambda: len(studies.state.study.points) > len(part.points))
    assert studies.state.file == file
    assert studies.state.study.points[: len(part.points)] == part.points


def test_an_answer_has_to_end_first(desk, studies):
    desk.set(max_new_tokens=2000)
    assert desk.chats.ask("hello")
    refusal = studies.refusal()
    assert refusal is not None
    assert "answer is still being written" in refusal.template
    assert not studies.start(SETUP)
    assert desk.problems[-1] == refusal
    studies.outline(SETUP)
    assert not studies.state.outlining
    desk.wait(lambda: desk.chats.run.running)
    desk.chats.stop()
    desk.wait(lambda: not desk.chats.run.running)
    assert studies.refusal() is None


def test_opening_another_checkpoint_ends_it(desk, studies, endless):
    assert studies.start(LONG)
    desk.wait(lambda: studies.state.study is not None and studies.state.study.points)
    desk.load(endless)
    desk.wait(lambda: not studies.state.running)
    assert not desk.models.state.engaged
    assert desk.models.state.info is not None
    assert studies.state.can_resume
    assert study_file.read(studies.state.file) == studies.state.study
    assert not desk.problems


def test_the_outlook_comes_and_is_left(desk, studies):
    studies.outline(SETUP)
    assert studies.state.outlining
    desk.wait(lambda: studies.state.outlook is not None)
    outlook = studies.state.outlook
    assert [one.longest for one in outlook.ways] == [48, 48]
    studies.outline(StudySetup((32,), (Way.APP,)))
    studies.leave_outline()
    assert not studies.state.outlining
    assert studies.start(SETUP)  # behind the one that was left, if that is still looked for
    desk.wait(lambda: not studies.state.running)
    assert studies.state.outlook is None


def test_an_earlier_study_is_shown(desk, studies, tmp_path):
    assert studies.start(SETUP)
    desk.wait(lambda: not studies.state.running)
    study, file = studies.state.study, studies.state.file
    other = tmp_path / "other.csv"
    other.write_text(study_file.to_text(study.__class__(study.head, study.points[:1])))
    studies.open(other)
    desk.wait(lambda: studies.state.file == other)
    assert studies.state.study.points == study.points[:1]
    assert studies.resume()
    desk.wait(lambda: not studies.state.running)
    assert studies.state.study.is_complete
    assert study_file.read(file) == study


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_what_was_opened_last_is_shown_whichever_is_read_first(desk, studies, tmp_path):
    slow, file = tmp_path / "slow.csv", tmp_path / "quick.csv"
    os.mkfifo(slow)
    text = study_file.to_text(Study(HEAD))
    file.write_text(text)
    studies.open(slow)
    studies.open(file)
    desk.wait(lambda: studies.state.file == file)
    seen = []
    studies._read.connect(lambda number, read, study: seen.append(read))
    with slow.open("w") as pipe:
        pipe.write(text)
    desk.wait(lambda: seen)
    assert studies.state.file == file


def test_what_is_no_study_is_told(desk, studies, tmp_path):
    studies.open(Path(tmp_path / "none.csv"))
    desk.wait(lambda: desk.problems)
    assert "cannot be opened" in desk.problems[-1].template
    assert studies.state.study is None


def test_a_folder_that_cannot_be_written_is_told(desk, studies, tmp_path):
    (tmp_path / "studies").write_text("a file is in the way")
    assert studies.start(SETUP)
    desk.wait(lambda: not studies.state.running)
    assert desk.problems
    assert not desk.problems[-1].is_bug
    assert not desk.models.state.engaged
    assert desk.ask_and_wait("hello").text


def test_another_checkpoint_does_not_go_on_with_it(desk, studies, tmp_path):
    assert studies.start(SETUP)
    desk.wait(lambda: not studies.state.running)
    study = studies.state.study
    other = tmp_path / "other.csv"
    text = study_file.to_text(study.__class__(study.head, study.points[:1]))
    other.write_text(text.replace(study.head.fingerprint, "another"))
    studies.open(other)
    desk.wait(lambda: studies.state.file == other)
    assert studies.resume()
    desk.wait(lambda: not studies.state.running)
    assert "differs" in desk.problems[-1].template
    assert len(study_file.read(other).points) == 1
