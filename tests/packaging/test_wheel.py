"""The source distribution, and the wheel that is made from it alone."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile

import pytest

import contents
import package

ROOT = contents.ROOT


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The names in the source distribution, and the wheel, unpacked."""
    out = tmp_path_factory.mktemp("wheel")
    package.build_with(ROOT, "build_sdist", out)
    name = f"qwen_desktop-{contents.version()}"
    with tarfile.open(out / f"{name}.tar.gz") as tar:
        names = {path.partition("/")[2] for path in tar.getnames()}
        tar.extractall(out / "source")
    package.build_with(out / "source" / name, "build_wheel", out)
    with zipfile.ZipFile(out / f"{name}-py3-none-any.whl") as wheel:
        wheel.extractall(out / "site")
    return names, out / "site"


def test_the_source_has_all_that_builds_and_tests_need(built):
    names, _ = built
    for wanted in (
        "pyproject.toml",
        "dev.py",
        "constraints.txt",
        "build_installer.spec",
        "resources/demo-checkpoint/model.safetensors",
        "resources/demo-guide/wording.md",
        "resources/packaging/wheel.py",
        "qwen_desktop/demo/train.py",
        "tests/packaging/test_wheel.py",
        "docs/architecture.md",
    ):
        assert wanted in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("build/")]


def test_the_wheel_is_complete_by_itself(built, tmp_path):
    _, site = built
    read = "from qwen_desktop import paths; print(paths.resources_dir())"
    code = f"import sys; sys.path.insert(0, {str(site)!r}); {read}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(site / "qwen_desktop" / "resources")
    wanted = {file.relative_to(ROOT) for file in contents.shipped_files(ROOT / "resources")}
    found = {
        file.relative_to(site / "qwen_desktop")
        for file in (site / "qwen_desktop" / "resources").rglob("*")
        if file.is_file()
    }
    assert found == wanted
    assert (site / "qwen_desktop" / "hub" / "catalogue.json").is_file()
    assert (site / "qwen_desktop" / "serve" / "page.html").is_file()


def test_the_wheel_has_the_program_alone(built):
    _, site = built
    folders = {path.name for path in site.iterdir()}
    (info,) = (path for path in site.iterdir() if path.suffix == ".dist-info")
    assert folders == {"qwen_desktop", info.name}
    assert not (site / "qwen_desktop" / "demo").exists()
    entries = (info / "entry_points.txt").read_text("utf-8")
    assert "qwen-desktop = qwen_desktop.__main__:main" in entries
    assert f"Version: {contents.version()}" in (info / "METADATA").read_text("utf-8")
    assert (info / "licenses" / "LICENSE").is_file()
