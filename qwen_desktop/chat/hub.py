"""What a hub offers and what a download has come to, as frozen values. Standard library only.

`qwen_desktop.hub` makes them; the bridge passes them on and the window shows them. Sizes are in
bytes everywhere, paths inside a repository have forward slashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from qwen_desktop.errors import Report


class Hub(str, Enum):
    """Where checkpoints are published. The values are what `--from` takes."""

    HUGGING_FACE = "huggingface"
    MODELSCOPE = "modelscope"

    @property
    def label(self) -> str:
        """Its name for people; the same in every language."""
        return {"huggingface": "Hugging Face", "modelscope": "ModelScope"}[self.value]

    @property
    def default_revision(self) -> str:
        """The branch that is meant where none is named."""
        return {"huggingface": "main", "modelscope": "master"}[self.value]


@dataclass(frozen=True)
class RepositoryName:
    """A repository of a hub: "Qwen/Qwen2.5-0.5B-Instruct"."""

    owner: str
    name: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class RepositoryAddress:
    """What somebody typed or pasted, understood by `chat.hub_address.parse`."""

    repository: RepositoryName
    hub: Hub | None = None  # None: a bare name says nothing of the hub
    revision: str = ""  # branch, tag or commit; "" for the hub's default
    endpoint: str = ""  # "https://hf-mirror.com" of a mirror's address; "" for the hub's own


@dataclass(frozen=True)
class Endpoint:
    """A server that speaks the protocol of a hub, and who asks there."""

    hub: Hub
    address: str  # "https://huggingface.co", without a slash at the end
    token: str = field(default="", repr=False)  # "" for nobody in particular
    proxy: str = field(default="", repr=False)  # "http://host:port"; "" as the environment says


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository as the hub lists it."""

    path: str  # "model-00001-of-00002.safetensors"
    size: int
    sha256: str | None = None  # 64 hexadecimal digits, where the hub gives one
    git_oid: str | None = None  # git's hash of a small file: SHA-1 of "blob SIZE\0" + content


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit."""

    hub: Hub
    endpoint: str  # address of the server that was asked
    repository: RepositoryName
    revision: str  # as asked for
    commit: str  # what the revision stood for when it was asked; "" where the hub does not say
    files: tuple[RemoteFile, ...]  # all that have names a folder may have
    shards: frozenset[str] | None = None  # weight files by the index; None where there is no index
    refused: tuple[str, ...] = ()  # paths that no folder may have: "../x", "CON"
    licence: str = ""  # as the repository's card says: "apache-2.0"


class LeftOut(str, Enum):
    """Why a file of the repository is not downloaded."""

    CODE = "code"  # programs of strangers: never run, so never fetched
    PICKLE = "pickle"  # .bin and the like: weights that can run code
    OTHER_WEIGHTS = "other-weights"  # safetensors that are not what a load reads, GGUF, ONNX
    NOT_NEEDED = "not-needed"  # pictures, training logs
    REFUSED = "refused"  # a name that leads out of the folder or that Windows cannot have


@dataclass(frozen=True)
class Wanted:
    """Which files of a listing are downloaded, and why others are not."""

    files: tuple[RemoteFile, ...]  # small ones first, then weights by name
    left_out: tuple[tuple[str, LeftOut], ...] = ()  # path and reason

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Standing(str, Enum):
    """What of a file is in the folder already."""

    MISSING = "missing"
    PARTIAL = "partial"  # a `.part` file, or its beginning left by another program
    PRESENT = "present"  # of the right size; its bytes are compared first
    CHECKED = "checked"  # of the right size, and its bytes were compared when it came
    DIFFERENT = "different"  # a Git LFS pointer or of another size: is replaced


@dataclass(frozen=True)
class PlannedFile:
    """One file and what is there of it."""

    file: RemoteFile
    standing: Standing
    here: int = 0  # bytes that need not be fetched


@dataclass(frozen=True)
class DownloadPlan:
    """What a download into `folder` would take. Made by `hub.planning.plan`, nothing is changed."""

    folder: Path
    listing: Listing
    files: tuple[PlannedFile, ...]
    left_out: tuple[tuple[str, LeftOut], ...]
    free: int  # bytes that fit on the disk of the folder
    space_needed: int  # bytes that the download will add there

    @property
    def total(self) -> int:
        """Bytes of all files when they are whole."""
        return sum(planned.file.size for planned in self.files)

    @property
    def here(self) -> int:
        """Bytes of them that need not be fetched."""
        return sum(planned.here for planned in self.files)

    @property
    def missing(self) -> int:
        """Bytes that have to be fetched."""
        return self.total - self.here

    @property
    def fits(self) -> bool:
        """Whether there is room for them."""
        return self.space_needed <= self.free


class FileState(str, Enum):
    """How far one file is."""

    WAITING = "waiting"
    CHECKING = "checking"  # bytes that are here are compared with the hub's hash
    FETCHING = "fetching"
    DONE = "done"


@dataclass(frozen=True)
class FileProgress:
    """One file of a running download."""

    path: str
    size: int
    done: int  # bytes that are here
    state: FileState


class DownloadState(str, Enum):
    """What a download does just now."""

    STARTING = "starting"
    FETCHING = "fetching"
    RETRYING = "retrying"  # it waits; `DownloadProgress.trouble` says what for
    CHECKING = "checking"  # all bytes are here; the rest of them is being compared
    DONE = "done"


@dataclass(frozen=True)
class DownloadProgress:
    """A running download, told several times a second."""

    state: DownloadState
    files: tuple[FileProgress, ...]
    total: int
    done: int  # bytes that are here, those of earlier runs included
    speed: float  # bytes a second, smoothed over some seconds; 0.0 at the start
    remaining_s: float | None  # None where nobody can say
    trouble: Report | None = None  # the last one, while it is being tried again
    retry_in_s: float = 0.0  # of RETRYING


class Comparison(str, Enum):
    """What verifying found out of one file."""

    SAME = "same"
    DIFFERENT = "different"
    MISSING = "missing"
    UNKNOWN = "unknown"  # nobody gave a hash for it


@dataclass(frozen=True)
class Verification:
    """Every file of a folder compared with the hash that its hub gave."""

    folder: Path
    files: tuple[tuple[str, Comparison], ...]
    source: Source | None = None

    @property
    def damaged(self) -> tuple[str, ...]:
        """Paths that are missing or have other bytes."""
        wrong = (Comparison.DIFFERENT, Comparison.MISSING)
        return tuple(path for path, found in self.files if found in wrong)

    @property
    def compared(self) -> int:
        """Files whose bytes were compared."""
        return sum(found in (Comparison.SAME, Comparison.DIFFERENT) for _, found in self.files)


@dataclass(frozen=True)
class Source:
    """Where the files of a folder came from, as the small file beside them says."""

    hub: Hub
    endpoint: str
    repository: RepositoryName
    revision: str
    commit: str
    files: tuple[RemoteFile, ...] = ()
    complete: bool = False  # whether every file was fetched


class Clue(str, Enum):
    """What tells which repository a folder is of, the surest first."""

    SOURCE = "source"  # the small file that this program writes
    GIT = "git"  # the remote of a clone
    CACHE = "cache"  # the place in a hub's own cache
    CARD = "card"  # README.md
    NAME = "name"  # what the folder is called
    CONFIG = "config"  # a name in config.json
    ARCHITECTURE = "architecture"  # the numbers of config.json


@dataclass(frozen=True)
class Guess:
    """A repository that a folder may be of. `endpoint` is the server that is named; "" for none."""

    address: RepositoryAddress
    clue: Clue
    endpoint: str = ""
