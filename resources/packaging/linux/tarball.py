"""An archive with the application folder and a script that installs it for one person."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from functools import partial
from pathlib import Path

import contents
from linux import desktop_files

HERE = Path(__file__).resolve().parent
COMMANDS = {"install.sh": 0o755, "uninstall.sh": 0o755}
README = """\
Qwen Desktop {version} for Linux on x86-64 ({kind})

    sh install.sh           installs it for you alone, into ~/.local; no root needed
    app/qwen-desktop        starts it from here, without installing anything

Needs a desktop on Linux with glibc {glibc} or newer.
Removing it again: sh ~/.local/lib/qwen-desktop/uninstall.sh. Chats and settings are kept.
"""


def build(app: Path, out: Path, work: Path, glibc: str) -> Path:
    """Write the archive into `out`. `work` is a folder for what is in it meanwhile."""
    name = f"qwen-desktop-{contents.version()}-linux-x86_64-{contents.variant()}"
    share = work / "share"
    shutil.rmtree(share, ignore_errors=True)
    desktop_files.write(share)
    file = out / f"{name}.tar.xz"
    with file.open("wb") as written:
        # Level 1 takes a fifth of the time of the usual one, for an eighth more.
        packing = subprocess.Popen(["xz", "-1", "-T0", "-c"], stdin=subprocess.PIPE, stdout=written)
        assert packing.stdin is not None
        with tarfile.open(fileobj=packing.stdin, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            tar.add(app, f"{name}/app", filter=_plain)
            tar.add(share, f"{name}/share", filter=_plain)
            for script, mode in COMMANDS.items():
                tar.add(HERE / script, f"{name}/{script}", filter=partial(_plain, mode=mode))
            tar.add(contents.ROOT / "LICENSE", f"{name}/LICENSE", filter=_plain)
            readme = work / "README.txt"
            readme.write_text(
                README.format(version=contents.version(), kind=contents.variant(), glibc=glibc),
                "utf-8",
            )
            tar.add(readme, f"{name}/README.txt", filter=_plain)
        packing.stdin.close()
        if packing.wait():
            raise OSError(f"xz ended with status {packing.returncode}")
    shutil.rmtree(share)
    readme.unlink()
    return file


def _plain(info: tarfile.TarInfo, mode: int | None = None) -> tarfile.TarInfo:
    """Without the owner here, and readable by everybody."""
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    if mode is not None:
        info.mode = mode
    elif not info.issym():
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    return info
