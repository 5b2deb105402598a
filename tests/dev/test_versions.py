"""The promises of constraints.txt, pyproject.toml and the decision records agree."""

from __future__ import annotations

import gc
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import dev

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = [f"3.{minor}" for minor in range(10, 15)]


def constraints() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def pinned(name: str, python: str) -> str:
    """The version of `name` for a version of Python; "" without one."""
    for one in constraints():
        applies = one.marker is None or one.marker.evaluate({"python_version": python})
        if canonicalize_name(one.name) == canonicalize_name(name) and applies:
            return next(iter(one.specifier)).version
    return ""


def asked_for() -> list[Requirement]:
    """The dependencies of pyproject.toml; read by hand, tomllib is not in Python 3.10."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    blocks = re.findall(r"^(?:dependencies|dev) = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    return [Requirement(one) for block in blocks for one in re.findall(r'^  "(.*)",', block, re.M)]


def test_qt_does_not_corrupt_references_on_this_python() -> None:
    installed = Version(metadata.version("PySide6-Essentials"))
    assert sys.version_info >= (3, 12) or installed.release[:2] != (6, 12), (
        f"PySide6 {installed} loses references of None on Python before 3.12: "
        "install 6.11 (docs/adr/0003-versions.md)"
    )
    assert metadata.version("shiboken6") == str(installed)


def test_calls_into_qt_keep_the_reference_count_of_none(qapp: object) -> None:
    from PySide6.QtCore import QObject

    probe = QObject()
    calls = 10_000
    gc.collect()
    gc.disable()  # what other tests left behind holds None too
    try:
        before = sys.getrefcount(None)
        for _ in range(calls):
            probe.setObjectName("name")
        after = sys.getrefcount(None)
    finally:
        gc.enable()
    assert after > before - calls // 2


@pytest.mark.parametrize("python", PYTHONS)
def test_torch_and_qt_are_pinned(python: str) -> None:
    assert pinned("torch", python) == "2.13.0"
    assert re.fullmatch(r"6\.11\.\d+", pinned("PySide6-Essentials", python))
    assert pinned("shiboken6", python) == pinned("PySide6-Essentials", python)


def test_every_constraint_is_one_exact_version() -> None:
    for one in constraints():
        assert [part.operator for part in one.specifier] == ["=="], str(one)
        assert "*" not in str(one.specifier), str(one)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_has_an_exact_version_in_its_range(python: str) -> None:
    for one in asked_for():
        if one.marker is None or one.marker.evaluate({"python_version": python}):
            version = pinned(one.name, python)
            assert version, f"{one.name} has no line in constraints.txt for Python {python}"
            assert one.specifier.contains(version), f"{one.name}: {version} is not in its range"


def test_every_dependency_has_a_reason() -> None:
    record = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text("utf-8")
    rows = re.findall(r"^\| ([\w, -]+) \| [\w.-]+ \| \w", record, re.MULTILINE)
    explained = {canonicalize_name(name) for row in rows for name in row.split(", ")}
    assert {canonicalize_name(one.name) for one in asked_for()} <= explained


def test_what_is_installed_is_what_is_pinned() -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for one in asked_for():
        found = Version(metadata.version(one.name)).public
        assert found == pinned(one.name, here), f"{one.name} {found} is installed"


@pytest.mark.parametrize("name", dev.FILES_ONLY)
def test_packages_for_their_files_are_pinned_and_explained(name: str) -> None:
    """Their pins stand in constraints.txt, which an environment's stamp follows."""
    assert {pinned(name, python) for python in PYTHONS} == {metadata.version(name)}
    record = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text("utf-8")
    assert re.search(rf"^\| {name} \|", record, re.MULTILINE)


def test_nothing_is_installed_that_lets_a_checkpoint_fetch_code() -> None:
    names = {canonicalize_name(str(one.metadata["Name"])) for one in metadata.distributions()}
    assert not names & {"kernels", "peft"}
