"""Versions, the system, the processor, the cards."""

from __future__ import annotations

import locale
import os
import platform
import sqlite3
import ssl
import sys
from pathlib import Path

from qwen_desktop import __version__, licences
from qwen_desktop.diagnose import Row, Section, bytes_row, size
from qwen_desktop.paths import Profile, is_frozen

# Variables that change what happens. Of these the values are told; a proxy may hold a password.
_TOLD = (
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "NUMBA_CACHE_DIR",
    "NUMBA_NUM_THREADS",
    "QT_QPA_PLATFORM",
    "QT_SCALE_FACTOR",
    "QT_STYLE_OVERRIDE",
    "QT_IM_MODULE",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
    "LANG",
    "LC_ALL",
)
_ONLY_WHETHER = (
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "QT_PLUGIN_PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "HF_TOKEN",
    "HF_ENDPOINT",
    "MODELSCOPE_API_TOKEN",
    "SSL_CERT_FILE",
)
_OPENMP = ("libgomp", "libomp", "libiomp", "vcomp")


def program() -> Section:
    """What runs here, and how it was installed."""
    rows = (
        Row("version", __version__),
        Row("installed_as", _kind()),
        Row("executable", sys.executable),
        Row("python", platform.python_version()),
        Row("implementation", platform.python_implementation()),
        Row("compiler", platform.python_compiler()),
    )
    return Section("program", f"Qwen Desktop {__version__}", rows)


def _kind() -> str:
    if is_frozen():
        return "application folder"
    return "source tree" if _in_source_tree() else "Python package"


def _in_source_tree() -> bool:
    return (Path(__file__).resolve().parents[2] / "pyproject.toml").is_file()


def libraries() -> Section:
    """The version of everything that the program is made of."""
    rows = [Row(name, version, label=name) for name, version in licences.versions()]
    rows += [
        Row("SQLite", sqlite3.sqlite_version),
        Row("OpenSSL", ssl.OPENSSL_VERSION),
    ]
    return Section("libraries", "Libraries", tuple(rows))


def system() -> Section:
    """The operating system, and the variables that change what the program does."""
    rows = [
        Row("system", _system()),
        Row("kernel", f"{platform.system()} {platform.release()}"),
        Row("architecture", platform.machine()),
        Row("c_library", " ".join(platform.libc_ver()).strip() or None),
        Row("file_names", sys.getfilesystemencoding()),
        Row("text", locale.getpreferredencoding(False)),
    ]
    rows += [Row(name, os.environ[name], label=name) for name in _TOLD if name in os.environ]
    for name in _ONLY_WHETHER:
        if name in os.environ or name.lower() in os.environ:
            rows.append(Row(name, True, "is set", name))
    return Section("system", "System", tuple(rows))


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:  # no Linux, or one without that file
        return platform.platform()


def processor(profile: Profile) -> Section:
    """The processor, what of it our code can use, and what has been compiled for it."""
    import psutil

    from qwen_desktop.engine import hardware
    from qwen_desktop.engine.cpu import start

    why_not = start.why_not_here()
    rows = [
        Row("name", hardware.cpu_name()),
        Row("cores", psutil.cpu_count(logical=False)),
        Row("threads", psutil.cpu_count()),
        Row("features", " ".join(start.features()) or None),
        Row("compiled_step_runs", not why_not, f"no: {why_not}" if why_not else ""),
    ]
    if not why_not:
        names = start.compiled_here(profile.compiled_code)
        shown = ", ".join(names) if names else "nothing yet"
        rows.append(Row("compiled", len(names), shown))
    return Section("processor", "Processor", tuple(rows))


def devices() -> Section:
    """Memories that a model can be put into, and the driver of the cards."""
    from qwen_desktop.engine import gpus, hardware

    machine = gpus.this_machine()
    ram, driver, built = machine.ram, hardware.driver_version(), gpus.torch_cuda()
    rows = [
        bytes_row("memory", ram.total),
        bytes_row("memory_free", ram.free),
        Row("driver", driver or None),
        Row("torch_built_for_cuda", built or None, built or "no"),
    ]
    if machine.gpus:
        rows.append(Row("cards_usable", machine.usable))
    for card in machine.gpus:
        device, (major, minor) = card.device, card.capability
        facts = f"{device.name}, {size(device.total)}, {size(device.free)} free, {major}.{minor}"
        rows.append(Row(device.id, facts))
    return Section("devices", "Devices", tuple(rows))


def engine() -> Section:
    """Whether torch comes up, and what of this process computes. Takes seconds at first."""
    try:
        from qwen_desktop.engine.diagnosis import torch_facts

        facts = torch_facts()
    except Exception as error:  # noqa: BLE001 - what a broken installation raises is the finding
        rows = [Row("torch", f"does not import: {type(error).__name__}: {error}")]
    else:
        rows = [Row(name, value) for name, value in facts.items()]
    runtimes = _openmp()
    rows.append(Row("openmp", len(runtimes), ", ".join(runtimes) or "none"))
    return Section("engine", "Engine", tuple(rows))


def _openmp() -> list[str]:
    """The OpenMP runtimes in this process, of which there should be one."""
    import psutil

    try:
        maps = psutil.Process().memory_maps()
    except (psutil.Error, OSError, NotImplementedError):
        return []
    files = {Path(one.path).name for one in maps if one.path}
    return sorted(name for name in files if name.lower().startswith(_OPENMP))


def keyring() -> Section:
    """Where keys are kept. No key is asked for."""
    try:
        from qwen_desktop.hub import vault

        here = vault.keyring_here()
        kind = type(here.get_keyring()) if here is not None else None
        name = f"{kind.__module__}.{kind.__qualname__}" if kind is not None else None
    except Exception as error:  # noqa: BLE001 - a backend may raise anything
        name = f"cannot be asked: {type(error).__name__}"
    return Section("keyring", "Keyring", (Row("backend", name),))
