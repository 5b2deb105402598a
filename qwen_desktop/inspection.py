"""What the doctor says of a folder, for the terminal: `qwen-desktop inspect DIR [--json]`.

Neither Qt nor torch is imported. The exit status is 0 where the folder opens and 1 where not.

`--json` prints one object. Its keys stay as they are; new ones may come. Sizes are in bytes.

    format      1
    folder      as a full path
    opens       whether nothing stands in the way
    facts       null where too little could be read, else an object:
                family, family_name, parameters, active_parameters, layers, heads, kv_heads,
                head_dim, hidden_size, vocabulary, experts, context_length, is_chat, stored,
                quantisation, files, stored_bytes, bytes_by_dtype, kv_bytes_per_token, state_bytes
    findings    list of {severity: error | warning | note, code, text, remedy, details}
    devices     list of {id, name, total, free}
    placements  what can be chosen on this machine, "auto" first
    precisions  what this folder can be run in, "auto" first
    contexts    tokens, the model's maximum last
    kv_formats  what the KV cache can be kept in: "model", and maybe "int8"
    stretched   list of {rope_factor, contexts}: what YaRN can make of the context
    plans       list of {placement, precision, runs_in, packed, context, kv_format, weights,
                fit: yes | tight | no, shares: list of {device, weights, kv, reserve, first, last}};
                first and last are decoder layers, -1 for none
    variants    list of plans as these, with other KV formats and with stretched contexts
"""

from __future__ import annotations

import codecs
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qwen_desktop.chat.checkpoint import (
    CheckpointFacts,
    Fit,
    FolderReport,
    KvFormat,
    LoadPlan,
    Precision,
    Severity,
    Share,
)
from qwen_desktop.engine.doctor import examine
from qwen_desktop.engine.nested import checkpoints_in
from qwen_desktop.errors import Known

FORMAT = 1
SHOWN_OF_A_KIND = 3  # findings in the terminal; --json has all

_MARKS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.NOTE: "i"}
_FITS = {Fit.YES: "✓", Fit.TIGHT: "tight", Fit.NO: "✗"}
_PLAIN = str.maketrans({"✗": "x", "✓": "ok", "–": "-", "×": "x", "…": "...", "“": '"', "”": '"'})


def run(folder: Path, *, as_json: bool, encoding: str) -> tuple[str, int]:
    """What to print for a terminal of `encoding`, and the exit status."""
    report = examine(folder)
    if as_json:  # escaped to ASCII, for any pipe
        return json.dumps(as_object(report), indent=2), 0 if report.opens else 1
    text = "\n".join((*_lines(report), *_nested(report)))
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):  # an old Windows terminal, or LC_ALL=C
        text = text.translate(_PLAIN)
        text = text.encode(_known(encoding), "replace").decode(_known(encoding))
    return text, 0 if report.opens else 1


