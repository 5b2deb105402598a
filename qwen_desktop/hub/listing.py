"""What a repository holds, asked of either hub: one commit, its files, their sizes and hashes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from qwen_desktop.chat.hub import Endpoint, Hub, Listing, RemoteFile, RepositoryName
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub import safe_paths, trouble
from qwen_desktop.hub.pace import Patience
from qwen_desktop.hub.trouble import Transient
from qwen_desktop.hub.wanted import INDEX, SINGLE
from qwen_desktop.hub.web import Web

T = TypeVar("T")

MAX_PAGES = 200
MAX_FILES = 20_000
MAX_SIZE = 1 << 50
TRIES = 4  # each question

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")


def fetch_listing(
    endpoint: Endpoint,
    repository: RepositoryName,
    revision: str = "",
    cancel: threading.Event | None = None,
) -> Listing:
    """The files of `repository` at `revision`, "" for the hub's default branch.

    Raises Known, and Cancelled within a moment after `cancel` is set.
    """
    cancel = cancel or threading.Event()
    revision = revision.strip() or endpoint.hub.default_revision
    web = Web(endpoint)
    ask = _Asking(web, cancel)
    found: list[Listing] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            of_hub = _hugging_face if endpoint.hub is Hub.HUGGING_FACE else _modelscope
            listing = of_hub(ask, endpoint, repository, revision)
            found.append(_with_shards(ask, endpoint, listing))
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)

    # A name that is looked up cannot be interrupted: then the thread is left.
    thread = threading.Thread(target=work, name="hub listing", daemon=True)
    thread.start()
    try:
        while thread.is_alive() and not cancel.is_set():
            thread.join(0.05)
    finally:
        web.close()
    thread.join(0.2)
    if cancel.is_set():
        raise Cancelled
    if failed:
        raise failed[0]
    return found[0]


def file_address(listing: Listing, endpoint: Endpoint, path: str) -> str:
    """Where `endpoint` has the file `path` of `listing`."""
    revision = listing.commit or listing.revision
    if endpoint.hub is Hub.HUGGING_FACE:
        return (
            f"{endpoint.address}/{listing.repository}/resolve/{quote(revision, '')}/{quote(path)}"
        )
    query = urlencode({"Revision": revision, "FilePath": path})
    return f"{endpoint.address}/api/v1/models/{listing.repository}/repo?{query}"


class _Asking:
    """Questions in JSON that are asked again where the trouble may pass."""

    def __init__(self, web: Web, cancel: threading.Event) -> None:
        self.web, self._cancel = web, cancel

    def json(self, url: str, what: str) -> tuple[Any, str]:
        return self._again(lambda: self.web.get_json(url, what))

    def content(self, url: str, what: str, limit: int) -> bytes:
        def read() -> bytes:
            with self.web.get(url, what) as answer:
                if answer.is_html:
                    raise trouble.portal(answer.host, answer.url)
                return answer.read_all(limit)

        return self._again(read)

    def _again(self, ask: Callable[[], T]) -> T:
        patience = Patience(tries=TRIES, longest_s=10.0)
        while True:
            try:
                return ask()
            except Transient as passing:
                wait_s = passing.retry_after_s
                # Somebody sits before the window: who is sent away for long is told so.
                if (wait_s or 0.0) > 15.0 or not patience.fail(wait_s):
                    raise passing.known from passing
            if patience.wait(self._cancel):
                raise Cancelled


# --- Hugging Face --------------------------------------------------------------------------------


def _hugging_face(
    ask: _Asking, endpoint: Endpoint, repository: RepositoryName, revision: str
) -> Listing:
    api = f"{endpoint.address}/api/models/{repository}"
    try:
        info, _ = ask.json(f"{api}/revision/{quote(revision, '')}", str(repository))
    except Known as known:
        if known.code == "hub-not-found" and known.values.get("error_code") == "RevisionNotFound":
            raise trouble.no_revision(
                ask.web.host, str(repository), revision, known.details
            ) from known
        raise
    commit = info.get("sha") if isinstance(info, dict) else None
    if not isinstance(commit, str) or not _SHA1.fullmatch(commit):
        raise trouble.nonsense(ask.web.host, f"{api}: no commit")
    entries: list[Any] = []
    url = f"{api}/tree/{commit}?recursive=true&expand=false"
    for _page in range(MAX_PAGES):
        page, url = ask.json(url, str(repository))
        if not isinstance(page, list):
            raise trouble.nonsense(ask.web.host, f"{api}: the tree is no list")
        entries += page
        if not url or len(entries) > MAX_FILES:
            break
        if urlsplit(url).netloc != urlsplit(endpoint.address).netloc:
            # A mirror may pass on the hub's own address of the next page: asked of the mirror.
            split = urlsplit(url)
            url = f"{endpoint.address}{split.path}?{split.query}"
    if url:
        raise trouble.nonsense(ask.web.host, f"{api}: over {MAX_FILES} files")
    files = [_of_hugging_face(entry) for entry in entries if _type(entry) == "file"]
    return _listing(ask, endpoint, repository, revision, commit, files, _licence(info))


def _of_hugging_face(entry: Mapping[str, Any]) -> RemoteFile | None:
    large = entry.get("lfs")
    if isinstance(large, dict):
        oid = str(large.get("oid", large.get("sha256", ""))).removeprefix("sha256:")
        return _file(entry.get("path"), large.get("size", entry.get("size")), sha256=oid)
    return _file(entry.get("path"), entry.get("size"), git_oid=entry.get("oid"))


def _licence(info: Mapping[str, Any]) -> str:
    card = info.get("cardData")
    licence = card.get("license") if isinstance(card, dict) else None
    if isinstance(licence, str) and isinstance(card, dict) and licence == "other":
        licence = card.get("license_name") or licence
    return licence[:100] if isinstance(licence, str) else ""


# --- ModelScope ----------------------------------------------------------------------------------


def _modelscope(
    ask: _Asking, endpoint: Endpoint, repository: RepositoryName, revision: str
) -> Listing:
    query = urlencode({"Revision": revision, "Recursive": "true"})
    url = f"{endpoint.address}/api/v1/models/{repository}/repo/files?{query}"
    try:
        value, _ = ask.json(url, str(repository))
    except Known as known:
        if known.code == "hub-not-found" and re.search(r"revision|branch", known.details, re.I):
            raise trouble.no_revision(
                ask.web.host, str(repository), revision, known.details
            ) from known
        raise
    if isinstance(value, dict) and value.get("Success") is False:
        raise _refused(ask, endpoint, str(repository), revision, value)
    data = value.get("Data") if isinstance(value, dict) else None
    entries = data.get("Files") if isinstance(data, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_FILES:
        raise trouble.nonsense(ask.web.host, f"{url}: no files")
    latest = data.get("LatestCommitter") if isinstance(data, dict) else None
    commit = revision if _SHA1.fullmatch(revision) else ""
    if not commit and isinstance(latest, dict) and _SHA1.fullmatch(str(latest.get("Id", ""))):
        commit = str(latest["Id"])
    files = [
        _file(entry.get("Path"), entry.get("Size"), sha256=entry.get("Sha256"))
        for entry in entries
        if _type(entry) == "blob"
    ]
    return _listing(ask, endpoint, repository, revision, commit, files, "")


def _refused(
    ask: _Asking, endpoint: Endpoint, repository: str, revision: str, value: Mapping[str, Any]
) -> Known:
    """The sentence for a refusal that came with status 200."""
    message, code = str(value.get("Message", "")), str(value.get("Code", ""))
    details = f"{code}: {message}"[:1000]
    if re.search(r"revision|branch", message, re.I):
        return trouble.no_revision(ask.web.host, repository, revision, details)
    status = int(code[:3]) if re.fullmatch(r"[45]\d\d", code) else 404
    return trouble.of_status(status, endpoint, ask.web.host, repository, details)


# --- Both ----------------------------------------------------------------------------------------


def _type(entry: Any) -> str:
    """ "file", "directory" of the one, "blob", "tree" of the other."""
    if not isinstance(entry, dict):
        return ""
    return str(entry.get("type", entry.get("Type", "")))


def _file(path: Any, size: Any, *, sha256: Any = None, git_oid: Any = None) -> RemoteFile | None:
    """A file of the list; None where its entry makes no sense."""
    if not isinstance(path, str) or not path or type(size) is not int or not 0 <= size <= MAX_SIZE:
        return None
    digest = str(sha256 or "").lower()
    oid = str(git_oid or "").lower()
    return RemoteFile(
        path,
        size,
        digest if _SHA256.fullmatch(digest) else None,
        oid if _SHA1.fullmatch(oid) else None,
    )


def _listing(
    ask: _Asking,
    endpoint: Endpoint,
    repository: RepositoryName,
    revision: str,
    commit: str,
    found: list[RemoteFile | None],
    licence: str,
) -> Listing:
    files = [file for file in found if file is not None]
    if len(files) < len(found):
        raise trouble.nonsense(ask.web.host, f"{repository}: files without name or size")
    good, refused = safe_paths.split(file.path for file in files)
    kept = tuple(file for file in files if file.path in good)
    return Listing(
        endpoint.hub,
        endpoint.address,
        repository,
        revision,
        commit,
        kept,
        refused=refused,
        licence=licence,
    )


def _with_shards(ask: _Asking, endpoint: Endpoint, listing: Listing) -> Listing:
    """The listing with what its index of weights names; as it is where a load reads no index."""
    from dataclasses import replace

    paths = {file.path for file in listing.files}
    if INDEX not in paths or SINGLE in paths:
        return listing
    content = ask.content(file_address(listing, endpoint, INDEX), INDEX, 64 * 2**20)
    try:
        names = frozenset(json.loads(content)["weight_map"].values())
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise trouble.nonsense(ask.web.host, f"{INDEX}: {error}") from error
    if not all(isinstance(name, str) and safe_paths.is_safe(name) for name in names):
        raise trouble.nonsense(ask.web.host, f"{INDEX} names no plain files")
    return replace(listing, shards=names)
