"""`qwen-desktop get` from the command line, with the demo checkpoint in a hub on loopback."""

from __future__ import annotations

import _thread
import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qwen_desktop import cli, getting
from qwen_desktop.chat.hub import Hub
from qwen_desktop.get_options import HUBS
from qwen_desktop.paths import demo_checkpoint
from tests.hub.contents import Repo
from tests.hub.fakehub import FakeHub

NAME = "Qwen/Demo"
WEIGHTS = "model.safetensors"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repo(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """The demo checkpoint on both hubs, as the environment names them."""
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.endpoint)
    content = {
        path.relative_to(demo_checkpoint()).as_posix(): path.read_bytes()
        for path in sorted(demo_checkpoint().rglob("*"))
        if path.is_file()
    }
    return hub.add(NAME, {**content, "modeling.py": b"print()", "a/picture.png": b"P"})


def assert_same(folder: Path, repo: Repo) -> None:
    for path in ("config.json", "tokenizer.json", WEIGHTS):
        assert (folder / path).read_bytes() == repo.files[path].content, path


def events(printed: str) -> list[dict]:
    return [json.loads(line) for line in printed.splitlines()]


def test_the_options_name_the_hubs_there_are():
    assert tuple(hub.value for hub in Hub) == HUBS


@pytest.mark.parametrize("name", HUBS)
def test_a_checkpoint_is_fetched_and_looked_at(repo, name, tmp_path, capsys):
    assert cli.main(["get", NAME, "--from", name, "--to", str(tmp_path / "x")]) == 0
    assert_same(tmp_path / "x", repo)
    assert not (tmp_path / "x" / "modeling.py").exists()
    said = capsys.readouterr()
    assert "It opens." in said.out
    assert f"qwen-desktop open {tmp_path / 'x'}" in said.err
    assert f"{NAME} from {Hub(name).label}" in said.err
    assert "100 % " in said.err
    assert "\r" not in said.err


def test_without_a_folder_it_goes_among_the_models_of_the_profile(repo, tmp_path, capsys):
    assert cli.main(["get", NAME, "--profile", str(tmp_path)]) == 0
    assert_same(tmp_path / "models" / "Qwen" / "Demo", repo)


