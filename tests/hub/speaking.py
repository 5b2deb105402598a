"""How the fake hub answers: the two protocols, the other port, and the bytes of files."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.hub.contents import HubFile, Repo
from tests.hub.faults import PLACED, Fault

if TYPE_CHECKING:
    from tests.hub.fakehub import FakeHub, Served

PIECE = 1 << 20  # bytes at once, where nothing limits the speed
PACED_PIECE = 1 << 15
BEFORE = ("status", "portal", "redirect", "silent", "reset")
PORTAL = b"<!DOCTYPE html><html><head><title>Welcome to Hotel Wi-Fi</title></head></html>"
ELSEWHERE = "f" * 40  # a commit that no repository has


class Ended(Exception):
    """Nothing more is said on this connection."""


class Handler(BaseHTTPRequestHandler):
    """What both ports have in common."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "FakeHub", ""
    disable_nagle_algorithm = True
    served: Served

    @property
    def hub(self) -> FakeHub:
        """Whose handler it is."""
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def setup(self) -> None:
        """Of a new connection."""
        self.hub.tune(self.request)
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in Python
        """Nothing is printed: see `FakeHub.log`."""

    def do_HEAD(self) -> None:
        """As GET without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """One question."""
        self.__dict__.pop("served", None)  # that of the question before
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        try:
            self.route(unquote(split.path), query)
        except (Ended, OSError):
            self.close_connection = True
        finally:
            if hasattr(self, "served"):
                self.served.is_over = True
                self.hub.moved(self.served, 0)

    def route(self, path: str, query: Mapping[str, str]) -> None:
        """Find out what is asked for and answer it."""
        raise NotImplementedError

    def begin(self, stage: str, file: str = "") -> None:
        """Note the question. Raises Ended where a fault answered it."""
        from tests.hub.fakehub import Served

        headers = {name.lower(): value for name, value in self.headers.items()}
        self.served = Served(stage, self.command, self.path, file, headers)
        self.hub.note(self.served)
        fault = self.hub.faults.take(stage, file, BEFORE)
        if fault is not None:
            self.spoil(fault)
            raise Ended

    def spoil(self, fault: Fault) -> None:
        """Answer by a fault instead."""
        if fault.kind == "silent":
            fault.reached.set()
            fault.go.wait()
        elif fault.kind == "reset":
            self.reset()
        elif fault.kind == "portal":
            self.say(200, PORTAL, {"Content-Type": "text/html; charset=utf-8"})
        elif fault.kind == "redirect":
            self.say(302, b"", {"Location": fault.to or self.path})
        else:
            self.say(fault.status, fault.body, fault.headers)

    def reset(self) -> None:
        """The connection breaks: the other side hears of a reset, not of an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        raise Ended

    def say(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """A short answer."""
        self.served.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_json(self, value: Any, status: int = 200, **headers: str) -> None:
        """A short answer in JSON; names of headers with "_" for "-"."""
        stage, file = self.served.stage, self.served.file
        edit = self.hub.faults.take(stage, file, ("edit",))
        if edit is not None and edit.edit is not None:
            value = edit.edit(value)
        body = json.dumps(value).encode()
        if self.hub.faults.take(stage, file, ("truncated",)) is not None:
            body = body[: len(body) // 2]
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        self.say(status, body, {"Content-Type": "application/json; charset=utf-8", **named})

    # --- Files -----------------------------------------------------------------------------------

    def say_file(self, name: str, file: HubFile, **headers: str) -> None:
        """A file or the range of it that was asked for."""
        self.begin("bytes", name)
        take = self.hub.faults.take
        resized = take("bytes", name, ("resize",))
        content: bytes | Path = file.data
        if resized is not None:
            content = (file.content + bytes(max(resized.by, 0)))[: file.size + resized.by]
        size = file.size + (resized.by if resized is not None else 0)
        etag = file.sha256 if file.lfs else file.oid
        if take("bytes", name, ("etag",)) is not None:
            etag = etag[::-1]
        if "X_Repo_Commit" in headers and take("bytes", name, ("commit",)) is not None:
            headers["X_Repo_Commit"] = ELSEWHERE
        start, stop, is_part = self.range(name, size, f'"{etag}"')
        if start >= size > 0:
            return self.say(416, b"", {"Content-Range": f"bytes */{size}"})
        if take("bytes", name, ("gzip",)) is not None:
            content = gzip.compress(file.content)
            start, stop, is_part = 0, len(content), False
            headers["Content_Encoding"] = "gzip"
        self.served.status = 206 if is_part else 200
        self.send_response(self.served.status)
        for header, text in headers.items():
            self.send_header(header.replace("_", "-"), text)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(stop - start))
        if is_part:
            moved = 1 if take("bytes", name, ("wrong_range",)) is not None else 0
            self.send_header("Content-Range", f"bytes {start + moved}-{stop - 1}/{size}")
        self.end_headers()
        if self.command != "HEAD":
            self.send_bytes(name, content, start, stop)
        return None

    def range(self, name: str, size: int, etag: str) -> tuple[int, int, bool]:
        """From, to (exclusive), and whether a range was asked for at all."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return 0, size, False
        self.served.start = int(asked[1])
        if self.hub.faults.take("bytes", name, ("no_range",)) is not None:
            return 0, size, False
        if self.headers.get("If-Range", etag) != etag:
            return 0, size, False
        return int(asked[1]), min(int(asked[2]) + 1, size) if asked[2] else size, True

    def send_bytes(self, name: str, content: bytes | Path, start: int, stop: int) -> None:
        """The body, with the faults that are in it."""
        take = self.hub.faults.take
        faults = []
        while (fault := take("bytes", name, PLACED, start, stop)) is not None:
            if fault in faults:  # one of those that are always there
                break
            faults.append(fault)
        slow = take("bytes", name, ("slow",))
        rate = slow.rate if slow is not None else 0.0
        if isinstance(content, Path):
            with content.open("rb") as source:
                self.send_from(source.fileno(), start, stop, faults, rate)
        else:
            self.send_from(memoryview(content), start, stop, faults, rate)

    def send_from(
        self,
        source: int | memoryview,
        start: int,
        stop: int,
        faults: list[Fault],
        rate: float,
    ) -> None:
        """Bytes of a file that is open, or of memory."""
        size = PACED_PIECE if rate or self.hub.pace.rate else PIECE
        at = start
        while at < stop:
            end = min(stop, at + size)
            changed = b""
            for fault in list(faults):
                if fault.kind == "flip" and fault.at == at:
                    end = at + 1
                    changed = bytes([self.peek(source, at) ^ 0xFF])
                    faults.remove(fault)
                elif fault.at == at:
                    faults.remove(fault)
                    self.stop_at(fault)
                else:
                    end = min(end, fault.at) if fault.at > at else end
            self.hub.pace.wait(end - at)
            if rate:
                time.sleep((end - at) / rate)
            if self.hub.ended.is_set():
                raise Ended
            if changed:
                sent = self.connection.send(changed)
            elif isinstance(source, memoryview):
                sent = self.connection.send(source[at:end])
            else:
                sent = self.send_piece(source, at, end)
            at += sent
            self.hub.moved(self.served, sent)

    def send_piece(self, source: int, at: int, end: int) -> int:
        """Bytes of a file, without a copy where the system can."""
        if hasattr(os, "sendfile") and type(self.connection) is socket.socket:
            return os.sendfile(self.connection.fileno(), source, at, end - at)
        os.lseek(source, at, os.SEEK_SET)
        piece = os.read(source, end - at)
        self.connection.sendall(piece)
        return len(piece)

    @staticmethod
    def peek(source: int | memoryview, at: int) -> int:
        """One byte."""
        if isinstance(source, memoryview):
            return source[at]
        os.lseek(source, at, os.SEEK_SET)
        return os.read(source, 1)[0]

    def stop_at(self, fault: Fault) -> None:
        """At the byte of a fault."""
        fault.reached.set()
        if fault.kind == "hold":
            fault.go.wait()
        elif fault.kind == "reset_at":
            self.reset()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
            raise Ended


class CdnHandler(Handler):
    """The other port: /blobs/SHA256?file=NAME. As those of the hubs, it refuses a token."""

    def route(self, path: str, query: Mapping[str, str]) -> None:
        """Only one kind of question."""
        name = query.get("file", "")
        file = self.hub.blob(path.rpartition("/")[2])
        if "Authorization" in self.headers or file is None:
            self.begin("bytes", name)
            body = b"<Error><Code>InvalidArgument</Code></Error>"
            status = 400 if "Authorization" in self.headers else 404
            return self.say(status, body, {"Content-Type": "application/xml"})
        return self.say_file(name, file)


class HubHandler(Handler):
    """Hugging Face's and ModelScope's addresses."""

    def route(self, path: str, query: Mapping[str, str]) -> None:
        """By the address, the more special ones first."""
        answers: tuple[tuple[str, Callable[..., None]], ...] = (
            (r"/api/v1/models/([^/]+/[^/]+)/repo/files", self.scope_files),
            (r"/api/v1/models/([^/]+/[^/]+)/revisions", self.scope_revisions),
            (r"/api/v1/models/([^/]+/[^/]+)/repo", self.scope_file),
            (r"/models/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.scope_file),
            (r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", self.face_info),
            (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)/?(.*)", self.face_tree),
            (r"/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)", self.face_cached),
            (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.face_file),
        )
        for pattern, answer in answers:
            if (found := re.fullmatch(pattern, path)) is not None:
                return answer(*(group or "" for group in found.groups()), query=query)
        self.begin("unknown")
        return self.say(404, b"Not Found", {"Content-Type": "text/plain"})

    def token(self) -> str:
        """What was shown, as either hub takes it."""
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def redirected(self, name: str, file: HubFile, **headers: str) -> None:
        """To the other port."""
        address = f"{self.hub.cdn}/blobs/{file.sha256}?file={quote(name, safe='')}"
        named = {key.replace("_", "-"): text for key, text in headers.items()}
        self.say(302, b"", {"Location": address, **named})

    # --- Hugging Face ----------------------------------------------------------------------------

    def face_error(self, status: int, code: str, message: str) -> None:
        """As it says what is wrong."""
        named = {"X_Error_Code": code, "X_Error_Message": message}
        self.say_json({"error": message}, status, **named)

    def face_repo(self, name: str, wants_files: bool) -> Repo | None:
        """A repository that whoever asks may see; else None, and all is said."""
        repo = self.hub.repos.get(name)
        may = repo is not None and self.token() in repo.tokens
        if repo is None or (repo.private and not may):
            if self.token():
                self.face_error(404, "RepoNotFound", "Repository not found")
            else:  # it does not tell whether there is one
                self.face_error(401, "RepoNotFound", "Invalid username or password.")
            return None
        if repo.gated and wants_files and not may:
            message = f"Access to model {name} is restricted. You must have access to it."
            self.face_error(403 if self.token() else 401, "GatedRepo", message)
            return None
        return repo

    def face_commit(self, repo: Repo, revision: str) -> str | None:
        """A commit; else None, and all is said."""
        sha = repo.at(revision or "main")
        if sha is None:
            self.face_error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha

    def face_info(self, name: str, revision: str, query: Mapping[str, str]) -> None:
        """What a revision is."""
        self.begin("info")
        repo = self.face_repo(name, wants_files=False)
        sha = self.face_commit(repo, revision) if repo is not None else None
        if repo is None or sha is None:
            return
        siblings = [{"rfilename": path} for path in sorted(repo.commits[sha])]
        gated = "manual" if repo.gated else False
        facts = {"_id": "6" * 24, "id": name, "modelId": name, "sha": sha, "gated": gated}
        more = {"private": repo.private, "disabled": False, "tags": [], "siblings": siblings}
        self.say_json({**facts, **more, "downloads": 1, "likes": 1})

    def face_tree(self, name: str, revision: str, below: str, query: Mapping[str, str]) -> None:
        """What files and folders a commit has, page by page."""
        self.begin("tree")
        repo = self.face_repo(name, wants_files=False)
        sha = self.face_commit(repo, revision) if repo is not None else None
        if repo is None or sha is None:
            return
        entries = _tree(repo.commits[sha], below, query.get("recursive") in ("true", "True", "1"))
        size = min(int(query.get("limit", self.hub.page_size)), self.hub.page_size)
        begin = int(query.get("cursor", 0))
        page, headers = entries[begin : begin + size], {}
        if begin + size < len(entries):
            kept = "&".join(f"{k}={v}" for k, v in query.items() if k != "cursor")
            address = f"{self._here()}{urlsplit(self.path).path}?{kept}&cursor={begin + size}"
            headers["Link"] = f'<{address}>; rel="next"'
        self.say_json(page, 200, **headers)

    def face_file(self, name: str, revision: str, path: str, query: Mapping[str, str]) -> None:
        """Where a file is."""
        self.begin("resolve", path)
        found = self.face_found(name, revision, path)
        if found is None:
            return
        sha, file = found
        headers = {"X_Repo_Commit": sha}
        if self.hub.faults.take("resolve", path, ("commit",)) is not None:
            headers["X_Repo_Commit"] = ELSEWHERE
        etag = file.sha256 if file.lfs else file.oid
        if self.hub.faults.take("resolve", path, ("etag",)) is not None:
            etag = etag[::-1]
        if file.lfs:
            headers |= {"X_Linked_Size": str(file.size), "X_Linked_Etag": f'"{etag}"'}
            headers |= {"ETag": f'"{etag}"', "Accept_Ranges": "bytes"}
        if file.lfs and self.hub.redirects:
            self.redirected(path, file, **headers)
        elif self.hub.redirects:  # small files come from a cache, by an address without a host
            address = f"/api/resolve-cache/models/{name}/{sha}/{quote(path)}"
            named = {key.replace("_", "-"): text for key, text in headers.items()}
            self.say(307, b"", {"Location": address, "ETag": f'"{etag}"', **named})
        else:
            self.say_file(path, file, **{k: v for k, v in headers.items() if k[0] == "X"})

    def face_cached(self, name: str, sha: str, path: str, query: Mapping[str, str]) -> None:
        """A small file."""
        repo = self.hub.repos[name]
        self.say_file(path, repo.commits[sha][path], X_Repo_Commit=sha)

    def face_found(self, name: str, revision: str, path: str) -> tuple[str, HubFile] | None:
        """The commit and the file; else None, and all is said."""
        repo = self.face_repo(name, wants_files=True)
        sha = self.face_commit(repo, revision) if repo is not None else None
        if repo is None or sha is None:
            return None
        file = repo.commits[sha].get(path)
        if file is None:
            self.face_error(404, "EntryNotFound", "Entry not found")
            return None
        return sha, file

    def _here(self) -> str:
        return str(self.server.endpoint)  # type: ignore[attr-defined]

    # --- ModelScope ------------------------------------------------------------------------------

    def scope_error(self, status: int, code: int, message: str) -> None:
        """As it says what is wrong."""
        about = {"RequestId": "0" * 32, "Success": False}
        self.say_json({"Code": code, "Message": message, "Data": None, **about}, status)

    def scope_found(self, name: str, revision: str) -> str | None:
        """The commit; else None, and all is said."""
        repo = self.hub.repos.get(name)
        may = repo is not None and self.token() in repo.tokens
        sha = repo.at(revision or "master") if repo is not None else None
        if repo is None or (repo.private and not may):
            self.scope_error(404, 10010205001, "model not found or no permission")
        elif repo.gated and not may:
            self.scope_error(403, 10990101006, "no access to this model")
        elif sha is None:
            self.scope_error(404, 10010206002, f"revision {revision} not found")
        else:
            return sha
        return None

    def scope_files(self, name: str, query: Mapping[str, str]) -> None:
        """What files and folders there are."""
        self.begin("listing")
        sha = self.scope_found(name, query.get("Revision", ""))
        if sha is None:
            return
        files = self.hub.repos[name].commits[sha]
        is_deep = query.get("Recursive", "").lower() == "true"
        entries = []
        for entry in _tree(files, query.get("Root", "").strip("/"), is_deep):
            path, is_file = entry["path"], entry["type"] == "file"
            about: dict[str, Any] = {"Path": path, "Name": path.rpartition("/")[2]}
            about |= {"Type": "blob" if is_file else "tree", "Size": entry["size"]}
            about |= {"Revision": sha, "Mode": "33188", "IsLFS": "lfs" in entry}
            about |= {"Sha256": files[path].sha256 if is_file else ""}
            entries.append({**about, "CommitMessage": "", "CommittedDate": 1700000000})
        self.scope_say({"Files": entries, "IsVisual": 0})

    def scope_say(self, data: Any) -> None:
        """As it says what is well."""
        about = {"Message": "success", "RequestId": "0" * 32, "Success": True}
        self.say_json({"Code": 200, "Data": data, **about})

    def scope_revisions(self, name: str, query: Mapping[str, str]) -> None:
        """What branches there are."""
        self.begin("revisions")
        if self.scope_found(name, "") is not None:
            branches = [{"Revision": "master"}]
            self.scope_say({"RevisionMap": {"Branches": branches, "Tags": []}})

    def scope_file(
        self, name: str, revision: str = "", path: str = "", *, query: Mapping[str, str]
    ) -> None:
        """A file, by either of its addresses."""
        path = path or query.get("FilePath", "")
        self.begin("resolve", path)
        sha = self.scope_found(name, revision or query.get("Revision", ""))
        if sha is None:
            return
        file = self.hub.repos[name].commits[sha].get(path)
        if file is None:
            self.scope_error(404, 10010202014, f"file {path} not found")
        elif file.lfs and self.hub.redirects:
            self.redirected(path, file)
        else:
            self.say_file(path, file)


def _tree(files: Mapping[str, HubFile], below: str, is_deep: bool) -> list[dict[str, Any]]:
    """Files and folders as Hugging Face lists them: all, or those directly `below`."""
    prefix = below + "/" if below else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, file in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        for depth in range(1, len(parts) if is_deep else min(len(parts), 2)):
            folder = prefix + "/".join(parts[:depth])
            entries[folder] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder}
        if len(parts) > 1 and not is_deep:
            continue
        entries[path] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
        if file.lfs:
            pointer = len(file.pointer)
            entries[path]["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": pointer}
    return list(entries.values())
