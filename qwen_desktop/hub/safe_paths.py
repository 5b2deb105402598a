"""Which paths of a repository may become files: none that leads out, none that Windows lacks.

The same on every system, so that a folder can be carried from one to the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

MAX_NAME = 200  # bytes of one name; file systems end at 255, and ".part.ranges" comes behind
MAX_PATH = 200  # UTF-16 units of a path in the repository; Windows ends at 260 with the folder
MAX_DEPTH = 8

_BAD = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE
)
# Names of our own beside the files.
OWN = (".part", ".part.ranges", ".qwen-desktop-source.json", ".qwen-desktop.lock")


def is_safe(path: str) -> bool:
    """Whether `path`, with forward slashes, may be a file below a folder."""
    if not path or len(path.encode("utf-16-le", "surrogatepass")) // 2 > MAX_PATH:
        return False
    parts = path.split("/")
    return len(parts) <= MAX_DEPTH and all(_is_safe_name(part) for part in parts)


def _is_safe_name(name: str) -> bool:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return (
        0 < len(encoded) <= MAX_NAME
        and name not in (".", "..")
        and not _BAD.search(name)
        and not _RESERVED.fullmatch(name)
        and name[-1] not in ". "
        and name[0] != " "
        and not name.casefold().endswith(OWN)
        and name.casefold() != ".git"
    )


def split(paths: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The paths that may be files, and those that may not.

    Of paths that differ in case only, or of which one is a folder of the other, only the first
    may.
    """
    good: set[str] = set()
    files: set[str] = set()  # folded
    folders: dict[str, str] = {}  # as they are written, by folded
    bad: list[str] = []
    for path in paths:
        folded = path.casefold()
        above = ["/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)]
        clash = (
            folded in files
            or folded in folders
            or any(
                one.casefold() in files or folders.get(one.casefold(), one) != one for one in above
            )
        )
        if clash or not is_safe(path):
            bad.append(path)
            continue
        good.add(path)
        files.add(folded)
        folders.update((one.casefold(), one) for one in above)
    return frozenset(good), tuple(bad)


def inside(folder: Path, path: str) -> Path:
    """Where `path` of a repository lies below `folder`. Raises Known where it must not.

    That no link on the way leads out of the folder is looked up on the disk.
    """
    target = folder.joinpath(*path.split("/"))
    if is_safe(path):
        try:
            home = folder.resolve()
            parent = target.parent.resolve()
        except (OSError, RuntimeError):  # a loop of links
            pass
        else:
            if parent == home or home in parent.parents:
                return target
    raise Known(
        QT_TRANSLATE_NOOP("errors", "The repository has a file that no folder may have: {file}."),
        QT_TRANSLATE_NOOP("errors", "Download the checkpoint from a source you trust."),
        code="hub-path",
        file=path[:100].encode("unicode_escape", "backslashreplace").decode("ascii"),
    )
