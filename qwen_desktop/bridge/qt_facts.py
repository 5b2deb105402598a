"""What is known of Qt itself: its version, and whether its plugins load. QtCore only."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QLibraryInfo, QPluginLoader, qVersion

from qwen_desktop.diagnose import Row, Section

# Folders below Qt's plugins.
_KINDS = ("platforms", "imageformats", "platforminputcontexts")
_ENDS = (".so", ".dll", ".dylib")


def qt_section(in_use: str = "", more: tuple[Row, ...] = ()) -> Section:
    """Qt and its plugins; those for windows are loaded to see whether this system has what they
    ask for. Only an application with windows knows which of them is `in_use` ("xcb"), and `more`.
    """
    folder = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath))
    rows = [Row("qt", qVersion()), Row("plugins", str(folder)), *more]
    for kind in _KINDS:
        files = sorted(f for f in (folder / kind).glob("*") if f.suffix in _ENDS)
        names = [_name(file) for file in files]
        if kind == "platforms":
            rows += [Row(f"platform_{_name(file)}", *_loaded(file, in_use)) for file in files]
        rows.append(Row(kind, ", ".join(names)))
    return Section("qt", "Qt", tuple(rows))


def _name(file: Path) -> str:
    return file.name.removeprefix("lib").partition(".")[0]


def _loaded(file: Path, in_use: str) -> tuple[str, str]:
    """Whether a plugin loads, and if not what it lacks."""
    if _name(file) == f"q{in_use}":
        return "in use", ""
    loader = QPluginLoader(str(file))
    if loader.load():
        return "loads", ""
    return "does not load", f"does not load: {loader.errorString()}"
