"""What a checkpoint folder holds, found out from its small files before anything is loaded.

No torch, no transformers: `inspect` takes milliseconds and touches no weights, so that a bad
folder is refused while the model in use stays as it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from qwen_desktop.chat.checkpoint import model_name
from qwen_desktop.chat.model import DemoInfo
from qwen_desktop.engine.families import refuse as refuse_family
from qwen_desktop.engine.families import text_families, transformers_version
from qwen_desktop.engine.files import (
    LFS_MARK,
    lfs_pointer,
    read_head,
    read_object,
    read_text,
    unreadable,
)
from qwen_desktop.engine.quantisation import Quantisation, quantisation_of, require_extra
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.qwen1.names import renamed
from qwen_desktop.engine.shards import ITEM_SIZE, Tell, TensorEntry, read_weights, refuse
from qwen_desktop.engine.sources import Source, sources_of
from qwen_desktop.engine.tokenizer_limits import check_files as check_tokenizer
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

T = TypeVar("T")
U = TypeVar("U")

CONFIG = "config.json"
GENERATION = "generation_config.json"
TOKENIZER = "tokenizer.json"
TIKTOKEN = "qwen.tiktoken"  # of the first Qwen
TOKENIZER_CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
DEMO = "demo.json"


@dataclass(frozen=True)
class Checkpoint:
    """A folder that passed every check possible without loading it."""

    folder: Path
    config: Mapping[str, Any]
    family: str  # model_type
    generation: Mapping[str, Any]  # generation_config.json; empty where there is none
    template: str | None  # chat template; None for a base model
    tokenizer_files: tuple[Path, ...]
    tensors: Mapping[str, TensorEntry]  # as stored
    demo: DemoInfo | None
    quantisation: Quantisation | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)  # the weights `tensors` make up

    @property
    def name(self) -> str:
        """What people know the checkpoint by."""
        return model_name(self.folder.resolve())

    @property
    def parameters(self) -> int:
        """Elements of all weights."""
        return sum(math.prod(source.shape) for source in self.sources.values())

    @property
    def bytes_by_dtype(self) -> Mapping[str, int]:
        """Stored bytes per dtype of the headers, largest first."""
        sizes: Counter[str] = Counter()
        for entry in self.tensors.values():
            sizes[entry.dtype] += entry.nbytes
        return dict(sizes.most_common())

    @property
    def weight_bytes(self) -> int:
        """Stored bytes of all tensors."""
        return sum(entry.nbytes for entry in self.tensors.values())

    @cached_property
    def dtype(self) -> str:
        """The dtype most weights have, as in the headers: "BF16"; quantised as its scales."""
        sizes: Counter[str] = Counter()
        for source in self.sources.values():
            dtype = source.dtype
            sizes[dtype] += math.prod(source.shape) * ITEM_SIZE[dtype]
        return sizes.most_common(1)[0][0] if sizes else ""


def inspect(folder: Path) -> Checkpoint:
    """Check `folder` and describe it. Raises Known with a sentence that names the file."""
    return survey(folder, refuse)


def survey(folder: Path, tell: Tell) -> Checkpoint:
    """`folder` described as far as it can be read; `tell` hears of everything that is wrong.

    What could not be read is empty. Raises nothing but what `tell` raises.
    """
    nothing = Checkpoint(folder, {}, "", {}, None, (), {}, None)
    names = _attempt(tell, lambda: folder_names(folder), None)
    if names is None:
        return nothing
    config = _attempt(tell, lambda: _config(folder, names), None)
    if CONFIG not in names:
        return nothing  # then the folder is something else: what it lacks besides is no news
    family = ""
    quantisation: Quantisation | Literal[False] | None = None  # False: it cannot be made out
    if config is not None:
        family = _attempt(tell, lambda: _family(config), "")
        quantisation = _attempt(tell, lambda: quantisation_of(config, folder), False)
        _attempt(tell, lambda: require_extra(quantisation or None), None)
    no_files: tuple[Path, ...] = ()
    tokenizer_files = _attempt(tell, lambda: _tokenizer_files(folder, names, family), no_files)
    tensors = read_weights(folder, tell)
    if family == QWEN1:
        tensors = renamed(tensors)
    sources: dict[str, Source] = {}
    if quantisation is not False:
        how = quantisation
        sources = _attempt(tell, lambda: sources_of(tensors, how), sources)
    generation: dict[str, Any] = {}
    if GENERATION in names:
        generation = _attempt(tell, lambda: read_object(folder / GENERATION), generation)
    return Checkpoint(
        folder=folder,
        config=config or {},
        family=family,
        generation=generation,
        template=_attempt(tell, lambda: _template(folder, names), None),
        tokenizer_files=tokenizer_files,
        tensors=tensors,
        demo=_demo(folder / DEMO) if DEMO in names else None,
        quantisation=quantisation or None,
        sources=sources,
    )


def _attempt(tell: Tell, read: Callable[[], T], otherwise: U) -> T | U:
    """What `read` gives; `otherwise` where it met trouble that `tell` lets pass."""
    try:
        return read()
    except Known as trouble:
        tell(trouble)
    except OSError as error:  # a question about a file that may not even be asked
        tell(unreadable(Path(error.filename or "?"), error))
    return otherwise


def folder_names(folder: Path) -> frozenset[str]:
    """The names in `folder`. Raises Known where it cannot be listed."""
    try:
        return frozenset(path.name for path in folder.iterdir())
    except FileNotFoundError as error:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "The folder {folder} is not there."),
            QT_TRANSLATE_NOOP("errors", "Plug in its disk, or choose another folder."),
            code="folder-missing",
            folder=folder,
        ) from error
    except NotADirectoryError as error:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} is not a folder."),
            QT_TRANSLATE_NOOP("errors", "Choose the folder that holds config.json."),
            code="not-a-folder",
            file=folder,
        ) from error
    except OSError as error:
        raise unreadable(folder, error) from error


def _config(folder: Path, names: frozenset[str]) -> dict[str, Any]:
    if CONFIG in names:
        return read_object(folder / CONFIG)
    if "adapter_config.json" in names:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{folder} is an adapter: it has no {file} of its own."),
            QT_TRANSLATE_NOOP("errors", "Merge it into its base model and open the result."),
            code="adapter",
            folder=folder.name,
            file=CONFIG,
        )
    raise Known(
        QT_TRANSLATE_NOOP("errors", "{folder} has no {file}, so it is not a checkpoint folder."),
        QT_TRANSLATE_NOOP("errors", "Choose the folder that holds config.json and the weights."),
        details="\n".join(sorted(names)[:50]),
        code="config-missing",
        folder=folder.name or str(folder),
        file=CONFIG,
    )


def _family(config: Mapping[str, Any]) -> str:
    family = config.get("model_type")
    if not isinstance(family, str) or not family:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{file} has no model_type for transformers {version}."),
            QT_TRANSLATE_NOOP("errors", "Download config.json again."),
            code="family-missing",
            file=CONFIG,
            version=transformers_version(),
        )
    if family != QWEN1 and family not in text_families():
        raise refuse_family(family, CONFIG)
    return family


def _tokenizer_files(folder: Path, names: frozenset[str], family: str) -> tuple[Path, ...]:
    wanted = TIKTOKEN if family == QWEN1 else TOKENIZER
    if wanted in names:
        files = [wanted]
    elif family != QWEN1 and {"vocab.json", "merges.txt"} <= names:
        files = ["vocab.json", "merges.txt"]
    else:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{folder} has no tokenizer: {file} is missing."),
            QT_TRANSLATE_NOOP("errors", "Download {file} into the same folder."),
            code="tokenizer-missing",
            folder=folder.name,
            file=wanted,
        )
    for name in files:
        if read_head(folder / name, len(LFS_MARK)) == LFS_MARK:
            raise lfs_pointer(folder / name)
    found = tuple(folder / name for name in files)
    check_tokenizer(folder, found)
    return found


def _template(folder: Path, names: frozenset[str]) -> str | None:
    """The chat template: a file of its own, else the entry of the tokenizer's configuration."""
    config = folder / TOKENIZER_CONFIG
    found = (
        read_object(config, 16 * 2**20).get("chat_template") if TOKENIZER_CONFIG in names else None
    )
    if TEMPLATE in names:
        found = read_text(folder / TEMPLATE, 2**20)
    if isinstance(found, list):  # named templates; the one called default is for chatting
        pairs = [(t.get("name"), t.get("template")) for t in found if isinstance(t, dict)]
        found = dict(pairs).get("default")
    return found if isinstance(found, str) and found.strip() else None


def _demo(path: Path) -> DemoInfo | None:
    """The questions of a demo checkpoint; None where the file is not one of ours."""
    try:
        questions = read_object(path, 2**20).get("questions")
    except Known:
        return None
    if not isinstance(questions, dict):
        return None
    return DemoInfo(
        {
            language: tuple(q for q in asked if isinstance(q, str))
            for language, asked in questions.items()
            if isinstance(asked, list)
        }
    )
