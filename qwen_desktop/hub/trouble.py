"""What goes wrong between here and a hub, as sentences."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

from qwen_desktop.chat.hub import Endpoint, Hub
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

TRY_AGAIN = QT_TRANSLATE_NOOP("errors", "Try again later; what has come so far is kept.")
_FULL = {errno.ENOSPC, *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else [])}


class Transient(Exception):  # noqa: N818 - names what it is
    """Trouble that may pass, so that the same is asked again. `known` is what to say in the end."""

    def __init__(self, known: Known, retry_after_s: float | None = None) -> None:
        super().__init__(str(known))
        self.known = known
        self.retry_after_s = retry_after_s  # as the server asked for


class Elsewhere(Transient):
    """A refusal by a server that the hub sent on to: such addresses are good for minutes only."""


def of_status(status: int, endpoint: Endpoint, host: str, what: str, details: str = "") -> Known:
    """The sentence for an answer that is a refusal. `what` was asked for: a repository or file."""
    if status == 401:
        return _unauthorised(endpoint, what, details)
    if status == 403:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} refuses access to {what}."),
            QT_TRANSLATE_NOOP(
                "errors",
                "Accept its licence on its page, and use a token of an account that may read it.",
            ),
            details=details,
            code="hub-forbidden",
            host=host,
            what=what,
        )
    if status in (404, 410):
        return not_found(endpoint, host, what, details)
    if status == 407:
        return Known(
            QT_TRANSLATE_NOOP("errors", "The proxy wants a user name and a password."),
            QT_TRANSLATE_NOOP("errors", "Give them in its address: http://user:password@host:port"),
            details=details,
            code="hub-proxy",
        )
    if status == 429:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} was asked too often and wants a pause."),
            QT_TRANSLATE_NOOP("errors", "Try again later, or use a token: it raises the limit."),
            details=details,
            code="hub-busy",
            host=host,
        )
    if status >= 500:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} has trouble of its own (status {status})."),
            TRY_AGAIN,
            details=details,
            code="hub-failed",
            host=host,
            status=status,
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} answered with status {status} for {what}."),
        QT_TRANSLATE_NOOP("errors", "Check the address of the hub in Settings, or try another."),
        details=details,
        code="hub-status",
        host=host,
        status=status,
        what=what,
    )


def _unauthorised(endpoint: Endpoint, what: str, details: str) -> Known:
    if endpoint.token:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{hub} does not accept the token for {what}."),
            QT_TRANSLATE_NOOP("errors", "Make a new token on the hub's page and save that one."),
            details=details,
            code="hub-token",
            hub=endpoint.hub.label,
            what=what,
        )
    variable = "HF_TOKEN" if endpoint.hub is Hub.HUGGING_FACE else "MODELSCOPE_API_TOKEN"
    return Known(
        QT_TRANSLATE_NOOP(
            "errors", "{what} is not there, or {hub} shows it to some accounts only."
        ),
        QT_TRANSLATE_NOOP(
            "errors",
            "Check the name. If it needs an account, accept its licence on its page "
            "and save a token ({variable}).",
        ),
        details=details,
        code="hub-unauthorised",
        hub=endpoint.hub.label,
        what=what,
        variable=variable,
    )


def not_found(endpoint: Endpoint, host: str, what: str, details: str = "") -> Known:
    """There is no such repository or file."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} has no {what}."),
        QT_TRANSLATE_NOOP("errors", "Check the name, or look for it on the other hub."),
        details=details,
        code="hub-not-found",
        host=host,
        what=what,
        hub=endpoint.hub.label,
    )


def no_revision(host: str, repository: str, revision: str, details: str = "") -> Known:
    """The repository is there, but not in that revision."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{repository} has no revision {revision} on {host}."),
        QT_TRANSLATE_NOOP("errors", "Leave the revision empty to get the newest one."),
        details=details,
        code="hub-no-revision",
        host=host,
        repository=repository,
        revision=revision,
    )


def portal(host: str, details: str = "") -> Known:
    """A web page came in place of what was asked for."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "A web page came in place of the files of {host}."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Where the network wants a login, open a browser and log in. "
            "Otherwise check the address of the hub.",
        ),
        details=details,
        code="hub-portal",
        host=host,
    )


