"""Installs what was built into clean systems, uses it as a person does, and removes it again.

The .deb and the tarball in a fresh Debian that has no Python; the wheel in a fresh environment that
cannot see the source tree. The program is used by keys and clicks on a desktop of its own, and
read as a screen reader reads it. It has no network.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.blackbox.desktop import Desktop
    from tests.blackbox.person import Person

PARTS = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(PARTS), str(PARTS.parents[1])]

import contents  # noqa: E402
from linux.clean_root import Root, make_base  # noqa: E402
from linux.clean_root import run as call  # noqa: E402

ROOT = contents.ROOT
QUESTION, ABOUT = "What is a token?", "token"
X11 = Path("/tmp/.X11-unix")
FIRST_PAINT = "QWEN_DESKTOP_TRACE_FIRST_PAINT"
OPENMP = re.compile(r"/lib(?:gomp|omp|iomp5)\b[^/]*$")


def run(made: Mapping[str, Path]) -> int:
    """Try all of it; gives the exit status. In a process of its own, whose mounts go with it."""
    if os.geteuid() != 0:
        print("The trial needs root: it makes a clean system and mounts it.", file=sys.stderr)
        return 1
    words = [f"{kind}={path}" for kind, path in made.items()]
    command = ["unshare", "--mount", sys.executable, str(Path(__file__).resolve()), *words]
    return subprocess.call(command, cwd=ROOT)


def main(arguments: Sequence[str]) -> int:
    """Try what is named on the command line: KIND=PATH."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("made", nargs="+", metavar="KIND=PATH")
    given = parser.parse_args(arguments)
    made = {kind: Path(path) for kind, _, path in (word.partition("=") for word in given.made)}
    with tempfile.TemporaryDirectory(prefix="qd-", ignore_cleanup_errors=True) as folder:
        for kind, trial in (("deb", deb), ("tarball", tarball), ("wheel", wheel)):
            if kind in made:
                tell(f"== {made[kind].name}: {made[kind].stat().st_size / 1e6:.0f} MB")
                trial(made[kind], Path(folder), made)
    tell("smoke: all passed")
    return 0


