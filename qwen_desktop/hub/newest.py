"""What an owner has published on Hugging Face, newest first: asked for when a user says so."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from qwen_desktop.chat.hub import Endpoint, RepositoryName
from qwen_desktop.errors import Cancelled
from qwen_desktop.hub import trouble
from qwen_desktop.hub.trouble import Transient
from qwen_desktop.hub.web import Web

PAGES = 5
PER_PAGE = 500
# Models of the owner that are no chat checkpoints, or none that this program reads.
_OTHERS = re.compile(
    r"gguf|mlx|awq-gguf|-base\b|embedding|reranker|guard|-vl\b|-vl-|audio|omni|image|tts|asr|ocr"
    r"|reward|-rm\b|-prm|worldpm|captioner|aligner|tokenizer|onnx|openvino",
    re.IGNORECASE,
)
_TEXT = ("text-generation", "image-text-to-text")


def published(
    endpoint: Endpoint, owner: str, cancel: threading.Event
) -> tuple[RepositoryName, ...]:
    """Chat checkpoints of `owner` by what the hub says of them, newest first.

    Raises Known, and Cancelled where `cancel` was set meanwhile.
    """
    web = Web(endpoint)
    url = (
        f"{endpoint.address}/api/models?author={quote(owner)}&limit={PER_PAGE}"
        "&sort=createdAt&direction=-1"
    )
    found: list[RepositoryName] = []
    try:
        for _ in range(PAGES):
            if cancel.is_set():
                raise Cancelled
            page, url = web.get_json(url, owner)
            if not isinstance(page, list):
                raise trouble.nonsense(web.host, "the list of models is no list")
            found += _chats(page, owner)
            if not url or urlsplit(url).netloc != urlsplit(endpoint.address).netloc:
                break
    except Transient as passing:
        raise passing.known from passing
    finally:
        web.close()
    if cancel.is_set():
        raise Cancelled
    return tuple(dict.fromkeys(found))


def _chats(page: list[Any], owner: str) -> Iterator[RepositoryName]:
    for entry in page:
        name = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name.partition("/")[0].casefold() != owner.casefold():
            continue
        tags = entry.get("tags")
        is_text = entry.get("pipeline_tag") in _TEXT
        is_ours = isinstance(tags, list) and "safetensors" in tags
        if is_text and is_ours and not _OTHERS.search(name):
            yield RepositoryName(*name.split("/", 1))