def nonsense(host: str, details: str = "") -> Known:
    """An answer that makes no sense in the hub's protocol."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The answer of {host} makes no sense."),
        QT_TRANSLATE_NOOP("errors", "Check that its address in Settings is that of such a hub."),
        details=details,
        code="hub-nonsense",
        host=host,
    )


def redirect_loop(host: str, details: str = "") -> Known:
    """The server sends in circles."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{host} sends every request on in a circle."),
        QT_TRANSLATE_NOOP("errors", "Check the address of the hub, or try another mirror."),
        details=details,
        code="hub-redirects",
        host=host,
    )


def wrong_length(host: str, file: str, listed: int, got: int) -> Known:
    """The server's file is of another size than it listed."""
    return Known(
        QT_TRANSLATE_NOOP(
            "errors", "{file} has {got} bytes on {host}, and {listed} by the hub's own list."
        ),
        QT_TRANSLATE_NOOP("errors", "It may have changed just now. Look at the repository again."),
        code="hub-length",
        host=host,
        file=file,
        listed=listed,
        got=got,
    )


def changed(host: str, file: str, details: str = "") -> Known:
    """The file became another one between two requests."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} changed on {host} while it was downloaded."),
        QT_TRANSLATE_NOOP("errors", "Look at the repository again and start anew."),
        details=details,
        code="hub-changed",
        host=host,
        file=file,
    )


def wrong_bytes(host: str, file: str, details: str = "") -> Known:
    """What came, twice, is not what the hub's hash says."""
    return Known(
        QT_TRANSLATE_NOOP(
            "errors", "{file} came from {host} twice with bytes that differ from the hub's hash."
        ),
        QT_TRANSLATE_NOOP(
            "errors",
            "Something on the way changes it: a mirror, a proxy or a virus scanner. Try another.",
        ),
        details=details,
        code="hub-bytes",
        host=host,
        file=file,
    )


