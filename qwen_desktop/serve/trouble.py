"""What a client did wrong, or what went wrong for it, in the form of OpenAI's errors."""

from __future__ import annotations

from typing import Any

from qwen_desktop.errors import Report

INVALID = "invalid_request_error"
SERVER = "server_error"


class Refused(Exception):  # noqa: N818 - it refuses, it is no bug
    """A request that is answered with `status` and a sentence.

    `code` is a stable name, `param` the field that it is about, `retry_s` when to come again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = INVALID,
        retry_s: int = 0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.retry_s = retry_s

    def body(self) -> dict[str, Any]:
        """The JSON object that OpenAI's clients read."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def headers(self) -> dict[str, str]:
        """What belongs to the status."""
        found = {}
        if self.retry_s:
            found["Retry-After"] = str(self.retry_s)
        if self.status == 401:
            found["WWW-Authenticate"] = "Bearer"
        return found


def bad(message: str, param: str | None = None, code: str = "invalid_value") -> Refused:
    """A field with a value that cannot be."""
    return Refused(400, message, code=code, param=param)


def refused_by(report: Report) -> Refused:
    """The trouble of the engine with a request."""
    if report.is_bug:  # the details may hold what somebody wrote
        return Refused(500, "Something went wrong inside the server.", code="bug", kind=SERVER)
    if report.code in _STATUS:
        status, code = _STATUS[report.code]
        kind = INVALID if status == 400 else SERVER
        return Refused(status, report.text(), code=code, kind=kind)
    return Refused(400, report.text(), code=report.code or None)


# What the engine calls its troubles; where it has no name for one, the request is to blame.
_STATUS = {
    "context-overflow": (400, "context_length_exceeded"),
    "prompt-too-long": (400, "context_length_exceeded"),
    "no-memory": (503, "out_of_memory"),
    "no-checkpoint": (503, "no_model"),
    "server-stopped": (503, "stopped"),
}
