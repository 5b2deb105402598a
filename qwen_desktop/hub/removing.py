"""Deletes the files of a checkpoint: says first what would go, and goes nowhere else.

No link is ever followed out of the folder. Of Hugging Face's cache a snapshot goes, with the blobs
that no other snapshot of the repository has. Of a folder with other things in it only files that
are known to be of a checkpoint go.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from qwen_desktop.chat.library import Removal
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.hub import source_file, trouble
from qwen_desktop.hub.places import files_below

# What repositories of models hold; nothing but such: the folder goes as a whole.
_OURS = re.compile(
    r".*\.(safetensors|bin|pt|pth|gguf|msgpack|h5|onnx|json|jinja|tiktoken|model|md|py|cpp|cu|txt"
    r"|part|partial|crdownload|incomplete|aria2|download|ranges|lock|tmp|png|jpe?g|pdf|cff|ya?ml)"
    r"|(licen[sc]e|notice|readme|copying|use_policy).*"
    r"|\.git|\.gitattributes|\.gitignore|\.cache|\.msc|\.mdl|\.mv|\._____temp"
    r"|assets|figures|images|examples|onnx|original|metal|\.ds_store|thumbs\.db|desktop\.ini",
    re.IGNORECASE,
)
# Of a folder with other things in it: names that nothing else has.
_SURELY = re.compile(
    r"model(-\d{5}-of-\d{5})?\.safetensors(\.part(\.ranges)?|\.crdownload|\.aria2)?"
    r"|model\.safetensors\.index\.json|pytorch_model(-\d{5}-of-\d{5})?\.bin(\.index\.json)?"
    r"|(config|generation_config|tokenizer|tokenizer_config|vocab|special_tokens_map|added_tokens"
    r"|preprocessor_config|video_preprocessor_config|quantize_config|configuration)\.json"
    r"|merges\.txt|qwen\.tiktoken|chat_template\.jinja|\.qwen-desktop(-source\.json|\.lock)"
)


def plan_removal(folder: Path) -> Removal:
    """What deleting the checkpoint in `folder` would do. Raises Known where it must not be."""
    _refuse(folder)
    if folder.parent.name == "snapshots" and (folder.parent.parent / "blobs").is_dir():
        return _of_cache(folder)
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise trouble.of_disk(error, folder) from error
    source = source_file.read_source(folder)
    recorded = {file.path for file in source.files} if source is not None else set()
    if all(_OURS.fullmatch(entry.name) or entry.name in recorded for entry in entries):
        paths = tuple(sorted(files_below(folder)))
        return Removal(folder, paths, _folders(folder), _freed(paths))
    paths = tuple(
        sorted(
            Path(entry.path)
            for entry in entries
            if not entry.is_dir(follow_symlinks=False)
            and (_SURELY.fullmatch(entry.name) or entry.name in recorded)
        )
    )
    return Removal(folder, paths, (), _freed(paths), kept=len(entries) - len(paths))


def carry_out(removal: Removal) -> int:
    """Delete what `removal` says; the bytes that were freed. What has gone already is passed over.

    Raises Known where a download is at work in the folder, and where the system refuses a file:
    those before it are gone.
    """
    _refuse_under_download(removal.folder)
    freed = 0
    root = _root(removal.folder)
    home = root.resolve()
    for path in removal.paths:
        try:
            # Looked at again, just before: the folder may have become a link meanwhile.
            if home not in path.parent.resolve().parents and path.parent.resolve() != home:
                continue
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode):
                continue
            _unlink(path)
            alone = found.st_nlink <= 1 and stat.S_ISREG(found.st_mode)
            freed += found.st_size if alone else 0
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _cannot_delete(path, error) from error
    for folder in sorted(removal.folders, key=lambda one: len(one.parts), reverse=True):
        try:
            folder.rmdir()
        except OSError:  # something came in between: it stays
            continue
    return freed


def _refuse_under_download(folder: Path) -> None:
    """Raise Known where a download is at work in `folder`."""
    from qwen_desktop.hub.download import LOCK, locked

    if not (folder / LOCK).is_file():
        return
    try:
        with locked(folder):  # and given back: Windows deletes no lock that is held
            return
    except OSError as error:
        raise _cannot_delete(folder / LOCK, error) from error


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except PermissionError:
        if os.name != "nt" or path.is_symlink():
            raise
        path.chmod(stat.S_IWRITE)  # files of git are read-only, which Windows takes seriously
        path.unlink()


def _refuse(folder: Path) -> None:
    """Raise Known for a folder that is no checkpoint's, or too near the root of things."""
    whole = folder.absolute()
    home = Path.home()
    is_near = whole in (home, *home.parents) or len(whole.parts) < 3 or os.path.ismount(whole)
    if folder.is_symlink() or is_near or not folder.is_dir():
        raise Known(
            QT_TRANSLATE_NOOP(
                "errors", "{folder} is not deleted from here: it is no plain folder."
            ),
            QT_TRANSLATE_NOOP("errors", "Delete it with the file manager, if you want that."),
            code="not-deleted",
            folder=folder,
        )
    names = {path.name for path in folder.iterdir()}
    if "config.json" not in names and not any(_SURELY.fullmatch(name) for name in names):
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{folder} holds no checkpoint, so it is not deleted."),
            QT_TRANSLATE_NOOP("errors", "Delete it with the file manager, if you want that."),
            code="not-deleted",
            folder=folder,
        )