def _known(encoding: str) -> str:
    """`encoding`, or ASCII where Python does not know it."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "ascii"


def as_object(report: FolderReport) -> dict[str, Any]:
    """`report` as `--json` prints it."""
    facts = dataclasses.asdict(report.facts) if report.facts is not None else None
    return {
        "format": FORMAT,
        "folder": str(report.folder),
        "opens": report.opens,
        "facts": facts,
        "findings": [
            {
                "severity": finding.severity.value,
                "code": finding.code,
                "text": _filled(finding.report.template, finding.report.values),
                "remedy": _filled(finding.report.remedy, finding.report.values),
                "details": finding.report.details,
            }
            for finding in report.findings
        ],
        "devices": [dataclasses.asdict(device) for device in report.devices],
        "placements": list(report.placements),
        "precisions": [precision.value for precision in report.precisions],
        "contexts": list(report.contexts),
        "kv_formats": [kv.value for kv in report.kv_formats],
        "stretched": [
            {"rope_factor": factor, "contexts": list(contexts)}
            for factor, contexts in (report.stretched or {}).items()
        ],
        "plans": [_plan_object(plan) for plan in (report.plans or {}).values()],
        "variants": [
            _plan_object(plan)
            for kv, plans in (report.variants or {}).items()
            for key, plan in plans.items()
            if kv is not KvFormat.MODEL or key not in (report.plans or {})
        ],
    }


def _plan_object(plan: LoadPlan) -> dict[str, Any]:
    return {
        "placement": plan.placement,
        "precision": plan.precision.value,
        "runs_in": plan.runs_in.value,
        "packed": plan.packed,
        "context": plan.context,
        "kv_format": plan.kv.value,
        "weights": plan.weights,
        "fit": plan.fit.value,
        "shares": [
            {
                "device": share.device.id,
                "weights": share.weights,
                "kv": share.kv,
                "reserve": share.reserve,
                "first": share.first,
                "last": share.last,
            }
            for share in plan.shares
        ],
    }


def _filled(template: str, values: Mapping[str, str]) -> str:
    return template.format_map(values)


def _lines(report: FolderReport) -> Iterator[str]:
    yield str(report.folder)
    if report.facts is not None:
        yield ""
        yield from _facts(report.facts)
    if report.findings:
        yield ""
        yield from _findings(report)
    if report.plans:
        yield ""
        yield from _table(report, report.plans)
        yield from _variants(report)
        yield ""
        yield from _split(report, report.plans)
    yield ""
    if not report.opens:
        yield "It does not open."
    elif all(plan.fit is Fit.NO for plan in (report.plans or {}).values()):
        yield "Nothing is wrong with it, but it does not fit into the memory that is free now."
    else:
        yield "It opens."


def _nested(report: FolderReport) -> Iterator[str]:
    """The checkpoints in a folder that is none itself."""
    try:
        found = checkpoints_in(report.folder)
    except Known:  # told already
        return
    if found:
        yield "It has checkpoints in it:"
        yield from (f"  {folder}" for folder in found)


def _facts(facts: CheckpointFacts) -> Iterator[str]:
    parameters = _count(facts.parameters)
    if facts.active_parameters != facts.parameters:
        parameters += f", {_count(facts.active_parameters)} of them per token"
    if facts.experts:
        parameters += f" ({facts.experts} experts)"
    attention = f"{facts.heads} heads"
    if facts.kv_heads != facts.heads:
        attention += f", {facts.kv_heads} of keys and values"
    files = "1 file" if facts.files == 1 else f"{facts.files} files"
    cache = f"{_size(facts.kv_bytes_per_token)} per token"
    if facts.state_bytes:
        cache += f", {_size(facts.state_bytes)} at any length"
    rows = {
        "Model": f"{facts.family_name}, {'chat' if facts.is_chat else 'base'}",
        "Parameters": parameters,
        "Layers": f"{facts.layers} of width {facts.hidden_size}",
        "Attention": f"{attention}, {facts.head_dim} wide",
        "Vocabulary": f"{facts.vocabulary:,} tokens",
        "Context": f"{facts.context_length:,} tokens",
        "Weights": f"{facts.stored}, {_size(facts.stored_bytes)} in {files}"
        if facts.files
        else "–",
        "KV cache": f"{cache} (16-bit)",
    }
    for name, value in rows.items():
        yield f"{name:<12}{value}"


def _findings(report: FolderReport) -> Iterator[str]:
    counts = Counter(finding.code for finding in report.findings)
    shown: Counter[str] = Counter()
    for finding in report.findings:
        told, code = finding.report, finding.code
        shown[code] += 1
        if shown[code] <= SHOWN_OF_A_KIND:
            yield f"{_MARKS[finding.severity]} {_filled(told.template, told.values)} [{code}]"
            yield f"  {_filled(told.remedy, told.values)}"
        elif shown[code] == counts[code]:
            yield f"  … and {counts[code] - SHOWN_OF_A_KIND} more like these [{code}]"


def _table(
    report: FolderReport, plans: Mapping[tuple[str, Precision, int], LoadPlan]
) -> Iterator[str]:
    """Precision × context with the automatic placement."""
    heads = [_tokens(context) for context in report.contexts]
    widths = [max(len(head), 6) for head in heads]
    yield "What fits into the memory that is free now, by tokens of context:"
    cells = "  ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    yield f"  {'precision':<14}{'weights':>10}  {cells}"
    marked = False
    for precision in report.precisions:
        row = [plans["auto", precision, context] for context in report.contexts]
        name = precision.value
        if precision is Precision.AUTO:
            name = f"auto ({row[0].runs_in.value})"
        cells = "  ".join(
            f"{_cell(plan):>{width}}" for plan, width in zip(row, widths, strict=True)
        )
        marked = marked or any(_is_mixed(plan) for plan in row)
        yield f"  {name:<14}{_size(row[0].weights):>10}  {cells}"
    if marked:
        yield "  + a part in main memory, which is slower"


_KV_ROWS = {KvFormat.MODEL: "as the model", KvFormat.INT8: "--kv int8"}


def _variants(report: FolderReport) -> Iterator[str]:
    """KV format × contexts from the model's own on; precision and place as they come."""
    stretched, longest = report.stretched or {}, report.contexts[-1]
    if len(report.kv_formats) == 1 and not stretched:
        return
    further = {n for found in stretched.values() for n in found if n > longest}
    contexts = (longest, *sorted(further))
    heads = [_tokens(context) for context in contexts]
    widths = [max(len(head), 6) for head in heads]
    yield ""
    yield "With the KV cache of either kind, and the context stretched by YaRN:"
    cells = "  ".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    yield f"  {'KV cache':<14}{'at ' + heads[-1]:>10}  {cells}"
    for kv in report.kv_formats:
        row = [report.plans_for(kv)["auto", Precision.AUTO, context] for context in contexts]
        cells = "  ".join(
            f"{_cell(plan):>{width}}" for plan, width in zip(row, widths, strict=True)
        )
        size = _size(sum(share.kv for share in row[-1].shares))
        yield f"  {_KV_ROWS[kv]:<14}{size:>10}  {cells}"
    for factor, found in stretched.items():
        reach = f"{_tokens(longest)} to {_tokens(found[-1])}"
        yield f"  --rope-factor {factor:g} stretches it from {reach}"
    if stretched:
        yield "  stretched, short conversations may be answered a little worse"


