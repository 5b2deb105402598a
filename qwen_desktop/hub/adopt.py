"""Half-finished folders: which repository they are of, and what of it they already have.

A `git clone` without its large files, a download that a browser or another program broke off, a
folder that somebody copied in part. `guesses` asks no network; once a hub has listed the
repository, `plan_missing` says what is left, and changes nothing. `take_pieces` brings what lies
about in the folder to its place when the download runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen_desktop.chat.catalogue import Catalogue, Offer, Stored
from qwen_desktop.chat.hub import (
    Clue,
    DownloadPlan,
    Guess,
    Hub,
    Listing,
    PlannedFile,
    RemoteFile,
    RepositoryAddress,
    RepositoryName,
    Standing,
)
from qwen_desktop.chat.hub_address import parse
from qwen_desktop.errors import Known
from qwen_desktop.hub import planning, safe_paths, source_file, trouble

MAX_TEXT = 256 * 1024  # bytes of a small file that are looked at
_REMOTE = re.compile(r"^\s*url\s*=\s*(\S+)\s*$", re.MULTILINE)
_SSH = re.compile(r"(?:ssh://)?git@([\w.-]+)[:/](.+)")
_LINK = re.compile(r"^license_link:\s*[\"']?(https?://\S+?)[\"']?\s*$", re.MULTILINE)
_TITLE = re.compile(r"^#\s+([\w.-]+)\s*$", re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_UNFINISHED = (".crdownload", ".partial", ".incomplete", ".download", ".part")
_MODELSCOPE_MARKS = (".msc", ".mdl", ".mv")
# What of config.json has to agree with an entry of the catalogue.
_NUMBERS = (
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "intermediate_size", "moe_intermediate_size", "num_experts",
    "vocab_size",
)  # fmt: skip


def guesses(folder: Path, catalogue: Catalogue) -> tuple[Guess, ...]:
    """Repositories that the files of `folder` may be of, the best first. Raises nothing.

    Of the catalogue by its architecture alone there may be several.
    """
    found: dict[str, Guess] = {}
    for guess in _guesses(folder, catalogue):
        found.setdefault(str(guess.address.repository).casefold(), guess)
    return tuple(found.values())


def _guesses(folder: Path, catalogue: Catalogue) -> Iterator[Guess]:
    source = source_file.read_source(folder)
    if source is not None:
        recorded = RepositoryAddress(source.repository, source.hub, source.revision)
        yield Guess(recorded, Clue.SOURCE, source.endpoint)
    if (remote := _remote(folder)) is not None:
        yield Guess(remote, Clue.GIT, remote.endpoint)
    if (cached := _of_cache(folder)) is not None:
        yield Guess(cached, Clue.CACHE)
    is_modelscope = any((folder / mark).exists() for mark in _MODELSCOPE_MARKS)
    hub = Hub.MODELSCOPE if is_modelscope else None
    readme, config = _text(folder / "README.md"), _object(folder / "config.json")
    if (link := _LINK.search(readme)) and (address := _parsed(link[1])) is not None:
        yield Guess(RepositoryAddress(address.repository, hub or address.hub), Clue.CARD)
    names = [folder.name.replace("___", ".")]
    if (title := _TITLE.search(readme)) is not None:
        names.insert(0, title[1])
    for name in names:
        for offer in catalogue.offers_of(RepositoryName("Qwen", name)):
            clue = Clue.CARD if len(names) > 1 and name == names[0] else Clue.NAME
            yield Guess(RepositoryAddress(_named(offer, hub), hub), clue)
    path = config.get("_name_or_path")
    is_own = isinstance(path, str) and not config.get("quantization_config")
    if is_own and (address := _parsed(str(path))) is not None:  # else it names what was quantised
        yield Guess(RepositoryAddress(address.repository, hub), Clue.CONFIG)
    for offer in _alike(config, catalogue):
        yield Guess(RepositoryAddress(_named(offer, hub), hub), Clue.ARCHITECTURE)


def _named(offer: Offer, hub: Hub | None) -> RepositoryName:
    return offer.repositories[hub or Hub.HUGGING_FACE]


def _parsed(text: str) -> RepositoryAddress | None:
    try:
        return parse(text)
    except Known:
        return None


def _remote(folder: Path) -> RepositoryAddress | None:
    """The remote of a git clone, at the commit that is checked out."""
    for match in _REMOTE.finditer(_text(folder / ".git" / "config")):
        url = match[1]
        if (ssh := _SSH.fullmatch(url)) is not None:
            host = "huggingface.co" if ssh[1] == "hf.co" else ssh[1]
            url = f"https://{host}/{ssh[2]}"
        address = _parsed(url)
        if address is not None:
            commit = _head(folder / ".git")
            revision = commit if address.hub is not Hub.MODELSCOPE else ""
            return RepositoryAddress(address.repository, address.hub, revision, address.endpoint)
    return None


def _head(git: Path) -> str:
    """The commit that is checked out; "" where that cannot be made out."""
    head = _text(git / "HEAD").strip()
    if head.startswith("ref: "):
        ref = head.removeprefix("ref: ")
        if not safe_paths.is_safe(ref):
            return ""
        head = _text(git.joinpath(*ref.split("/"))).strip()
        packed = re.search(
            rf"^([0-9a-f]{{40}}) {re.escape(ref)}$", _text(git / "packed-refs"), re.M
        )
        if not head and packed:
            head = packed[1]
    return head if _COMMIT.fullmatch(head) else ""


def _of_cache(folder: Path) -> RepositoryAddress | None:
    """What the places of the hubs' own caches are called by."""
    place = folder.parent.parent.name.split("--")
    if folder.parent.name == "snapshots" and place[0] == "models" and len(place) == 3:
        revision = folder.name if _COMMIT.fullmatch(folder.name) else ""
        return RepositoryAddress(RepositoryName(place[1], place[2]), Hub.HUGGING_FACE, revision)
    if any(folder.parents[n].name == "modelscope" for n in range(min(5, len(folder.parents)))):
        address = _parsed(f"{folder.parent.name}/{folder.name.replace('___', '.')}")
        return address and RepositoryAddress(address.repository, Hub.MODELSCOPE)
    return None


