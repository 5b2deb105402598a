"""The setup program for Windows, made of the application folder by Inno Setup."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from contents import variant, version
from windows.details import numbers

SCRIPT = Path(__file__).with_name("qwen-desktop.iss")
COMPILER = "ISCC.exe"
# Where Inno Setup installs itself, for all users and for one, below these of the environment.
_PLACES = {
    "ProgramFiles(x86)": "Inno Setup 6",
    "ProgramFiles": "Inno Setup 6",
    "LOCALAPPDATA": "Programs/Inno Setup 6",
}


def compiler(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Inno Setup's compiler: what ISCC names, what is in PATH, or where it installs itself."""
    if named := environment.get("ISCC"):
        return Path(named)
    if found := shutil.which("ISCC", path=environment.get("PATH", "")):
        return Path(found)
    for name, below in _PLACES.items():
        if folder := environment.get(name):
            file = Path(folder, *below.split("/"), COMPILER)
            if file.is_file():
                return file
    return None


def name(version: str, variant: str) -> str:
    """The name of the setup program, without ".exe"."""
    return f"qwen-desktop-{version}-windows-x86_64-{variant}-setup"


def command(iscc: Path, app: Path, dist: Path, icon: Path) -> list[str]:
    """How the script is compiled."""
    defined = {
        "Version": version(),
        "Numbers": ".".join(map(str, numbers(version()))),
        "Variant": variant(),
        "Folder": app,
        "Icon": icon,
    }
    words = [f"/D{key}={value}" for key, value in defined.items()]
    return [str(iscc), *words, f"/O{dist}", f"/F{name(version(), variant())}", str(SCRIPT)]


def build(app: Path, dist: Path, work: Path) -> Path:
    """Make the setup program in `dist`, of the folder `app`. Ends the program where that fails.

    With CUDA it is more than one file: what belongs to it begins as its name does.
    """
    iscc = compiler()
    if iscc is None:
        sys.exit(
            "Inno Setup 6.3 or later makes the setup program, and it is not here. Install it "
            "(winget install JRSoftware.InnoSetup), or say in ISCC where ISCC.exe is."
        )
    target = dist / f"{name(version(), variant())}.exe"
    for old in (target, *dist.glob(f"{target.stem}-*.bin")):
        old.unlink(missing_ok=True)
    log = work / "innosetup.log"
    with log.open("wb") as written:
        done = subprocess.run(
            command(iscc, app, dist, work / "qwen-desktop.ico"),
            stdout=written,
            stderr=written,
            check=False,
        )
    if done.returncode:
        lines = log.read_text("utf-8", "replace").splitlines()[-20:]
        sys.exit("\n".join(lines) + f"\n\nInno Setup failed. All it said: {log}")
    return target
