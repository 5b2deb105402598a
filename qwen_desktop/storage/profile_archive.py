"""A whole profile as one `.qwenprofile` file: the database, the settings, what was entered.

docs/formats.md tells what is in it. Synchronous, for a thread of its own. Nothing of a file is
used before all of it was verified; `profile_restore` puts it in place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from qwen_desktop import __version__
from qwen_desktop.chat.exporting import ProfileContents
from qwen_desktop.chat.record import Record
from qwen_desktop.chat.tree import Conversation
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known
from qwen_desktop.paths import Profile
from qwen_desktop.storage import atomic, migrations, trouble
from qwen_desktop.storage.database import Database, has_good_schema, translated
from qwen_desktop.storage.json_place import MAX_COUNT, Place
from qwen_desktop.storage.records import Records
from qwen_desktop.storage.rows import text_from
from qwen_desktop.storage.store import Store

EXTENSION = ".qwenprofile"
FORMAT = "qwen-desktop profile"
VERSION = 4
PROMPTS = "prompts.json"
WORDS = "words.txt"
CONNECTIONS = "connections.json"  # servers, without their keys
# What has none of these can be read by older versions too.
_SINCE = {PROMPTS: 2, WORDS: 3, CONNECTIONS: 4}
MANIFEST = "manifest.json"
DATABASE = "conversations.db"
SMALL = ("settings.json", "presets.json", PROMPTS, WORDS, CONNECTIONS)  # where there are such
MEMBERS = (DATABASE, *SMALL)

MAX_SMALL = 2**26  # bytes of the manifest, and of each of these
_PAGES = 500  # of the database, copied at once
_CHUNK = 2**20
_ROOM = 2**26  # bytes that stay free on the disk

Step = Callable[[float], None]  # told how much is done, 0 to 1; raises Cancelled


def no_step(_: float) -> None:
    """Nobody watches."""


# -- saving ----------------------------------------------------------------------------------


def save(profile: Profile, target: Path, step: Step = no_step) -> ProfileContents:
    """Write the profile into `target`, which is replaced when all is written.

    The database may be in use: what is on disk when this begins is in the file, and nothing half
    of a later change. Raises Known where the disk refuses, Cancelled where `step` does.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=".qwen-desktop-", dir=target.parent))
        try:
            _copy_database(profile.database, workshop / DATABASE, lambda part: step(part / 2))
            counts = _counts(workshop / DATABASE)
            files = {DATABASE: workshop / DATABASE}
            small = (
                *(profile.preferences, profile.presets, profile.prompts, profile.words),
                profile.connections,
            )
            for name, file in zip(SMALL, small, strict=True):
                if file.is_file():
                    files[name] = file
            contents = ProfileContents(target, time.time(), __version__, *counts)
            archive = workshop / "archive"
            _pack(archive, files, contents, lambda part: step(0.5 + part / 2))
            atomic.replace(archive, target)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    except OSError as error:
        raise _refused(error, target) from error
    return contents


def _copy_database(source: Path, copy: Path, step: Step) -> None:
    database = Database.beside(source)
    try:
        with translated(copy), closing(sqlite3.connect(copy)) as out:

            def progress(_: int, remaining: int, total: int) -> None:
                step(1 - remaining / max(1, total))

            with database.reading() as connection:
                # From one state of the file: else a change meanwhile has it copied from the start.
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                connection.backup(out, pages=_PAGES, progress=progress)
            # One file, with nothing beside it.
            out.execute("PRAGMA journal_mode = DELETE")
            _check(out, copy)
    finally:
        database.connection.close()


