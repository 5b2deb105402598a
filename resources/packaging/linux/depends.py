"""Which packages of Debian an application folder needs, from the libraries that its files load."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

# What only one plugin needs: where it is missing, Qt does without that plugin. And CUDA's own, some
# of which are for networks of computers.
OPTIONAL = ("platformthemes/", "/nvidia/")
# Libraries of drivers, which come from no package that one could depend on.
DRIVERS = ("libcuda.so.1", "libnvidia-ml.so.1", "libcudadebugger.so.1")


@dataclass
class Loads:
    """What ELF files ask for: libraries by name, and versions of the C library's symbols."""

    libraries: set[str] = field(default_factory=set)
    glibc: tuple[int, ...] = (0,)


def programs(folder: Path) -> list[Path]:
    """The ELF files of a folder."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if not file.is_symlink():
                with file.open("rb") as opened:
                    if opened.read(4) == b"\x7fELF":
                        found.append(file)
    return sorted(found)


def loads(files: Iterable[Path]) -> Loads:
    """What those files ask for, all together."""
    found = Loads()
    paths = [str(file) for file in files]
    for start in range(0, len(paths), 100):
        told = _output(["objdump", "-p", *paths[start : start + 100]])
        found.libraries.update(re.findall(r"^\s+NEEDED\s+(\S+)", told, re.MULTILINE))
        for version in re.findall(r"\bGLIBC_([\d.]+)$", told, re.MULTILINE):
            found.glibc = max(found.glibc, tuple(map(int, version.split("."))))
    return found


def depends(folder: Path) -> tuple[list[str], list[str]]:
    """What has to be there for `folder` to run, and what should be: as fields of a package.

    Raises LookupError for a library that is neither in the folder nor in a package of this machine.
    """
    files = programs(folder)
    shipped = {file.name for file in files} | {
        file.name for file in folder.rglob("*.so*") if file.is_symlink()
    }
    optional = [file for file in files if any(part in file.as_posix() for part in OPTIONAL)]
    core = loads(file for file in files if file not in optional)
    more = loads(optional)
    need = _packages(core.libraries - shipped - set(DRIVERS))
    glibc = ".".join(map(str, max(core.glibc, more.glibc)))
    need = {name: text for name, text in need.items() if name != "libc6"}
    need.pop("libc6", None)  # by its symbols instead
    should = _packages(more.libraries - core.libraries - shipped - set(DRIVERS), strict=False)
    kept = {name: text for name, text in should.items() if name not in need and name != "libc6"}
    return [f"libc6 (>= {glibc})", *sorted(need.values())], sorted(kept.values())


def _packages(libraries: Iterable[str], strict: bool = True) -> dict[str, str]:
    """The packages of libraries, each with the version from which on it will do.

    Raises LookupError for what is in none, where `strict`; else it is left out.
    """
    places = dict(
        re.findall(r"^\s+(\S+) \([^)]*x86-64[^)]*\) => (\S+)$", _output(["ldconfig", "-p"]), re.M)
    )
    found = {}
    for library in sorted(libraries):
        if library not in places and not strict:
            continue
        if library not in places:
            raise LookupError(f"{library} is needed, but no package of this machine has it")
        package = _owner(Path(places[library]))
        found[package] = _from_version(package, library)
    return found


def _owner(file: Path) -> str:
    merged = str(file).removeprefix("/usr")  # some were packed before /lib became /usr/lib
    for path in (str(file), merged, "/usr" + merged, os.path.realpath(file)):
        told = _output(["dpkg-query", "-S", path])
        if told:
            return told.partition(":")[0].strip()
    raise LookupError(f"{file} belongs to no package")


def _from_version(package: str, library: str) -> str:
    """`package (>= VERSION)` as the package itself says it."""
    told = _output(["dpkg-query", "--control-show", package, "shlibs"])
    name, _, version = library.partition(".so.")
    for line in told.splitlines():
        words = line.split(None, 2)
        if words[:2] == [name, version] and len(words) > 2:
            return words[2].partition(",")[0].strip()
    return package


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    return done.stdout.decode("utf-8", "replace")
