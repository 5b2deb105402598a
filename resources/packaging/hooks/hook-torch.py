"""Takes the place of PyInstaller's own hook for torch, which copies everything that lies in it.

The libraries and one program are taken; byte code comes with what imports it, sources by
`contents.sources`.
"""

from __future__ import annotations

from pathlib import Path

from PyInstaller.utils.hooks import collect_dynamic_libs, get_package_paths

warn_on_missing_hiddenimports = False
module_collection_mode = "pyz"
bindepend_symlink_suppression = ["**/torch/lib/*.so*"]
# Examples and tests of torch's own build.
_FOR_TESTS = ("libaoti_custom", "libbackend_with", "libjitbackend", "libtorchbind")

binaries = [
    (file, folder)
    for file, folder in collect_dynamic_libs("torch", search_patterns=["*.so", "*.so.*", "*.dll"])
    if Path(folder) == Path("torch/lib") and not Path(file).name.startswith(_FOR_TESTS)
]
# torch does not start without it.
_manager = Path(get_package_paths("torch")[1]) / "bin" / "torch_shm_manager"
if _manager.exists():
    binaries.append((str(_manager), "torch/bin"))
datas: list[tuple[str, str]] = []
