"""The card of a loaded checkpoint: what torch made of it, and what its small files say.

Reads at most one file (the licence). Everything long is cut: the folder may hold anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from qwen_desktop.chat.card import ModelCard, ModuleNode, SpecialToken, TokenizerFacts
from qwen_desktop.chat.model import ModelInfo
from qwen_desktop.engine.checkpoint import Checkpoint
from qwen_desktop.engine.cpu.runner import why_not_compiled
from qwen_desktop.engine.device import device_name
from qwen_desktop.engine.files import read_head
from qwen_desktop.engine.quant.linear import PackedLinear
from qwen_desktop.engine.runner import Runner
from qwen_desktop.engine.tokenizer import Tokenizer
from qwen_desktop.errors import Known

MAX_TEXT = 200_000  # characters of a template or a licence
MAX_VALUE = 400  # characters of one value
MAX_ROWS = 2_000
MAX_TOKENS = 1_000
MAX_DEPTH = 6  # of nested objects in config.json
CUT = " […]"
_LICENCES = ("licence", "license")
_RANGES = 4  # shown of a group of layers that are not neighbours


def make_card(
    info: ModelInfo, checkpoint: Checkpoint, tokenizer: Tokenizer, runner: Runner[Any]
) -> ModelCard:
    """The card of a loaded checkpoint. Takes milliseconds; runs on the engine's thread."""
    capabilities = runner.capabilities
    file, text = _licence(checkpoint.folder)
    return ModelCard(
        info=info,
        root=module_tree(runner.module),
        runner=_way(runner),
        devices=_devices(runner.module) or (info.device,),
        prefill_chunk=capabilities.prefill_chunk,
        guesses=capabilities.croppable,
        config=flattened(checkpoint.config),
        generation=flattened(checkpoint.generation),
        template=_cut(tokenizer.template, MAX_TEXT) if tokenizer.template is not None else None,
        tokenizer=_tokenizer(tokenizer, checkpoint),
        licence_file=file,
        licence=text,
    )


def _way(runner: Runner[Any]) -> str:
    """Which path computes, and on a CPU why no compiled code decodes."""
    name, why = runner.capabilities.name, why_not_compiled(runner)
    return f"{name}; no compiled decode step: {why}" if why else name


# -- modules -------------------------------------------------------------------------------


def module_tree(model: torch.nn.Module) -> ModuleNode:
    """`model` as a tree. Every tensor counts once, where it is met first."""
    return _Walk().node("", model, "")


@dataclass
class _Walk:
    """One walk through the modules; remembers where each tensor was met."""

    def __post_init__(self) -> None:
        self.seen: dict[int, str] = {}  # by the address of the tensor object

    def node(self, name: str, module: torch.nn.Module, path: str) -> ModuleNode:
        count, sizes, shared = self._own(module, path)
        children = [
            self.node(child_name, child, f"{path}.{child_name}".lstrip("."))
            for child_name, child in module.named_children()
        ]
        dtypes = Counter(sizes)
        for child in children:
            for dtype in child.dtype.split(", "):
                dtypes[dtype] += child.nbytes
        return ModuleNode(
            name=name,
            kind=type(module).__name__,
            parameters=count + sum(child.parameters for child in children),
            nbytes=sum(sizes.values()) + sum(child.nbytes for child in children),
            dtype=", ".join(dtype for dtype, _ in dtypes.most_common() if dtype),
            detail=_detail(module) if not children else "",
            shared_with=shared,
            children=tuple(_grouped(children)),
        )

    def _own(self, module: torch.nn.Module, path: str) -> tuple[int, Counter[str], str]:
        """Parameters, bytes by type and the first owner of the module's own tensors."""
        sizes: Counter[str] = Counter()
        count, shared = 0, ""
        tensors = [*module._parameters.items(), *module._buffers.items()]
        for name, tensor in tensors:
            if tensor is None or name in module._non_persistent_buffers_set:
                continue
            if id(tensor) in self.seen:
                shared = self.seen[id(tensor)]
                continue
            self.seen[id(tensor)] = path
            sizes[_type_name(module, name, tensor)] += tensor.numel() * tensor.element_size()
            count += tensor.numel() if isinstance(tensor, torch.nn.Parameter) else 0
        return _logical_count(module, count), sizes, shared


