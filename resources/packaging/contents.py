"""What goes into the application folder and what stays out, as lists for PyInstaller.

Everything is computed from what is installed; nothing of it is imported for that, but for torch's
version. PyInstaller follows import statements by itself. Here stands what it can't see: modules
that are imported by a name, files that are read at run time, and what nobody needs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = "qwen-desktop"

# -- what Qt is used for --------------------------------------------------------------------------

# Of its Python modules. The others of PySide6-Essentials are for interfaces in QML, OpenGL, SQL,
# XML, printing, tests, designers and translators: nothing here uses them. A test compares this with
# what the program imports.
QT_MODULES = ("QtCore", "QtGui", "QtWidgets", "QtSvg", "QtNetwork")
# Of its plugins: the windows of X11, Wayland and Windows, runs without a screen, icons and
# pictures, input methods, the looks and file dialogs of desktops. Not those for TLS (the hub is
# reached without Qt), touch screens without a desktop, VNC, or for pictures nobody pastes.
QT_PLUGINS = (
    "platforms/libqxcb",
    "platforms/libqoffscreen",
    "platforms/libqwayland",
    "platforms/qwindows",
    "platforms/qoffscreen",
    "xcbglintegrations/",
    "wayland-shell-integration/libxdg",
    "wayland-decoration-client/",
    "wayland-graphics-integration-client/libqt-plugin",
    "imageformats/libqsvg",
    "imageformats/libqjpeg",
    "imageformats/libqgif",
    "imageformats/qsvg",
    "imageformats/qjpeg",
    "imageformats/qgif",
    "imageformats/qico",
    "iconengines/",
    "styles/",
    "platforminputcontexts/libcomposeplatform",
    "platforminputcontexts/libibus",
    "platformthemes/",
)

# -- what torch and the others are not used for ---------------------------------------------------

# Parts of torch that write, measure, test, compile or train over several machines. What a start
# imports all the same (onnx, elastic, checkpoint and others) has to stay.
_TORCH = """
    torch.contrib torch.utils.benchmark torch.utils.bottleneck torch.utils.hipify
    torch.utils.mobile_optimizer torch.utils.model_dump torch.utils.tensorboard torch.utils.viz
    torch.utils.cpp_extension torch.distributed.benchmarks torch.distributed.debug
    torch.distributed.examples torch.distributed.launch torch.distributed.launcher
    torch.distributed.pipelining torch.distributed.run torch.distributed._tools
    torch.distributed._shard.checkpoint torch.distributed.tensor.examples
    torch.distributed.tensor.experimental torch._inductor.autoheuristic torch._inductor.codegen
    torch._inductor.compile_worker torch._inductor.fx_passes torch._inductor.kernel
    torch._inductor.package torch._inductor.template_heuristics torch._export.db torch.ao.ns
    torch.fx.passes.tests torch._dynamo.backends.tvm torch._dynamo.repro
"""
_TORCH_TESTING = "torch.testing._internal"
_TORCH_TESTING_KEPT = ("common_dtype", "distributed", "logging_tensor")  # imported at a start
_TRANSFORMERS = ("cli", "commands", "pipelines", "testing_utils")
_REST = """
    readline tkinter lib2to3 pydoc_data IPython matplotlib scipy pandas sklearn jax tensorflow
    tensorboard triton caffe2 torchvision torchaudio PIL cv2 gradio numba.tests numba.cuda
    numpy.f2py numpy.tests PySide6.scripts setuptools pip wheel _distutils_hack distutils
    qwen_desktop.demo openai.cli
