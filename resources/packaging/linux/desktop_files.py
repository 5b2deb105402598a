"""What a Linux desktop wants to know of a program: menu entry, file type, icons, description."""

from __future__ import annotations

import os
import time
from pathlib import Path

import contents
import pictures

HERE = Path(__file__).resolve().parent
ID = "io.github.qwen_desktop.QwenDesktop"  # of the description for software centres


def write(share: Path) -> None:
    """Write all of it into `share`, as it lies in /usr/share."""
    for name, folder in (
        ("qwen-desktop.desktop", "applications"),
        ("qwen-desktop.xml", "mime/packages"),
    ):
        place = share / folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes((HERE / name).read_bytes())
    place = share / "metainfo" / f"{ID}.metainfo.xml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(description(), "utf-8")
    pictures.icons(share / "icons" / "hicolor")


def description() -> str:
    """The program for software centres (AppStream), with its version and the date of the build."""
    text = (HERE / "metainfo.xml.in").read_text("utf-8")
    date = time.strftime("%Y-%m-%d", time.gmtime(build_time()))
    return text.replace("@VERSION@", contents.version()).replace("@DATE@", date)


def build_time() -> float:
    """The moment to be noted in what is built: SOURCE_DATE_EPOCH, where that is set."""
    return float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
