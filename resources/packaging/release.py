"""Makes ready what is released: `python3 dev.py release TAG [PACKAGES OUT]`.

TAG has to be the version's, as "v1.2.3", and CHANGELOG.md has to tell of it. With folders, the
packages that were built on several systems, each folder with its SHA256SUMS, are compared with
those and brought together in OUT, with one SHA256SUMS and NOTES.md beside OUT's files.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import contents  # noqa: E402

SUMS = "SHA256SUMS"
NOTES = "NOTES.md"


def main(arguments: Sequence[str]) -> int:
    """Check the tag, and bring packages together where folders are given."""
    parser = argparse.ArgumentParser(prog="dev.py release", description=__doc__)
    parser.add_argument("tag", metavar="TAG")
    parser.add_argument("folders", metavar="PACKAGES OUT", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    if len(given.folders) not in (0, 2):
        parser.error("give both folders, or none")
    changes = (contents.ROOT / "CHANGELOG.md").read_text("utf-8")
    notes = checked(given.tag, contents.version(), changes)
    if given.folders:
        source, out = given.folders
        for file in gather(source, out):
            print(file.name)
        (out / NOTES).write_text(notes, "utf-8", newline="\n")
    return 0


def checked(tag: str, version: str, changes: str) -> str:
    """What the changelog says of the version. Ends the program where tag and version differ."""
    if tag != f"v{version}":
        sys.exit(f"The tag is {tag}, and qwen_desktop/__init__.py says {version}.")
    found = re.search(
        rf"^## \[?{re.escape(version)}(?![\w.-])[^\n]*\n(.*?)(?=^## |\Z)",
        changes,
        re.MULTILINE | re.DOTALL,
    )
    if found is None:
        sys.exit(f"CHANGELOG.md says nothing of {version}.")
    return found[1].strip() + "\n"


def gather(source: Path, out: Path) -> list[Path]:
    """Copy the files named by every SHA256SUMS below `source` into `out`, with one for all.

    Ends the program where a file is not what its sum says, or two have one name.
    """
    out.mkdir(parents=True, exist_ok=True)
    sums: dict[str, str] = {}
    for listed in sorted(source.rglob(SUMS)):
        for line in listed.read_text("ascii").splitlines():
            expected, _, name = line.partition("  ")
            file = listed.parent / name
            if digest(file) != expected:
                sys.exit(f"{file} is not what it was when it was built.")
            if name in sums:
                sys.exit(f"There are two files called {name}.")
            sums[name] = expected
            shutil.copyfile(file, out / name)
    if not sums:
        sys.exit(f"There are no packages below {source}.")
    lines = [f"{sums[name]}  {name}\n" for name in sorted(sums)]
    (out / SUMS).write_text("".join(lines), "ascii", newline="\n")
    return [out / name for name in (*sorted(sums), SUMS)]


def digest(file: Path) -> str:
    """SHA-256 of a file; "" where there is none."""
    if not file.is_file():
        return ""
    found = hashlib.sha256()
    with file.open("rb") as opened:
        for piece in iter(lambda: opened.read(2**20), b""):
            found.update(piece)
    return found.hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
