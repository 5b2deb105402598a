"""Builds what can be installed: `python3 dev.py package`.

Linux: the application folder, and from it a .deb and a .tar.xz. Windows: the folder and a setup
program. Everywhere: the wheel and the source distribution. All of it lands in `dist`. Which torch
lies in this environment decides what it computes with, and is in the names.
"""

from __future__ import annotations

import argparse
import compileall
import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]

import contents  # noqa: E402

ROOT = contents.ROOT
DIST = ROOT / "dist"
WORK = ROOT / "build"
APP = DIST / "qwen-desktop"
_Made = TypeVar("_Made", Path, "tuple[Path, Path]")
LINUX = sys.platform.startswith("linux")
KINDS = ("app", "deb", "tarball", "wheel") if LINUX else ("app", "setup", "wheel")


def main(arguments: Sequence[str]) -> int:
    """Build, and try what was built where that is asked for."""
    parser = argparse.ArgumentParser(prog="dev.py package", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; all of them")
    parser.add_argument("--smoke", action="store_true", help="install and use each of them")
    parser.add_argument("--keep", action="store_true", help="take the application folder as it is")
    given = parser.parse_args(arguments)
    kinds = tuple(given.kinds) or KINDS
    if unknown := set(kinds) - set(KINDS):
        parser.error(
            f"nothing is called {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}"
        )
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # icons are drawn
    DIST.mkdir(exist_ok=True)
    WORK.mkdir(exist_ok=True)
    made = build(kinds, given.keep)
    sums(made)
    if given.smoke:
        if not LINUX:
            from windows import smoke

            return smoke.run(made)
        from linux.smoke import run

        return run(made)
    return 0


def build(kinds: Sequence[str], keep: bool) -> dict[str, Path]:
    """Build those kinds, and the application folder if one of them is made from it."""
    made: dict[str, Path] = {}
    if set(kinds) - {"wheel"} and not (keep and APP.is_dir()):
        timed("application folder", freeze)
    if LINUX:
        from linux import deb, depends, tarball

        if "deb" in kinds:
            made["deb"] = timed(".deb", lambda: deb.build(APP, DIST, WORK))
        if "tarball" in kinds:
            found = depends.loads(depends.programs(APP)).glibc
            glibc = ".".join(map(str, found))
            made["tarball"] = timed(".tar.xz", lambda: tarball.build(APP, DIST, WORK, glibc))
    elif "setup" in kinds:
        from windows import installer

        made["setup"] = timed("setup program", lambda: installer.build(APP, DIST, WORK))
    if "wheel" in kinds:
        made["sdist"], made["wheel"] = timed("wheel and source", wheel)
    if set(kinds) - {"wheel"}:
        made["app"] = APP
    return made


def timed(what: str, make: Callable[[], _Made]) -> _Made:
    """Do it, and tell how long it took and how large the result is."""
    print(f"{what} ...", flush=True)
    began = time.monotonic()
    result = make()
    seconds = time.monotonic() - began
    files = result if isinstance(result, tuple) else (result,)
    for file in files:
        print(f"  {file.relative_to(ROOT)}: {size(file) / 2**20:,.1f} MiB", flush=True)
    print(f"  {seconds:.0f} s", flush=True)
    return result


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def freeze() -> Path:
    """Make the application folder. Ends the program where that fails, with the end of the log."""
    if not LINUX:
        import pictures

        pictures.ico(WORK / "qwen-desktop.ico")
    log = WORK / "pyinstaller.log"
    command = [sys.executable, "-m", "PyInstaller", str(ROOT / "build_installer.spec")]
    command += ["--noconfirm", "--distpath", str(DIST), "--workpath", str(WORK / "pyinstaller")]
    with log.open("wb") as written:
        done = subprocess.run(command, stdout=written, stderr=written, cwd=ROOT, check=False)
    if done.returncode:
        lines = log.read_text("utf-8", "replace").splitlines()[-20:]
        sys.exit("\n".join(lines) + f"\n\nPyInstaller failed. All it said: {log}")
    compile_sources(APP)
    return APP


def compile_sources(app: Path) -> None:
    """Put byte code beside the modules that lie as sources: there is no writing where they go."""
    folder = app / "_internal" / "qwen_desktop"
    for place in folder.rglob("__pycache__"):
        shutil.rmtree(place)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # whatever time an installer gives a file
    compileall.compile_dir(str(folder), quiet=1, invalidation_mode=mode, stripdir=str(app))


def wheel() -> tuple[Path, Path]:
    """The source distribution, and a wheel made from what is in it, and nothing else."""
    source = WORK / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    build_with(ROOT, "build_sdist", DIST)
    name = f"qwen_desktop-{contents.version()}"
    archive = DIST / f"{name}.tar.gz"
    shutil.unpack_archive(archive, source)
    build_with(source / name, "build_wheel", DIST)
    shutil.rmtree(source)
    return archive, DIST / f"{name}-py3-none-any.whl"


def build_with(folder: Path, hook: str, out: Path) -> None:
    """Run a hook of the build backend in a folder, as pip does."""
    code = f"from setuptools import build_meta; build_meta.{hook}({str(out)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        sys.exit(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n\n{hook} failed.")


def sums(made: dict[str, Path]) -> None:
    """Write SHA256SUMS beside the files, for those who fetch them."""
    lines = []
    files = [path for path in made.values() if path.is_file()]
    # A setup program with CUDA is more than one file.
    files += [part for path in files for part in path.parent.glob(f"{path.stem}-*.bin")]
    for file in sorted(files):
        found = hashlib.sha256()
        with file.open("rb") as opened:
            for piece in iter(lambda: opened.read(2**20), b""):
                found.update(piece)
        lines.append(f"{found.hexdigest()}  {file.name}\n")
    if lines:
        (DIST / "SHA256SUMS").write_text("".join(lines), "ascii", newline="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
