"""One-path SVG icons, tinted and drawn by QPainter. Imports QtGui only.

The files in `resources/icons` are ordinary SVGs. They are read here by a parser for the few path
commands they use: the first use of QtSvg costs 30 ms, all of these together less than one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPainterPath, QPen

from qwen_desktop.paths import resources_dir

if TYPE_CHECKING:
    from PySide6.QtGui import QIcon

VIEW_BOX = 24.0
STROKE_WIDTH = 1.8
_PATH = re.compile(r'<path d="([^"]+)" fill="([^"]+)"')
_TOKEN = re.compile(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "Z": 0}


@dataclass(frozen=True)
class Shape:
    """An icon in a 24 x 24 box: stroked, and filled too where `filled`."""

    path: QPainterPath
    filled: bool


def parse(data: str) -> QPainterPath:
    """Path data with absolute M, L, H, V, C and Z. Raises ValueError for anything else."""
    tokens: list[str] = _TOKEN.findall(data)
    path = QPainterPath()
    command, at = "", 0
    while at < len(tokens):
        if tokens[at].isalpha():
            command, at = tokens[at], at + 1
        if command not in _ARGUMENTS:
            raise ValueError(f"path command {command!r} is not supported")
        count = _ARGUMENTS[command]
        n = [float(token) for token in tokens[at : at + count]]
        if len(n) != count:
            raise ValueError(f"path command {command} has too few numbers")
        at += count
        here = path.currentPosition()
        if command == "M":
            path.moveTo(n[0], n[1])
            command = "L"  # further pairs after a move are lines
        elif command == "L":
            path.lineTo(n[0], n[1])
        elif command == "H":
            path.lineTo(n[0], here.y())
        elif command == "V":
            path.lineTo(here.x(), n[0])
        elif command == "C":
            path.cubicTo(n[0], n[1], n[2], n[3], n[4], n[5])
        else:
            path.closeSubpath()
            command = ""  # a number straight after Z is an error
    return path


def folder() -> Path:
    """Where the icons lie."""
    return resources_dir() / "icons"


@cache
def shape(name: str) -> Shape:
    """The icon of file `name`.svg. Raises OSError without the file, ValueError for a bad one."""
    match = _PATH.search((folder() / f"{name}.svg").read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"icon {name} has no path")
    return Shape(parse(match[1]), match[2] == "currentColor")


def draw(painter: QPainter, name: str, box: QRectF, colour: str) -> None:
    """Paint an icon into the square `box` in `colour` (`#rrggbb`)."""
    icon = shape(name)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(box.topLeft())
    painter.scale(box.width() / VIEW_BOX, box.height() / VIEW_BOX)
    pen = QPen(QColor(colour), STROKE_WIDTH)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(QBrush(QColor(colour)) if icon.filled else QBrush())
    painter.drawPath(icon.path)
    painter.restore()


def application_icon() -> QIcon:
    """The icon of the window. Qt's SVG plugin draws it, so ask for it after the first paint."""
    from PySide6.QtGui import QIcon

    return QIcon(str(folder() / "app.svg"))
