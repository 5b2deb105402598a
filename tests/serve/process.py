"""`qwen-desktop serve` in a process of its own, on a free port, as the tests use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "resources" / "demo-checkpoint"
PATIENCE_S = 120.0  # only ever waited for in full by a test that fails


@dataclass
class Served:
    """A server that runs. `address` is that of the page, `url` the base of the API."""

    process: subprocess.Popen[str]
    address: str
    key: str
    lines: list[str] = field(default_factory=list)  # of its log so far

    @property
    def url(self) -> str:
        return f"{self.address}/v1"

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def ask(
        self,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers in lower case and text of one request; the key is not sent."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.address + path, data, given, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_S) as answer:
                found = answer.read().decode()
                return answer.status, _lower(answer.headers), found
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _lower(error.headers), error.read().decode()

    def stop(self) -> int:
        """Press Ctrl+C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


def _lower(headers: object) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}  # type: ignore[attr-defined]


@contextmanager
def served(
    folder: Path = DEMO, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[Served]:
    """Serve `folder` until the end of the block; it is ready at its beginning."""
    command = [sys.executable, "-m", "qwen_desktop", "serve", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, **(environment or {}), "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    found = Served(process, "", "")
    ready = threading.Event()

    def read_log() -> None:
        for line in process.stderr or ():
            found.lines.append(line.rstrip())
            if ": ready." in line:
                ready.set()
        ready.set()

    reader = threading.Thread(target=read_log, name="log of the server")
    reader.start()
    try:
        for line in process.stdout:
            name, _, value = line.strip().partition(":")
            if name == "page":
                found.address = value.strip().rstrip("/")
                if "--generate-key" not in arguments:
                    break
            if name == "key":
                found.key = value.strip()
                break
        assert ready.wait(PATIENCE_S), "the server is not ready"
        assert process.poll() is None, "\n".join(found.lines)
        yield found
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(10)
        process.stdout.close()
        process.stderr.close()
