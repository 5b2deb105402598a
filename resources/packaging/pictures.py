"""The program's icon as pictures of fixed sizes, for systems that don't draw SVG."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from contents import ROOT

ICON = ROOT / "resources" / "icons" / "app.svg"
SIZES = (16, 22, 24, 32, 48, 64, 128, 256, 512)


def png(size: int) -> bytes:
    """The icon as a PNG of `size` pixels square."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import QBuffer, QIODevice, QRectF, Qt
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(size, size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(ICON)).render(painter, QRectF(0, 0, size, size))
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(buffer.data().data())


def icons(folder: Path) -> None:
    """Write the icon into `folder` as a theme of icons has it: 48x48/apps/qwen-desktop.png …"""
    for size in SIZES:
        place = folder / f"{size}x{size}" / "apps" / "qwen-desktop.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(size))
    place = folder / "scalable" / "apps" / "qwen-desktop.svg"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(ICON.read_bytes())


def ico(file: Path, sizes: tuple[int, ...] = (16, 24, 32, 48, 64, 128, 256)) -> None:
    """Write an icon for Windows: PNGs behind one table."""
    pictures = [png(size) for size in sizes]
    table, start = b"", 6 + 16 * len(sizes)
    for size, picture in zip(sizes, pictures, strict=True):
        edge = size % 256  # 0 stands for 256
        table += struct.pack("<BBBBHHII", edge, edge, 0, 0, 1, 32, len(picture), start)
        start += len(picture)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack("<HHH", 0, 1, len(sizes)) + table + b"".join(pictures))
