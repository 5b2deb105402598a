"""The .deb, the tarball and its scripts, made from a small program in place of the large one."""

from __future__ import annotations

import hashlib
import os
import runpy
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import contents
from qwen_desktop.chat.exporting import Format

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for Linux")
LINUX = contents.ROOT / "resources" / "packaging" / "linux"
SAYS = '#!/bin/sh\necho "the program: $*"\n'


@pytest.fixture(scope="module")
def share(tmp_path_factory):
    from linux import desktop_files

    folder = tmp_path_factory.mktemp("share")
    desktop_files.write(folder)
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """An application folder: a script, a library that needs others, a link."""
    folder = tmp_path_factory.mktemp("app") / "qwen-desktop"
    (folder / "_internal").mkdir(parents=True)
    (folder / "qwen-desktop").write_text(SAYS)
    (folder / "qwen-desktop").chmod(0o755)
    (folder / "_internal" / "data").write_text("data")
    (folder / "_internal" / "link").symlink_to("data")
    return folder


def said(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_menu_entry_is_valid(share):
    entry = share / "applications" / "qwen-desktop.desktop"
    lines = dict(
        line.partition("=")[::2] for line in entry.read_text("utf-8").splitlines() if "=" in line
    )
    assert lines["MimeType"] == "application/x-qwenchat+json;"
    assert (share / "icons/hicolor/48x48/apps" / f"{lines['Icon']}.png").is_file()
    if shutil.which("desktop-file-validate"):
        assert said("desktop-file-validate", entry) == ""


def test_the_window_is_that_of_the_menu_entry():
    source = (contents.ROOT / "qwen_desktop" / "app.py").read_text("utf-8")
    assert 'setDesktopFileName("qwen-desktop")' in source


def test_the_description_is_valid_and_has_the_version(share):
    (file,) = (share / "metainfo").iterdir()
    root = ET.fromstring(file.read_text("utf-8"))
    assert file.name == f"{root.findtext('id')}.metainfo.xml"
    release = root.find("releases/release")
    assert release is not None
    assert release.get("version") == contents.version()
    if shutil.which("appstreamcli"):
        said("appstreamcli", "validate", "--no-net", file)


def test_the_file_type_is_that_of_exported_chats(share):
    root = ET.fromstring((share / "mime/packages/qwen-desktop.xml").read_text("utf-8"))
    names = {"m": "http://www.freedesktop.org/standards/shared-mime-info"}
    glob = root.find("m:mime-type/m:glob", names)
    assert glob is not None
    assert glob.get("pattern") == f"*{Format.JSON.extension}"


def test_icons_have_their_sizes(share):
    from PySide6.QtGui import QImage

    folders = {place.name for place in (share / "icons" / "hicolor").iterdir()}
    assert {"16x16", "48x48", "256x256", "512x512", "scalable"} <= folders
    for name in folders - {"scalable"}:
        picture = QImage(str(share / f"icons/hicolor/{name}/apps/qwen-desktop.png"))
        assert f"{picture.width()}x{picture.height()}" == name
        assert picture.pixelColor(picture.width() // 2, picture.height() // 2).alpha() > 0


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="no dpkg-deb")
def test_the_deb_says_what_it_needs_and_lies_where_it_should(app, tmp_path):
    from linux import deb

    (tmp_path / "out").mkdir()
    library = app / "_internal" / "library.so"
    shutil.copy2(Path("/bin/true").resolve(), library)
    try:
        file = deb.build(app, tmp_path / "out", tmp_path)
    finally:
        library.unlink()
    assert file.name == f"qwen-desktop_{contents.version()}+{contents.variant()}_amd64.deb"
    fields = {name: said("dpkg-deb", "-f", file, name).strip() for name in ("Package", "Depends")}
    assert fields["Package"] == "qwen-desktop"
    assert fields["Depends"].startswith("libc6 (>= 2.")
    assert not (tmp_path / "deb").exists()
    root = tmp_path / "root"
    said("dpkg-deb", "-R", file, root)
    assert said(root / "usr/bin/qwen-desktop", "open").strip() == "the program: open"
    assert (root / "usr/lib/qwen-desktop/_internal/link").is_symlink()
    assert (root / "usr/share/applications/qwen-desktop.desktop").is_file()
    # Nothing runs when it is installed or removed, and all that is there dpkg knows.
    assert sorted(path.name for path in (root / "DEBIAN").iterdir()) == ["control", "md5sums"]
    lines = (root / "DEBIAN" / "md5sums").read_text().splitlines()
    listed = dict(reversed(line.split("  ", 1)) for line in lines)
    files = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and "DEBIAN" not in path.parts
    }
    assert set(listed) == files
    for name, digest in listed.items():
        assert hashlib.md5((root / name).read_bytes()).hexdigest() == digest
    owners = said("dpkg-deb", "-c", file)
    assert {line.split()[1] for line in owners.splitlines()} == {"root/root"}
    writable = [line for line in owners.splitlines() if line[5] == "w" or line[8] == "w"]
    assert not [line for line in writable if line[0] != "l"]


