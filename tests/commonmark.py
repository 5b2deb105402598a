"""The examples of the CommonMark specification, from the source package that dev.py downloads."""

from __future__ import annotations

import json
import sys
import tarfile
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple


class Example(NamedTuple):
    """One example of the specification."""

    number: int
    section: str
    markdown: str
    html: str  # what the specification says it is


@lru_cache(maxsize=1)
def examples() -> tuple[Example, ...]:
    """All examples, in their order."""
    name = f"markdown_it_py-{metadata.version('markdown-it-py')}"
    archive = Path(sys.prefix) / "sources" / f"{name}.tar.gz"
    assert archive.exists(), f"{archive.name} was not downloaded: see SOURCES in dev.py"
    with tarfile.open(archive) as files:
        member = files.extractfile(f"{name}/tests/test_cmark_spec/commonmark.json")
        assert member is not None
        found = json.load(member)
    return tuple(
        Example(one["example"], one["section"], one["markdown"], one["html"]) for one in found
    )
