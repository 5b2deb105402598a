"""Where things lie on this machine: the profile (user data) and the shipped resources.

What only some starts need is imported inside its function: this is on the way to the first paint.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

APP_DIR_NAME = "Qwen Desktop" if sys.platform == "win32" else "qwen-desktop"


@dataclass(frozen=True)
class Profile:
    """One user data folder. Two profiles share nothing."""

    root: Path
    temporary: bool = False

    @property
    def database(self) -> Path:
        """The SQLite file of conversations."""
        return self.root / "conversations.db"

    @property
    def preferences(self) -> Path:
        """The settings the user changed, as JSON."""
        return self.root / "settings.json"

    @property
    def presets(self) -> Path:
        """The presets the user made, as JSON."""
        return self.root / "presets.json"

    @property
    def prompts(self) -> Path:
        """The prompt library, as JSON."""
        return self.root / "prompts.json"

    @property
    def words(self) -> Path:
        """Words that the user added to the dictionary, one to a line."""
        return self.root / "words.txt"

    @property
    def sidebar_cache(self) -> Path:
        """A copy of the conversation list, small enough to read before the first paint."""
        return self.root / "sidebar.json"

    @property
    def state(self) -> Path:
        """How the window was left, as JSON."""
        return self.root / "state.json"

    @property
    def load_mark(self) -> Path:
        """Stands while a checkpoint is being loaded."""
        return self.root / "loading.json"

    @property
    def kv_caches(self) -> Path:
        """Cache files of what models have read. Losing them loses time only."""
        return self.root / "kv-cache"

    @property
    def compiled_code(self) -> Path:
        """Code that was compiled for this machine's CPU. It is made again where it is lost."""
        return self.root / "compiled"

    @property
    def studies(self) -> Path:
        """Memory studies, a CSV file each."""
        return self.root / "studies"

    @property
    def downloads(self) -> Path:
        """What is being downloaded and what was, as JSON."""
        return self.root / "downloads.json"

    @property
    def connections(self) -> Path:
        """The servers that the user entered, as JSON; no key is in it."""
        return self.root / "connections.json"

    @property
    def library(self) -> Path:
        """The checkpoints of this machine that were found, as JSON."""
        return self.root / "library.json"

    @property
    def models(self) -> Path:
        """Where downloads go that the user chose no other folder for."""
        return self.root / "models"

    @property
    def log(self) -> Path:
        """The log file. Never holds what was said in a conversation."""
        return self.root / "qwen-desktop.log"

    @property
    def crashes(self) -> Path:
        """Reports of crashes. They hold no value of a variable and nothing of a chat."""
        return self.root / "crashes"

    @property
    def restore_mark(self) -> Path:
        """Stands while a saved profile waits beside it to take the place of this one."""
        return self.root / "restore" / "ready.json"

    @property
    def screenshots(self) -> Path:
        """Pictures written by runs without a display."""
        return self.root / "screenshots"


def default_profile() -> Profile:
    """The profile in the per-user data folder of this platform."""
    import platformdirs

    return Profile(Path(platformdirs.user_data_dir(APP_DIR_NAME, appauthor=False)))


def temporary_profile() -> Profile:
    """A new empty profile that the caller removes when it ends."""
    import tempfile

    return Profile(Path(tempfile.mkdtemp(prefix="qwen-desktop-")), temporary=True)


def resources_dir() -> Path:
    """The shipped `resources` folder: of a wheel, a frozen application or a source tree."""
    package = Path(__file__).resolve().parent
    installed = package / "resources"
    if installed.is_dir():
        return installed
    return package.parent / "resources"  # a frozen application has the layout of a source tree


def is_frozen() -> bool:
    """Whether this is an application folder of its own, into which nothing can be installed."""
    return bool(getattr(sys, "frozen", False))


def this_program() -> tuple[str, ...]:
    """The words that start this program once more, in a process of its own."""
    if is_frozen():
        return (sys.executable,)
    return (sys.executable, "-m", "qwen_desktop")


def demo_checkpoint() -> Path:
    """The demo checkpoint folder."""
    return resources_dir() / "demo-checkpoint"
