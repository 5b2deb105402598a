"""Where compiled code lies, how it gets there, and whether this machine can run it.

Compiling takes ten seconds and more, most of them with the GIL: it is done by a process of its own
(this program, started with `FLAG`), at low priority, which leaves its result in a folder
that this process then reads in a fraction of a second. The folder's name changes with our code,
numba's version and the CPU, so that what lies there always fits.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from qwen_desktop.paths import this_program

_log = logging.getLogger(__name__)

FLAG = "--compile-step"
# What the kernels use; without them numba's code would be slower than torch's, or not run.
NEEDED = ("avx2", "fma", "f16c")
LAYER = "omp"  # the other layers of numba take a tenth of a millisecond for each parallel loop
_QUIETLY = 0x00004000 | 0x08000000  # Windows: below normal priority, no window of its own


@dataclass(frozen=True)
class Variant:
    """What a function is compiled for: kinds of weights, of keys and values, of the head's weights,
    and how many heads share keys."""

    weights: str
    kv: str
    head: str
    group: int

    @property
    def name(self) -> str:
        """As a file name."""
        return f"{self.weights}-{self.kv}-{self.head}-{self.group}"


@lru_cache(maxsize=1)
def why_not_here() -> str:
    """Why no compiled code runs on this machine; "" where it does. Takes a moment at first."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"no kernels for {platform.machine()}"
    try:
        from llvmlite import binding
    except ImportError:
        return "numba is not installed"
    features = binding.get_host_cpu_features()
    missing = [name for name in NEEDED if not features.get(name)]
    return f"the CPU lacks {', '.join(missing)}" if missing else ""


def features() -> list[str]:
    """Of what the CPU can do, what decides on the speed of products; empty where nobody tells."""
    try:
        from llvmlite import binding
    except ImportError:
        return []
    kinds = ("sse4.2", "avx", "fma", "f16c", "amx")
    found: Mapping[str, bool] = binding.get_host_cpu_features()
    return sorted(name for name, has in found.items() if has and name.startswith(kinds))


def compiled_here(folder: Path) -> list[str]:
    """The names of the variants that lie in `folder`, ready to be read on this machine."""
    return sorted(file.stem for file in (folder / _stamp()).glob("*.done"))


@lru_cache(maxsize=1)
def _stamp() -> str:
    """What compiled code depends on, in a short word."""
    from llvmlite import binding

    here = Path(__file__).resolve().parent
    found = hashlib.sha256(bytes(here))  # numba keeps code by the path of its source
    if getattr(sys, "frozen", False):  # and, of a frozen program, by what that holds
        state = Path(sys.executable).stat()
        found.update(f"{state.st_size} {state.st_mtime_ns}".encode())
    for file in sorted(here.glob("*.py")):
        found.update(file.read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        found.update(version(package).encode())
    found.update(binding.get_host_cpu_name().encode())
    found.update(binding.get_host_cpu_features().flatten().encode())
    found.update(sys.version.encode())
    return found.hexdigest()[:16]


def is_compiled(folder: Path, variant: Variant) -> bool:
    """Whether `variant` lies in `folder`, ready to be read."""
    return _done(folder, variant).exists()


def _done(folder: Path, variant: Variant) -> Path:
    return folder / _stamp() / f"{variant.name}.done"


class Compiling:
    """A process that compiles one variant. It ends with this one."""

    def __init__(self, folder: Path, variant: Variant) -> None:
        """Raises OSError where no process can be started."""
        arguments = [str(folder), variant.weights, variant.kv, variant.head, str(variant.group)]
        flags = _QUIETLY if sys.platform == "win32" else 0
        self._process = subprocess.Popen(
            [*this_program(), FLAG, *arguments],
            stdin=subprocess.PIPE,  # it ends when nobody holds the other end any more
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=flags,
        )

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._process.poll() is None

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end, for so many seconds at most: whether it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.running

    def stop(self) -> None:
        """End it, done or not."""
        self._process.kill()
        self._process.wait()


def use(folder: Path) -> None:
    """Let numba keep and find what it compiles in `folder`. Before step.py is imported."""
    place = folder / _stamp()
    place.mkdir(parents=True, exist_ok=True)
    from numba import config

    config.CACHE_DIR = str(place)
    config.THREADING_LAYER = LAYER


def compile_now(folder: Path, variant: Variant) -> None:
    """Compile `variant`, or read it where that was done before, by running it once.

    Raises ValueError where the threads of this machine are not those of `LAYER`.
    """
    use(folder)
    from qwen_desktop.engine.cpu.trial import run_once

    run_once(variant)
    _done(folder, variant).touch()


def forget_others(folder: Path) -> None:
    """Remove what was compiled by other versions, or for another CPU."""
    for place in folder.iterdir():
        if place.is_dir() and place.name != _stamp():
            shutil.rmtree(place, ignore_errors=True)


def _end_with_parent() -> None:
    """Wait until the other end of stdin is closed, then end at once."""
    while os.read(0, 4096):  # a lock of sys.stdin, held at the end, would end Python badly
        pass
    os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """The process that compiles: FOLDER WEIGHTS KV HEAD GROUP."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)
    folder, weights, kv, head, group = arguments
    compile_now(Path(folder), Variant(weights, kv, head, int(group)))
    forget_others(Path(folder))
    return 0
