"""Which shared libraries and files of a finished analysis are kept, and in which form.

Entries are those of PyInstaller: (where it goes, where it is, "BINARY" | "EXTENSION" | …).
"""

from __future__ import annotations

import posixpath
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from contents import QT_PLUGINS, ROOT, needed

Entry = tuple[str, str, str]

# Libraries that are the desktop's own: they read its settings, talk to its programs and are as new
# as these, so those of the system are used (the .deb depends on them). Anything here is part of
# every desktop that has the C library we were built on. What Qt needs and such a desktop may
# lack (small parts of XCB), goes along.
SYSTEM = """
    X11 X11-xcb Xau Xdmcp Xext Xi Xrender Xfixes Xcursor Xrandr Xinerama Xcomposite Xdamage xcb
    wayland-client wayland-cursor wayland-egl xkbcommon xkbcommon-x11 EGL GL GLX GLdispatch
    OpenGL drm gbm glib-2.0 gobject-2.0 gio-2.0 gmodule-2.0 gthread-2.0 gtk-3 gdk-3
    gdk_pixbuf-2.0 pango-1.0 pangocairo-1.0 pangoft2-1.0 cairo cairo-gobject atk-1.0
    atk-bridge-2.0 atspi epoxy harfbuzz fribidi thai datrie graphite2 pixman-1 fontconfig
    freetype dbus-1 systemd mount blkid selinux stdc++ gcc_s gcrypt gpg-error cap pcre2-8 bsd md
    z zstd lz4 expat png16 jpeg tiff webp jbig deflate Lerc brotlidec brotlicommon cups krb5
    k5crypto krb5support com_err gssapi_krb5 keyutils avahi-common avahi-client gnutls hogweed
    nettle p11-kit tasn1 idn2 unistring gmp pcre xml2 resolv crypt
"""
_SYSTEM = tuple(f"lib{name}.so" for name in SYSTEM.split())

# Symbol tables for debuggers: 120 MiB of them. The other libraries are left as they were made.
_STRIPPED = ("libtorch_cpu.so", "libtorch_python.so", "libllvmlite.so", "libpython")

_NO_FILES = (".a", ".lib", ".h", ".hpp", ".cpp", ".cu", ".cuh", ".cmake", ".pyi", ".pxd", ".ts")
_NO_FOLDERS = (
    "torch/include/",
    "torch/test/",
    "torch/share/",
    "torch/_export/db/",
    "PySide6/Qt/qml/",
    "PySide6/Qt/libexec/",
    "PySide6/Qt/translations/",  # of Qt's dialogs: ours are in resources
    "PySide6/translations/",
    "PySide6/opengl32sw.dll",  # OpenGL without a card, of which widgets need none
    "PySide6/qml/",
)


def is_kept(place: str) -> bool:
    """Whether a file that goes to `place` is of any use at run time."""
    place = place.replace("\\", "/")
    if "/plugins/" in place and place.startswith("PySide6/"):
        return place.partition("/plugins/")[2].startswith(QT_PLUGINS)
    if place.startswith("torch/bin/"):
        return place == "torch/bin/torch_shm_manager"
    if "/tbbpool." in place:  # threads by a library of Intel's that is not here
        return False
    if place.startswith(("sympy/", "networkx/", "numba/")) and "/tests/" in place:
        return False
    return not place.startswith(_NO_FOLDERS) and not place.endswith(_NO_FILES)


def is_system(place: str) -> bool:
    """Whether it is a library for which the system's own is taken."""
    # Below a folder of a package lie its own, which are not to be had elsewhere.
    return "/" not in place and place.startswith(_SYSTEM)


def kept(
    binaries: Iterable[Entry], data: Iterable[Entry], needs: Callable[[str], Iterable[str]]
) -> tuple[list[Entry], list[Entry]]:
    """What is left of an analysis. `needs` tells the names of the libraries a file asks for."""
    left = [entry for entry in binaries if is_kept(entry[0])]
    files = [entry for entry in data if is_kept(entry[0])]
    if sys.platform.startswith("linux"):
        left = [entry for entry in left if not is_system(entry[0])]
        files = [entry for entry in files if not is_system(entry[0])]
        left = one_openmp(needed_libraries(left, needs))
    there = {entry[0] for entry in (*left, *files)}
    left = [entry for entry in left if not _dangles(entry, there)]
    files = [entry for entry in files if not _dangles(entry, there)]
    return left, files


def _dangles(entry: Entry, there: set[str]) -> bool:
    place, target, kind = entry
    if kind != "SYMLINK":
        return False
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), target)) not in there


def needed_libraries(
    entries: Iterable[Entry], needs: Callable[[str], Iterable[str]]
) -> list[Entry]:
    """Without the libraries of Qt and of the system that no program, plugin or module loads."""
    entries = list(entries)
    used = {"libpython"}
    for place, file, kind in entries:
        if kind in ("BINARY", "EXTENSION") and not _is_library(place, kind):
            used.update(needs(file))
    return [
        entry
        for entry in entries
        if not _is_library(entry[0], entry[2])
        or posixpath.basename(entry[0]) in used
        or posixpath.basename(entry[0]).startswith("libpython")
    ]


def _is_library(place: str, kind: str) -> bool:
    at_the_top = "/" not in place and ".so" in place and kind in ("BINARY", "SYMLINK")
    return "/Qt/lib/" in place or at_the_top


def one_openmp(entries: Iterable[Entry]) -> list[Entry]:
    """numba's threads ask for libgomp by one name, torch brings it under another: one file.

    Two OpenMP runtimes in a process have a team of threads each, which take the cores from another.
    """
    entries = list(entries)
    names = ("libgomp.so.1.0.0", "libgomp.so.1")
    ours = "torch/lib/libgomp.so.1"
    if not any(entry[0] == ours for entry in entries):
        return entries
    found = [
        entry
        for entry in entries
        if posixpath.basename(entry[0]) not in names or entry[0].startswith("torch/lib/")
    ]
    return found + [(name, ours, "SYMLINK") for name in names]


def licences(entries: Iterable[Entry], file: Path) -> Entry:
    """Collect the licences of all that goes in into `file`; the entry of that.

    With the libraries of the system among `entries`. The program shows it: `qwen_desktop.licences`.
    """
    from qwen_desktop import licences

    extra: tuple[licences.Component, ...] = ()
    if sys.platform.startswith("linux"):
        from linux import system_libraries

        extra = system_libraries.components(source for _, source, _ in entries)
    licences.write(file, [one.name for one in needed()[1:]], extra)
    return licences.bundled_file().relative_to(ROOT).as_posix(), str(file), "DATA"


def stripped(entries: Iterable[Entry], work: Path) -> list[Entry]:
    """The largest libraries without their symbol tables, written into `work`."""
    found = []
    work.mkdir(parents=True, exist_ok=True)
    for place, file, kind in entries:
        name = posixpath.basename(place)
        if kind == "BINARY" and name.startswith(_STRIPPED):
            target = work / name
            subprocess.run(["strip", "-o", str(target), file], check=True)
            found.append((place, str(target), kind))
        else:
            found.append((place, file, kind))
    return found
