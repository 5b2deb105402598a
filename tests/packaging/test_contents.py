"""What goes into the application folder, and that nothing stays out which a start imports."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import binaries
import contents

ROOT = contents.ROOT
PACKAGE = ROOT / "qwen_desktop"

# Refuses what is left out, as if it were not there, and loads all that a checkpoint may ask for.
BLOCKED = """
import importlib, sys
out = set(sys.stdin.read().split())

class Rest:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        parts = name.split(".")
        if any(".".join(parts[:n]) in out for n in range(1, len(parts) + 1)):
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Rest(finder) for finder in sys.meta_path]
import threading
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine.families import text_families
from qwen_desktop.engine.start import create_engine
from qwen_desktop.paths import demo_checkpoint

engine = create_engine(lambda _: None)
engine.load(LoadRequest(demo_checkpoint()), threading.Event(), lambda _: None)
for family in sorted(text_families()):
    name = family.removesuffix("_text")
    importlib.import_module(f"transformers.models.{name}.modeling_{name}")
for name in ("openai", "httpx2", "uvicorn", "starlette.applications", "keyring", "numba",
             "prompt_toolkit", "rich.markdown", "pypdf", "ziamath", "tiktoken",
             "qwen_desktop.engine.cpu.step", "qwen_desktop.app", "qwen_desktop.talk.running"):
    importlib.import_module(name)
print("loaded")
"""


def imported(top: str) -> set[str]:
    """The modules of package `top` that ours import, by name."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                if parts[0] == top:
                    found.update([parts[1]] if len(parts) > 1 else [n.name for n in node.names])
    return found


def test_of_qt_the_modules_are_kept_that_the_program_imports():
    assert imported("PySide6") == set(contents.QT_MODULES)
    assert "PySide6.QtQml" in contents.not_wanted()


def test_nothing_is_left_out_that_a_checkpoint_a_server_or_the_window_needs():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        input="\n".join(contents.not_wanted()),
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        check=False,
    )
    assert done.stdout.split()[-1:] == ["loaded"], done.stderr[-3000:]


def test_packages_for_tests_stay_out_and_those_that_are_asked_for_do_not():
    foreign = contents.foreign_modules()
    assert {"pytest", "_pytest", "hypothesis", "mypy", "PyInstaller"} <= set(foreign)
    kept = {"torch", "PySide6", "numba", "jinja2", "yaml", "socks", "jeepney", "qwen_desktop"}
    assert not kept & set(foreign)


def test_of_transformers_models_only_those_for_text_by_a_qwen_are_kept():
    folders = contents.model_folders()
    assert {"auto", "qwen2", "qwen3", "qwen3_moe"} <= folders
    assert not {"bert", "llama", "qwen2_audio"} & folders
    hidden = contents.hidden_modules()
    assert "transformers.models.qwen3.modeling_qwen3" in hidden
    assert not [name for name in hidden if name.startswith("transformers.models.bert")]


def test_all_our_modules_are_in_and_the_trainer_of_the_demo_is_not():
    hidden = set(contents.hidden_modules())
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[1] == "demo" or parts[-1] == "__main__":
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        assert name in hidden
    assert not [name for name in hidden if name.startswith("qwen_desktop.demo")]


