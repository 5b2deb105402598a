"""What Windows shows and wants to know of a program: the resources inside the .exe files."""

from __future__ import annotations

import re
from pathlib import Path

from contents import version

NAME = "Qwen Desktop"
MANIFEST = Path(__file__).with_name("manifest.xml")
# The language and the code page of the texts: English (United States), Unicode.
_LANGUAGE, _UNICODE = 0x0409, 1200


def numbers(text: str) -> tuple[int, int, int, int]:
    """The four numbers that Windows compares, of a version as "0.1.0" or "1.2.3rc1"."""
    found = [re.match(r"\d*", part) for part in text.split(".")[:3]]
    first, second, third = ([int(one[0] or 0) for one in found if one] + [0, 0, 0])[:3]
    return first, second, third, 0


def version_resource(program: str, description: str) -> str:
    """The version resource of `program`, in PyInstaller's words: the Details of its file."""
    texts = {
        "CompanyName": NAME,
        "FileDescription": description,
        "FileVersion": version(),
        "InternalName": program,
        "LegalCopyright": "Apache-2.0",
        "OriginalFilename": f"{program}.exe",
        "ProductName": NAME,
        "ProductVersion": version(),
    }
    four = numbers(version())
    table = ", ".join(f"StringStruct({key!r}, {text!r})" for key, text in texts.items())
    return (
        "VSVersionInfo(\n"
        f"  ffi=FixedFileInfo(filevers={four}, prodvers={four}, mask=0x3F, flags=0x0,\n"
        "    OS=0x40004, fileType=0x1, subtype=0x0, date=(0, 0)),\n"
        "  kids=[\n"
        f"    StringFileInfo([StringTable('{_LANGUAGE:04x}{_UNICODE:04x}', [{table}])]),\n"
        f"    VarFileInfo([VarStruct('Translation', [{_LANGUAGE}, {_UNICODE}])]),\n"
        "  ])\n"
    )


def write_version(program: str, description: str, folder: Path) -> str:
    """The version resource as a file in `folder`; its path, for PyInstaller."""
    file = folder / f"{program}.version"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(version_resource(program, description), "utf-8")
    return str(file)
