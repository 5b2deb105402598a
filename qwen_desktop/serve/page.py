"""The page at `/`: one file, read once, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """Its text and its Content-Security-Policy, which names the one script and the one style."""

    html: bytes
    policy: str


@cache
def page() -> Page:
    """The page."""
    text = resources.files("qwen_desktop.serve").joinpath("page.html").read_text("utf-8")
    hashes = {"script": "", "style": ""}
    for kind, inner in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        hashes[kind] += f" 'sha256-{digest}'"
    policy = (
        f"default-src 'none'; script-src{hashes['script']}; style-src{hashes['style']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return Page(text.encode(), policy)
