"""Which files of a repository a load needs. Nothing else is fetched, programs least of all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from qwen_desktop.chat.hub import LeftOut, Listing, RemoteFile, Wanted
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_NUMBERED = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")
_SMALL = {
    "config.json", "generation_config.json", "quantize_config.json", "quant_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "qwen.tiktoken", "chat_template.json",
    "chat_template.jinja", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json",
}  # fmt: skip
_TEXTS = re.compile(r"(readme|licen[cs]e|notice|usage_policy)([-_.].*)?", re.IGNORECASE)
_TEXT_ENDS = ("", ".md", ".txt", ".rst")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_OTHER_WEIGHTS = (
    ".safetensors", ".gguf", ".ggml", ".onnx", ".onnx_data", ".h5", ".msgpack", ".tflite", ".npz",
    ".engine", ".mlmodel",
)  # fmt: skip
_CODE = (".py", ".so", ".pyd", ".dll", ".exe", ".sh", ".bat", ".ps1", ".cu", ".cpp", ".ipynb")


def wanted(listing: Listing) -> Wanted:
    """The files to get: small ones first, then the weights. Raises Known where none can be loaded.

    One file of weights comes before shards, as the engine reads them.
    """
    weights = _weights(listing)
    small: list[RemoteFile] = []
    large: list[RemoteFile] = []
    left_out = [(path, LeftOut.REFUSED) for path in listing.refused]
    for file in sorted(listing.files, key=lambda file: file.path):
        if file.path in weights:
            large.append(file)
        elif _is_small(file.path) or (file.path == INDEX and SINGLE not in weights):
            small.append(file)
        else:
            left_out.append((file.path, _reason(file.path)))
    if "config.json" not in {file.path for file in small}:
        raise Known(
            QT_TRANSLATE_NOOP("errors", "{repository} has no config.json: it is no checkpoint."),
            QT_TRANSLATE_NOOP("errors", "Choose the repository of the model in safetensors form."),
            details=_some(file.path for file in listing.files),
            code="hub-no-checkpoint",
            repository=listing.repository,
        )
    return Wanted((*small, *large), tuple(left_out))


def _weights(listing: Listing) -> frozenset[str]:
    paths = {file.path for file in listing.files}
    if SINGLE in paths:
        return frozenset([SINGLE])
    if listing.shards is not None:
        names = listing.shards
    else:
        totals = {int(m[2]) for path in paths if (m := _NUMBERED.fullmatch(path))}
        total = max(totals, default=0)
        names = frozenset(f"model-{n:05}-of-{total:05}.safetensors" for n in range(1, total + 1))
    if not names:
        raise _no_safetensors(listing, paths)
    if missing := sorted(names - paths):
        raise Known(
            QT_TRANSLATE_NOOP(
                "errors", "{repository} lacks {count} of its own weight files: {file}."
            ),
            QT_TRANSLATE_NOOP("errors", "Try the other hub or an earlier revision."),
            details=_some(missing),
            code="hub-shards-missing",
            repository=listing.repository,
            count=len(missing),
            file=missing[0][:100],
        )
    return names


def _no_safetensors(listing: Listing, paths: set[str]) -> Known:
    ends = {PurePosixPath(path).suffix.lower() for path in paths}
    details = _some(paths)
    if "adapter_config.json" in paths:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{repository} is an adapter, not a whole model."),
            QT_TRANSLATE_NOOP("errors", "Merge it into its base model and open the result."),
            details=details,
            code="hub-adapter",
            repository=listing.repository,
        )
    if ".gguf" in ends:
        return Known(
            QT_TRANSLATE_NOOP("errors", "{repository} has GGUF files, but no safetensors."),
            QT_TRANSLATE_NOOP("errors", "Choose the repository whose name does not end in GGUF."),
            details=details,
            code="hub-gguf",
            repository=listing.repository,
        )
    if ends & set(_PICKLES):
        return Known(
            QT_TRANSLATE_NOOP(
                "errors",
                "{repository} has weights only as pickles (.bin), which can run code: "
                "safetensors are missing.",
            ),
            QT_TRANSLATE_NOOP("errors", "Look for a revision or a copy of it in safetensors form."),
            details=details,
            code="hub-pickle",
            repository=listing.repository,
        )
    return Known(
        QT_TRANSLATE_NOOP("errors", "{repository} has no weights in safetensors form."),
        QT_TRANSLATE_NOOP("errors", "Choose another repository of this model."),
        details=details,
        code="hub-no-weights",
        repository=listing.repository,
    )


def _is_small(path: str) -> bool:
    if "/" in path:
        return False
    if path in _SMALL:
        return True
    name = PurePosixPath(path)
    return bool(_TEXTS.fullmatch(name.name)) and name.suffix.lower() in _TEXT_ENDS


def _reason(path: str) -> LeftOut:
    name = path.casefold()
    if name.endswith(_CODE):
        return LeftOut.CODE
    if name.endswith(_PICKLES):
        return LeftOut.PICKLE
    if name.endswith(_OTHER_WEIGHTS) or name.endswith(".safetensors.index.json"):
        return LeftOut.OTHER_WEIGHTS
    return LeftOut.NOT_NEEDED


def _some(paths: Iterable[str]) -> str:
    return "\n".join(sorted(paths)[:50])
