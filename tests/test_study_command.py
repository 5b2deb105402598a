"""`qwen-desktop study` from the command line, on a real tiny checkpoint."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_desktop import cli
from qwen_desktop.chat.study import Way
from qwen_desktop.storage import study_file
from tests.engine.checkpoints import PLAIN, make_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("study") / "tiny", "qwen2", template=PLAIN)


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return ["study", str(folder), "--out", str(out), "--lengths", "24,48", *more]


def test_it_writes_file_table_and_charts(folder, tmp_path, capsys, qapp):
    out, plot = tmp_path / "study.csv", tmp_path / "study.svg"
    assert cli.main(command(folder, out, "--plot", str(plot))) == 0
    study = study_file.read(out)
    assert study.is_complete
    assert study.agrees
    assert {point.way for point in study.points} == set(Way)
    said = capsys.readouterr()
    assert "Qwen Desktop" in said.out
    assert "All ways wrote the same answers." in said.out
    assert len(re.findall(r"^ +(?:24|48) ", said.out, re.MULTILINE)) == 6
    assert "6/6  eager, 48 tokens" in said.err
    assert plot.read_text().startswith("<?xml")


def test_a_picture_is_a_png(folder, tmp_path, capsys, qapp):
    out, plot = tmp_path / "study.csv", tmp_path / "study.png"
    assert cli.main(command(folder, out, "--ways", "app", "--plot", str(plot))) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_started_again_it_goes_on(folder, tmp_path, capsys):
    class Impatient(io.StringIO):
        """Somebody presses Ctrl+C when the third prompt begins."""

        def write(self, text: str) -> int:
            if text.startswith("3/4"):
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    out = tmp_path / "study.csv"
    wanted = command(folder, out, "--ways", "reread,app")
    before = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", Impatient())
        assert cli.main(wanted) == 130
    assert signal.getsignal(signal.SIGINT) is before
    part = study_file.read(out)
    assert [point.way for point in part.points] == [Way.APP, Way.APP]
    out.write_bytes(out.read_bytes() + b"app,96,2")  # as a crash would leave it
    assert cli.main(wanted) == 0
    whole = study_file.read(out)
    assert whole.is_complete
    assert whole.points[:2] == part.points
    assert cli.main(wanted) == 0  # nothing is left to do
    assert study_file.read(out) == whole


def test_a_file_of_something_else_is_refused_and_stays(folder, tmp_path, capsys):
    out = tmp_path / "study.csv"
    assert cli.main(command(folder, out, "--ways", "app")) == 0
    before = out.read_bytes()
    other = make_checkpoint(tmp_path / "other", "qwen2", template=PLAIN, seed=7)
    assert cli.main(command(other, out, "--ways", "app")) == 1
    assert "fingerprint" in capsys.readouterr().err
    assert cli.main([*command(folder, out, "--ways", "app")[:-2], "--ways", "eager"]) == 1
    out_of_place = tmp_path / "notes.csv"
    out_of_place.write_text("mine\n")
    assert cli.main(command(folder, out_of_place, "--ways", "app")) == 1
    assert out_of_place.read_text() == "mine\n"
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    "more", [["--lengths", "1"], ["--lengths", "x"], ["--ways", "none"], ["--plot", "a.jpg"]]
)
def test_what_cannot_be_measured_is_said_at_once(folder, tmp_path, capsys, more):
    with pytest.raises(SystemExit) as left:
        cli.main([*command(folder, tmp_path / "s.csv"), *more])
    assert left.value.code == 2


def test_a_folder_that_is_none(tmp_path, capsys):
    assert cli.main(command(tmp_path, tmp_path / "s.csv")) == 1
    assert capsys.readouterr().err.count("\n") >= 1
    assert not (tmp_path / "s.csv").exists()


def test_without_a_picture_there_is_no_qt(folder, tmp_path):
    program = (
        "import sys; from qwen_desktop import cli; status = cli.main(sys.argv[1:]);"
        "assert not any(name.startswith(('PySide6', 'shiboken6')) for name in sys.modules);"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command(folder, tmp_path / "s.csv", "--ways", "app")],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "prompts of 24, 48 tokens" in done.stderr
