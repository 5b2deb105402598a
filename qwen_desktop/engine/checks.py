"""What the doctor looks for beyond what keeps a folder from opening. Each check tells one thing.

Codes of findings; those with an asterisk are errors that are raised where the files are read:

    folder-missing* not-a-folder* unreadable* config-missing* adapter* file-damaged*
    file-too-large* lfs-pointer* family-missing* family-unknown* not-qwen* not-text*
    shards-missing* shard-truncated* shard-name* tensor-missing* weights-missing* pickle*
    tokenizer-missing* quantisation-unknown* quantisation-broken* quantisation-incomplete*
    quantisation-mismatch*
    layers-missing*     config.json has layers of which there are no weights
    shape-mismatch*     the embeddings are not as wide or as many as config.json says
    partial-download    a file that a download left unfinished
    weights-unused      weight files that are not read: another format, shards of another set
    remote-code         auto_map or Python files; never run
    foreign-kernel      a kernel of somebody else's that config.json asks for; never fetched
    adapter-ignored     an adapter beside a whole checkpoint
    no-template         a base model: it completes text
    context-stretched   rope scaling beyond the length of training
    context-chunked     a context that needs an attention which is not there
    tokenizer-larger    tokens without a row of embeddings
    fp8-dequantised     FP8 weights become 16-bit ones
    codes-dequantised   quantised matrices of a kind that has to become floats
    mixture-prompts     prompts of a mixture of experts are slower than its answers
    card-unusable       there is a card that the installed torch cannot use
    card-bfloat16       the card has no bfloat16
    slow-on-cpu         a large model in main memory
    no-room             it does not fit into what is free now

No torch. A check reads at most the head of a file and lists folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from qwen_desktop.chat.checkpoint import Finding, Precision, Severity
from qwen_desktop.engine.checkpoint import CONFIG, TOKENIZER, TOKENIZER_CONFIG, Checkpoint
from qwen_desktop.engine.files import read_head, read_object
from qwen_desktop.engine.gpus import Machine
from qwen_desktop.engine.placement import Model
from qwen_desktop.engine.precision import form_of, source_bytes
from qwen_desktop.engine.quantisation import FP8
from qwen_desktop.engine.qwen1 import QWEN1
from qwen_desktop.engine.sources import PackedSource
from qwen_desktop.errors import QT_TRANSLATE_NOOP, Known, Report

_PARTIAL = (".part", ".partial", ".incomplete", ".crdownload", ".aria2", ".download")
_CACHES = (".cache/huggingface/download", "._____temp")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_OTHER_WEIGHTS = (*_PICKLES, ".gguf", ".h5", ".msgpack", ".onnx")
_NO_WEIGHTS = re.compile(r"training_args|optimizer|scheduler|rng_state|trainer_state")
_KERNELS = ("_attn_implementation", "attn_implementation", "experts_implementation")
_USUAL_KERNELS = (
    "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention",
    "grouped_mm", "batched_mm",
)  # fmt: skip
_MANY = 1000  # names of a folder that are looked at


@dataclass(frozen=True)
class Patient:
    """What the checks look at. `names` are those in the folder."""

    checkpoint: Checkpoint
    names: frozenset[str]
    model: Model
    machine: Machine

    @property
    def text_config(self) -> Mapping[str, Any]:
        """The configuration of the text model."""
        nested = self.checkpoint.config.get("text_config")
        return nested if isinstance(nested, Mapping) else self.checkpoint.config


def gigabytes(count: int) -> str:
    """A byte count for a sentence: "3.2 GiB"."""
    return f"{count / 2**30:.1f} GiB"


def finding(severity: Severity, code: str, text: str, remedy: str, **values: object) -> Finding:
    """A finding with `values` in its sentences."""
    filled = {name: str(value) for name, value in values.items()}
    return Finding(severity, code, Report(text, remedy, filled))


def error(trouble: Known) -> Finding:
    """The finding for what was raised."""
    return Finding(Severity.ERROR, trouble.code or "error", trouble.report())


def folder_checks(folder: Path, names: frozenset[str]) -> Iterator[Finding]:
    """What the names in a folder tell, whatever it holds."""
    partial = sorted(name for name in names if name.endswith(_PARTIAL))
    partial += [
        path.name
        for cache in _CACHES
        for path in _files_below(folder / cache)
        if cache != _CACHES[0] or path.name.endswith(_PARTIAL)
    ]
    if partial:
        yield finding(
            Severity.WARNING,
            "partial-download",
            QT_TRANSLATE_NOOP("errors", "{count} downloads in the folder are unfinished: {file}."),
            QT_TRANSLATE_NOOP("errors", "Let them finish. Delete them if the folder is complete."),
            count=len(partial),
            file=partial[0],
        )
    if CONFIG not in names:
        return
    python = sorted(name for name in names if name.endswith(".py"))
    asking = python[:1] or [
        name for name in (CONFIG, TOKENIZER_CONFIG) if name in names and _auto_map(folder / name)
    ]
    if asking:
        yield finding(
            Severity.NOTE,
            "remote-code",
            QT_TRANSLATE_NOOP("errors", "The folder comes with code of its own ({file})."),
            QT_TRANSLATE_NOOP("errors", "It is never run: this program has its own."),
            file=asking[0],
        )
    if "adapter_config.json" in names:
        yield finding(
            Severity.NOTE,
            "adapter-ignored",
            QT_TRANSLATE_NOOP("errors", "There is an adapter in the folder; it is not applied."),
            QT_TRANSLATE_NOOP("errors", "Merge it into its base model and open the result."),
        )


def _files_below(folder: Path) -> list[Path]:
    """Some files of `folder`; none where it cannot be listed."""
    try:
        return sorted(path for path in islice(folder.rglob("*"), _MANY) if path.is_file())
    except OSError:
        return []


def _auto_map(path: Path) -> bool:
    try:
        return bool(read_object(path, 16 * 2**20).get("auto_map"))
    except Known:
        return False  # told of elsewhere


def checkpoint_checks(patient: Patient) -> Iterator[Finding]:
    """What configuration, tokenizer and headers tell."""
    yield from _unused_weights(patient)
    yield from _kernels(patient)
    yield from _missing_layers(patient)
    yield from _embedding_shape(patient)
    yield from _template(patient)
    yield from _stretched(patient)
    yield from _chunked(patient)
    yield from _large_tokenizer(patient)
    yield from _becomes_floats(patient)


def _unused_weights(patient: Patient) -> Iterator[Finding]:
    used = {entry.shard.name for entry in patient.checkpoint.tensors.values()}
    unused = sorted(
        name
        for name in patient.names
        if name.endswith((".safetensors", *_OTHER_WEIGHTS))
        and name not in used
        and not _NO_WEIGHTS.search(name)
        and not name.startswith("adapter_")
    )
    if used and unused:
        yield finding(
            Severity.NOTE,
            "weights-unused",
            QT_TRANSLATE_NOOP("errors", "{count} weight files are not used, first {file}."),
            QT_TRANSLATE_NOOP("errors", "They only take space: {used} is read."),
            count=len(unused),
            file=unused[0],
            used=min(used),
        )


def _kernels(patient: Patient) -> Iterator[Finding]:
    for config in (patient.checkpoint.config, patient.text_config):
        for key in _KERNELS:
            wanted = config.get(key)
            if isinstance(wanted, str) and wanted not in _USUAL_KERNELS:
                yield finding(
                    Severity.NOTE,
                    "foreign-kernel",
                    QT_TRANSLATE_NOOP("errors", "{file} asks for a kernel of others: {kernel}."),
                    QT_TRANSLATE_NOOP("errors", "It is never fetched: torch's own is used."),
                    file=CONFIG,
                    kernel=wanted[:100],
                )
                return


def _missing_layers(patient: Patient) -> Iterator[Finding]:
    parts = patient.model.weights.layers
    empty = [number for number, part in enumerate(parts) if part.is_empty]
    if empty:
        yield finding(
            Severity.ERROR,
            "layers-missing",
            QT_TRANSLATE_NOOP(
                "errors", "{file} has {layers} layers; weights are there for {have}."
            ),
            QT_TRANSLATE_NOOP("errors", "Get config.json and weights of the same checkpoint."),
            file=CONFIG,
            layers=len(parts),
            have=len(parts) - len(empty),
        )


def _embedding_shape(patient: Patient) -> Iterator[Finding]:
    made = patient.model.architecture
    for name, source in patient.checkpoint.sources.items():
        if name.endswith("embed_tokens.weight") and "visual" not in name:
            if source.shape != (made.vocabulary, made.hidden_size):
                yield finding(
                    Severity.ERROR,
                    "shape-mismatch",
                    QT_TRANSLATE_NOOP(
                        "errors", "The weight {tensor} does not have the shape in {file}."
                    ),
                    QT_TRANSLATE_NOOP(
                        "errors", "Get config.json and weights of the same checkpoint."
                    ),
                    tensor=name,
                    file=CONFIG,
                )
            return


def _template(patient: Patient) -> Iterator[Finding]:
    if not is_chat(patient.checkpoint):
        yield finding(
            Severity.NOTE,
            "no-template",
            QT_TRANSLATE_NOOP("errors", "A base model without chat template: it completes text."),
            QT_TRANSLATE_NOOP("errors", "To chat, open the Instruct or Chat version."),
        )


def is_chat(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint knows conversations."""
    if checkpoint.family == QWEN1:
        return checkpoint.generation.get("chat_format") == "chatml"
    return checkpoint.template is not None