@pytest.fixture(scope="module")
def unpacked(app, tmp_path_factory):
    from linux import tarball

    work = tmp_path_factory.mktemp("tarball")
    file = tarball.build(app, work, work, "2.36")
    name = f"qwen-desktop-{contents.version()}-linux-x86_64-{contents.variant()}"
    assert file.name == f"{name}.tar.xz"
    with tarfile.open(file) as tar:
        assert {member.uname for member in tar} == {"root"}
        tar.extractall(work / "there")
    return work / "there" / name


@pytest.fixture
def home(tmp_path):
    """A home with a name that scripts stumble over, and with chats in it."""
    folder = tmp_path / "my home & more"
    chats = folder / ".local" / "share" / "qwen-desktop"
    chats.mkdir(parents=True)
    (chats / "conversations.db").write_text("chats")
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_tarball_installs_itself_again_and_goes_without_a_trace(unpacked, home):
    environment = {**os.environ, "HOME": str(home)}
    before = files(home)
    assert said(unpacked / "app" / "qwen-desktop", "here").strip() == "the program: here"
    said("sh", unpacked / "install.sh", env=environment)
    program = home / ".local" / "bin" / "qwen-desktop"
    assert said(program, "--version").strip() == "the program: --version"
    entry = (home / ".local/share/applications/qwen-desktop.desktop").read_text("utf-8")
    assert f'Exec="{program}" open %F' in entry
    if shutil.which("desktop-file-validate"):
        said("desktop-file-validate", home / ".local/share/applications/qwen-desktop.desktop")

    # A newer one in its place: what only the old one had is gone.
    stale = home / ".local" / "lib" / "qwen-desktop" / "_internal" / "old"
    stale.write_text("old")
    said("sh", unpacked / "install.sh", env=environment)
    assert not stale.exists()

    said("sh", home / ".local/lib/qwen-desktop/uninstall.sh", env=environment)
    assert files(home) == before
    assert not (home / ".local" / "lib").exists()
    assert not (home / ".local" / "bin").exists()


def test_a_folder_of_somebody_else_is_not_touched(unpacked, home):
    other = home / ".local" / "lib" / "qwen-desktop"
    other.mkdir(parents=True)
    (other / "mine").write_text("mine")
    done = subprocess.run(
        ["sh", str(unpacked / "install.sh")],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "was not made by this script" in done.stderr
    assert (other / "mine").read_text() == "mine"


def test_libraries_that_no_package_has_are_told():
    from linux import depends

    with pytest.raises(LookupError, match=r"libof-nobody\.so\.7"):
        depends._packages(["libof-nobody.so.7"])


def test_programs_that_are_started_get_the_libraries_of_the_system(monkeypatch):
    hook = str(contents.ROOT / "resources" / "packaging" / "hooks" / "start.py")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/lib/qwen-desktop/_internal")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/cuda/lib")
    monkeypatch.setenv("PYINSTALLER_RESET_ENVIRONMENT", "")
    runpy.run_path(hook)
    # Of those that were frozen too, the loader prepares its own environment once more.
    assert os.environ["PYINSTALLER_RESET_ENVIRONMENT"] == "1"
    assert os.environ["LD_LIBRARY_PATH"] == "/opt/cuda/lib"
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ
    runpy.run_path(hook)
    assert "LD_LIBRARY_PATH" not in os.environ


def test_helpers_of_multiprocessing_are_no_second_window(monkeypatch, capsys):
    hook = str(contents.ROOT / "resources" / "packaging" / "hooks" / "start.py")
    for name in ("PYINSTALLER_RESET_ENVIRONMENT", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, "")  # set back after the test
    line = "from multiprocessing.resource_tracker import main; print(main.__module__)"
    monkeypatch.setattr(sys, "argv", ["qwen-desktop", "-B", "-S", "-c", line])
    with pytest.raises(SystemExit):
        runpy.run_path(hook)
    assert capsys.readouterr().out == "multiprocessing.resource_tracker\n"
    monkeypatch.setattr(sys, "argv", ["qwen-desktop", "--ask", "-c", "print('mine')"])
    runpy.run_path(hook)
    assert capsys.readouterr().out == ""
