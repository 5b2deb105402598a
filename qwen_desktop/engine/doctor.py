"""Examines a checkpoint folder before any weight is read: what it is, what is wrong, what fits.

No torch and no transformers, so that it answers in milliseconds, also while a model is at work.
Codes of the findings are listed in checks.py.
"""

from __future__ import annotations

from pathlib import Path

from qwen_desktop.chat.checkpoint import (
    CheckpointFacts,
    Finding,
    FolderReport,
    LoadPlan,
    Precision,
    Severity,
)
from qwen_desktop.engine import placement
from qwen_desktop.engine.architecture import family_name
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
from qwen_desktop.errors import Known

_ORDER = list(Severity)


def examine(folder: Path, machine: Machine | None = None) -> FolderReport:
    """What there is to say of `folder`. Raises nothing for anything in it; from any thread.

    `machine` is what it is judged for; as the drivers tell where nothing is given.
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
    choices = placement.placements(machine) if whole else ()
    precisions = _precisions(checkpoint) if whole else ()
    contexts = placement.contexts(model.architecture.context_length) if whole else ()
    plans: dict[tuple[str, Precision, int], LoadPlan] = {}
    for choice in choices:
        for precision in precisions:
            for context in contexts:
                made = placement.plan(model, machine, choice, precision, context)
                if made is not None:
                    plans[choice, precision, context] = made
    if whole:
        findings += machine_checks(patient, plans.get(("auto", Precision.AUTO, contexts[0])))
    return FolderReport(
        folder=folder,
        facts=_facts(checkpoint, model),
        findings=_sorted(findings),
        devices=machine.devices,
        placements=choices,
        precisions=precisions,
        contexts=contexts,
        plans=plans or None,
    )


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