def cut_off(host: str, details: str = "") -> Known:
    """The connection ended in the middle."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "The connection to {host} broke off."),
        TRY_AGAIN,
        details=details,
        code="hub-cut",
        host=host,
    )


def of_network(error: Exception, host: str) -> Known:
    """The sentence for an exception of the HTTP library. The border to foreign exceptions."""
    # Not at the top: where files are looked at too, and its first import opens a socket.
    import urllib3.exceptions as http

    details = f"{type(error).__name__}: {error}"
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate(cause, host, details)
    # PySocks has exceptions of its own; it is imported only where such a proxy is set.
    if any(isinstance(c, http.ProxyError) or type(c).__module__ == "socks" for c in causes):
        return Known(
            QT_TRANSLATE_NOOP("errors", "The proxy does not let this program through to {host}."),
            QT_TRANSLATE_NOOP(
                "errors", "Check the proxy in Settings, or HTTPS_PROXY in the environment."
            ),
            details=details,
            code="hub-proxy",
            host=host,
        )
    if any(isinstance(cause, (ssl.SSLError, http.SSLError)) for cause in causes):
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} could not be reached over a safe connection."),
            QT_TRANSLATE_NOOP(
                "errors", "Check that its address is right, and https or http as the server wants."
            ),
            details=details,
            code="hub-tls",
            host=host,
        )
    if any(isinstance(cause, (http.NameResolutionError, socket.gaierror)) for cause in causes):
        return Known(
            QT_TRANSLATE_NOOP("errors", "The name {host} could not be found."),
            QT_TRANSLATE_NOOP(
                "errors", "Check the connection to the internet and the address of the hub."
            ),
            details=details,
            code="hub-dns",
            host=host,
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} does not take connections."),
            QT_TRANSLATE_NOOP("errors", "Check the address of the hub, or try another mirror."),
            details=details,
            code="hub-refused",
            host=host,
        )
    if any(isinstance(cause, (http.TimeoutError, TimeoutError)) for cause in causes):
        return Known(
            QT_TRANSLATE_NOOP("errors", "{host} does not answer."),
            QT_TRANSLATE_NOOP(
                "errors", "Check the connection to the internet, or try another mirror."
            ),
            details=details,
            code="hub-silent",
            host=host,
        )
    if any(isinstance(cause, OSError) and cause.errno in _UNREACHABLE for cause in causes):
        return Known(
            QT_TRANSLATE_NOOP("errors", "There is no way to {host} from here."),
            QT_TRANSLATE_NOOP("errors", "Check the connection to the internet."),
            details=details,
            code="hub-offline",
            host=host,
        )
    return cut_off(host, details)


_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


def _causes(error: BaseException) -> list[BaseException]:
    """`error` and all that led to it."""
    found: list[BaseException] = []
    todo: list[BaseException] = [error]
    while todo:
        cause = todo.pop()
        if any(cause is known for known in found):
            continue
        found.append(cause)
        inside = [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
        todo += [one for one in inside if isinstance(one, BaseException)]
    return found


def is_lasting(known: Known, error: Exception) -> bool:
    """Whether asking again at once would be of no use."""
    # Not at the top: where files are looked at too, and its first import opens a socket.
    import urllib3.exceptions as http

    if known.code == "hub-proxy":  # it may also have gone in the middle of something
        kinds = (ConnectionResetError, BrokenPipeError, TimeoutError, http.ReadTimeoutError)
        return not any(isinstance(cause, kinds) for cause in _causes(error))
    return known.code in ("hub-certificate", "hub-clock", "hub-tls")


def _certificate(cause: ssl.SSLCertVerificationError, host: str, details: str) -> Known:
    expired = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
    if cause.verify_code in expired:
        return Known(
            QT_TRANSLATE_NOOP("errors", "The certificate of {host} is not valid today."),
            QT_TRANSLATE_NOOP("errors", "Check the date and the clock of this computer."),
            details=details,
            code="hub-clock",
            host=host,
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "The certificate of {host} cannot be trusted."),
        QT_TRANSLATE_NOOP(
            "errors",
            "Somebody stands between: a login page, a company's proxy or a virus scanner. "
            "Its certificate has to be among those that this computer trusts.",
        ),
        details=details,
        code="hub-certificate",
        host=host,
    )


def of_disk(error: OSError, path: Path) -> Known:
    """The sentence for what the file system refuses below the folder of a download."""
    details = f"{type(error).__name__}: {error}"
    if error.errno in _FULL or getattr(error, "winerror", None) in (39, 112):
        return Known(
            QT_TRANSLATE_NOOP("errors", "The disk is full: {file} has no room."),
            QT_TRANSLATE_NOOP("errors", "Free some space and go on; what has come is kept."),
            details=details,
            code="disk-full",
            file=path.name,
        )
    if error.errno == errno.EFBIG:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{file} is too large for the file system of this disk."),
            QT_TRANSLATE_NOOP("errors", "Choose a folder on a disk with NTFS, exFAT or ext4."),
            details=details,
            code="file-system",
            file=path.name,
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be written: {reason}."),
        QT_TRANSLATE_NOOP("errors", "Choose a folder that you may write to, or mend the disk."),
        details=f"{path}\n{details}",
        code="download-write",
        file=path.name,
        reason=error.strerror or type(error).__name__,
    )


def unreadable(error: OSError, path: Path) -> Known:
    """A file of the folder cannot be read."""
    return Known(
        QT_TRANSLATE_NOOP("errors", "{file} cannot be read: {reason}."),
        QT_TRANSLATE_NOOP("errors", "Check that the disk is there and that you may read it."),
        details=f"{path}\n{type(error).__name__}: {error}",
        code="unreadable",
        file=path.name,
        reason=error.strerror or type(error).__name__,
    )
