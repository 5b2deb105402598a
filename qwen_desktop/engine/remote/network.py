"""What goes wrong on the way to a server, as sentences: names, proxies, certificates, connections.

Details name classes only: words of a server or a proxy may repeat what was sent.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

KEPT = QT_TRANSLATE_NOOP("errors", "Try again later; what has come so far is kept.")


def proxy_login(details: str) -> Known:
    """The proxy wants to know who asks."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The proxy wants a user name and a password."),
        QT_TRANSLATE_NOOP("errors", "Give them in its address: http://user:password@host:port"),
        details=details,
        code="remote-proxy",
    )


def bad_proxy(details: str) -> Known:
    """The address of the proxy is none."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The address of the proxy makes no sense."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Write it as http://host:port or socks5h://host:port in Settings or in HTTPS_PROXY.",
        ),
        details=details,
        code="remote-proxy",
    )


def of_network(error: BaseException, host: str, *, proxied: bool = False) -> Known:
    """The sentence for an exception of the HTTP client. `proxied`: it went by a proxy."""
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    details = " < ".join(type(cause).__name__ for cause in causes)
    text = " ".join(str(cause) for cause in causes)
    # The client's transport keeps only the words of what it caught.
    if any(isinstance(c, ssl.SSLCertVerificationError) for c in causes) or "CERTIFICATE_" in text:
        return Known(
            QT_TRANSLATE_NOOP("errors", "The certificate of {host} is not trusted."),
            QT_TRANSLATE_NOOP(
                "errors", "Add the certificate to the system's own, or check clock and address."
            ),
            details=details,
            code="remote-certificate",
            host=host,
        )
    if proxied and any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Known(
            QT_TRANSLATE_NOOP(
                "errors", "The proxy on the way to {host} does not take connections."
            ),
            QT_TRANSLATE_NOOP("errors", "Check the proxy in Settings, or HTTPS_PROXY."),
            details=details,
            code="remote-proxy",
            host=host,
        )
    if "ProxyError" in names and ("407" in text or "username/password" in text):
        return proxy_login(details)
    if "ProxyError" in names:
        return Known(
            QT_TRANSLATE_NOOP("errors", "The proxy does not let this program through to {host}."),
            QT_TRANSLATE_NOOP("errors", "Check the proxy in Settings, or HTTPS_PROXY."),
            details=details,
            code="remote-proxy",
            host=host,
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "[SSL" in text:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} could not be reached over a safe connection."),
            QT_TRANSLATE_NOOP(
                "errors", "Check that its address is right, and https or http as the server wants."
            ),
            details=details,
            code="remote-tls",
            host=host,
        )
    if any(isinstance(cause, socket.gaierror) for cause in causes) or "Name or service" in text:
        return Known(
            QT_TRANSLATE_NOOP("errors", "The name {host} could not be found."),
            QT_TRANSLATE_NOOP("errors", "Check the network and the address of the connection."),
            details=details,
            code="remote-dns",
            host=host,
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} does not take connections."),
            QT_TRANSLATE_NOOP("errors", "Start the server, or check the address."),
            details=details,
            code="remote-refused",
            host=host,
        )
    if names & {"ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "TimeoutError"}:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} does not answer."),
            QT_TRANSLATE_NOOP("errors", "Check that the server runs, and the network to it."),
            details=details,
            code="remote-unanswered",
            host=host,
        )
    if "ConnectError" in names:
        return Known(
            QT_TRANSLATE_NOOP("errors", "There is no way to {host} from here."),
            QT_TRANSLATE_NOOP("errors", "Check the network and the address of the connection."),
            details=details,
            code="remote-offline",
            host=host,
        )
    return cut_off(host, details)


def cut_off(host: str, details: str = "") -> Known:
    """The connection, or the answer, ended in the middle."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The connection to {host} broke off."),
        KEPT,
        details=details,
        code="remote-cut",
        host=host,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        yield step
        step = step.__cause__ or step.__context__
