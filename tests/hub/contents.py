"""What a fake hub has: repositories, their commits and the files in them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

LARGE = 64 * 1024  # bytes; from here on a file is kept by LFS, unless a repository says otherwise


@dataclass(frozen=True)
class HubFile:
    """One version of a file: bytes, or a file on disk that is large."""

    data: bytes | Path
    lfs: bool

    @cached_property
    def size(self) -> int:
        """In bytes."""
        return self.data.stat().st_size if isinstance(self.data, Path) else len(self.data)

    @cached_property
    def sha256(self) -> str:
        """Of the content, as hexadecimal digits."""
        if isinstance(self.data, bytes):
            return hashlib.sha256(self.data).hexdigest()
        digest = hashlib.sha256()
        with self.data.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        return digest.hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        """What git has of a file that LFS keeps."""
        lines = f"oid sha256:{self.sha256}\nsize {self.size}\n"
        return b"version https://git-lfs.github.com/spec/v1\n" + lines.encode()

    @cached_property
    def oid(self) -> str:
        """The name of git's blob: of the pointer, where LFS keeps the file."""
        blob = self.pointer if self.lfs else self.content
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()

    @property
    def content(self) -> bytes:
        """All of it, in memory."""
        return self.data.read_bytes() if isinstance(self.data, Path) else self.data


@dataclass
class Repo:
    """A repository; `refs` has the commit of each branch, `commits` the files of each commit.

    `gated`: only those with a token of `tokens` get files. `private`: without one it isn't there.
    """

    name: str
    gated: bool = False
    private: bool = False
    tokens: frozenset[str] = frozenset()
    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, HubFile]] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes | Path], lfs_from: int = LARGE) -> str:
        """A new commit with just these files; both hubs' first branches move on to it."""
        kept: dict[str, HubFile] = {}
        for path, data in files.items():
            size = data.stat().st_size if isinstance(data, Path) else len(data)
            kept[path] = HubFile(data, size >= lfs_from)
        text = "\n".join(f"{path} {file.sha256}" for path, file in kept.items())
        sha = hashlib.sha1(f"{self.name} {len(self.commits)}\n{text}".encode()).hexdigest()
        self.commits[sha] = kept
        self.refs |= {"main": sha, "master": sha}
        return sha

    def at(self, revision: str) -> str | None:
        """The commit of a branch or of a commit's own name."""
        sha = self.refs.get(revision, revision)
        return sha if sha in self.commits else None

    @property
    def files(self) -> dict[str, HubFile]:
        """Those of the newest commit."""
        return self.commits[self.refs["main"]]


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that no compression makes smaller, the same ones for a seed."""
    return random.Random(seed).randbytes(size)
