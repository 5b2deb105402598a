"""dev.py: what it decides, and what it does in a folder of its own. Nothing is installed here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dev

ROOT = Path(dev.__file__).parent
NOW = {"base": "here", "packages": "these"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with a difficult name, and a dev.py that believes it lives there."""
    root = tmp_path / "Qwen Desktop 测试"
    root.mkdir()
    for name in ("dev.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    venv = root / ".venv"
    (venv / dev.PYTHON.relative_to(dev.VENV).parent).mkdir(parents=True)
    monkeypatch.setattr(dev, "ROOT", root)
    monkeypatch.setattr(dev, "VENV", venv)
    for name in ("LOG", "STAMP", "BUSY", "PYTHON"):
        monkeypatch.setattr(dev, name, venv / getattr(dev, name).relative_to(ROOT / ".venv"))
    return root


def give_python(project: Path) -> None:
    """Put a file where the environment's Python is looked for."""
    dev.PYTHON.touch()


def start(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the copied dev.py as a person would."""
    return subprocess.run(
        [sys.executable, str(project / "dev.py"), *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        timeout=120,
        check=False,
    )


# --- The stamp -----------------------------------------------------------------------------------


def test_a_finished_environment_is_ready(project: Path) -> None:
    give_python(project)
    dev.write_stamp({**NOW, "features": ["dev", "qt"]})
    stamp = dev.read_stamp()
    assert dev.is_ready(stamp, NOW, {"qt"})
    assert not dev.is_ready(stamp, NOW, {"qt", "fonts"})
    assert not dev.is_ready(stamp, {**NOW, "packages": "others"}, {"qt"})
    assert not dev.is_ready(stamp, {**NOW, "base": "elsewhere"}, {"qt"})


def test_preparing_a_finished_environment_does_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_python(project)
    dev.write_stamp({**dev.fingerprint(), "features": ["dev", "fonts", "qt", "window"]})
    monkeypatch.setattr(dev, "call", lambda *_: pytest.fail("something was run"))
    dev.prepare("dev", "qt", "window", "fonts")
    assert not (dev.VENV / "lock").exists()  # not even the lock was needed


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "null", "\x00"])
def test_a_damaged_stamp_counts_as_none(project: Path, content: str) -> None:
    give_python(project)
    dev.STAMP.write_text(content, "utf-8")
    assert dev.read_stamp() == {}


def test_an_interrupted_installation_is_not_believed(project: Path) -> None:
    give_python(project)
    dev.write_stamp({**NOW, "features": []})
    dev.BUSY.touch()
    assert dev.read_stamp() == {}
    assert dev.must_remake(dev.read_stamp(), NOW)


def test_an_environment_without_its_python_is_not_believed(project: Path) -> None:
    dev.write_stamp({**NOW, "features": []})
    assert dev.read_stamp() == {}
    assert dev.must_remake({}, NOW)


def test_new_packages_are_added_to_the_environment_that_is_there(project: Path) -> None:
    give_python(project)
    dev.write_stamp({**NOW, "features": []})
    assert not dev.must_remake(dev.read_stamp(), {**NOW, "packages": "others"})
    assert dev.must_remake(dev.read_stamp(), {**NOW, "base": "another Python"})


def test_the_fingerprint_follows_the_two_files(project: Path) -> None:
    first = dev.fingerprint()
    assert dev.fingerprint() == first
    with (project / "constraints.txt").open("a") as file:
        file.write("another==1\n")
    assert dev.fingerprint()["packages"] != first["packages"]
    assert dev.fingerprint()["base"] == first["base"]
    assert str(project) in first["base"]  # an environment does not survive being moved


@pytest.mark.parametrize("features", [{"dev"}, set()])
def test_files_for_the_tests_come_without_what_they_ask_for(
    project: Path, monkeypatch: pytest.MonkeyPatch, features: set[str]
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(dev, "call", lambda command, *_, **__: commands.append(command) or 0)
    monkeypatch.setattr(dev, "output_of", lambda _: "")
    dev.install(dev="dev" in features)
    named = [command for command in commands if "dashscope" in command]
    assert len(named) == len(features)
    for command in named:
        assert "--no-deps" in command
        assert command[command.index("-c") + 1] == str(project / "constraints.txt")


def test_source_packages_are_fetched_but_not_installed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(dev, "call", lambda command, *_, **__: commands.append(command) or 0)
    monkeypatch.setattr(dev, "output_of", lambda _: "")
    dev.install(dev=True)
    (fetch,) = (command for command in commands if "download" in command)
    assert "install" not in fetch
    assert fetch[-len(dev.SOURCES) :] == list(dev.SOURCES)
    assert fetch[fetch.index("--no-binary") + 1] == ",".join(dev.SOURCES)
    assert fetch[fetch.index("-d") + 1] == str(dev.VENV / "sources")
    assert fetch[fetch.index("-c") + 1] == str(project / "constraints.txt")


def test_removing_keeps_the_lock_and_says_unfinished_from_the_start(project: Path) -> None:
    give_python(project)
    dev.write_stamp({**NOW, "features": []})
    with dev.locked():
        dev.remove_environment()
        assert sorted(path.name for path in dev.VENV.iterdir()) == ["installing", "lock"]


def test_one_start_prepares_at_a_time(project: Path) -> None:
    other = dev.locked()
    other.file = (dev.VENV / "lock").open("a+b")
    with dev.locked():
        assert not other.taken()
    assert other.taken()
    other.file.close()


# --- torch ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("driver", "platform", "build"),
    [
        (None, "linux", "cpu"),
        (None, "win32", ""),
        ((580, 9.0), "linux", ""),
        ((580, 7.5), "win32", "cu130"),
        ((591, 12.0), "win32", "cu130"),
        ((566, 8.9), "win32", "cu126"),
        ((580, 6.1), "linux", "cu126"),
    ],
)
def test_the_build_of_torch_fits_the_card(
    driver: tuple[int, float] | None, platform: str, build: str
) -> None:
    assert dev.torch_build(driver, platform) == build


@pytest.mark.parametrize(
    ("said", "driver"),
    [
        ("580.65.06, 9.0\n", (580, 9.0)),
        ("566.36, 6.1\r\n566.36, 8.9\r\n", (566, 8.9)),
        ("580.65.06, [N/A]\n", None),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", None),
        ("", None),
    ],
)
def test_what_nvidia_smi_says_is_read(said: str, driver: tuple[int, float] | None) -> None:
    assert dev.parse_driver(said) == driver


def test_the_pinned_torch_is_the_one_that_is_installed() -> None:
    assert f"torch=={dev.TORCH}\n" in (ROOT / "constraints.txt").read_text("utf-8")


def test_an_older_cuda_brings_its_own_libraries(project: Path) -> None:
    full = dev.constraints_for("").read_text("utf-8")
    older = dev.constraints_for("cu126").read_text("utf-8")
    assert "\ncuda-bindings==" in full
    assert "cuda-bindings" not in older
    assert f"torch=={dev.TORCH}" in older
    assert dev.constraints_for("cu130") == dev.constraints_for("cpu") == project / "constraints.txt"


# --- System packages -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="Debian packages")
def test_a_missing_library_is_told_by_its_package() -> None:
    found = dev.missing("libc6=libc.so.6 libnothing1=libnothing-of-this-name.so.1")
    assert found == ["libnothing1"]


def test_without_root_the_line_to_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "can_install", lambda: False)
    with pytest.raises(dev.Stop, match="sudo apt-get install libegl1 libgl1"):
        dev.install_packages(["libegl1", "libgl1"], "Qt")
    dev.install_packages([], "Qt")


def test_without_a_screen_of_their_own_and_without_root_black_box_tests_are_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev, "can_install", lambda: False)
    monkeypatch.setattr(dev, "HELPERS", ())
    monkeypatch.setenv("PATH", "")
    dev.need_desk()
    said = capsys.readouterr().out
    assert "skipped" in said
    assert all(package in said for package in dev.DESK)
    dev.need_browser()
    assert "chromium chromium-driver" in capsys.readouterr().out


# --- Running -------------------------------------------------------------------------------------


def test_a_failed_command_is_told_with_the_end_of_its_output(project: Path) -> None:
    script = "import sys; print('line one'); print('the reason 原因'); sys.exit(3)"
    with pytest.raises(dev.Stop) as stop:
        dev.call([sys.executable, "-X", "utf8", "-c", script], "trying")
    assert "the reason 原因" in str(stop.value)
    assert "trying (status 3)" in str(stop.value)
    assert str(dev.LOG) in str(stop.value)


def test_pip_settings_that_reach_past_the_environment_are_dropped(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_TIMEOUT", "5")
    script = "import os; print(sorted(n for n in os.environ if n.startswith('PIP_')))"
    dev.call([sys.executable, "-c", script], "trying")
    assert "PIP_USER" not in dev.log_tail(1)
    assert "PIP_TIMEOUT" in dev.log_tail(1)


@pytest.mark.skipif(sys.platform != "linux", reason="X11 and Wayland")
def test_a_display_is_x11_wayland_or_a_platform_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert not dev.has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert dev.has_display()


def test_no_command_prints_the_help_and_fails(project: Path) -> None:
    done = start(project)
    assert done.returncode == 2
    assert "dev.py run" in done.stdout
    assert start(project, "--help").returncode == 0


def test_an_unknown_command_is_answered_with_the_ones_there_are(project: Path) -> None:
    done = start(project, "biuld")
    assert done.returncode == 1
    assert "'biuld'" in done.stderr
    assert "check" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_command_is_in_the_help() -> None:
    for name in dev.COMMANDS:
        assert f"dev.py {name}" in (dev.__doc__ or "")


def test_bench_without_a_name_lists_them_and_refuses_others(project: Path) -> None:
    shutil.copytree(ROOT / "tests" / "bench", project / "tests" / "bench")
    done = start(project, "bench")
    assert done.returncode == 0
    assert "startup" in done.stdout
    assert "stalls" in done.stdout
    assert start(project, "bench", "nonsense").returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands for the Python there")
def test_run_hands_its_arguments_and_folder_to_the_application(
    project: Path, tmp_path: Path
) -> None:
    script = project / "python.py"
    script.write_text(
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get('QT_QPA_PLATFORM')]))\n",
        "utf-8",
    )
    # Through a shell: a `#!` line can't hold the spaces that a path may have.
    dev.PYTHON.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', "utf-8")
    dev.PYTHON.chmod(0o755)
    dev.write_stamp({**dev.fingerprint(), "features": ["qt", "window"]})
    bare = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "QT_QPA_PLATFORM": ""}

    def said(*arguments: str, **environment: str) -> list[object]:
        done = start(project, "run", *arguments, **{**bare, **environment})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    here = str(Path.cwd())
    app = ["-m", "qwen_desktop"]
    assert said(DISPLAY=":0") == [app, here, ""]
    assert said("--checkpoint", "some dir", DISPLAY=":0")[0] == [*app, "--checkpoint", "some dir"]
    assert said() == [[*app, "--headless"], here, "offscreen"]
    assert said("--ask", "why?") == [[*app, "--ask", "why?"], here, "offscreen"]
    assert said("--version")[0] == [*app, "--version"]
    assert said("--ask=why?")[0] == [*app, "--ask=why?"]
