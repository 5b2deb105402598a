"""The licences of the parts: collected from real metadata, bundled and read back."""

import re
import sys
from importlib import metadata

import pytest

from qwen_desktop import licences
from qwen_desktop.licences import Component, Text


@pytest.fixture(scope="module")
def components():
    return {component.name: component for component in licences.collect()}


def test_everything_that_is_asked_for_is_there_and_nothing_for_development(components):
    asked = metadata.requires("qwen-desktop") or []
    plain = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in asked if ";" not in line]
    names = {re.sub(r"[-_.]+", "-", name).lower() for name in components}
    assert len(plain) > 20
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in plain} <= names
    assert {"llvmlite", "shiboken6", "python"} <= names  # brought along
    assert not {"pytest", "hypothesis", "ruff", "qwen-desktop", "mypy"} & names


def test_each_has_a_version_a_licence_and_its_text(components):
    for component in components.values():
        assert component.version, component.name
        assert component.licence, component.name
        assert any(len(text.text) > 300 for text in component.texts), component.name


def test_who_publishes_no_text_has_the_usual_one(components):
    qt = {text.name: text.text for text in components["PySide6_Essentials"].texts}
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in qt["LGPL-3.0.txt"]
    assert "GNU GENERAL PUBLIC LICENSE" in qt["GPL-3.0.txt"]  # the former refers to it
    (mit,) = components["latex2mathml"].texts
    assert "Copyright (c) " in mit.text
    assert "{holder}" not in mit.text
    assert components["Python"].version == ".".join(map(str, sys.version_info[:3]))


def test_what_a_build_wrote_is_read_back_and_goes_before_the_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(licences, "bundled_file", lambda: tmp_path / "licences" / "x.json")
    more = Component("libfoo", "1", "Zlib", "", (Text("copyright", "the words"),))
    written = licences.write(licences.bundled_file(), ["pypdf", "rich", "no-such-package"], [more])
    assert [c.name for c in written] == ["libfoo", "pypdf", "Python", "rich"]
    assert licences.read() == written
    assert ("libfoo", "1") in licences.versions()


def test_texts_that_many_bring_are_kept_once(tmp_path):
    same = tuple(Component(f"p{n}", "1", "X", "", (Text("L", "long " * 999),)) for n in range(9))
    licences.write(tmp_path / "x.json", [], same)
    assert (tmp_path / "x.json").stat().st_size < 2 * len("long " * 999) + 30_000


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 2, "texts": [], "components": []}']
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises((ValueError, KeyError, TypeError)):
        licences.load(tmp_path / "x.json")


def test_an_extra_that_is_asked_for_is_followed(tmp_path, monkeypatch):
    for name, requires in (
        ("top", ["middle[more]", "absent; sys_platform == 'nosuch'"]),
        ("middle", ["usual", "extra-one; extra == 'more'", "other; extra == 'less'"]),
        ("usual", ["top"]),  # a circle
        ("extra-one", []),
        ("other", []),
        ("absent", []),
    ):
        folder = tmp_path / f"{name.replace('-', '_')}-1.dist-info"
        folder.mkdir()
        lines = [f"Requires-Dist: {one}" for one in requires]
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
        (folder / "METADATA").write_text(head + "\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(licences.needed("top")) == {"middle", "usual", "extra-one"}
