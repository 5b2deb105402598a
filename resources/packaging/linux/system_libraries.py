"""The libraries of the system that go along, and what their licences say."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from qwen_desktop.licences import Component, Text


def components(files: Iterable[str]) -> tuple[Component, ...]:
    """A component for each package of Debian that one of `files` belongs to, by name."""
    paths = {path for file in files for path in _ways(Path(file))}
    owners = _output(["dpkg-query", "-S", *sorted(paths)]) if paths else ""
    packages = sorted({line.partition(":")[0] for line in owners.splitlines()})
    return tuple(_component(package) for package in packages)


def _ways(file: Path) -> Iterable[str]:
    """A path as packages may have it: some were made before /lib became a part of /usr."""
    if not file.as_posix().startswith(("/usr/lib/", "/lib/")):
        return
    real = file.resolve()
    for path in (file, real):
        yield str(path)
        yield str(path).removeprefix("/usr")


def _component(package: str) -> Component:
    told = _output(["dpkg-query", "-W", "-f", "${Version}\\n${Homepage}\\n", package])
    version, site = (*told.splitlines(), "", "")[:2]
    file = Path("/usr/share/doc", package, "copyright")
    text = file.read_text("utf-8", "replace") if file.is_file() else ""
    names = dict.fromkeys(
        line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("License:")
    )
    said = ", ".join(names)
    licence = said if 0 < len(said) <= 60 else "see its text"
    return Component(package, version, licence, site, (Text("copyright", text),) if text else ())


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace")
