"""`qwen-desktop --diagnose [--json]`: what `qwen_desktop.diagnose` knows, on standard output.

It needs no display and opens no window, changes nothing, and works beside an open window. The exit
status is 0, whatever is found. Of a JSON object, `format` is 1; new keys may come.
"""

from __future__ import annotations

import io
import sys

from qwen_desktop import diagnose
from qwen_desktop.diagnose.collecting import everything
from qwen_desktop.paths import Profile
from qwen_desktop.terminal import say


def run(profile: Profile, *, as_json: bool) -> int:
    """Print it; gives the exit status."""
    from qwen_desktop.bridge import profile_lock
    from qwen_desktop.bridge.qt_facts import qt_section

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console may know few characters
    sections = everything(profile, profile_lock.is_taken(profile), qt_section)
    for line in (diagnose.as_json if as_json else diagnose.as_text)(sections).split("\n"):
        say(line)
    return 0
