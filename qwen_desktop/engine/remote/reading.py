"""A stream read on a thread of its own, so that whoever waits for it can leave at any time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from qwen_desktop.engine.remote.link import Link

T = TypeVar("T")

LOOK_SECONDS = 0.05  # between two looks at the stop
TELL_SECONDS = 1.0  # between two words that nothing has come


class Waiting:
    """Nothing has come for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Stopped(Exception):  # noqa: N818 - names what it is
    """The user stopped; the connection is cut."""


class Silent(Exception):  # noqa: N818
    """Nothing came within `seconds`; the connection is cut."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


_END = object()


def aside(work: Callable[[], T], stop: threading.Event) -> T:
    """What `work` gives, asked on a thread that is left at a stop. Raises Stopped, or as `work`.

    For what cannot be interrupted: a keyring may wait until the user has unlocked it.
    """
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            items.put(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            items.put(_Raised(error))

    threading.Thread(target=run, name="connection key", daemon=True).start()
    while not stop.is_set():
        try:
            item = items.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            continue
        if isinstance(item, _Raised):
            raise item.error
        found: T = item
        return found
    raise Stopped


def read(
    link: Link,
    produce: Callable[[], Iterator[Any]],
    stop: threading.Event,
    patience: Callable[[], float],
    tells: Callable[[Any], bool] = lambda _: True,
) -> Generator[Any, None, None]:
    """What `produce` gives, made on another thread, with a `Waiting` in each second without any.

    Raises what it raises, Stopped, and Silent where nothing that `tells` something comes for
    `patience` seconds, which are asked for anew at each look. Whoever leaves cuts the link.
    """
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        try:
            for item in produce():
                items.put((time.monotonic(), item))
                if link.is_cut:
                    return
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            items.put(_Raised(error))
        else:
            items.put(_END)
        finally:
            link.close()

    # A name that is looked up cannot be interrupted: such a thread is left to end by itself.
    threading.Thread(target=work, name="server stream", daemon=True).start()
    began = told = time.monotonic()
    try:
        while True:
            if stop.is_set():
                raise Stopped
            try:
                item = items.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                now, limit = time.monotonic(), patience()
                if now - began > limit:
                    raise Silent(limit) from None
                if now - told >= TELL_SECONDS:
                    told = now
                    yield Waiting(now - began)
                continue
            if item is _END:
                return
            if isinstance(item, _Raised):
                raise item.error
            came, value = item
            is_news = tells(value)
            if not is_news and came - began > (limit := patience()):
                raise Silent(limit)
            yield value
            told = time.monotonic()  # whoever takes the items may have been busy
            began = told if is_news else began
    finally:
        link.cut()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
