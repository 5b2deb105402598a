"""The code that makes packages lies beside what it reads, in resources/packaging."""

from __future__ import annotations

import sys
from pathlib import Path

PARTS = Path(__file__).resolve().parents[2] / "resources" / "packaging"
if str(PARTS) not in sys.path:
    sys.path.append(str(PARTS))
