"""One thing about PySide6 itself that start-up cannot do without. Imports nothing but `sys`."""

from __future__ import annotations

import sys


def spare_source_scans() -> None:
    """Keep PySide6 from reading the source of every module imported after it.

    It looks there for `from __feature__ import …`, which this program never uses; the scan costs
    a tenth of a start-up, and holds the GIL for a second of torch's import. To be called right
    after the first import of PySide6. Where the hook is not found, nothing changes but the speed.
    """
    feature = sys.modules.get("shibokensupport.feature")
    if hasattr(feature, "_mod_uses_pyside"):
        feature._mod_uses_pyside = lambda _module: False  # type: ignore[union-attr]
