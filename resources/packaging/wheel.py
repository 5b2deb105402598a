"""What setuptools would leave out: the resources, which lie beside the package in a source tree.

In a wheel they lie inside of it, so that an installation is complete by itself. pyproject.toml
names the two classes; this module stands alone, because it is loaded by its path.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parents[2]
READ = ("demo-checkpoint", "icons", "licences", "translations")  # at run time
# Of a source tree, beside what setuptools takes by itself.
SOURCES = ("qwen_desktop", "resources", "tests", "docs", ".github", ".ci")
FILES = ("dev.py", "constraints.txt", "build_installer.spec", "CHANGELOG.md")


def files(*folders: Path) -> list[Path]:
    """The files of folders, without what tools leave in them."""
    found = [file for folder in folders for file in sorted(folder.rglob("*"))]
    return [
        file
        for file in found
        if file.is_file() and "__pycache__" not in file.parts and file.suffix not in (".pyc",)
    ]


class WithResources(build_py):  # type: ignore[misc]
    """Copies the resources into the package that goes into a wheel."""

    def run(self) -> None:
        """Build as usual, then copy. An editable install finds them in the source tree."""
        super().run()
        if self.editable_mode:
            return
        resources = ROOT / "resources"
        target = Path(self.build_lib, "qwen_desktop", "resources")
        shutil.rmtree(target, ignore_errors=True)  # an earlier build may have left old ones
        for file in files(*(resources / name for name in READ)):
            if file.suffix != ".ts":  # what translations are made from
                place = target / file.relative_to(resources)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, place)


class Source(sdist):  # type: ignore[misc]
    """A source distribution from which everything can be built and tested."""

    def make_distribution(self) -> None:
        """Add the rest of the source tree to what setuptools has found."""
        found = files(*(ROOT / name for name in SOURCES if (ROOT / name).is_dir()))
        found += [ROOT / name for name in FILES if (ROOT / name).is_file()]
        self.filelist.extend([file.relative_to(ROOT).as_posix() for file in found])
        self.filelist.sort()
        self.filelist.remove_duplicates()
        super().make_distribution()