def _check(connection: sqlite3.Connection, file: Path) -> None:
    """Raise Known unless the pages of a database hold together."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise _damaged(file, "quick_check")


def _counts(file: Path) -> tuple[int, int]:
    with translated(file), closing(sqlite3.connect(file)) as connection:
        conversations, messages = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("conversations WHERE deleted_at IS NULL", "messages")
        )
    return conversations, messages


def _pack(archive: Path, files: dict[str, Path], contents: ProfileContents, step: Step) -> None:
    members = []
    total = sum(file.stat().st_size for file in files.values()) or 1
    done = 0
    with archive.open("wb") as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, file in files.items():
                digest = hashlib.sha256()
                size = 0
                with file.open("rb") as source, packed.open(name, "w", force_zip64=True) as member:
                    while chunk := source.read(_CHUNK):
                        member.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
                        done += len(chunk)
                        step(min(1.0, done / total))
                members.append({"name": name, "bytes": size, "sha256": digest.hexdigest()})
            packed.writestr(MANIFEST, json.dumps(_manifest(contents, members), indent=1))
        out.flush()
        os.fsync(out.fileno())


def _manifest(contents: ProfileContents, members: list[dict[str, object]]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "version": max(_SINCE.get(str(m["name"]), 1) for m in members),
        "made_at": contents.made_at,
        "made_by": contents.made_by,
        "database_format": migrations.LATEST,
        "conversations": contents.conversations,
        "messages": contents.messages,
        "members": members,
    }


# -- verifying -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    digest: str


@contextmanager
def unpacked(file: Path, beside: Path, step: Step = no_step) -> Iterator[Path]:
    """The verified members of `file` in a folder inside `beside`, which goes afterwards.

    Raises Known where anything is wrong with the file, and then nothing of it was used.
    """
    folder = Path(tempfile.mkdtemp(prefix=".qwen-desktop-", dir=beside))
    try:
        unpack(file, folder, step)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def contents_of(file: Path) -> ProfileContents:
    """What a file says that it holds; nothing of it is verified yet. Raises Known."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _read_manifest(file, archive)[0]
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise _damaged(file, f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise _unreadable(file, error) from error


def unpack(file: Path, folder: Path, step: Step = no_step) -> ProfileContents:
    """Write the members of `file` into `folder` and verify each.

    Raises Known where one is missing, changed, damaged or none of ours.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            contents, members = _read_manifest(file, archive)
            size = sum(member.size for member in members) or 1
            if shutil.disk_usage(folder).free < size + _ROOM:
                raise trouble.disk_full(folder / DATABASE)
            done = 0
            for member in members:
                with archive.open(member.name) as source:
                    for count in _copied(source, folder / member.name, member, file):
                        done += count
                        step(min(1.0, done / size))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        # RuntimeError: it has a password; NotImplementedError: packed in a way unknown to us.
        raise _damaged(file, f"{type(error).__name__}: {error}") from error
    except OSError as error:
        raise _unreadable(file, error) from error
    _check_database(folder / DATABASE, file)
    return contents


def _read_manifest(
    file: Path, archive: zipfile.ZipFile
) -> tuple[ProfileContents, tuple[_Member, ...]]:
    names = [one.filename for one in archive.infolist()]
    if MANIFEST not in names:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} is no profile of Qwen Desktop."),
            code="profile-archive",
            file=file.name,
        )
    with archive.open(MANIFEST) as source:
        raw = source.read(MAX_SMALL + 1)
    try:
        value = json.loads(raw) if len(raw) <= MAX_SMALL else None
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"manifest: {error}") from error
    top = Place("", value)
    if top.mapping().get("format") != FORMAT:
        raise _damaged(file, "manifest: another format")
    version = top.field("version").whole_number(1, MAX_COUNT)
    if version > VERSION:
        raise _newer(file, version, VERSION)
    members = tuple(
        _Member(
            one.field("name").name(),
            one.field("bytes").whole_number(0, 2**45),
            one.field("sha256").name(),
        )
        for one in top.field("members").items()
    )
    told = [member.name for member in members]
    # Nothing else is in the file, and nothing twice: names are never made into paths unseen.
    if sorted(names) != sorted((MANIFEST, *told)) or not {DATABASE} <= set(told) <= set(MEMBERS):
        raise _damaged(file, "members")
    if any(member.size > MAX_SMALL for member in members if member.name in SMALL):
        raise _damaged(file, "too large")
    contents = ProfileContents(
        file,
        top.field("made_at").number(),
        top.field("made_by").text(),
        top.field("conversations").whole_number(0, MAX_COUNT),
        top.field("messages").whole_number(0, MAX_COUNT),
    )
    return contents, members


def _copied(source: IO[bytes], target: Path, member: _Member, file: Path) -> Iterator[int]:
    """Copy a member as long as it is what the manifest says; tells the bytes of each chunk."""
    digest = hashlib.sha256()
    left = member.size
    with target.open("wb") as out:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:  # what unpacks into more than it says may fill the disk
                raise _damaged(file, f"{member.name}: longer than told")
            digest.update(chunk)
            out.write(chunk)
            yield len(chunk)
        out.flush()
        os.fsync(out.fileno())
    if left or digest.hexdigest() != member.digest:
        raise _damaged(file, f"{member.name}: changed")


def _check_database(database: Path, file: Path) -> None:
    """Raise Known unless it is whole, ours, of a version we read, and runs nothing."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as one:
            one.execute("PRAGMA trusted_schema = OFF")
            if not migrations.is_ours(one):
                raise _damaged(file, "not a database of conversations")
            version = migrations.version_of(one)
            if version > migrations.LATEST:
                raise _newer(file, version, migrations.LATEST)
            # Those of others would run when we write.
            if not _programs(one) <= _our_programs(version):
                raise _damaged(file, "foreign triggers or views")
            _check(one, file)
            if not has_good_schema(one):
                raise _damaged(file, "tables are missing, or others than ours")
    except sqlite3.Error as error:
        raise _damaged(file, f"{type(error).__name__}: {error}") from error


def _programs(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """The triggers and views of a database, with what they do."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'view')"
    )
    return {(str(name), str(sql)) for name, sql in found}


def _our_programs(version: int) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrations.migrate(fresh, migrations.STEPS[:version])
        return _programs(fresh)


@contextmanager
def records_in(
    file: Path, beside: Path, is_cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Iterator[Record]]:
    """The conversations of a verified `file`, to be read inside the block, one after another.

    It is unpacked into a folder inside `beside`, which goes afterwards. Raises Known.
    """

    def step(_: float) -> None:
        if is_cancelled():
            raise Cancelled

    with unpacked(file, beside, step) as folder:
        Store.open(folder / DATABASE).close()  # brings an older one to this version
        records = Records.open(folder / DATABASE)
        try:
            # With its traces: whoever takes it may be another thread.
            yield (
                replace(
                    record,
                    traces=dict(record.traces),
                    conversation=_without_server(record.conversation),
                )
                for record in map(records.read, records.ids())
            )
        finally:
            records.close()


def _without_server(conversation: Conversation) -> Conversation:
    """What comes from elsewhere goes nowhere before the user chose a server for it here."""
    return replace(conversation, options=replace(conversation.options, remote=None))


def forget_agreements(database: Path) -> None:
    """Let every chat of an unpacked database be asked about before a server gets it. Raises Known.

    Whoever made the file cannot agree for whoever opens it.
    """
    with translated(database), closing(sqlite3.connect(database)) as one, one:
        columns = {row[1] for row in one.execute("PRAGMA table_info(conversations)")}
        if "options" not in columns:
            return
        # Read as the store reads it: of names that stand twice SQLite's JSON takes the first.
        one.text_factory = bytes
        rows = one.execute("SELECT rowid, options FROM conversations WHERE options IS NOT NULL")
        one.executemany(
            "UPDATE conversations SET options = ? WHERE rowid = ?",
            [(text, row) for row, raw in rows if (text := _without_agreement(raw)) is not None],
        )


def _without_agreement(raw: object) -> str | None:
    """Options without the user's word; None where they hold none."""
    try:
        kept = json.loads(text_from(raw))
        remote = kept["remote"]
        del remote["agreed"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return json.dumps(kept)


# -- sentences -------------------------------------------------------------------------------


def _damaged(file: Path, details: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} is damaged or was changed; nothing of it was used."),
        QT_TRANSLATE_NOOP("errors", "Copy it again from where it was saved."),
        details=details,
        code="profile-archive",
        file=file.name,
    )


def _newer(file: Path, found: int, newest: int) -> Known:
    return Known(
        QT_TRANSLATE_NOOP(
            "errors",
            "{file} was written by a newer Qwen Desktop: its format is {found}, "
            "and this version reads up to {newest}.",
        ),
        QT_TRANSLATE_NOOP("errors", "Install the newer version; the file was not changed."),
        code="profile-archive",
        file=file.name,
        found=found,
        newest=newest,
    )


def _unreadable(file: Path, error: OSError) -> Known:
    known = trouble.from_os(error, file)
    if known.template == trouble.disk_full(file).template:
        return known
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be read: {reason}."),
        details=known.details,
        code="profile-archive",
        file=file.name,
        reason=error.strerror or type(error).__name__,
    )


def _refused(error: OSError, target: Path) -> Known:
    known = trouble.from_os(error, target)
    if known.template == trouble.disk_full(target).template:
        return known
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be written."),
        QT_TRANSLATE_NOOP("errors", "Choose another place for it."),
        details=known.details,
        file=target,
    )
