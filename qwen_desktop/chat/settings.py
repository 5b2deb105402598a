"""The one table of settings. The dialog, the command line, the file and the docs read it.

Standard library only. A value of None in a sampling setting means "as the checkpoint recommends"
(its generation_config.json), which is what a new user gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Union

from qwen_desktop.errors import QT_TRANSLATE_NOOP

CONTEXT = "settings"  # context of names and helps in the translation files

Value = Union[str, int, float, bool, None]  # noqa: UP007


@dataclass(frozen=True)
class Setting:
    """One row: its type, default, range and words.

    `kind` is the type of the value. `optional` admits None ("as the checkpoint recommends").
    `choices` pairs each allowed string with its label. `minimum` and `maximum` are inclusive.
    `neutral` is the number that changes nothing: where an optional setting starts when it is taken
    up. `multiline` text is written on several lines; a `font` is a family, empty for ours; a
    `dictionary` is a language this machine has one of, empty for the one of the system; a `line`
    of text has no second one, a `folder` is the place of one.
    """

    name: str
    kind: type
    default: Value
    label: str
    help: str
    group: str
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: float = 1
    neutral: float = 0
    choices: tuple[tuple[str, str], ...] = ()
    multiline: bool = False
    font: bool = False
    dictionary: bool = False
    line: bool = False
    folder: bool = False

    def accepts(self, value: object) -> bool:
        """Whether `value` has the right type and lies in the range."""
        if value is None:
            return self.optional
        if isinstance(value, bool) is not (self.kind is bool):
            return False
        # A whole number is a good float, however large: it is compared, not converted.
        if not isinstance(value, (int, float) if self.kind is float else self.kind):
            return False
        if self.choices:
            return value in [key for key, _ in self.choices]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = self.minimum is None or value >= self.minimum
            high = self.maximum is None or value <= self.maximum
            return low and high  # also refuses NaN, which compares false
        return True


GROUPS: tuple[tuple[str, str], ...] = (
    ("appearance", QT_TRANSLATE_NOOP("settings", "Appearance")),
    ("generation", QT_TRANSLATE_NOOP("settings", "Generation")),
    ("context", QT_TRANSLATE_NOOP("settings", "Context and memory")),
    ("downloads", QT_TRANSLATE_NOOP("settings", "Downloads")),
    ("startup", QT_TRANSLATE_NOOP("settings", "Start-up")),
)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "theme",
        str,
        "system",
        QT_TRANSLATE_NOOP("settings", "Theme"),
        QT_TRANSLATE_NOOP("settings", "Colours of the window."),
        "appearance",
        choices=(
            ("system", QT_TRANSLATE_NOOP("settings", "Follow the system")),
            ("light", QT_TRANSLATE_NOOP("settings", "Light")),
            ("dark", QT_TRANSLATE_NOOP("settings", "Dark")),
        ),
    ),
    Setting(
        "high_contrast",
        str,
        "system",
        QT_TRANSLATE_NOOP("settings", "High contrast"),
        QT_TRANSLATE_NOOP("settings", "Stronger colours and lines."),
        "appearance",
        choices=(
            ("system", QT_TRANSLATE_NOOP("settings", "Follow the system")),
            ("on", QT_TRANSLATE_NOOP("settings", "On")),
            ("off", QT_TRANSLATE_NOOP("settings", "Off")),
        ),
    ),
    Setting(
        "zoom",
        int,
        100,
        QT_TRANSLATE_NOOP("settings", "Size"),
        QT_TRANSLATE_NOOP("settings", "Size of text and controls in percent."),
        "appearance",
        minimum=50,
        maximum=200,
        step=10,
    ),
    Setting(
        "font_family",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Font"),
        QT_TRANSLATE_NOOP("settings", "Font of the interface and of messages."),
        "appearance",
        font=True,
    ),
    Setting(
        "density",
        str,
        "comfortable",
        QT_TRANSLATE_NOOP("settings", "Density"),
        QT_TRANSLATE_NOOP("settings", "Space between lines, messages and rows."),
        "appearance",
        choices=(
            ("comfortable", QT_TRANSLATE_NOOP("settings", "Comfortable")),
            ("compact", QT_TRANSLATE_NOOP("settings", "Compact")),
        ),
    ),
    Setting(
        "text_width",
        str,
        "normal",
        QT_TRANSLATE_NOOP("settings", "Text width"),
        QT_TRANSLATE_NOOP("settings", "Widest that the lines of a chat get."),
        "appearance",
        choices=(
            ("narrow", QT_TRANSLATE_NOOP("settings", "Narrow")),
            ("normal", QT_TRANSLATE_NOOP("settings", "Normal")),
            ("wide", QT_TRANSLATE_NOOP("settings", "Wide")),
            ("full", QT_TRANSLATE_NOOP("settings", "As wide as the window")),
        ),
    ),
    Setting(
        "reduced_motion",
        str,
        "system",
        QT_TRANSLATE_NOOP("settings", "Reduced motion"),
        QT_TRANSLATE_NOOP("settings", "Nothing blinks, fades or slides."),
        "appearance",
        choices=(
            ("system", QT_TRANSLATE_NOOP("settings", "Follow the system")),
            ("on", QT_TRANSLATE_NOOP("settings", "On")),
            ("off", QT_TRANSLATE_NOOP("settings", "Off")),
        ),
    ),
    Setting(
        "notify",
        bool,
        True,
        QT_TRANSLATE_NOOP("settings", "Notifications"),
        QT_TRANSLATE_NOOP(
            "settings", "Tell of a long answer that ends while the window is not in front."
        ),
        "appearance",
    ),
    Setting(
        "language",
        str,
        "system",
        QT_TRANSLATE_NOOP("settings", "Language"),
        QT_TRANSLATE_NOOP("settings", "Language of the interface. Takes effect at the next start."),
        "appearance",
        choices=(
            ("system", QT_TRANSLATE_NOOP("settings", "Follow the system")),
            ("en", "English"),
            ("zh_CN", "简体中文"),
        ),
    ),
    Setting(
        "title_by_model",
        bool,
        False,
        QT_TRANSLATE_NOOP("settings", "Titles by the model"),
        QT_TRANSLATE_NOOP(
            "settings", "Let the model name a chat; it computes a moment after the first answer."
        ),
        "appearance",
    ),
    Setting(
        "collapse_reasoning",
        bool,
        True,
        QT_TRANSLATE_NOOP("settings", "Fold the thinking"),
        QT_TRANSLATE_NOOP(
            "settings", "Fold what was thought as soon as the answer begins; a click unfolds it."
        ),
        "appearance",
    ),
    Setting(
        "paste_as_file",
        int,
        2500,
        QT_TRANSLATE_NOOP("settings", "Attach long pasted text"),
        QT_TRANSLATE_NOOP(
            "settings", "Characters from which pasted text becomes a file; 0 for never."
        ),
        "appearance",
        minimum=0,
        maximum=1_000_000,
        step=500,
    ),
    Setting(
        "spelling",
        bool,
        True,
        QT_TRANSLATE_NOOP("settings", "Check spelling"),
        QT_TRANSLATE_NOOP(
            "settings", "Underline misspelt words of a message; code and names are passed over."
        ),
        "appearance",
    ),
    Setting(
        "spelling_language",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Language of spelling"),
        QT_TRANSLATE_NOOP("settings", "Text that is plainly in another language is left alone."),
        "appearance",
        dictionary=True,
    ),
    Setting(
        "thinking",
        bool,
        True,
        QT_TRANSLATE_NOOP("settings", "Thinking"),
        QT_TRANSLATE_NOOP("settings", "Let models that can think do so before they answer."),
        "generation",
    ),
    Setting(
        "system_prompt",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "System prompt"),
        QT_TRANSLATE_NOOP("settings", "Instructions put before every chat."),
        "generation",
    ),
    Setting(
        "max_new_tokens",
        int,
        4096,
        QT_TRANSLATE_NOOP("settings", "Longest answer"),
        QT_TRANSLATE_NOOP("settings", "Tokens after which an answer is cut off."),
        "generation",
        minimum=1,
        maximum=131072,
        step=256,
    ),
    Setting(
        "temperature",
        float,
        None,
        QT_TRANSLATE_NOOP("settings", "Temperature"),
        QT_TRANSLATE_NOOP("settings", "Higher is more varied; 0 always takes the likeliest token."),
        "generation",
        optional=True,
        minimum=0.0,
        maximum=2.0,
        step=0.05,
        neutral=1.0,
    ),
    Setting(
        "top_k",
        int,
        None,
        QT_TRANSLATE_NOOP("settings", "Top-k"),
        QT_TRANSLATE_NOOP("settings", "Sample from the k likeliest tokens; 0 switches it off."),
        "generation",
        optional=True,
        minimum=0,
        maximum=1000,
    ),
    Setting(
        "top_p",
        float,
        None,
        QT_TRANSLATE_NOOP("settings", "Top-p"),
        QT_TRANSLATE_NOOP("settings", "Sample from the smallest set with this probability."),
        "generation",
        optional=True,
        minimum=0.0,
        maximum=1.0,
        step=0.05,
        neutral=1.0,
    ),
    Setting(
        "min_p",
        float,
        None,
        QT_TRANSLATE_NOOP("settings", "Min-p"),
        QT_TRANSLATE_NOOP("settings", "Drop tokens below this share of the likeliest one."),
        "generation",
        optional=True,
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    ),
    Setting(
        "repetition_penalty",
        float,
        None,
        QT_TRANSLATE_NOOP("settings", "Repetition penalty"),
        QT_TRANSLATE_NOOP("settings", "Above 1 makes tokens already in the prompt less likely."),
        "generation",
        optional=True,
        minimum=0.5,
        maximum=2.0,
        step=0.05,
        neutral=1.0,
    ),
    Setting(
        "presence_penalty",
        float,
        None,
        QT_TRANSLATE_NOOP("settings", "Presence penalty"),
        QT_TRANSLATE_NOOP("settings", "Above 0 makes tokens already in the answer less likely."),
        "generation",
        optional=True,
        minimum=-2.0,
        maximum=2.0,
        step=0.1,
    ),
    Setting(
        "seed",
        int,
        None,
        QT_TRANSLATE_NOOP("settings", "Seed"),
        QT_TRANSLATE_NOOP("settings", "The same seed gives the same answer; empty for a new one."),
        "generation",
        optional=True,
        minimum=0,
        maximum=2**31 - 1,
    ),
    Setting(
        "stop_strings",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Stop strings"),
        QT_TRANSLATE_NOOP("settings", "An answer ends before any of these, one to a line."),
        "generation",
        multiline=True,
    ),
    Setting(
        "thinking_budget",
        int,
        None,
        QT_TRANSLATE_NOOP("settings", "Thinking budget"),
        QT_TRANSLATE_NOOP("settings", "Tokens of thought after which the model has to answer."),
        "generation",
        optional=True,
        minimum=0,
        maximum=131072,
        step=256,
        neutral=4096,
    ),
    Setting(
        "loop_guard",
        bool,
        True,
        QT_TRANSLATE_NOOP("settings", "Loop guard"),
        QT_TRANSLATE_NOOP("settings", "Stop an answer that repeats itself word for word."),
        "generation",
    ),
    Setting(
        "logprobs",
        int,
        0,
        QT_TRANSLATE_NOOP("settings", "Alternatives per token"),
        QT_TRANSLATE_NOOP(
            "settings", "Keep how likely each token was, with so many others; 0 keeps nothing."
        ),
        "generation",
        minimum=0,
        maximum=20,
    ),
    Setting(
        "speculation",
        str,
        "auto",
        QT_TRANSLATE_NOOP("settings", "Guess ahead"),
        QT_TRANSLATE_NOOP(
            "settings",
            "Verify several guessed tokens in one step, as when an answer repeats its prompt. "
            "Not where a seed is set.",
        ),
        "generation",
        choices=(
            ("auto", QT_TRANSLATE_NOOP("settings", "Where it pays")),
            ("off", QT_TRANSLATE_NOOP("settings", "Off")),
        ),
    ),
    Setting(
        "context_policy",
        str,
        "drop_oldest",
        QT_TRANSLATE_NOOP("settings", "When the context is full"),
        QT_TRANSLATE_NOOP("settings", "What the model is no longer shown. Each chat can differ."),
        "context",
        choices=(
            ("drop_oldest", QT_TRANSLATE_NOOP("settings", "Drop the oldest turns")),
            ("keep_first", QT_TRANSLATE_NOOP("settings", "Keep the first turn, drop the middle")),
            ("ask", QT_TRANSLATE_NOOP("settings", "Stop and ask")),
        ),
    ),
    Setting(
        "kv_memory",
        float,
        None,
        QT_TRANSLATE_NOOP("settings", "Chats kept in memory"),
        QT_TRANSLATE_NOOP(
            "settings", "GiB for the KV caches of chats that were left; empty: what is free."
        ),
        "context",
        optional=True,
        minimum=0.0,
        maximum=1024.0,
        step=0.5,
        neutral=1.0,
    ),
    Setting(
        "kv_disk",
        float,
        2.0,
        QT_TRANSLATE_NOOP("settings", "Chats kept on disk"),
        QT_TRANSLATE_NOOP(
            "settings", "GiB for KV caches, so that old chats answer at once; 0 keeps none."
        ),
        "context",
        minimum=0.0,
        maximum=1024.0,
        step=0.5,
    ),
    Setting(
        "hub",
        str,
        "huggingface",
        QT_TRANSLATE_NOOP("settings", "Hub"),
        QT_TRANSLATE_NOOP("settings", "Where checkpoints are looked for first."),
        "downloads",
        choices=(("huggingface", "Hugging Face"), ("modelscope", "ModelScope")),
    ),
    Setting(
        "huggingface_address",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Address of Hugging Face"),
        QT_TRANSLATE_NOOP(
            "settings", "That of a mirror; empty: as HF_ENDPOINT says, else its own."
        ),
        "downloads",
        line=True,
    ),
    Setting(
        "modelscope_address",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Address of ModelScope"),
        QT_TRANSLATE_NOOP(
            "settings", "That of another server; empty: as MODELSCOPE_DOMAIN says, else its own."
        ),
        "downloads",
        line=True,
    ),
    Setting(
        "models_folder",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Folder of models"),
        QT_TRANSLATE_NOOP("settings", "Where downloads go; empty: a folder beside the chats."),
        "downloads",
        line=True,
        folder=True,
    ),
    Setting(
        "downloads_at_once",
        int,
        1,
        QT_TRANSLATE_NOOP("settings", "Downloads at once"),
        QT_TRANSLATE_NOOP("settings", "Others wait for their turn."),
        "downloads",
        minimum=1,
        maximum=2,
    ),
    Setting(
        "connections",
        int,
        4,
        QT_TRANSLATE_NOOP("settings", "Connections"),
        QT_TRANSLATE_NOOP("settings", "Connections that one download uses side by side."),
        "downloads",
        minimum=1,
        maximum=16,
    ),
    Setting(
        "download_limit",
        float,
        0.0,
        QT_TRANSLATE_NOOP("settings", "Limit"),
        QT_TRANSLATE_NOOP("settings", "MiB a second that downloads take together; 0 for no limit."),
        "downloads",
        minimum=0.0,
        maximum=10000.0,
        step=0.5,
    ),
    Setting(
        "proxy",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Proxy"),
        QT_TRANSLATE_NOOP(
            "settings",
            "As http://host:port or socks5h://host:port; empty: as the environment says "
            "(HTTPS_PROXY). Servers that answer chats are reached by it, too.",
        ),
        "downloads",
        line=True,
    ),
    Setting(
        "resume_downloads",
        bool,
        False,
        QT_TRANSLATE_NOOP("settings", "Go on with downloads at start"),
        QT_TRANSLATE_NOOP(
            "settings", "Otherwise what was under way stays paused until you resume it."
        ),
        "downloads",
    ),
    Setting(
        "release_address",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Address of releases"),
        QT_TRANSLATE_NOOP(
            "settings",
            "Asked for a newer Qwen Desktop when you press the button in About, and never else. "
            "Empty: nobody is asked.",
        ),
        "downloads",
        line=True,
    ),
    Setting(
        "compiled_decode",
        bool,
        True,
        QT_TRANSLATE_NOOP("settings", "Code compiled for the processor"),
        QT_TRANSLATE_NOOP(
            "settings",
            "Answers on a CPU come several times quicker. It is made once, in the background, "
            "and used from the next load or answer on.",
        ),
        "startup",
    ),
    Setting(
        "draft_model",
        str,
        "",
        QT_TRANSLATE_NOOP("settings", "Draft model"),
        QT_TRANSLATE_NOOP(
            "settings",
            "Folder of a smaller model of the same series that guesses ahead; opened with the next "
            "checkpoint. Empty: none.",
        ),
        "startup",
        line=True,
        folder=True,
    ),
    Setting(
        "reopen_checkpoint",
        bool,
        True,
        QT_TRANSLATE_NOOP("settings", "Reopen the last checkpoint"),
        QT_TRANSLATE_NOOP("settings", "At start, load the checkpoint that was open last."),
        "startup",
    ),
)

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True)
class GenerationSettings:
    """The settings of one request. None: as the checkpoint recommends."""

    thinking: bool = True
    system_prompt: str = ""
    max_new_tokens: int = 4096
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop_strings: str = ""  # one to a line
    thinking_budget: int | None = None
    loop_guard: bool = True
    logprobs: int = 0
    speculation: str = "auto"
    exact_stops: tuple[str, ...] = ()  # more stop strings, which may have ends of lines in them

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings, without empty ones."""
        return (*(line for line in self.stop_strings.splitlines() if line), *self.exact_stops)

    @classmethod
    def from_values(cls, values: Mapping[str, Value]) -> GenerationSettings:
        """Pick the settings of a request out of all `values`; unknown or bad ones fall back."""
        good = {
            f.name: values[f.name]
            for f in fields(cls)
            if f.name in BY_NAME and f.name in values and BY_NAME[f.name].accepts(values[f.name])
        }
        return cls(**good)  # type: ignore[arg-type]