def _is_mixed(plan: LoadPlan) -> bool:
    """Whether a card and main memory share the layers."""
    ids = {share.device.id for share in plan.shares}
    return "cpu" in ids and len(ids) > 1 and plan.fit is not Fit.NO


def _cell(plan: LoadPlan) -> str:
    return _FITS[plan.fit] + ("+" if _is_mixed(plan) else "")


def _split(
    report: FolderReport, plans: Mapping[tuple[str, Precision, int], LoadPlan]
) -> Iterator[str]:
    """Where it goes by itself: with the longest context that fits, else the shortest."""
    automatic = [plans["auto", Precision.AUTO, context] for context in report.contexts]
    fitting = [plan for plan in automatic if plan.fit is not Fit.NO]
    plan = fitting[-1] if fitting else automatic[0]
    yield f"Where it goes by itself, with room for {plan.context:,} tokens:"
    for share in plan.shares:
        yield f"  {_share(share)}"


def _share(share: Share) -> str:
    layers = ""
    if share.first >= 0:
        layers = f"layers {share.first}–{share.last}, "
    device = share.device
    return (
        f"{device.name} ({device.id}): {layers}{_size(share.weights)} weights + "
        f"{_size(share.kv)} KV cache + {_size(share.reserve)} to work = {_size(share.need)} "
        f"of {_size(device.free)} free"
    )


def _count(number: int) -> str:
    """A number of parameters: "30.5 B"."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)


def _size(count: int) -> str:
    """A byte count: "61.1 GiB"."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _tokens(count: int) -> str:
    """A context for the head of a column: "32k"."""
    return f"{count // 1024}k" if count % 1024 == 0 else str(count)