def _alike(config: Mapping[str, Any], catalogue: Catalogue) -> Iterator[Offer]:
    """The entries of the catalogue with these numbers, in the form that is stored here."""
    nested = config.get("text_config")
    given = {**nested, "model_type": config.get("model_type")} if nested else config
    if not given:
        return
    method = config.get("quantization_config") or {}
    for offer in catalogue.offers:
        numbers = {key: offer.config[key] for key in _NUMBERS if key in offer.config}
        alike = all(given.get(key) == value for key, value in numbers.items())
        if numbers and alike and _is_stored_so(offer.stored, method):
            yield offer


def _is_stored_so(stored: Stored, method: Mapping[str, Any]) -> bool:
    name, bits = method.get("quant_method"), method.get("bits", method.get("w_bit"))
    if not method:
        return stored is Stored.BF16
    if name == "fp8":
        return stored is Stored.FP8
    if name == "awq":
        return stored is Stored.AWQ
    return stored is (Stored.GPTQ_INT8 if bits == 8 else Stored.GPTQ_INT4)


def _text(file: Path) -> str:
    try:
        if not file.is_file():
            return ""
        with file.open("rb") as opened:
            return opened.read(MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""


def _object(file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(_text(file))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# -- what is there -------------------------------------------------------------------------


def plan_missing(
    folder: Path, listing: Listing, only: Collection[str] | None = None
) -> DownloadPlan:
    """What a download of `listing` into `folder` has to fetch, `take_pieces` counted in.

    `only`: paths, where not all of the files that a load needs are wanted. What is whole by its
    size is kept, and compared with the hub's hash when the download runs. Changes nothing. Raises
    Known as `planning.plan` does.
    """
    plan = planning.plan(folder, listing, only)
    try:
        files = tuple(_with_piece(folder, one) for one in plan.files)
    except OSError as error:
        raise trouble.of_disk(error, folder) from error
    saved = sum(new.here - old.here for new, old in zip(files, plan.files, strict=True))
    return replace(plan, files=files, space_needed=plan.space_needed - saved)


def _with_piece(folder: Path, planned: PlannedFile) -> PlannedFile:
    piece = _piece(folder, planned.file)
    if piece is None or _size(piece) <= planned.here:
        return planned
    whole = _size(piece) == planned.file.size
    return PlannedFile(planned.file, Standing.PRESENT if whole else Standing.PARTIAL, _size(piece))


def take_pieces(folder: Path, files: Iterable[RemoteFile]) -> tuple[str, ...]:
    """Bring files that other programs left under other names to where they belong; their paths.

    Whole ones and beginnings: objects of Git LFS, unfinished downloads of browsers and of Hugging
    Face's program. Never in place of a file that is larger. Raises Known where the disk refuses.
    """
    taken = []
    try:
        for file in files:
            piece = _piece(folder, file)
            if piece is not None:
                _bring(piece, safe_paths.inside(folder, file.path))
                taken.append(file.path)
    except OSError as error:
        raise trouble.of_disk(error, folder) from error
    return tuple(taken)


def _piece(folder: Path, file: RemoteFile) -> Path | None:
    """The largest file that holds more of `file` than its place does."""
    target = safe_paths.inside(folder, file.path)
    if target.is_symlink() or _size(target) == file.size:
        return None
    piece = max(_pieces(folder, target, file), key=_size, default=None)
    there = max(_real_size(target), planning.POINTER_SIZE)
    return piece if piece is not None and _size(piece) > there else None


def _pieces(folder: Path, target: Path, file: RemoteFile) -> Iterator[Path]:
    """Files that are `file`, or the beginning of it."""
    candidates = []
    if file.sha256 is not None:
        oid, objects = file.sha256, folder / ".git" / "lfs"
        candidates += [
            objects / "objects" / oid[:2] / oid[2:4] / oid,
            objects / "incomplete" / f"{oid}.part",
            objects / "incomplete" / oid,
        ]
        notes = folder / ".cache" / "huggingface" / "download"
        with suppress(OSError):
            candidates += notes.glob(f"*.{oid}.incomplete")
        candidates += [target.with_name(target.name + end) for end in _UNFINISHED]
    for piece in candidates:
        own = piece.name.endswith(".part") and piece.with_name(f"{piece.name}.ranges").exists()
        if not own and not piece.is_symlink() and 0 < _size(piece) <= file.size:
            yield piece


def _size(file: Path) -> int:
    """Bytes of a file; -1 where there is none."""
    try:
        return file.stat().st_size if file.is_file() else -1
    except OSError:
        return -1


def _real_size(file: Path) -> int:
    """Bytes of what is no Git LFS pointer."""
    size = _size(file)
    if 0 <= size <= planning.POINTER_SIZE and _text(file).encode().startswith(planning.POINTER):
        return -1
    return size


def _bring(piece: Path, target: Path) -> None:
    """Put `piece` in the place of `target`; objects of git stay where git looks for them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    if ".git" in piece.parts:
        try:
            os.link(piece, fresh)
        except OSError:  # a file system without links
            shutil.copyfile(piece, fresh)
        fresh.replace(target)
    else:
        piece.replace(target)