def test_every_file_that_lies_beside_a_module_is_in():
    listed = subprocess.run(
        ["git", "ls-files", "qwen_desktop"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a checkout of git")
    beside = {ROOT / name for name in listed.stdout.split("\n") if name}
    beside = {file for file in beside if file.suffix not in (".py", "") and file.exists()}
    assert beside
    data = {(Path(file), folder) for file, folder in contents.data()}
    for file in beside:
        assert (file, str(file.parent.relative_to(ROOT))) in data


def test_resources_are_those_that_a_run_reads():
    names = {
        file.relative_to(ROOT / "resources").as_posix()
        for file in contents.shipped_files(ROOT / "resources")
    }
    assert "demo-checkpoint/model.safetensors" in names
    assert "icons/app.svg" in names
    assert "translations/qwen_desktop_zh_CN.qm" in names
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"demo-checkpoint", "icons", "licences", "translations"}
    assert not [name for name in names if name.endswith(".ts")]


def test_metadata_tell_versions_and_nothing_of_this_machine():
    copied = contents.metadata()
    folders = {Path(folder).name.partition("-")[0].lower() for _, folder in copied}
    assert {"torch", "transformers", "numba", "tokenizers", "qwen_desktop"} <= folders
    assert {Path(file).name for file, _ in copied} == {"METADATA", "entry_points.txt"}


def test_variant_and_version_are_read_without_importing():
    from qwen_desktop import __version__

    tag = importlib.metadata.version("torch").partition("+")[2]  # "cpu", "cu130" or none
    if tag:
        assert contents.variant() == tag.replace("cu", "cuda")
    assert re.fullmatch(r"cpu|cuda\d{3}", contents.variant())
    assert contents.version() == __version__


def test_of_torch_its_libraries_go_along_and_no_examples():
    names = {Path(file).name: folder for file, folder in contents.torch_libraries()}
    ending = "dll" if sys.platform == "win32" else "so"
    assert {folder for name, folder in names.items() if "torch_cpu" in name} == {"torch/lib"}
    assert not [name for name in names if "test" in name or name.endswith((".a", ".lib"))]
    assert [name for name in names if name.endswith(ending)]


def test_the_libraries_of_cuda_go_along_where_they_lie(tmp_path):
    for name in ("cu13/lib/libcublas.so.13", "cudnn/lib/libcudnn.so.9", "cudnn/include/cudnn.h"):
        file = tmp_path / "nvidia" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    found = [(Path(file).name, folder) for file, folder in contents.cuda_libraries(tmp_path)]
    assert found == [
        ("libcublas.so.13", "nvidia/cu13/lib"),
        ("libcudnn.so.9", "nvidia/cudnn/lib"),
    ]


# -- shared libraries -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        ("PySide6/Qt/plugins/platforms/libqxcb.so", True),
        ("PySide6/Qt/plugins/platforms/libqvnc.so", False),
        ("PySide6/plugins/platforms/qwindows.dll", True),
        ("PySide6\\plugins\\sqldrivers\\qsqlite.dll", False),
        ("PySide6\\opengl32sw.dll", False),
        ("PySide6\\Qt6Widgets.dll", True),
        ("PySide6/Qt/qml/QtQuick/plugin.so", False),
        ("torch/lib/libtorch_cpu.so", True),
        ("torch/bin/torch_shm_manager", True),
        ("torch/bin/protoc", False),
        ("torch/include/torch.h", False),
        ("numba/np/ufunc/omppool.cpython-311-x86_64-linux-gnu.so", True),
        ("numba/np/ufunc/tbbpool.cpython-311-x86_64-linux-gnu.so", False),
        ("resources/translations/qwen_desktop_zh_CN.qm", True),
        ("PySide6/Qt/translations/qtbase_de.qm", False),
    ],
)
def test_files_are_kept_for_what_they_are(place, kept):
    assert binaries.is_kept(place) is kept


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for Linux")


@linux
def test_libraries_go_along_that_something_loads_and_the_desktop_does_not_have():
    entries = [
        ("PySide6/QtGui.abi3.so", "gui", "EXTENSION"),
        ("PySide6/Qt/plugins/platforms/libqxcb.so", "xcb", "BINARY"),
        ("PySide6/Qt/lib/libQt6Gui.so.6", "qtgui", "BINARY"),
        ("PySide6/Qt/lib/libQt6Quick.so.6", "qtquick", "BINARY"),
        ("libQt6Gui.so.6", "PySide6/Qt/lib/libQt6Gui.so.6", "SYMLINK"),
        ("libQt6Quick.so.6", "PySide6/Qt/lib/libQt6Quick.so.6", "SYMLINK"),
        ("libxcb-cursor.so.0", "/lib/libxcb-cursor.so.0", "BINARY"),
        ("libglib-2.0.so.0", "/lib/libglib-2.0.so.0", "BINARY"),
        ("libpython3.11.so.1.0", "/lib/libpython3.11.so.1.0", "BINARY"),
        ("libcups.so.2", "/lib/libcups.so.2", "BINARY"),
    ]
    loads = {"gui": ["libQt6Gui.so.6", "libglib-2.0.so.0"], "xcb": ["libxcb-cursor.so.0"]}
    left, _ = binaries.kept(entries, [], lambda file: loads.get(file, []))
    assert [place for place, _, _ in left] == [
        "PySide6/QtGui.abi3.so",
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "PySide6/Qt/lib/libQt6Gui.so.6",
        "libQt6Gui.so.6",
        "libxcb-cursor.so.0",
        "libpython3.11.so.1.0",
    ]


@linux
def test_one_openmp_runtime_by_both_its_names():
    entries = [
        ("torch/lib/libgomp.so.1", "torch's", "BINARY"),
        ("libgomp.so.1", "/usr/lib/libgomp.so.1", "BINARY"),
        ("libgomp.so.1.0.0", "/usr/lib/libgomp.so.1.0.0", "BINARY"),
        ("numba.so", "numba", "EXTENSION"),
    ]
    assert sorted(binaries.one_openmp(entries)) == [
        ("libgomp.so.1", "torch/lib/libgomp.so.1", "SYMLINK"),
        ("libgomp.so.1.0.0", "torch/lib/libgomp.so.1", "SYMLINK"),
        ("numba.so", "numba", "EXTENSION"),
        ("torch/lib/libgomp.so.1", "torch's", "BINARY"),
    ]
