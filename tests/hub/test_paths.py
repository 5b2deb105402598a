"""Paths of a repository: which may become files."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.errors import Known
from qwen_desktop.hub import safe_paths

GOOD = [
    "config.json", "a/b/model.safetensors", ".gitattributes", "名前.txt", "console.txt", "a b.txt",
    "model-00001-of-00002.safetensors", "comet.json", "con1.txt", "x" * 199, "aux_/a",
]  # fmt: skip
BAD = [
    "", "/etc/passwd", "../x", "a/../x", "a/..", "./x", "a//b", "a/", "..", ".", "a\\b", "C:/x",
    "c:x", "//server/share", "CON", "con.txt", "aux.json", "NUL", "com1", "LPT9.bin", "COM¹.txt",
    "a/prn/b", "nul .txt", "conin$", "x.", "x ", "x. ", "a./b", " x", "a\nb", "a\0b", "a\x7fb",
    "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "x" * 201, "/".join("abcdefghi"), "\ud800",
    "x.part", "x.part.ranges", ".qwen-desktop-source.json", ".QWEN-desktop.lock", ".git/config",
    ".Git",
]  # fmt: skip


@pytest.mark.parametrize("path", GOOD)
def test_plain_paths_may_be_files(path, tmp_path):
    assert safe_paths.is_safe(path)
    assert safe_paths.inside(tmp_path, path).is_relative_to(tmp_path)


@pytest.mark.parametrize("path", BAD)
def test_hostile_paths_are_refused(path, tmp_path):
    assert not safe_paths.is_safe(path)
    with pytest.raises(Known) as caught:
        safe_paths.inside(tmp_path, path)
    assert caught.value.code == "hub-path"
    assert str(caught.value).isprintable()


@given(st.text(alphabet=st.sampled_from("aA.:/\\ conulx1~$\0\n²"), max_size=20) | st.text())
def test_whatever_is_let_through_stays_below_the_folder_on_every_system(path):
    if not safe_paths.is_safe(path):
        return
    for kind, home in ((PurePosixPath, "/home/m"), (PureWindowsPath, "C:\\m")):
        joined = kind(home) / path
        assert joined.is_relative_to(kind(home))
        assert ".." not in joined.parts
        assert len(joined.parts) == len(kind(home).parts) + len(path.split("/"))


def test_a_link_that_leads_out_is_not_followed(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    try:
        (folder / "sub").symlink_to(outside, target_is_directory=True)
    except OSError:
        pytest.skip("links may not be made here")
    with pytest.raises(Known):
        safe_paths.inside(folder, "sub/config.json")


def test_of_paths_that_windows_takes_for_one_only_the_first_is_kept():
    paths = [
        "Config.json",
        "config.JSON",
        "a/x",
        "A/y",
        "a/z",
        "a",
        "b",
        "b/x",
        "straße",
        "STRASSE",
    ]
    good, bad = safe_paths.split(paths)
    assert good == {"Config.json", "a/x", "a/z", "b", "straße"}
    assert bad == ("config.JSON", "A/y", "a", "b/x", "STRASSE")
