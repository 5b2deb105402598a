"""Which Qwen architectures the installed transformers can run as text models.

No torch and, as a rule, no transformers: its table of causal language models is read from its
source, because importing it takes seconds and a folder is to be judged in milliseconds.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

_MODULE = "transformers.models.auto.modeling_auto"
_TABLE = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"
_CONFIGS = "CONFIG_MAPPING_NAMES"

# Names of the parts that image, audio and speech models have.
_OTHER_SENSES = re.compile(r"(?:^|_)(?:vl|audio|asr|omni|tts|vision|image)(?:_|$)")


# The first transformers whose caches of a family hold: with an older one, answers after the first
# prompt would be wrong.
_SINCE = {"qwen4_exp": (5, 23), "qwen4_exp_text": (5, 23)}


@lru_cache
def text_families() -> frozenset[str]:
    """The values of model_type that begin with "qwen" and can be run as text."""
    known = _qwens(_TABLE, "modeling_auto.py", _MODULE)
    major, minor = transformers_version().split(".")[:2]
    return frozenset(name for name in known if (int(major), int(minor)) >= _SINCE.get(name, (0, 0)))


@lru_cache
def _all_families() -> frozenset[str]:
    """The values of model_type that begin with "qwen" and have any model at all."""
    return _qwens(_CONFIGS, "auto_mappings.py", "transformers.models.auto.auto_mappings")


def _qwens(table: str, file: str, module: str) -> frozenset[str]:
    """The keys of `table`, a list of pairs in `file` of transformers.models.auto."""
    for folder in _folders():
        try:
            source = (folder / "models" / "auto" / file).read_text(encoding="utf-8")
        except OSError:
            continue
        body = source.partition(f"\n{table} = OrderedDict(")[2].partition("\n)")[0]
        if found := frozenset(re.findall(r'\(\s*"(qwen\w*)",', body)):
            return found
    # Packed without its sources, or written in another way: ask it, though that takes longer.
    return frozenset(
        name for name in getattr(importlib.import_module(module), table) if name.startswith("qwen")
    )


def _folders() -> list[Path]:
    """Where the installed transformers is."""
    spec = PathFinder.find_spec("transformers")
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def transformers_version() -> str:
    """The installed version of transformers: "5.23.0"."""
    for folder in _folders():
        try:
            source = (folder / "__init__.py").read_text(encoding="utf-8")
        except OSError:
            continue
        if found := re.search(r'^__version__ = "([\d.]+)', source, re.MULTILINE):
            return found.group(1).rstrip(".")
    from importlib.metadata import version  # slow to import

    return version("transformers")


def refuse(family: str, file: str) -> Known:
    """The sentence for `family`, the model_type in `file`, which `text_families` lacks."""
    if not family.startswith("qwen"):
        return Known(
            QT_TRANSLATE_NOOP("errors", "{file} describes a model that is no Qwen: {type}."),
            QT_TRANSLATE_NOOP("errors", "Open a folder with a Qwen checkpoint."),
            code="not-qwen",
            file=file,
            type=family,
        )
    other = family in _all_families() or _OTHER_SENSES.search(family)
    if other and family not in _SINCE:
        return Known(
            QT_TRANSLATE_NOOP(
                "errors",
                "{file} describes a model for images or sound ({type}): transformers {version} "
                "cannot run its text side alone.",
            ),
            QT_TRANSLATE_NOOP("errors", "Open a text model, such as Qwen3."),
            code="not-text",
            file=file,
            type=family,
            version=transformers_version(),
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "Type {type} in {file} cannot be run by this version."),
        QT_TRANSLATE_NOOP("errors", "Look for an update (transformers {version} is in use)."),
        code="family-unknown",
        file=file,
        type=family,
        version=transformers_version(),
    )