def tell(text: str) -> None:
    """Print at once: what follows may take minutes."""
    print(text, flush=True)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell how long it took."""
    began = time.monotonic()
    yield
    tell(f"  {what}: {time.monotonic() - began:.1f} s")


def expect(condition: object, what: object) -> None:
    """Raises AssertionError where it does not hold."""
    if not condition:
        raise AssertionError(what)


# -- the three ways to install --------------------------------------------------------------------


def deb(file: Path, work: Path, made: Mapping[str, Path]) -> None:
    """apt installs it into a clean Debian and removes it again."""
    with clean(work / "deb") as root:
        needs = call(["dpkg-deb", "-f", str(file), "Depends"]).strip()
        with timed("the packages it depends on"):
            root.install(needs)
        before = root.files()
        _copy(file, root)
        with timed("installing it"):
            root.run("apt-get", "install", "-y", "--no-install-recommends", f"/tmp/{file.name}")
        size = call(["du", "-sm", "--apparent-size", str(root.path / "usr/lib/qwen-desktop")])
        tell(f"  installed: {size.split()[0]} MiB")
        known = root.run("grep", "qwenchat", "/usr/share/mime/globs2")
        expect("*.qwenchat.json" in known, "its file type is not known")
        root.protect("/usr")
        commands(root, "qwen-desktop")
        with desktop(work / "d1", root) as screen:
            use(screen, root.words("qwen-desktop"))
            use_compiled(screen, root.words("qwen-desktop"))
            kept = screen.folder / "home" / ".local" / "share" / "qwen-desktop"
            root.release("/usr")
            with timed("removing it"):
                root.run("apt-get", "purge", "-y", "qwen-desktop")
            left = sorted(root.files() - before)
            expect(not left, f"left behind: {left}")
            data_alone(screen.folder / "home", kept)


def tarball(file: Path, work: Path, made: Mapping[str, Path]) -> None:
    """The script in the archive installs it for one person and removes it again."""
    with clean(work / "tarball") as root:
        needs, _ = _depends(made["app"])
        root.install(*needs, "xz-utils")
        _copy(file, root)
        with desktop(work / "d2", root) as screen:
            home = screen.folder / "home"
            environment = {"HOME": str(home)}
            with timed("unpacking it"):
                root.run("tar", "-C", "/opt", "-xf", f"/tmp/{file.name}")
            (folder,) = (root.path / "opt").iterdir()
            before = {path.relative_to(home) for path in home.rglob("*")}
            with timed("installing it"):
                root.run("sh", f"/opt/{folder.name}/install.sh", environment=environment)
            program = str(home / ".local" / "bin" / "qwen-desktop")
            entry = home / ".local" / "share" / "applications" / "qwen-desktop.desktop"
            expect(f'Exec="{program}"' in entry.read_text("utf-8"), "the menu starts another one")
            commands(root, program)
            use(screen, root.words(program))
            kept = home / ".local" / "share" / "qwen-desktop"
            uninstall = str(home / ".local" / "lib" / "qwen-desktop" / "uninstall.sh")
            with timed("removing it"):
                root.run("sh", uninstall, environment=environment)
            data_alone(home, kept, before)


def wheel(file: Path, work: Path, made: Mapping[str, Path]) -> None:
    """pip installs it into a fresh environment."""
    place = work / "environment"
    call([sys.executable, "-m", "venv", str(place)])
    constraints = str(ROOT / "constraints.txt")
    with timed("installing it with all it needs"):
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "-c", constraints]
        call([*pip, str(file)], {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    # Where the source tree was, there is nothing.
    hide = f'mount -t tmpfs none "{ROOT}" && cd / && exec "$@"'
    words = ["unshare", "--mount", "--net", "sh", "-c", hide, "sh"]
    program = str(place / "bin" / "qwen-desktop")
    told = call([*words, program, "--version"])
    expect(told.strip() == f"qwen-desktop {contents.version()}", told)
    with desktop(work / "d3", None) as screen:
        use(screen, [*words, program])
        pip = [str(place / "bin" / "python"), "-m", "pip", "uninstall", "-q", "-y", "qwen-desktop"]
        call(pip)
        left = list(place.rglob("*qwen*desktop*"))
        expect(not left, f"left behind: {left}")
        data_alone(screen.folder / "home", screen.folder / "home/.local/share/qwen-desktop")


@contextmanager
def clean(place: Path) -> Iterator[Root]:
    """A Debian of its own."""
    base = ROOT / "build" / "clean-debian"
    with timed("a clean Debian"):
        make_base(base)
        root = Root(base, place)
    try:
        expect(not list((root.path / "usr" / "bin").glob("python*")), "there is a Python")
        yield root
    finally:
        root.close()


def _copy(file: Path, root: Root) -> None:
    (root.path / "tmp" / file.name).write_bytes(file.read_bytes())


def _depends(app: Path) -> tuple[list[str], list[str]]:
    from linux import depends

    return depends.depends(app)


# -- using it -------------------------------------------------------------------------------------


@contextmanager
def desktop(folder: Path, root: Root | None) -> Iterator[Desktop]:
    """A screen, seen from within `root`."""
    from tests.blackbox import desktop as seen

    lacking = seen.missing()
    expect(not lacking, f"for a desktop of its own are missing: {lacking}")
    folder.mkdir()
    seen.PATIENCE_S = 300.0  # compiling takes a while on a machine that is busy
    screen = seen.Desktop(folder, {FIRST_PAINT: "print"})
    try:
        if root is not None:
            root.share(folder)
            root.share(X11)
        yield screen
    finally:
        screen.close()


def use(screen: Desktop, program: Sequence[str]) -> None:
    """Ask by clicks, read the answer, start anew, find the chat."""
    from tests.blackbox.person import SENDING

    person = started(screen, program)
    with timed("until the demo checkpoint is there"):
        person.wait("push button", "Checkpoint: demo-checkpoint")
        person.wait("push button", SENDING, "sensitive")
    person.click("text", "Message")
    person.type(QUESTION)
    person.until("what was typed", lambda: person.text("text", "Message") == QUESTION)
    with timed("the answer"):
        person.click("push button", SENDING)
        person.until("an answer", lambda: person.answers())
        person.wait_idle()
    expect(ABOUT in person.answers()[0], person.answers())
    said = person.messages()
    person.quit()
    person = started(screen, program)
    person.until("what was said before", lambda: person.messages() == said)
    person.wait_name("list item", rf"{QUESTION[:-1]}\?, .*")
    tell("  started anew: the chat is there")
    person.quit()


def use_compiled(screen: Desktop, program: Sequence[str]) -> None:
    """The step of a large model is compiled, once; all of it shares one OpenMP runtime."""
    from tests.blackbox.person import SENDING
    from tests.engine.checkpoints import chatty_checkpoint

    folder = chatty_checkpoint(screen.folder / "Large-Chat", megabytes=70)
    words = ("--checkpoint", str(folder), "--precision", "int4", "--max-new-tokens=8")
    profile = screen.folder / "home" / ".local" / "share" / "qwen-desktop"
    compiled: list[dict[Path, float]] = []
    for number in ("first", "second"):
        person = started(screen, program, *words)
        person.wait("push button", f"Checkpoint: {folder.name}")
        person.wait("push button", SENDING, "sensitive")
        with timed(f"an answer by a compiled step, {number} time"):
            answers = len(person.answers())
            person.send(QUESTION)
            expect(len(person.answers()) > answers, "no answer")
        with timed("then until the step is compiled"):
            person.until("compiled code", lambda: list((profile / "compiled").rglob("*.done")))
        files = mapped(person.process.pid)
        runtimes = {path for path in files if OPENMP.search(path)}
        expect(len(runtimes) == 1, f"OpenMP runtimes: {runtimes}")
        person.quit()
        kept = (profile / "compiled").rglob("*.nb*")
        compiled.append({file: file.stat().st_mtime for file in kept})
    expect([path for path in files if "/omppool." in path], "numba's threads are not in use")
    expect(compiled[0], "nothing was compiled")
    expect(compiled[0] == compiled[1], "it was compiled anew")
    tell(f"  {len(compiled[0])} files of compiled code were used again; one OpenMP runtime")


def started(screen: Desktop, program: Sequence[str], *arguments: str) -> Person:
    """A start of the program, with the time until its first paint."""
    from tests.blackbox.person import Person

    has_log = (screen.folder / "program.log").exists()
    before = screen.log("program").count("first-paint") if has_log else 0
    began = time.time()
    person = Person(screen, None, *arguments, program=program)
    painted = re.findall(r"^first-paint ([\d.]+)", screen.log("program"), re.MULTILINE)
    expect(len(painted) > before, "no first paint")
    tell(f"  first paint: {float(painted[-1]) - began:.2f} s")
    return person


def mapped(parent: int) -> set[str]:
    """The files that a program has in memory, found by the process that started it."""
    import psutil

    found: set[str] = set()
    for process in (psutil.Process(parent), *psutil.Process(parent).children(recursive=True)):
        found.update(one.path for one in process.memory_maps())
    return found


def commands(root: Root, program: str) -> None:
    """What it does in a terminal."""
    resources = "/_internal/resources/demo-checkpoint"
    target = root.run("readlink", "-f", root.run("sh", "-c", f"command -v {program}").strip())
    demo = str(Path(target.strip()).parent) + resources
    told = root.run(program, "--version")
    expect(told.strip() == f"qwen-desktop {contents.version()}", told)
    for words, wanted in (
        (("inspect", demo), "It opens."),
        (("--temporary", "--ask", QUESTION), ABOUT),
        (("study", demo, "--out", "/tmp/study.csv", "--lengths", "64"), "64"),
        (("get", "--help"), "usage"),
        (("serve", "--help"), "usage"),
    ):
        told = root.run(program, *words, environment={"QT_QPA_PLATFORM": "offscreen"})
        expect(wanted in told, f"{words}: {told}")
    tell("  --version, inspect, --ask, study, get, serve: all there")


def data_alone(home: Path, kept: Path, before: set[Path] | None = None) -> None:
    """Nothing is left in the home but what the person has written, and that is whole."""
    expect((kept / "conversations.db").is_file(), "the chats are gone")
    passing = (".cache", ".config")  # of the desktop: lists of fonts, settings of its theme
    left = {
        path.relative_to(home)
        for path in home.rglob("*")
        if path.is_file() and not path.is_relative_to(kept)
    }
    left = {path for path in left - (before or set()) if path.parts[0] not in passing}
    expect(not left, f"left behind in the home: {sorted(map(str, left))}")
    tell(f"  removed; kept: {kept.relative_to(home)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
