"""Examines a checkpoint folder before any weight is read: what it is, what is wrong, what fits.

No torch and no transformers, so that it answers in milliseconds, also while a model is at work.
"""

from __future__ import annotations

from pathlib import Path

from qwen_desktop.chat.checkpoint import CheckpointFacts, Finding, FolderReport, Severity
from qwen_desktop.engine.architecture import family_name
from qwen_desktop.engine.checkpoint import CONFIG, Checkpoint, survey
from qwen_desktop.engine.files import broken
from qwen_desktop.engine.gpus import Machine, this_machine
from qwen_desktop.engine.placement import Model, model_of
from qwen_desktop.errors import Known


def examine(folder: Path, machine: Machine | None = None) -> FolderReport:
    """What there is to say of `folder`. Raises nothing for anything in it; from any thread."""
    machine = machine or this_machine()
    findings: list[Finding] = []

    def tell(trouble: Known) -> None:
        code = trouble.code or "error"
        findings.append(Finding(Severity.ERROR, code, trouble.report()))

    checkpoint = survey(folder, tell)
    facts = None
    try:
        if checkpoint.family:
            facts = _facts(checkpoint, model_of(checkpoint))
    except ValueError as error:
        tell(broken(folder / CONFIG, error))
    return FolderReport(folder, facts, tuple(findings), machine.devices)


def _facts(checkpoint: Checkpoint, model: Model) -> CheckpointFacts:
    made, weights = model.architecture, model.weights
    sizes = checkpoint.bytes_by_dtype
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
        is_chat=checkpoint.template is not None,
        stored=next(iter(sizes), ""),
        quantisation="",
        files=len({entry.shard for entry in checkpoint.tensors.values()}),
        stored_bytes=checkpoint.weight_bytes,
        bytes_by_dtype=sizes,
        kv_bytes_per_token=made.kv_bytes_per_token(),
        state_bytes=made.state_bytes,
    )
