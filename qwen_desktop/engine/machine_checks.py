"""What the doctor finds where a checkpoint meets this machine. Codes are listed in checks.py.

No torch; reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from qwen_desktop.chat.checkpoint import Finding, Fit, LoadPlan, Precision, Severity
from qwen_desktop.engine.checks import Patient, finding, gigabytes
from qwen_desktop.engine.placement import plan
from qwen_desktop.errors import QT_TRANSLATE_NOOP

# Parameters per token from which a CPU writes slower than people read.
_SLOW_ON_CPU = 2_000_000_000


def machine_checks(patient: Patient, chosen: LoadPlan | None) -> Iterator[Finding]:
    """What this machine makes of it; `chosen` is what would happen if nothing is changed."""
    machine = patient.machine
    if machine.gpus and not machine.usable:
        yield finding(
            Severity.WARNING,
            "card-unusable",
            QT_TRANSLATE_NOOP(
                "errors", "{card} is not used: torch and driver do not fit together."
            ),
            QT_TRANSLATE_NOOP(
                "errors", "Install the build of torch for this card and driver; see the README."
            ),
            card=machine.gpus[0].device.name,
        )
    if chosen is None:
        return
    ids = {share.device.id for share in chosen.shares}
    if patient.checkpoint.dtype == "BF16":
        for gpu in machine.gpus:
            if gpu.device.id in ids and not gpu.has_bfloat16:
                yield finding(
                    Severity.NOTE,
                    "card-bfloat16",
                    QT_TRANSLATE_NOOP("errors", "{card} has no bfloat16: float16 is used."),
                    QT_TRANSLATE_NOOP("errors", "If answers are nonsense, choose FP32."),
                    card=gpu.device.name,
                )
    if chosen.fit is Fit.NO:
        share = max(chosen.shares, key=lambda share: share.need - share.device.free)
        least = plan(patient.model, machine, "auto", Precision.INT4)
        yield finding(
            Severity.WARNING,
            "no-room",
            QT_TRANSLATE_NOOP("errors", "It needs {need} on {device}; {free} are free now."),
            QT_TRANSLATE_NOOP("errors", "Take a smaller model: not even 4-bit fits.")
            if least is None or least.fit is Fit.NO
            else QT_TRANSLATE_NOOP("errors", "Choose 8-bit or 4-bit, or close other programs."),
            need=gigabytes(share.need),
            device=share.device.name,
            free=gigabytes(share.device.free),
        )
    elif ids == {"cpu"} and patient.model.weights.active >= _SLOW_ON_CPU and not chosen.packed:
        yield finding(
            Severity.WARNING,
            "slow-on-cpu",
            QT_TRANSLATE_NOOP("errors", "On the CPU, {parameters} parameters answer slowly."),
            QT_TRANSLATE_NOOP(
                "errors", "4-bit reads prompts faster and takes a third of the room."
            ),
            parameters=f"{patient.model.weights.active / 1e9:.1f} B",
        )
    weights = patient.model.weights
    if weights.parameters >= _SLOW_ON_CPU and weights.active < weights.parameters:
        yield finding(
            Severity.NOTE,
            "mixture-prompts",
            QT_TRANSLATE_NOOP("errors", "A mixture: {active} of {all} parameters work per token."),
            QT_TRANSLATE_NOOP("errors", "Prompts use nearly all experts: they are read slower."),
            active=f"{weights.active / 1e9:.1f} B",
            all=f"{weights.parameters / 1e9:.1f} B",
        )
