"""The licences of everything that this program is made of, from the metadata of what is installed.

No Qt. A frozen application carries what `write` collected while it was built; elsewhere `read`
looks at the environment the program runs in. For those who publish no text of their licence, the
usual text of it comes from `resources/licences`.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from qwen_desktop.paths import resources_dir

PROGRAM = "qwen-desktop"
FORMAT = 1
_ENDS = (".py", ".pyc", ".pyi", ".so", ".pyd")
_BEGINS = ("licen", "copying", "notice", "copyright")
# What stands in an expression of licences, and the files with the usual texts of it.
_USUAL = {
    "lgpl-3.0": ("LGPL-3.0", "GPL-3.0"),  # the former refers to the latter
    "apache": ("Apache-2.0",),
    "mit": ("MIT",),
    "bsd": ("BSD-3-Clause",),
}


@dataclass(frozen=True)
class Text:
    """One file with a licence or a notice: its name in the package, and what it says."""

    name: str
    text: str


@dataclass(frozen=True)
class Component:
    """Something that this program is made of; `licence` as its makers name it."""

    name: str
    version: str
    licence: str
    site: str  # an address, or empty
    texts: tuple[Text, ...]


def bundled_file() -> Path:
    """Where a frozen application has what was collected for it."""
    return resources_dir() / "licences" / "third-party.json"


def read() -> tuple[Component, ...]:
    """What this program is made of, by name. Reads hundreds of files: not for the GUI thread."""
    file = bundled_file()
    return load(file) if file.is_file() else collect()


def versions() -> list[tuple[str, str]]:
    """Name and version of what this program is made of, by name."""
    file = bundled_file()
    if file.is_file():
        return [(component.name, component.version) for component in load(file)]
    found = []
    for name in needed():
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:  # its metadata are in pieces
            continue
    return sorted(found, key=lambda one: one[0].lower())


def collect(
    distributions: Iterable[str] | None = None, extra: Iterable[Component] = ()
) -> tuple[Component, ...]:
    """The components of the environment, by name: `distributions`, Python itself and `extra`.

    Without names: what the program asks for, and what that asks for in turn. Names that are not
    installed are passed over.
    """
    names = needed() if distributions is None else list(distributions)
    found = {c.name.lower(): c for c in map(_component, names) if c is not None}
    made = [*found.values(), _python(), *extra]
    return tuple(sorted(made, key=lambda component: component.name.lower()))


def write(
    file: Path,
    distributions: Iterable[str] | None = None,
    extra: Iterable[Component] = (),
) -> tuple[Component, ...]:
    """Collect into `file`, which a build puts where `bundled_file` says. Gives what is in it."""
    components = collect(distributions, extra)
    numbers: dict[str, int] = {}  # many bring the same text
    rows = [
        {
            "name": component.name,
            "version": component.version,
            "licence": component.licence,
            "site": component.site,
            "texts": [[t.name, numbers.setdefault(t.text, len(numbers))] for t in component.texts],
        }
        for component in components
    ]
    content = {"format": FORMAT, "texts": list(numbers), "components": rows}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return components


def load(file: Path) -> tuple[Component, ...]:
    """What `write` wrote. Raises OSError, ValueError, KeyError or TypeError for anything else."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}")
    texts: list[str] = content["texts"]
    return tuple(
        Component(
            str(row["name"]),
            str(row["version"]),
            str(row["licence"]),
            str(row["site"]),
            tuple(Text(str(name), texts[number]) for name, number in row["texts"]),
        )
        for row in content["components"]
    )


def needed(program: str = PROGRAM) -> list[str]:
    """The installed distributions that `program` asks for, directly or not, itself left out.

    All that are installed, where the program is not: in a bare source tree.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        metadata.distribution(program)
    except metadata.PackageNotFoundError:
        return [name for one in metadata.distributions() if (name := one.metadata["Name"])]
    seen: dict[tuple[str, str], str] = {}  # with an extra of it, or none
    waiting = [(program, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name.lower(), extra) in seen:
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        seen[name.lower(), extra] = found.metadata["Name"]
        for line in found.requires or ():
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                waiting.append((wanted.name, ""))
                waiting += [(wanted.name, asked) for asked in wanted.extras]
    return [name for name in dict.fromkeys(seen.values()) if name.lower() != program]


def _component(name: str) -> Component | None:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    about: Any = found.metadata  # its protocol knows no get()
    licence = _licence(about)
    texts = tuple(_texts(found))
    if not texts:
        holder = about.get("Author") or about.get("Author-email") or f"the authors of {name}"
        texts = tuple(_usual(licence, " ".join(holder.split())))
    return Component(about["Name"], found.version, licence, _site(about), texts)


def _licence(about: Any) -> str:
    """The licence in a few words, as the metadata have it in one of three places."""
    if said := about.get("License-Expression"):
        return " ".join(str(said).split())
    said = str(about.get("License") or "").strip()
    if said and said != "UNKNOWN" and "\n" not in said and len(said) <= 120:
        return said
    begin = "License :: "
    classes = [c for c in about.get_all("Classifier", []) if c.startswith(begin)]
    named = [c.rsplit(" :: ", 1)[-1] for c in classes]
    return ", ".join(named) or (said.splitlines()[0].strip() if said else "")


def _site(about: Any) -> str:
    if page := about.get("Home-page"):
        return str(page)
    addresses: dict[str, str] = {}
    for line in about.get_all("Project-URL", []):
        label, _, address = line.partition(",")
        addresses[label.strip().lower()] = address.strip()
    for label in ("homepage", "home", "source", "source code", "repository", "github"):
        if label in addresses:
            return addresses[label]
    return next(iter(addresses.values()), "")


def _texts(found: metadata.Distribution) -> Iterator[Text]:
    """The texts beside the metadata of a distribution, with names relative to that folder."""
    for file in sorted(found.files or (), key=str):
        parts = file.parts
        at = next((n for n, part in enumerate(parts) if part.endswith(".dist-info")), -1)
        inside = parts[at + 1 :]
        if at != 0 or not inside or file.name.endswith(_ENDS):
            continue
        if inside[0] == "licenses" or inside[-1].lower().startswith(_BEGINS):
            path = Path(str(file.locate()))
            name = "/".join(inside[1:] if inside[0] == "licenses" and inside[1:] else inside)
            try:
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:  # listed, but not there
                continue
            yield Text(name, text.replace("\r\n", "\n"))


def _usual(licence: str, holder: str) -> Iterator[Text]:
    """The usual texts of a licence, for who publishes none."""
    said = licence.lower()
    names = next((files for key, files in _USUAL.items() if key in said), ())
    for name in names:
        file = resources_dir() / "licences" / f"{name}.txt"
        if file.is_file():
            yield Text(f"{name}.txt", file.read_text(encoding="utf-8").replace("{holder}", holder))


def _python() -> Component:
    """Python itself, which a frozen application carries."""
    places = (
        Path(sysconfig.get_path("stdlib")) / "LICENSE.txt",
        Path(sys.base_prefix) / "LICENSE.txt",
        Path("/usr/share/doc") / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "copyright",
    )
    file = next((place for place in places if place.is_file()), None)
    text = file.read_text(encoding="utf-8", errors="replace") if file is not None else ""
    version = ".".join(map(str, sys.version_info[:3]))
    texts = (Text("LICENSE.txt", text.replace("\r\n", "\n")),) if text else ()
    return Component("Python", version, "PSF-2.0", "https://www.python.org/", texts)
