"""Examines a checkpoint folder before any weight is read: what it is, what is wrong, what fits.

No torch and no transformers, so that it answers in milliseconds, also while a model is at work.
Codes of the findings are listed in checks.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from qwen_desktop.chat.checkpoint import (
    CheckpointFacts,
    Finding,
    FolderReport,
    KvFormat,
    LoadPlan,
    Precision,
    Severity,
)
from qwen_desktop.engine import placement
from qwen_desktop.engine.architecture import architecture, family_name
from qwen_desktop.engine.checkpoint import CONFIG, Checkpoint, folder_names, survey
from qwen_desktop.engine.checks import (
    Patient,
    checkpoint_checks,
    error,
    folder_checks,
    is_chat,
)
from qwen_desktop.engine.files import broken
from qwen_desktop.engine.gpus import Machine, this_machine
from qwen_desktop.engine.machine_checks import machine_checks
from qwen_desktop.engine.placement import Model, model_of
from qwen_desktop.engine.stretch import rope_factors, stretched_config
from qwen_desktop.errors import Known

_ORDER = list(Severity)


def examine(folder: Path, machine: Machine | None = None, *, brief: bool = False) -> FolderReport:
    """What there is to say of `folder`. Raises nothing for anything in it; from any thread.

    `machine` is what it is judged for; as the drivers tell where nothing is given. A `brief` report
    has plans for what is chosen where nobody chooses, which is enough for a list of many.
    """
    machine = machine or this_machine()
    findings: list[Finding] = []
    checkpoint = survey(folder, lambda trouble: findings.append(error(trouble)))
    try:
        names = folder_names(folder)
    except Known:
        return FolderReport(folder, None, tuple(findings), machine.devices)
    findings += folder_checks(folder, names)
    model: Model | None = None
    if checkpoint.family:
        try:
            model = model_of(checkpoint)
        except ValueError as nonsense:
            findings.append(error(broken(folder / CONFIG, nonsense)))
    if model is None:
        return FolderReport(folder, None, _sorted(findings), machine.devices)
    patient = Patient(checkpoint, names, model, machine)
    whole = not any(finding.severity is Severity.ERROR for finding in findings)
    if whole:  # else what is missing is told already
        findings += checkpoint_checks(patient)
        whole = not any(finding.severity is Severity.ERROR for finding in findings)
    if not whole:
        return FolderReport(folder, _facts(checkpoint, model), _sorted(findings), machine.devices)
    choices = placement.placements(machine)[:1] if brief else placement.placements(machine)
    precisions = _precisions(checkpoint)[:1] if brief else _precisions(checkpoint)
    contexts = placement.contexts(model.architecture.context_length)
    stretched = {} if brief else _stretched(checkpoint.config, model)
    longest = max(stretched.values(), key=len, default=contexts)
    asked = [
        (choice, precision, context)
        for choice in choices
        for precision in precisions
        for context in sorted({*contexts, *longest, *(c[-1] for c in stretched.values())})
    ]
    variants = {
        kv: _plans(_without_end(model, longest[-1]), machine, asked, kv)
        for kv in (model.architecture.kv_formats[:1] if brief else model.architecture.kv_formats)
    }
    plans = {key: plan for key, plan in variants[KvFormat.MODEL].items() if key[2] in contexts}
    findings += machine_checks(patient, plans.get(("auto", Precision.AUTO, contexts[0])))
    return FolderReport(
        folder=folder,
        facts=_facts(checkpoint, model),
        findings=_sorted(findings),
        devices=machine.devices,
        placements=choices,
        precisions=precisions,
        contexts=contexts,
        kv_formats=tuple(variants),
        rope_factors=(1.0, *stretched),
        plans=plans,
        variants=variants,
        stretched=stretched,
    )


def _stretched(config: Mapping[str, Any], model: Model) -> dict[float, tuple[int, ...]]:
    """The contexts for each factor over 1 by which YaRN can stretch the model's."""
    found = {}
    for factor in rope_factors(config)[1:]:
        longest = architecture(stretched_config(config, factor)).context_length
        if longest > model.architecture.context_length:
            found[factor] = placement.contexts(longest)
    return found


def _plans(
    model: Model, machine: Machine, asked: Iterable[tuple[str, Precision, int]], kv: KvFormat
) -> dict[tuple[str, Precision, int], LoadPlan]:
    """The plan for each placement, precision and context."""
    made = ((key, placement.plan(model, machine, *key, kv)) for key in asked)
    return {key: plan for key, plan in made if plan is not None}


def _without_end(model: Model, longest: int) -> Model:
    """`model` with a context of `longest` tokens, to be planned for any up to it."""
    return replace(model, architecture=replace(model.architecture, context_length=longest))


def _sorted(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first, in the order they were found."""
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))


def _precisions(checkpoint: Checkpoint) -> tuple[Precision, ...]:
    """What can be chosen. A foreign package decides by itself what its weights run in."""
    how = checkpoint.quantisation
    return (Precision.AUTO,) if how and how.extra else tuple(Precision)


def _facts(checkpoint: Checkpoint, model: Model) -> CheckpointFacts:
    made, weights, how = model.architecture, model.weights, checkpoint.quantisation
    return CheckpointFacts(
        family=checkpoint.family,
        family_name=family_name(checkpoint.family),
        parameters=weights.parameters,
        active_parameters=weights.active,
        layers=made.layers,
        heads=made.heads,
        kv_heads=made.kv_heads,
        head_dim=made.head_dim,
        hidden_size=made.hidden_size,
        vocabulary=made.vocabulary,
        experts=made.experts,
        context_length=made.context_length,
        is_chat=is_chat(checkpoint),
        stored=how.words if how else checkpoint.dtype,
        quantisation=how.method if how else "",
        files=len({entry.shard for entry in checkpoint.tensors.values()}),
        stored_bytes=checkpoint.weight_bytes,
        bytes_by_dtype=checkpoint.bytes_by_dtype,
        kv_bytes_per_token=made.kv_bytes_per_token(),
        state_bytes=made.state_bytes,
    )
