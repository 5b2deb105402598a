"""Understands what people paste for a repository: its name, or any address of it on a hub."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from qwen_desktop.chat.hub import Hub, RepositoryAddress, RepositoryName
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

# The hubs' own servers; any other server of an address is a mirror that speaks the protocol of
# one of them, told by the form of its paths.
_SERVERS = {
    "huggingface.co": Hub.HUGGING_FACE,
    "www.huggingface.co": Hub.HUGGING_FACE,
    "hf.co": Hub.HUGGING_FACE,
    "modelscope.cn": Hub.MODELSCOPE,
    "www.modelscope.cn": Hub.MODELSCOPE,
}
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][\w./+-]{0,199}", re.ASCII)
_SCHEME = re.compile(r"(https?|hf|modelscope)://", re.IGNORECASE)
_AFTER = {"tree", "blob", "resolve", "raw", "commit", "file", "files", "summary", "discussions"}


def parse(text: str) -> RepositoryAddress:
    """The repository that `text` names: "Qwen/Qwen3-8B", "Qwen/Qwen3-8B@v1", an address.

    Raises Known where it names none.
    """
    text = text.strip().strip("<>\"'").strip()
    if match := re.match(r"git\s+clone\s+(\S+)", text):
        text = match[1]
    try:
        address = _address(text) if _has_server(text) else _bare(text)
    except ValueError as error:  # urlsplit refuses some brackets
        raise _no_repository(text) from error
    if address is None:
        raise _no_repository(text)
    return address


def _has_server(text: str) -> bool:
    if _SCHEME.match(text):
        return True
    first, slash, _ = text.partition("/")
    return bool(slash) and first.lower().partition(":")[0] in _SERVERS


def _bare(text: str) -> RepositoryAddress | None:
    name, _, revision = text.partition("@")
    parts = name.removesuffix("/").split("/")
    if len(parts) < 2:
        return None
    rest = _revision_of(parts[2:]) if len(parts) > 2 else revision
    repository = _repository(parts[:2])
    if repository is None or rest is None or (rest and not _is_revision(rest)):
        return None
    return RepositoryAddress(repository, revision=rest)


def _address(text: str) -> RepositoryAddress | None:
    if not _SCHEME.match(text):
        text = f"https://{text}"
    url = urlsplit(text)
    if url.scheme.lower() in ("hf", "modelscope"):  # "hf://Qwen/Qwen3-8B@main"
        found = _bare(text.split("://", 1)[1].removeprefix("models/"))
        hub = Hub.HUGGING_FACE if url.scheme.lower() == "hf" else Hub.MODELSCOPE
        return found and RepositoryAddress(found.repository, hub, found.revision)
    host = (url.hostname or "").lower()
    if not host:
        return None
    parts = [unquote(part) for part in url.path.split("/") if part]
    models = parts[:1] == ["models"]  # as ModelScope's addresses begin
    hub = _SERVERS.get(host, Hub.MODELSCOPE if models else Hub.HUGGING_FACE)
    if parts[:3] == ["api", "v1", "models"]:
        hub, parts = _SERVERS.get(host, Hub.MODELSCOPE), parts[3:]
    elif parts[:2] == ["api", "models"]:
        parts = parts[2:]
    elif models:
        parts = parts[1:]
    if len(parts) < 2:
        return None
    parts[1] = parts[1].removesuffix(".git")
    repository = _repository(parts[:2])
    revision = _revision_of(parts[2:])
    if repository is None or revision is None:
        return None
    revision = revision or "".join(parse_qs(url.query).get("Revision", [""])[:1])
    if revision and not _is_revision(revision):
        return None
    port = f":{url.port}" if url.port else ""
    server = "" if host in _SERVERS else f"{url.scheme.lower()}://{_bracketed(host)}{port}"
    return RepositoryAddress(repository, hub, revision, server)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _repository(parts: list[str]) -> RepositoryName | None:
    owner, name = parts
    if not _PART.fullmatch(owner) or not _PART.fullmatch(name) or ".." in owner + name:
        return None
    return RepositoryName(owner, name)


def _revision_of(parts: list[str]) -> str | None:
    """The revision in what follows a repository in an address; None where it makes no sense."""
    if not parts:
        return ""
    if parts[0] not in _AFTER and parts[0] not in ("revision", "repo"):
        return None
    if parts[0] in ("tree", "blob", "resolve", "raw", "commit", "revision") and len(parts) > 1:
        if parts[1:3] == ["refs", "pr"] and len(parts) > 3:
            return "/".join(parts[1:4])
        # ModelScope: /file/view/REV/…; Hugging Face writes slashes of a branch as %2F.
        return parts[1]
    if parts[0] == "file" and parts[1:2] == ["view"] and len(parts) > 2:
        return parts[2]
    return ""


def _is_revision(text: str) -> bool:
    return bool(_REVISION.fullmatch(text)) and ".." not in text and not text.endswith("/")


def _no_repository(text: str) -> Known:
    return Known(
        QT_TRANSLATE_NOOP("errors", "“{text}” does not name a repository."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Type a name such as Qwen/Qwen3-8B, or paste the address of its page on the hub.",
        ),
        code="repository-name",
        text=text[:200],
    )
