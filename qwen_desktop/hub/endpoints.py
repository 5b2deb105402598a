"""Which server is asked, and as whom: addresses and tokens from the environment and the keyring."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from qwen_desktop.chat.hub import Endpoint, Hub
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known
from qwen_desktop.hub import vault

_OWN = {Hub.HUGGING_FACE: "https://huggingface.co", Hub.MODELSCOPE: "https://www.modelscope.cn"}
_TOKENS = {
    Hub.HUGGING_FACE: ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    Hub.MODELSCOPE: ("MODELSCOPE_API_TOKEN", "MODELSCOPE_SDK_TOKEN"),
}


def endpoint(hub: Hub, address: str = "", token: str | None = None, proxy: str = "") -> Endpoint:
    """The server to ask; `hub/__init__.py` says what stands for what is left out.

    A token that is only lying about goes to the hub's own server and to the one the environment
    names, not to an address that somebody pasted. Raises Known where `address` is none.
    """
    usual = default_address(hub)
    chosen = _normal(address) if address.strip() else usual
    if token is None:
        token = saved_token(hub) if chosen in (usual, _OWN[hub]) else ""
    return Endpoint(hub, chosen, _one_line(token), proxy.strip())


def default_address(hub: Hub) -> str:
    """The hub's own server, or the one that the environment names for it."""
    if hub is Hub.HUGGING_FACE:
        named = os.environ.get("HF_ENDPOINT", "").strip()
    else:
        named = os.environ.get("MODELSCOPE_DOMAIN", "").strip()
        if named and "://" not in named:
            named = f"https://{named}"
    return _normal(named) if named else _OWN[hub]


def saved_token(hub: Hub) -> str:
    """The user's token: of the environment, the hub's own file or the keyring; "" without one."""
    for name in _TOKENS[hub]:
        if token := os.environ.get(name, "").strip():
            return token
    if hub is Hub.HUGGING_FACE:
        with suppress(OSError, ValueError):
            if token := _token_file().read_text(encoding="utf-8").strip():
                return token
    return vault.kept(hub.value)


def save_token(hub: Hub, token: str) -> None:
    """Keep `token` in the keyring of the system. Raises Known where there is none."""
    keyring = vault.keyring_here()
    if keyring is None:
        raise _no_keyring(hub, "")
    try:
        keyring.set_password(vault.SERVICE, hub.value, _one_line(token))
    except Exception as error:  # whatever the backend of this system raises
        raise _no_keyring(hub, f"{type(error).__name__}: {error}") from error


def forget_token(hub: Hub) -> None:
    """Take the token out of the keyring, if it is there."""
    vault.forget(hub.value)


def _no_keyring(hub: Hub, details: str) -> Known:
    variable = _TOKENS[hub][0]
    return Known(
        QT_TRANSLATE_NOOP("errors", "This system has no keyring that would keep the token."),
        QT_TRANSLATE_NOOP("errors", "Set {variable} in the environment instead."),
        details=details,
        code="no-keyring",
        variable=variable,
    )


def _token_file() -> Path:
    if named := os.environ.get("HF_TOKEN_PATH"):
        return Path(named).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "token"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "token"


def _one_line(token: str) -> str:
    """A token as a header can carry it: what was pasted may have ends of lines."""
    return "".join(token.split()).encode("ascii", "ignore").decode()


def _normal(address: str) -> str:
    text = address.strip()
    if "://" not in text:
        text = f"https://{text}"
    text = text.rstrip("/")
    try:
        split = urlsplit(text)
        fine = split.scheme in ("http", "https") and split.hostname and split.port != 0
    except ValueError:
        fine = False
    if fine and "@" in split.netloc:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The address of {host} has a name or a password in it."),
            QT_TRANSLATE_NOOP("errors", "Leave them out: addresses are written into folders."),
            code="hub-address",
            host=split.hostname,
        )
    if not fine or any(c.isspace() for c in text) or split.query or split.fragment:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "“{address}” is not the address of a server."),
            QT_TRANSLATE_NOOP("errors", "Write it as https://name, for example that of a mirror."),
            code="hub-address",
            address=address.strip()[:200],
        )
    return text
