"""Takes the place of PyInstaller's own hook for torch, which copies everything that lies in it.

The libraries and one program are taken; byte code comes with what imports it, sources by
`contents.sources`.
"""

from __future__ import annotations

import contents

warn_on_missing_hiddenimports = False
module_collection_mode = "pyz"
bindepend_symlink_suppression = ["**/torch/lib/*.so*"]

binaries = contents.torch_libraries()
datas: list[tuple[str, str]] = []
