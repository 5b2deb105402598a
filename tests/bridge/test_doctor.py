"""Folders looked into beside everything else: the newest answer, folders that hang, the end."""

from __future__ import annotations

import os
import threading

import pytest

from qwen_desktop.bridge.doctor import Doctor
from qwen_desktop.engine.gpus import this_machine
from tests.engine.checkpoints import chatty_checkpoint


@pytest.fixture
def doctor(qtbot):
    made = Doctor()
    yield made
    made.close()


def test_a_good_folder_is_reported(qtbot, doctor, endless):
    with qtbot.waitSignal(doctor.examined, timeout=20_000) as told:
        request = doctor.examine(endless)
    request_id, report = told.args
    assert request_id == request
    assert report.opens
    assert report.folder == endless
    assert report.facts.layers == 2
    assert report.plans


def test_a_folder_that_is_not_there_is_a_finding(qtbot, doctor, tmp_path):
    with qtbot.waitSignal(doctor.examined, timeout=20_000) as told:
        doctor.examine(tmp_path / "gone")
    report = told.args[1]
    assert not report.opens
    assert "gone" in report.findings[0].report.text()


def test_checkpoints_below_a_folder_are_found(qtbot, doctor, tmp_path):
    one = chatty_checkpoint(tmp_path / "One")
    snapshot = chatty_checkpoint(tmp_path / "snapshots" / "abc")
    (tmp_path / "none").mkdir()
    with qtbot.waitSignal(doctor.found, timeout=20_000) as told:
        request = doctor.examine(tmp_path)
    assert told.args == [request, (one, snapshot)]


def test_what_the_open_model_holds_counts_as_free(qtbot, endless):
    given = 123 * 2**20
    free = {}
    for held in (0, given):
        doctor = Doctor(lambda held=held: this_machine().giving_back({"cpu": held}))
        with qtbot.waitSignal(doctor.examined, timeout=20_000) as told:
            doctor.examine(endless)
        doctor.close()
        device = next(d for d in told.args[1].devices if d.id == "cpu")
        free[held] = device.free
    assert free[given] - free[0] > given / 2  # measured twice, on a machine at work


def test_trouble_of_its_own_is_told_as_a_bug(qtbot, tmp_path):
    def broken():
        raise RuntimeError("the engine is away")

    doctor = Doctor(broken)
    with qtbot.waitSignal(doctor.failed, timeout=20_000) as told:
        request = doctor.examine(tmp_path)
    assert told.args[0] == request
    assert told.args[1].is_bug
    doctor.close()


def test_a_folder_that_hangs_holds_up_nobody(qtbot, endless, tmp_path):
    """The machine is asked for on the same thread: there it can be made to hang."""
    release = threading.Event()
    asked = threading.Event()
    hangs = [True]

    def machine():
        if hangs.pop() if hangs else False:
            asked.set()
            release.wait()
        return

    doctor = Doctor(machine)
    told = []
    doctor.examined.connect(lambda request, _: told.append(request))
    doctor.examine(endless)
    assert asked.wait(20)
    second = doctor.examine(endless)
    qtbot.waitUntil(lambda: told == [second], timeout=20_000)
    doctor.close()  # at once, with the first still hanging
    release.set()  # and it says nothing any more
    threads = [t for t in threading.enumerate() if t.name == "doctor"]
    for thread in threads:
        thread.join(20)
    qtbot.wait(0)
    assert told == [second]


def test_missing_folders_are_told(qtbot, doctor, tmp_path):
    gone = str(tmp_path / "gone")
    told = []
    doctor.missing.connect(told.append)
    doctor.look_for([str(tmp_path), gone, "\0", os.devnull])
    qtbot.waitUntil(lambda: len(told) == 3, timeout=20_000)
    assert told == [gone, "\0", os.devnull]