def _root(folder: Path) -> Path:
    """What nothing outside of is touched: the folder, or the repository's place in the cache."""
    is_cached = folder.parent.name == "snapshots" and (folder.parent.parent / "blobs").is_dir()
    return folder.parent.parent if is_cached else folder


def _of_cache(snapshot: Path) -> Removal:
    place = snapshot.parent.parent
    others = [one for one in snapshot.parent.iterdir() if one != snapshot and one.is_dir()]
    if not others:
        paths = tuple(sorted(files_below(place)))
        return Removal(snapshot, paths, _folders(place), _freed(paths))
    used = {blob for other in others for blob in _blobs(other, place)}
    links = tuple(sorted(files_below(snapshot)))
    blobs = tuple(sorted(set(_blobs(snapshot, place)) - used))
    refs = tuple(ref for ref in files_below(place / "refs") if _says(ref, snapshot.name))
    paths = (*links, *blobs, *refs)
    return Removal(snapshot, paths, _folders(snapshot), _freed(paths))


def _blobs(snapshot: Path, place: Path) -> Iterator[Path]:
    """The blobs of `place` that the links of `snapshot` lead to."""
    blobs = (place / "blobs").resolve()
    for path in files_below(snapshot):
        if path.is_symlink():
            target = Path(os.path.normpath(path.parent / path.readlink()))
            if target.parent.resolve() == blobs:
                yield place / "blobs" / target.name


def _says(ref: Path, commit: str) -> bool:
    try:
        return ref.read_text(encoding="ascii", errors="replace").strip() == commit
    except OSError:
        return False


def _folders(folder: Path) -> tuple[Path, ...]:
    """`folder` and all folders below it that are no links."""
    found = [folder]
    for place, names, _ in os.walk(folder):
        found += [Path(place) / name for name in names if not (Path(place) / name).is_symlink()]
    return tuple(found)


def _freed(paths: tuple[Path, ...]) -> int:
    """Bytes that no other name of the same file keeps."""
    links: dict[tuple[int, int], list[int]] = {}
    total = 0
    for path in paths:
        try:
            found = path.lstat()
        except OSError:
            continue
        if not stat.S_ISREG(found.st_mode):
            continue
        if found.st_nlink <= 1:
            total += found.st_size
        else:
            links.setdefault((found.st_dev, found.st_ino), []).append(found.st_size)
            if len(links[found.st_dev, found.st_ino]) == found.st_nlink:
                total += found.st_size
    return total


def _cannot_delete(path: Path, error: OSError) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} could not be deleted: {reason}."),
        QT_TRANSLATE_NOOP("errors", "Close what uses it, and check that you may delete it."),
        details=str(path),
        code="not-deleted",
        file=path.name,
        reason=error.strerror or type(error).__name__,
    )
