"""Whether there is a token for a hub and where it comes from; whose it is, if the user asks."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

from qwen_desktop.chat.downloads import Access, TokenPlace
from qwen_desktop.chat.hub import Endpoint, Hub
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Cancelled, Known
from qwen_desktop.hub import endpoints, vault

_WHO = {Hub.HUGGING_FACE: "/api/whoami-v2", Hub.MODELSCOPE: "/openapi/v1/users/me"}
_REFUSED = ("hub-token", "hub-unauthorised", "hub-forbidden")
_NAMES = ("name", "username", "Name", "UserName", "nickname")


def access(hub: Hub) -> Access:
    """Where the token of `hub` would come from now. May wait for the keyring of the system."""
    names = endpoints._TOKENS[hub]
    has_keyring = vault.keyring_here() is not None
    place = TokenPlace.NONE
    if any(os.environ.get(name, "").strip() for name in names):
        place = TokenPlace.ENVIRONMENT
    elif hub is Hub.HUGGING_FACE and _has_file():
        place = TokenPlace.FILE
    elif endpoints.saved_token(hub):
        place = TokenPlace.KEYRING
    return Access(place, has_keyring, names[0])


def _has_file() -> bool:
    with suppress(OSError, ValueError):
        return bool(endpoints._token_file().read_text(encoding="utf-8").strip())
    return False


def who(endpoint: Endpoint, stop: threading.Event) -> str:
    """The name of the user whose token `endpoint` has, asked of the hub; "" where it has none.

    Raises Known where the token is refused or the hub cannot be asked, Cancelled after `stop`.
    """
    from qwen_desktop.hub.web import Web  # opens a socket as it is imported, to look at IPv6

    found: list[object] = []
    failed: list[BaseException] = []
    web = Web(endpoint)

    def work() -> None:
        try:
            found.append(web.get_json(endpoint.address + _WHO[endpoint.hub], "token")[0])
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            failed.append(error)

    # A name that is looked up cannot be interrupted: then the thread is left.
    thread = threading.Thread(target=work, name="hub access", daemon=True)
    thread.start()
    while thread.is_alive() and not stop.is_set():
        thread.join(0.05)
    web.close()
    thread.join(0.2)
    if stop.is_set():
        raise Cancelled
    if failed:
        raise _told(failed[0], endpoint.hub)
    return _name(found[0])


def _told(error: BaseException, hub: Hub) -> BaseException:
    from qwen_desktop.hub.trouble import Transient

    if isinstance(error, Transient):
        return error.known
    if isinstance(error, Known) and error.code in _REFUSED:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{hub} does not take this token."),
            QT_TRANSLATE_NOOP("errors", "Make a new one on its page of access tokens."),
            details=error.details,
            code=error.code,
            hub=hub.label,
        )
    return error


def _name(value: object) -> str:
    """The name in what either hub answers."""
    if not isinstance(value, dict):
        return ""
    inner = value.get("data") or value.get("Data") or value
    texts = [inner.get(key) for key in _NAMES] if isinstance(inner, dict) else []
    return next((text for text in texts if isinstance(text, str) and text), "")[:100]
