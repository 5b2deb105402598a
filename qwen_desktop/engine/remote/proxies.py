"""By which proxy a server is asked: that of the settings, else as the environment says.

Never for this machine itself: what runs here is reached here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwen_desktop.chat.connection import Connection

if TYPE_CHECKING:
    import ssl

    import httpx2


def proxy_for(connection: Connection, chosen: str = "") -> str:
    """The address of the proxy for `connection`, with a scheme; "" for none.

    `chosen` is that of the settings. What NO_PROXY names, on Windows also what its settings except,
    is asked directly in both cases.
    """
    import urllib.request

    if connection.is_here:
        return ""
    split = urlsplit(connection.base)
    if urllib.request.proxy_bypass(split.netloc):
        return ""
    named = chosen.strip()
    if not named:
        proxies = urllib.request.getproxies()
        named = proxies.get(split.scheme) or proxies.get("all") or ""
    if named.lower().startswith(("socks://", "socks5://")):
        return f"socks5h://{named.partition('://')[2]}"  # names are looked up there
    return named if not named or "://" in named else f"http://{named}"


def proxy_of(address: str, tls: ssl.SSLContext) -> httpx2.Proxy | None:
    """What the client wants to know of the proxy at `address`. Raises ValueError for nonsense."""
    import httpx2

    if not address:
        return None
    split = urlsplit(address)  # it judges ports, and brackets
    if not split.hostname or split.port == 0:
        raise ValueError("no host")
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL as error:
        raise ValueError(type(error).__name__) from None
    return httpx2.Proxy(url, ssl_context=tls if url.scheme == "https" else None)
