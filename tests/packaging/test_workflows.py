"""The workflows: they parse, name what exists, and do nothing that can't be done by hand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

import dev
import package
import release

FOLDER = Path(dev.ROOT, ".github", "workflows")
WORKFLOWS = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in FOLDER.glob("*.yml")}
ON = True  # YAML takes "on" for a truth

# What is not dev.py: programs that the runners lack, and the place where releases are kept.
OTHERS = (
    "sudo apt-get update && sudo apt-get install -y ",
    "choco install innosetup ",
    "gh release create ",
)


def jobs():
    return [
        pytest.param(job, id=f"{name}:{key}")
        for name, workflow in WORKFLOWS.items()
        for key, job in workflow["jobs"].items()
    ]


def steps():
    return [
        pytest.param(step, id=f"{name}:{key}:{at}")
        for name, workflow in WORKFLOWS.items()
        for key, job in workflow["jobs"].items()
        for at, step in enumerate(job.get("steps", ()))
    ]


def test_there_are_checks_packages_and_releases():
    assert set(WORKFLOWS) == {"ci.yml", "package.yml", "release.yml"}
    assert set(WORKFLOWS["ci.yml"][ON]) == {"push", "pull_request", "workflow_call"}
    assert WORKFLOWS["release.yml"][ON] == {"push": {"tags": ["v*"]}}


@pytest.mark.parametrize("step", steps())
def test_actions_are_of_one_version(step):
    used = step.get("uses")
    assert (used is None) != (step.get("run") is None)
    if used is not None:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", used)


@pytest.mark.parametrize("step", [one for one in steps() if "run" in one.values[0]])
def test_each_command_can_be_typed(step):
    command = step["run"]
    if command.startswith(OTHERS):
        return
    words = shlex.split(command)
    assert words[0] in ("python", "python3")
    assert words[1] == "dev.py"
    assert words[2] in dev.COMMANDS
    if words[2] == "package":
        assert set(words[3:]) <= {*package.KINDS, "setup", "--smoke"}  # "setup" is for Windows


@pytest.mark.parametrize("job", jobs())
def test_jobs_end_and_call_what_is_there(job):
    if (called := job.get("uses")) is not None:
        assert called.removeprefix("./.github/workflows/") in WORKFLOWS
        assert "workflow_call" in WORKFLOWS[Path(called).name][ON]
    else:
        assert job["timeout-minutes"] <= 120
        systems = job.get("strategy", {}).get("matrix", {}).get("os", [job["runs-on"]])
        assert not any("latest" in system for system in systems)


def test_all_pythons_are_tried_on_both_systems():
    matrix = WORKFLOWS["ci.yml"]["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "windows"}
    oldest, newest = (f"{major}.{minor}" for major, minor in (dev.OLDEST, dev.NEWEST))
    assert oldest == matrix["python"][0]
    assert float(newest.partition(".")[2]) >= float(matrix["python"][-1].partition(".")[2])


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_only_a_release_may_write(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    writers = [key for key, job in workflow["jobs"].items() if "permissions" in job]
    assert writers == (["draft"] if "draft" in workflow["jobs"] else [])
    assert "secrets." not in str(workflow)


def test_a_release_is_tested_packed_and_summed_before_it_is_drafted():
    found = WORKFLOWS["release.yml"]["jobs"]
    assert found["draft"]["needs"] == "test"
    assert found["test"]["needs"] == "version"
    assert found["test"]["uses"].endswith("/ci.yml")
    assert WORKFLOWS["ci.yml"]["jobs"]["package"]["uses"].endswith("/package.yml")
    uploaded = {
        line
        for job in WORKFLOWS["package.yml"]["jobs"].values()
        for line in job["steps"][-1]["with"]["path"].split()
    }
    assert uploaded >= {"dist/*.deb", "dist/*.whl", "dist/*-setup*", "dist/SHA256SUMS"}
    create = found["draft"]["steps"][-1]["run"]
    assert "--draft" in create
    assert "release/SHA256SUMS" in create


# -- what release.yml calls ------------------------------------------------------------------------


CHANGES = "# Changelog\n\n## Unreleased\n\n## 1.2.3 (2027-01-01)\n\n- New.\n\n## 1.2.2\n\n- Old.\n"


def test_the_notes_are_those_of_the_version():
    assert release.checked("v1.2.3", "1.2.3", CHANGES) == "- New.\n"
    assert release.checked("v1.2.2", "1.2.2", CHANGES) == "- Old.\n"


@pytest.mark.parametrize(
    ("tag", "version", "why"),
    [("v1.2.4", "1.2.3", "The tag is v1.2.4"), ("v1.2", "1.2", "says nothing of 1.2")],
)
def test_a_tag_of_another_version_is_no_release(tag, version, why):
    with pytest.raises(SystemExit, match=re.escape(why)):
        release.checked(tag, version, CHANGES)


@pytest.fixture
def built(tmp_path):
    for system, name in (("linux", "qwen-desktop.deb"), ("windows", "setup.exe")):
        folder = tmp_path / "packages" / system
        folder.mkdir(parents=True)
        (folder / name).write_bytes(system.encode())
        digest = release.digest(folder / name)
        (folder / "SHA256SUMS").write_text(f"{digest}  {name}\n", "ascii")
    return tmp_path / "packages"


def test_packages_of_all_systems_come_together(built, tmp_path):
    out = tmp_path / "out"
    files = release.gather(built, out)
    assert [file.name for file in files] == ["qwen-desktop.deb", "setup.exe", "SHA256SUMS"]
    for line in (out / "SHA256SUMS").read_text("ascii").splitlines():
        digest, _, name = line.partition("  ")
        assert release.digest(out / name) == digest


def test_a_package_that_changed_on_the_way_is_not_released(built, tmp_path):
    (built / "windows" / "setup.exe").write_bytes(b"something else")
    with pytest.raises(SystemExit, match=r"setup\.exe is not what it was"):
        release.gather(built, tmp_path / "out")


def test_two_files_of_one_name_and_none_at_all_are_refused(built, tmp_path):
    other = built / "other"
    other.mkdir()
    for name in ("setup.exe", "SHA256SUMS"):
        (other / name).write_bytes((built / "windows" / name).read_bytes())
    with pytest.raises(SystemExit, match=r"two files called setup\.exe"):
        release.gather(built, tmp_path / "out")
    with pytest.raises(SystemExit, match="no packages"):
        release.gather(tmp_path / "nothing", tmp_path / "out")