"""
# Installed with others, never called: huggingface_hub's downloads (ours are written in
# `qwen_desktop.hub`) and its command line. The module readline is left out above because the
# library it loads may only go along with programs under the GPL.
_UNUSED = ("hf-xet", "typer", "shellingham", "setuptools")


def not_wanted() -> list[str]:
    """Modules that stay out, each with what lies below it."""
    torch = [*_TORCH.split()]
    torch += [
        f"{_TORCH_TESTING}.{name}"
        for name in _children(_TORCH_TESTING)
        if name not in _TORCH_TESTING_KEPT
    ]
    transformers = [f"transformers.{name}" for name in _TRANSFORMERS]
    models = Path(_folder("transformers")) / "models"
    kept = model_folders()
    transformers += [
        f"transformers.models.{folder.name}"
        for folder in models.iterdir()
        if folder.name not in kept and (folder / "__init__.py").is_file()
    ]
    tests = [
        name for top in ("sympy", "networkx", "mpmath") for name in modules(top) if "tests" in name
    ]
    return sorted({*torch, *transformers, *tests, *_REST.split(), *_qt(), *foreign_modules()})


def _qt() -> Iterator[str]:
    for file in Path(_folder("PySide6")).iterdir():
        name = file.name.partition(".")[0]
        if name.startswith("Qt") and file.suffix in (".so", ".pyd") and name not in QT_MODULES:
            yield f"PySide6.{name}"


def foreign_modules() -> list[str]:
    """Top-level modules of packages that are installed here but that we don't ask for.

    So it does not matter what else the environment of a build holds, tools for tests say.
    """
    wanted = {_plain(one.name) for one in needed()}
    keep: set[str] = set()
    drop: set[str] = set()
    for one in distributions():
        tops = _tops(one)
        (keep if _plain(one.name) in wanted else drop).update(tops)
    return sorted(name for name in drop - keep if name.isidentifier())


@cache
def needed() -> tuple[Distribution, ...]:
    """The packages that this program asks for, what they ask for, and so on; itself first."""
    from qwen_desktop.licences import needed as asked_for

    names = [OURS, *(name for name in asked_for() if _plain(name) not in _UNUSED)]
    return tuple(map(_installed, names))


def _installed(name: str) -> Distribution:
    """Of what is installed, not what setuptools has left in a source tree by the same name."""
    for one in distributions(name=name):
        if (one.read_text("RECORD") or "") != "":
            return one
    return distribution(name)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _tops(one: Distribution) -> set[str]:
    named = one.read_text("top_level.txt")
    if named:
        return set(named.split())
    tops = set()
    for file in one.files or ():
        first = file.parts[0]
        if len(file.parts) > 1 and not first.endswith((".dist-info", ".data")) and first != "..":
            tops.add(first)
        elif first.endswith(".py"):
            tops.add(first[:-3])
    return tops - {"bin", "Scripts", "__pycache__", "share"}


# -- modules that are imported by a name ----------------------------------------------------------


def hidden_modules() -> list[str]:
    """Modules that no import statement names."""
    found = set(_transformers_modules())
    found.update(name for name in modules("qwen_desktop") if not _under(name, "qwen_desktop.demo"))
    # Imported by names in tables of their own, by entry points, or from compiled code.
    for top in ("numba", "llvmlite", "keyring", "ziamath", "ziafont", "latex2mathml", "pypdf"):
        found.update(modules(top))
    for top in ("uvicorn", "torch._dynamo.polyfills"):
        found.update(modules(top))
    found.update(("torch._C", "torch.onnx.operators", "torchgen", "pynvml", "socks"))
    found.update(name for name in modules("accelerate") if not _under(name, *_ACCELERATE))
    out = not_wanted()
    return sorted(name for name in found if not _under(name, *out))


_ACCELERATE = ("accelerate.commands", "accelerate.test_utils")


def _transformers_modules() -> Iterator[str]:
    """Its parts import each other by tables of names; of its models only those for Qwen."""
    kept = model_folders()
    for name in modules("transformers"):
        parts = name.split(".")
        if parts[1:2] == ["models"] and len(parts) > 2 and parts[2] not in kept:
            continue
        yield name


@cache
def model_folders() -> frozenset[str]:
    """The folders of transformers' models that are needed: for text by a Qwen, and what these
    import from others.
    """
    from qwen_desktop.engine.families import text_families

    root = Path(_folder("transformers")) / "models"
    waiting = {"auto", "encoder_decoder"}
    for family in text_families():
        waiting.add(family.removesuffix("_text"))
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        folder = root / name
        if name in found or not (folder / "__init__.py").is_file():
            continue
        found.add(name)
        if name == "auto":  # it names them all, and imports what is asked for
            continue
        for file in folder.glob("*.py"):
            if file.name.startswith("modular_"):  # what the others were generated from
                continue
            source = file.read_text("utf-8")
            waiting.update(re.findall(r"^from \.\.(\w+)", source, re.MULTILINE))
    return frozenset(found)


# -- files that are read --------------------------------------------------------------------------


def data() -> list[tuple[str, str]]:
    """Files to be copied, as pairs of a file and the folder it goes to."""
    from PyInstaller.utils.hooks import collect_data_files

    found = list(sources())
    for package in ("ziamath", "ziafont", "latex2mathml", "tokenizers", "numba"):
        found += collect_data_files(package, excludes=["**/tests/**", "**/*.pyi", "**/*.h"])
    for file in (ROOT / "qwen_desktop").rglob("*"):
        if file.suffix in (".json", ".html"):
            found.append((str(file), str(file.parent.relative_to(ROOT))))
    found += shipped()
    found += metadata()
    return found


def shipped() -> list[tuple[str, str]]:
    """Our resources: pairs as in `data`."""
    found = []
    for file in shipped_files(ROOT / "resources"):
        found.append((str(file), str(file.parent.relative_to(ROOT))))
    return found


def shipped_files(resources: Path) -> list[Path]:
    """The files of `resources` that the program reads, which is also what goes into the wheel."""
    found = []
    for name in ("demo-checkpoint", "icons", "licences", "translations"):
        found += [file for file in sorted((resources / name).rglob("*")) if file.is_file()]
    return [file for file in found if file.suffix != ".ts"]


def metadata() -> list[tuple[str, str]]:
    """What packages say of themselves, because versions and entry points are asked for.

    Not their licences, which are collected into one file, nor what pip notes of this machine.
    """
    found = []
    for one in needed():
        files = getattr(one, "_path", None)  # the folder, for which there is no public name
        for name in ("METADATA", "entry_points.txt"):
            file = Path(files or "", name)
            if files is not None and file.is_file():
                found.append((str(file), file.parent.name))
    return found


def sources() -> Iterator[tuple[str, str]]:
    """Sources that are read as text, though the byte code lies elsewhere: pairs as in `data`."""
    yield from _torch_sources()
    root = Path(_folder("transformers"))
    # A list of its models is made by reading them, and its first module is run by its path.
    for file in (root / "__init__.py", root / "models" / "__init__.py"):
        yield str(file), str(file.parent.relative_to(root.parent))
    for name in sorted(model_folders()):
        for file in sorted((root / "models" / name).glob("*.py")):
            yield str(file), str(file.parent.relative_to(root.parent))


# torch reads the source of its settings at import, and fails without; of functions with several
# signatures too, and warns without.
_READ_BY_TORCH = (
    "\ninstall_config_module(",
    "@_overload",
    "_overload as overload",
    "jit._overload",
    "_overload_method",
)


def _torch_sources() -> Iterator[tuple[str, str]]:
    root = Path(_folder("torch"))
    skipped = {"test", "testing", "include", "onnx", "ao", "__pycache__"}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in skipped]
        for name in files:
            if name.endswith(".py"):
                text = Path(folder, name).read_text("utf-8")
                if any(mark in text for mark in _READ_BY_TORCH):
                    yield str(Path(folder, name)), str(Path(folder).relative_to(root.parent))


# -- libraries of torch and CUDA ------------------------------------------------------------------


def torch_libraries() -> list[tuple[str, str]]:
    """torch's own libraries, without examples and tests of its build, and the program without which
    it does not start: pairs as in `data`.
    """
    torch = Path(_folder("torch"))
    found = [
        file
        for file in sorted((torch / "lib").iterdir())
        if re.search(r"\.so(\.|$)|\.dll$", file.name) and not file.name.startswith(_TORCH_EXAMPLES)
    ]
    found += (torch / "bin").glob("torch_shm_manager")
    return [(str(file), file.parent.relative_to(torch.parent).as_posix()) for file in found]


_TORCH_EXAMPLES = ("libaoti_custom", "libbackend_with", "libjitbackend", "libtorchbind")


def cuda_libraries(site: Path | None = None) -> list[tuple[str, str]]:
    """The libraries that lie in packages of their own beside torch: pairs as in `data`.

    torch links some of them and opens others by name when it needs them. On Windows they are in
    torch's own folder, and for the CPU there are none.
    """
    site = site or Path(_folder("torch")).parent
    return [
        (str(file), file.parent.relative_to(site).as_posix())
        for file in sorted((site / "nvidia").glob("*/lib/*.so*"))
        if not file.name.startswith(_CUDA_UNUSED)
    ]


# Reads files from a network's storage into a card, and what it needs is not on a desktop.
_CUDA_UNUSED = ("libcufile_rdma.",)


# -- looking at what is installed -----------------------------------------------------------------


@cache
def _folder(package: str) -> str:
    """Where a package lies. Finding one below another does not import that."""
    paths = None
    for part in package.split("."):
        spec = PathFinder.find_spec(part, paths)
        if spec is None and package == "qwen_desktop":  # an editable install has its own finder
            return str(ROOT / package)
        if spec is None:
            raise ModuleNotFoundError(f"{package} is not installed here")
        paths = list(spec.submodule_search_locations or ())
    if not paths:
        raise ModuleNotFoundError(f"{package} is no package")
    return paths[0]


def modules(package: str) -> Iterator[str]:
    """The names of all modules of a package, from its files."""
    root = Path(_folder(package))
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__" and name.isidentifier()]
        within = Path(folder).relative_to(root).parts
        for name in files:
            stem = name.partition(".")[0]
            if _is_module(name) and stem.isidentifier() and stem != "__main__":
                last = () if stem == "__init__" else (stem,)
                yield ".".join((package, *within, *last))


def _is_module(name: str) -> bool:
    return name.endswith((".py", ".pyd", ".abi3.so")) or (
        name.endswith(".so") and ".cpython-" in name
    )


def _children(package: str) -> set[str]:
    depth = package.count(".") + 1
    parts = (name.split(".") for name in modules(package))
    return {found[depth] for found in parts if len(found) > depth}


def _under(name: str, *tops: str) -> bool:
    return any(name == top or name.startswith(top + ".") for top in tops)


def variant() -> str:
    """What torch computes with here: "cpu", or "cuda130" for CUDA 13.0."""
    text = (Path(_folder("torch")) / "version.py").read_text("utf-8")
    found = re.search(r"^cuda\b[^=]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return f"cuda{found.group(1).replace('.', '')}" if found else "cpu"


def version() -> str:
    """The version of the program, which stands in one place."""
    text = (ROOT / "qwen_desktop" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"', text, re.MULTILINE)
    assert found
    return found.group(1)


def without_children(names: Iterable[str]) -> list[str]:
    """`names` without those that lie below another of them."""
    kept: list[str] = []
    for name in sorted(names):
        if not (kept and name.startswith(kept[-1] + ".")):
            kept.append(name)
    return kept
