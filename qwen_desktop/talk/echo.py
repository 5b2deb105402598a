"""What is typed while an answer is drawn: the terminal itself must not write it amid the answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

if sys.platform == "win32":  # a console there writes what is typed only where it is read

    @contextmanager
    def no_echo() -> Iterator[None]:
        """Within, the terminal does not show what is typed."""
        yield

else:
    import termios

    @contextmanager
    def no_echo() -> Iterator[None]:
        """Within, the terminal does not show what is typed: not even the ^C that stops an answer.

        What is drawn again stands where it stood only while nobody else moves the cursor. Keys go
        to whom they went before. Nothing happens without a terminal, and in the background.
        """
        before = None
        try:
            terminal = sys.stdin.fileno()
            if os.tcgetpgrp(terminal) == os.getpgrp():  # others are halted for setting it
                before = termios.tcgetattr(terminal)
                within = termios.tcgetattr(terminal)
                within[3] &= ~termios.ECHO
                termios.tcsetattr(terminal, termios.TCSANOW, within)
        except (OSError, ValueError, AttributeError, termios.error):
            before = None  # no terminal; or gone
        try:
            yield
        finally:
            if before is not None:
                with suppress(termios.error):  # it was closed meanwhile
                    termios.tcsetattr(terminal, termios.TCSANOW, before)
