"""A package for Debian and its relatives, from the application folder.

No scripts are run when it is installed or removed: the packages that own the menus, file types and
icons of the system look for changes by themselves. dpkg removes each file it has put there.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import contents
from linux import depends, desktop_files

ARCHITECTURE = "amd64"
LEVEL = 10  # of zstd; 19 takes ten times as long for 7 % less
MAINTAINER = "The Qwen Desktop developers <qwen-desktop@localhost>"
RECOMMENDS = ("libhunspell-1.7-0 | libhunspell-1.7-0t64", "xdg-utils")
SUGGESTS = ("fonts-noto-cjk", "fonts-noto-color-emoji", "hunspell-en-us", "gnome-keyring")


def build(app: Path, out: Path, work: Path) -> Path:
    """Write the package into `out`. `work` is a folder for what is in it meanwhile."""
    root = work / "deb"
    shutil.rmtree(root, ignore_errors=True)
    stage(app, root)
    needs, should = depends.depends(app)
    (root / "DEBIAN").mkdir()
    text = control(needs, should, size_of(root))
    (root / "DEBIAN" / "control").write_text(text, "utf-8")
    (root / "DEBIAN" / "md5sums").write_text(checksums(root), "utf-8")
    _plain_modes(root)
    file = out / f"qwen-desktop_{full_version()}_{ARCHITECTURE}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zzstd", f"-z{LEVEL}", "--build"]
    subprocess.run([*command, str(root), str(file)], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return file


def full_version() -> str:
    """The version with what torch computes with: 1.0.0+cpu."""
    return f"{contents.version()}+{contents.variant()}"


def stage(app: Path, root: Path) -> None:
    """Put everything where it is to lie, below `root`."""
    target = root / "usr" / "lib" / "qwen-desktop"
    shutil.copytree(app, target, symlinks=True, copy_function=_linked)
    (root / "usr" / "bin").mkdir()
    (root / "usr" / "bin" / "qwen-desktop").symlink_to("../lib/qwen-desktop/qwen-desktop")
    desktop_files.write(root / "usr" / "share")
    notes = root / "usr" / "share" / "doc" / "qwen-desktop"
    notes.mkdir(parents=True)
    (notes / "copyright").write_text(copyright_notice(), "utf-8")
    changes = (contents.ROOT / "CHANGELOG.md").read_bytes()
    (notes / "changelog.gz").write_bytes(gzip.compress(changes, 9, mtime=0))


def _linked(source: str, target: str) -> None:
    """The same file under another name, where the file system can do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copyright_notice() -> str:
    """Who holds which rights, in the form of Debian."""
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: Qwen Desktop\n"
        "Comment: The licences of the libraries in /usr/lib/qwen-desktop are shown by the program\n"
        " (About) and lie in /usr/lib/qwen-desktop/_internal/resources/licences.\n\n"
        "Files: *\n"
        "Copyright: The Qwen Desktop developers\n"
        "License: Apache-2.0\n"
        " On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.\n"
    )


def control(needs: list[str], should: list[str], size: int) -> str:
    """The description of the package; `size` in bytes."""
    kind = contents.variant()
    about = (
        "the CPU" if kind == "cpu" else f"NVIDIA cards (CUDA {kind[4:-1]}.{kind[-1]}) and the CPU"
    )
    lines = [
        "Package: qwen-desktop",
        f"Version: {full_version()}",
        f"Architecture: {ARCHITECTURE}",
        f"Maintainer: {MAINTAINER}",
        f"Installed-Size: {(size + 1023) // 1024}",
        f"Depends: {', '.join(needs)}",
        f"Recommends: {', '.join([*RECOMMENDS, *should])}",
        f"Suggests: {', '.join(SUGGESTS)}",
        "Section: misc",
        "Priority: optional",
        "Description: chat with Qwen checkpoints on your own machine",
        " A native chat window for Qwen checkpoints: open the folder as it was downloaded",
        " and chat. No server, no browser, no account; nothing leaves the machine unless",
        " asked for.",
        " .",
        f" This package computes with {about}.",
    ]
    return "\n".join(lines) + "\n"


def size_of(root: Path) -> int:
    """The bytes of all files below `root`."""
    return sum(file.lstat().st_size for file in root.rglob("*") if not file.is_dir())


def checksums(root: Path) -> str:
    """The lines of `md5sums`, by which dpkg verifies what is installed."""
    lines = []
    for file in sorted(root.rglob("*")):
        if file.is_file() and not file.is_symlink() and "DEBIAN" not in file.parts[:-1]:
            with file.open("rb") as opened:
                found = hashlib.md5(usedforsecurity=False)
                for piece in iter(lambda: opened.read(2**20), b""):
                    found.update(piece)
            lines.append(f"{found.hexdigest()}  {file.relative_to(root).as_posix()}")
    return "\n".join(lines) + "\n"


def _plain_modes(root: Path) -> None:
    """Whatever the umask was: everybody may read, nobody but root may write."""
    for file in root.rglob("*"):
        if not file.is_symlink():
            executable = file.is_dir() or file.stat().st_mode & 0o100
            file.chmod(0o755 if executable else 0o644)
    root.chmod(0o755)