def _stretched(patient: Patient) -> Iterator[Finding]:
    config = patient.text_config
    for key in ("rope_parameters", "rope_scaling"):
        rope = config.get(key)
        if not isinstance(rope, Mapping):
            continue
        kind = str(rope.get("rope_type") or rope.get("type") or "default")
        original = rope.get("original_max_position_embeddings")
        if kind in ("default", "mrope", "proportional") or rope.get("factor") in (None, 1, 1.0):
            continue
        yield finding(
            Severity.NOTE,
            "context-stretched",
            QT_TRANSLATE_NOOP(
                "errors", "The context is stretched ({method}) from {trained} to {length} tokens."
            ),
            QT_TRANSLATE_NOOP("errors", "Short chats may be answered a little worse."),
            method=kind[:40],
            trained=original if type(original) is int else "?",
            length=patient.model.architecture.context_length,
        )
        return


def _chunked(patient: Patient) -> Iterator[Finding]:
    """Qwen2.5-1M was trained for less than config.json says; the rest is its own attention's."""
    chunks = patient.text_config.get("dual_chunk_attention_config")
    if not isinstance(chunks, Mapping):
        return
    trained = chunks.get("original_max_position_embeddings")
    if type(trained) is int and 0 < trained < patient.model.architecture.context_length:
        yield finding(
            Severity.NOTE,
            "context-chunked",
            QT_TRANSLATE_NOOP(
                "errors",
                "Beyond {trained} tokens it needs dual chunk attention, which is not here.",
            ),
            QT_TRANSLATE_NOOP("errors", "Stay below that: longer ones may be answered badly."),
            trained=f"{trained:,}",
        )


