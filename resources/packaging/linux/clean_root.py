"""A Debian without anything on it, to install into: no Python, no library of a desktop.

Needs root. Everything is mounted in the mount namespace of the process, and gone with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# What a desktop has that finds out by itself about new menus and file types; none of it is ours.
DESKTOP = ("desktop-file-utils", "shared-mime-info", "hicolor-icon-theme")
# What is written by whoever installs anything, and by programs that run.
_PASSING = (
    "dev",
    "proc",
    "sys",
    "tmp",
    "run",
    "var/lib/dpkg",
    "var/lib/apt",
    "var/cache",
    "var/log",
)


def make_base(place: Path) -> None:
    """Make the system that all roots begin as, once."""
    if (place / "etc" / "debian_version").is_file():
        return
    shutil.rmtree(place, ignore_errors=True)
    draft = place.with_name(place.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    suite, mirror = _source()
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(DESKTOP)}"]
    run([*command, suite, str(draft), mirror])
    draft.rename(place)


def _source() -> tuple[str, str]:
    """The release that runs here and where its packages come from."""
    told = run(["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)"])
    release = dict(
        line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines()
    )
    suite = release.get("VERSION_CODENAME", "bookworm").strip('"')
    for line in told.splitlines():
        name, _, address = line.partition(" ")
        if name == suite:
            return suite, address
    return "bookworm", "http://deb.debian.org/debian"


class Root:
    """One such system, thrown away with `close`. `path` is where it lies."""

    def __init__(self, base: Path, place: Path) -> None:
        """`place` is an empty folder on a file system that can take a layer over another."""
        self.path = place / "root"
        self._mounted: list[Path] = []
        parts = [place / name for name in ("changes", "work", "root")]
        for part in parts:
            part.mkdir(parents=True)
        layers = f"lowerdir={base},upperdir={parts[0]},workdir={parts[1]}"
        self._mount("-t", "overlay", "overlay", "-o", layers, at=self.path)
        for name in ("dev", "sys"):
            self._mount("--rbind", f"/{name}", at=self.path / name)
            # Whatever is removed here later, it shall not be what the machine itself has there.
            run(["mount", "-o", "remount,ro,bind", str(self.path / name)])

    def _mount(self, *words: str, at: Path) -> None:
        at.mkdir(parents=True, exist_ok=True)
        run(["mount", *words, str(at)])
        self._mounted.append(at)

    def share(self, folder: Path) -> None:
        """Let it see a folder of ours, under the same name."""
        self._mount("--bind", str(folder), at=self.path / folder.relative_to("/"))

    def protect(self, folder: str) -> None:
        """Nobody can write there from now on, root neither: as it is for everybody else."""
        at = self.path / folder.lstrip("/")
        self._mount("--bind", str(at), at=at)
        run(["mount", "-o", "remount,ro,bind", str(at)])

    def release(self, folder: str) -> None:
        """The end of `protect`."""
        at = self.path / folder.lstrip("/")
        run(["umount", str(at)])
        self._mounted.remove(at)

    def words(self, *command: str, network: bool = False) -> list[str]:
        """The words that run a command in it, with processes of its own and no network."""
        apart = ["unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.path}/proc"]
        if not network:
            apart.append("--net")
        return [*apart, "chroot", str(self.path), *command]

    def run(
        self, *command: str, network: bool = False, environment: Mapping[str, str] | None = None
    ) -> str:
        """Run a command in it; what it prints. Raises CalledProcessError."""
        given = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        given |= {"HOME": "/root", "LC_ALL": "C.UTF-8", **(environment or {})}
        return run(self.words(*command, network=network), given)

    def install(self, *packages: str) -> None:
        """Install packages of the distribution, by name or as it says in a field Depends."""
        self.run("apt-get", "update", network=True)
        command = ("apt-get", "satisfy", "-y", "--no-install-recommends")
        self.run(*command, ", ".join(packages), network=True)

    def files(self) -> set[str]:
        """All that lies in it, without what is written by whoever installs anything."""
        found: set[str] = set()
        for folder, folders, names in os.walk(self.path):
            within = Path(folder).relative_to(self.path)
            folders[:] = [name for name in folders if str(within / name) not in _PASSING]
            found.update(str(within / name) for name in (*names, *folders))
        return found

    def close(self) -> None:
        """Take it away again."""
        for at in reversed(self._mounted):
            subprocess.run(["umount", "-R", "-l", str(at)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.path.parent, ignore_errors=True)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a command; what it prints. Raises CalledProcessError, having shown the end of that."""
    done = subprocess.run(
        list(command),
        env=dict(environment) if environment is not None else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    told = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        print(f"$ {' '.join(command)}\n{told[-4000:]}", flush=True)
        raise subprocess.CalledProcessError(done.returncode, list(command), told)
    return told