def _logical_count(module: torch.nn.Module, count: int) -> int:
    """Weights of a packed linear layer: those it stands for, not the integers they lie in."""
    if not isinstance(module, PackedLinear):
        return count
    bias = module.bias
    return module.weight_count + (bias.numel() if bias is not None else 0)


def _type_name(module: torch.nn.Module, name: str, tensor: torch.Tensor) -> str:
    if isinstance(module, PackedLinear) and name != "bias":  # codes, scales and zeros together
        return f"int{module.form.bits}"
    return str(tensor.dtype).removeprefix("torch.")


def _detail(module: torch.nn.Module) -> str:
    return _cut(" ".join(module.extra_repr().split()), MAX_VALUE)


def _grouped(children: list[ModuleNode]) -> Iterable[ModuleNode]:
    """`children`, the equal ones of a numbered list as one node each."""
    if len(children) < 2 or not all(child.name.isdecimal() for child in children):
        return children
    groups: dict[ModuleNode, list[ModuleNode]] = {}
    for child in children:
        groups.setdefault(_nameless(child), []).append(child)
    return [_joined(group) for group in groups.values()]


def _nameless(node: ModuleNode) -> ModuleNode:
    return ModuleNode(**{**vars(node), "name": ""})


def _joined(group: list[ModuleNode]) -> ModuleNode:
    first = group[0]
    if len(group) == 1:
        return first
    changes = {
        "name": _ranges([int(node.name) for node in group]),
        "repeats": len(group),
        "parameters": sum(node.parameters for node in group),
        "nbytes": sum(node.nbytes for node in group),
    }
    return ModuleNode(**{**vars(first), **changes})


def _ranges(numbers: list[int]) -> str:
    """ "0–2, 4–6" for 0 1 2 4 5 6."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    texts = [f"{a}–{b}" if b > a else str(a) for a, b in found[:_RANGES]]
    return ", ".join([*texts, *(["…"] if len(found) > _RANGES else [])])


def _devices(model: torch.nn.Module) -> tuple[str, ...]:
    found = dict.fromkeys(p.device for p in model.parameters())
    found.update(dict.fromkeys(b.device for b in model.buffers()))
    return tuple(device_name(device) for device in found if device.type != "meta")


# -- files ---------------------------------------------------------------------------------


def flattened(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The entries of a JSON object as (dotted name, text), nested objects in their place."""
    return tuple(islice(_flat("", values, MAX_DEPTH), MAX_ROWS))


def _flat(prefix: str, values: Mapping[str, Any], depth: int) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        full = _cut(f"{prefix}{name}", MAX_VALUE)
        if isinstance(value, dict) and value and depth > 0:
            yield from _flat(f"{full}.", value, depth - 1)
        else:
            yield full, _cut(value if isinstance(value, str) else _json(value), MAX_VALUE)


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # as deep as the parser could go, which is deeper than the writer can
        return "…"


def _tokenizer(tokenizer: Tokenizer, checkpoint: Checkpoint) -> TokenizerFacts:
    added = sorted(tokenizer.added.items())
    return TokenizerFacts(
        kind=tokenizer.kind,
        vocabulary=tokenizer.vocabulary,
        special=tuple(SpecialToken(i, _cut(text, MAX_VALUE)) for i, text in added[:MAX_TOKENS]),
        files=tuple(path.name for path in checkpoint.tokenizer_files),
    )


def _licence(folder: Path) -> tuple[str, str]:
    """Name and text of the licence file; empty where there is none that can be read."""
    try:
        names = sorted(path.name for path in folder.iterdir())
        name = next((n for n in names if any(word in n.lower() for word in _LICENCES)), "")
        if not name:
            return "", ""
        data = read_head(folder / name, 4 * MAX_TEXT)
    except (OSError, Known):  # gone or not ours to read: the model runs all the same
        return "", ""
    return name, _cut(data.decode("utf-8", errors="replace"), MAX_TEXT)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + CUT