def _large_tokenizer(patient: Patient) -> Iterator[Finding]:
    """Ids of added tokens are the highest, and stand near the beginning of both files."""
    folder, highest = patient.checkpoint.folder, -1
    try:
        if TOKENIZER in patient.names:
            head = read_head(folder / TOKENIZER, 64 * 1024).decode("utf-8", "replace")
            added = head.partition('"added_tokens"')[2].partition("]")[0]
            highest = max(
                (int(n) for n in re.findall(r'"id"\s*:\s*(\d{1,9})\b', added)), default=-1
            )
        if TOKENIZER_CONFIG in patient.names:
            decoder = read_object(folder / TOKENIZER_CONFIG, 16 * 2**20).get("added_tokens_decoder")
            keys = decoder if isinstance(decoder, Mapping) else ()
            ids = [int(key) for key in keys if key.isdecimal()]
            highest = max([highest, *ids])
    except (Known, ValueError):
        return  # told of elsewhere
    rows = patient.model.architecture.vocabulary
    if highest >= rows:
        yield finding(
            Severity.WARNING,
            "tokenizer-larger",
            QT_TRANSLATE_NOOP("errors", "The tokenizer has token {token}, the model {rows} rows."),
            QT_TRANSLATE_NOOP("errors", "Get tokenizer and weights of the same checkpoint."),
            token=highest,
            rows=rows,
        )


def _becomes_floats(patient: Patient) -> Iterator[Finding]:
    how, sources = patient.checkpoint.quantisation, patient.checkpoint.sources.values()
    if how is None or how.extra:
        return
    stored, loaded = patient.checkpoint.weight_bytes, patient.model.weights.nbytes(Precision.BF16)
    if how.method == FP8:
        yield finding(
            Severity.WARNING,
            "fp8-dequantised",
            QT_TRANSLATE_NOOP("errors", "FP8 weights become BF16: {loaded} instead of {stored}."),
            QT_TRANSLATE_NOOP("errors", "Choose 8-bit or 4-bit where that is too much."),
            loaded=gigabytes(loaded),
            stored=gigabytes(stored),
        )
        return
    lost = [
        source
        for source in sources
        if isinstance(source, PackedSource) and form_of(source, Precision.BF16, own=True) is None
    ]
    if lost:
        yield finding(
            Severity.WARNING,
            "codes-dequantised",
            QT_TRANSLATE_NOOP(
                "errors", "{count} quantised matrices become 16-bit floats: {loaded} of memory."
            ),
            QT_TRANSLATE_NOOP("errors", "There is no kernel for codes of this kind or shape."),
            count=len(lost),
            loaded=gigabytes(sum(source_bytes(one, Precision.BF16) for one in lost)),
        )