def test_the_settings_of_the_window_hold(repo, hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    settings = {
        "hub": "modelscope",
        "modelscope_address": hub.endpoint,
        "models_folder": str(tmp_path / "shelf"),
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    assert cli.main(["get", NAME, "--profile", str(tmp_path)]) == 0
    assert_same(tmp_path / "shelf" / "Qwen" / "Demo", repo)
    assert Hub.MODELSCOPE.label in capsys.readouterr().err
    # What the command line says goes before them.
    assert cli.main(["get", NAME, "--from", "huggingface", "--profile", str(tmp_path)]) == 1


def test_the_proxy_of_the_settings_is_used(repo, tmp_path, capsys):
    (tmp_path / "settings.json").write_text('{"proxy": "socks9://127.0.0.1:9"}', encoding="utf-8")
    assert cli.main(["get", NAME, "--profile", str(tmp_path)]) == 1
    assert "proxy" in capsys.readouterr().err


def test_an_address_of_a_page_names_the_mirror(repo, hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    address = f"{hub.endpoint}/{NAME}/tree/main"
    assert cli.main(["get", address, "--to", str(tmp_path)]) == 0
    assert_same(tmp_path, repo)


def test_an_endpoint_and_a_revision_may_be_named(repo, hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    old = repo.refs["main"]
    repo.commit({"README.md": b"moved"})
    where = ["--endpoint", hub.endpoint, "--revision", old, "--to", str(tmp_path)]
    assert cli.main(["get", NAME, *where]) == 0
    assert (tmp_path / WEIGHTS).read_bytes() == repo.commits[old][WEIGHTS].content


def test_all_files_are_all(repo, tmp_path, capsys):
    assert cli.main(["get", NAME, "--to", str(tmp_path), "--all-files", "--json"]) == 0
    for path, file in repo.files.items():
        assert (tmp_path / path).read_bytes() == file.content
    assert events(capsys.readouterr().out)[0]["left_out"] == []


def test_a_half_made_clone_gets_what_it_lacks(repo, hub, tmp_path, capsys):
    for path, file in repo.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(file.pointer if file.lfs else file.content)
    assert cli.main(["get", NAME, "--to", str(tmp_path)]) == 0
    assert_same(tmp_path, repo)
    assert hub.sent("config.json") == 0
    assert "here already" in capsys.readouterr().err


def test_lines_for_programs(repo, tmp_path, capsys):
    assert cli.main(["get", NAME, "--to", str(tmp_path), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    told = events(said.out)
    assert told[0]["event"] == "listing"
    listing, last = told[0], told[-1]
    assert (listing["repository"], listing["commit"]) == (NAME, repo.refs["main"])
    assert listing["missing"] == listing["total"] == sum(f["size"] for f in listing["files"])
    assert {one["path"]: one["reason"] for one in listing["left_out"]}["modeling.py"] == "code"
    whole = [one["path"] for one in told if one["event"] == "file"]
    assert sorted(whole) == sorted(one["path"] for one in listing["files"])
    assert (last["event"], last["opens"], last["folder"]) == ("done", True, str(tmp_path))
    assert cli.main(["get", NAME, "--to", str(tmp_path), "--json"]) == 0
    again = events(capsys.readouterr().out)
    assert again[0]["missing"] == 0
    assert "file" not in {one["event"] for one in again}


@pytest.mark.parametrize("as_json", [False, True])
def test_interrupted_it_pauses_and_the_same_command_goes_on(repo, hub, as_json, tmp_path, capsys):
    half = repo.files[WEIGHTS].size // 2
    fault = hub.misbehave("hold", at=half, file=WEIGHTS)
    command = ["get", NAME, "--to", str(tmp_path), *(["--json"] if as_json else [])]

    def interrupt() -> None:
        assert fault.reached.wait(60)
        _thread.interrupt_main()

    before = signal.getsignal(signal.SIGINT)
    presser = threading.Thread(target=interrupt)
    presser.start()
    assert cli.main(command) == 130
    presser.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert not fault.go.is_set()
    said = capsys.readouterr()
    if as_json:
        assert events(said.out)[-1]["event"] == "paused"
    else:
        assert "The same command goes on from there." in said.err
    hub.heal()
    hub.wait_for(lambda: all(one.is_over for one in hub.log))
    sent = hub.sent(WEIGHTS)
    assert cli.main(command) == 0
    assert_same(tmp_path, repo)
    # What was on its way to the one that was interrupted comes again.
    assert hub.sent(WEIGHTS) - sent < repo.files[WEIGHTS].size


def test_on_a_terminal_there_is_a_bar(repo, tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setattr(sys, "stderr", terminal)
    assert cli.main(["get", NAME, "--to", str(tmp_path)]) == 0
    drawn = [line for line in terminal.getvalue().replace("\n", "\r").split("\r") if "[" in line]
    assert drawn
    assert "100 % [########################]" in drawn[-1]
    assert max(map(len, drawn)) < 70


def test_what_is_tried_again_is_said(repo, hub, tmp_path, capsys):
    hub.misbehave("status", status=503, headers={"Retry-After": "0.6"}, file=WEIGHTS)
    assert cli.main(["get", NAME, "--to", str(tmp_path)]) == 0
    assert "(status 503)" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [False, True])
def test_trouble_is_said_and_ends_with_status_1(repo, hub, as_json, tmp_path, capsys):
    hub.misbehave("status", on="resolve", status=403, file=WEIGHTS, times=0)
    more = ["--json"] if as_json else []
    assert cli.main(["get", NAME, "--to", str(tmp_path), *more]) == 1
    said = capsys.readouterr()
    if as_json:
        last = events(said.out)[-1]
        assert (last["event"], last["code"]) == ("error", "hub-forbidden")
        assert "licence" in last["remedy"]
    else:
        assert "refuses access" in said.err
        assert "Traceback" not in said.err


def test_a_folder_that_does_not_open_ends_with_status_1(repo, hub, tmp_path, capsys):
    files = {path: file.content for path, file in repo.files.items()}
    hub.add(NAME, {**files, WEIGHTS: files[WEIGHTS][:-5000]})
    assert cli.main(["get", NAME, "--to", str(tmp_path)]) == 1
    assert "It does not open." in capsys.readouterr().out


def test_a_name_that_names_nothing_is_told(tmp_path, capsys):
    assert cli.main(["get", "qwen", "--to", str(tmp_path)]) == 1
    assert "does not name a repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--limit", "0"], ["--limit", "x"], ["--connections", "99"], ["--from", "mars"]]
)
def test_wrong_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["get", NAME, *wrong])
    assert caught.value.code == 2


def test_it_needs_neither_qt_nor_torch(repo, tmp_path):
    program = (
        "import sys; from qwen_desktop import cli; status = cli.main(sys.argv[1:]);"
        "print(sorted({'PySide6', 'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)));"
        "sys.exit(status)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "get", NAME, "--to", str(tmp_path), "--limit", "500"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "[]"
    assert_same(tmp_path, repo)


def test_numbers_for_people():
    assert getting.duration(47.4) == "0:47"
    assert getting.duration(3723) == "1:02:03"
    assert getting.size(988_097_824) == "942.3 MiB"
