"""The choices of a load and what they come to.

Precision, placement, context, the format of the KV cache and how far the context is stretched;
below them the table of what fits, and the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLocale, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QVBoxLayout, QWidget

from qwen_desktop.chat.checkpoint import Fit, FolderReport, KvFormat, LoadPlan, Plans, Precision
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.ui import theme
from qwen_desktop.ui.controls import Label, TintedLabel, plain_tip
from qwen_desktop.ui.fit_table import FitTable
from qwen_desktop.ui.plan_view import PlanView
from qwen_desktop.ui.texts import (
    kv_text,
    plan_precision_text,
    precision_text,
    size_text,
    stretch_text,
)

USUAL_CONTEXT = 8192  # tokens; offered first where the model can and the memory allows it


def plans_of(report: FolderReport, kv: KvFormat) -> Plans:
    """The plans with keys and values in `kv`."""
    plans = report.plans_for(kv)
    return plans if plans or kv is not KvFormat.MODEL else report.plans or {}


def usual_context(
    plans: Plans, contexts: Sequence[int], placement: str, precision: Precision
) -> int:
    """The one of `contexts` to begin with: the usual one or the largest below it that fits."""
    small = [context for context in contexts if context <= USUAL_CONTEXT]
    candidates = small or list(contexts[:1])
    for context in reversed(candidates):
        plan = plans.get((placement, precision, context))
        if plan is not None and plan.fit is not Fit.NO:
            return context
    return candidates[-1] if candidates else 0


class ChoicesView(QWidget):
    """Shows one plan of a report at a time. `changed` when the user chose another."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._report: FolderReport | None = None
        self.precision = self._box("choosePrecision", self.tr("Precision"))
        self.placement = self._box("choosePlacement", self.tr("Where it runs"))
        self.context = self._box("chooseContext", self.tr("Room for"))
        self.kv = self._box("chooseKv", self.tr("KV cache"))
        self.stretch = self._box("chooseStretch", self.tr("Longest context"))
        self._all = (self.precision, self.placement, self.context, self.kv, self.stretch)
        self.warning = TintedLabel("", 12, tint="warning", wrap=True)
        self.warning.setObjectName("stretchWarning")
        self.table = FitTable()
        self.plan_view = PlanView()
        boxes = QGridLayout()
        boxes.setHorizontalSpacing(12)
        boxes.setVerticalSpacing(4)
        self._labels = {box: Label(box.accessibleName(), 12, dim=True) for box in self._all}
        for i, box in enumerate(self._all):
            row, column = divmod(i, 3)
            self._labels[box].setBuddy(box)
            self._labels[box].setContentsMargins(0, 6 * row, 0, 0)
            boxes.addWidget(self._labels[box], 2 * row, column)
            # There is room for two beside the last one, and it has the most to say.
            boxes.addWidget(box, 2 * row + 1, column, 1, 2 if box is self.stretch else 1)
        for column, share in enumerate((4, 3, 3)):
            boxes.setColumnStretch(column, share)
        column_of_all = QVBoxLayout(self)
        column_of_all.setContentsMargins(0, 0, 0, 0)
        column_of_all.setSpacing(8)
        column_of_all.addLayout(boxes)
        column_of_all.addWidget(self.warning)
        column_of_all.addSpacing(6)
        column_of_all.addWidget(Label(self.tr("What fits now"), 14, bold=True))
        column_of_all.addWidget(self.table)
        column_of_all.addSpacing(6)
        column_of_all.addWidget(Label(self.tr("Plan"), 14, bold=True))
        column_of_all.addWidget(self.plan_view)
        for box in (self.precision, self.placement, self.context, self.kv):
            box.currentIndexChanged.connect(self._on_chosen)
        self.stretch.currentIndexChanged.connect(self._on_stretched)
        self.table.picked.connect(self._on_picked)

    def _box(self, name: str, words: str) -> QComboBox:
        box = QComboBox()
        box.setObjectName(name)
        box.setAccessibleName(words)
        box.setMinimumContentsLength(6)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumHeight(30)
        box.setFont(theme.body_font(13))
        return box

    # -- what is shown ---------------------------------------------------------------------

    def set_report(self, report: FolderReport, wanted: LoadRequest) -> None:
        """Offer what `report` offers, beginning with `wanted` as far as it is there."""
        self._report = report
        placements = report.placements or ("auto",)
        precisions = report.precisions or (Precision.AUTO,)
        factors, formats = report.rope_factors or (1.0,), report.kv_formats or (KvFormat.MODEL,)
        placement = wanted.placement if wanted.placement in placements else placements[0]
        precision = wanted.precision if wanted.precision in precisions else precisions[0]
        kv = wanted.kv if wanted.kv in formats else formats[0]
        factor = wanted.rope_factor if wanted.rope_factor in factors else factors[0]
        self._fill(self.placement, [(self._placement_text(p), p) for p in placements], placement)
        self._fill(self.kv, [(kv_text(k), k) for k in formats], kv)
        self._fill(self.stretch, [(self._stretch_text(f), f) for f in factors], factor)
        self._fill(self.precision, [(p.name, p) for p in precisions], precision)
        self._fill_contexts(wanted.context)
        for box, several in ((self.kv, len(formats) > 1), (self.stretch, len(factors) > 1)):
            box.setVisible(several)
            self._labels[box].setVisible(several)
        self._show()

    def _fill_contexts(self, wanted: int) -> None:
        """The contexts there are with the stretching chosen; `wanted` if it is one of them."""
        contexts = self._contexts()
        if wanted not in contexts:
            placement, precision, _ = self._key()
            wanted = usual_context(self._plans(), contexts, placement, precision)
        self._fill(self.context, [(self._tokens(c), c) for c in contexts], wanted)

    def _contexts(self) -> tuple[int, ...]:
        assert self._report is not None
        return self._report.contexts_for(self._factor())

    def _factor(self) -> float:
        return float(self.stretch.currentData() or 1.0)

    def _format(self) -> KvFormat:
        return KvFormat(self.kv.currentData() or KvFormat.MODEL)

    def _plans(self) -> Plans:
        return plans_of(self._report, self._format()) if self._report is not None else {}

    def _fill(self, box: QComboBox, items: list[tuple[str, object]], chosen: object) -> None:
        blocked = box.blockSignals(True)
        box.clear()
        for text, value in items:
            box.addItem(text, value)
        values = [value for _, value in items]
        box.setCurrentIndex(values.index(chosen) if chosen in values else 0)
        box.blockSignals(blocked)

    @property
    def plan(self) -> LoadPlan | None:
        """The plan of the choices made."""
        return self._plans().get(self._key())

    def _key(self) -> tuple[str, Precision, int]:
        return (
            str(self.placement.currentData() or "auto"),
            # Qt keeps an enumeration of strings as a string.
            Precision(self.precision.currentData() or Precision.AUTO),
            int(self.context.currentData() or 0),
        )

    def request(self, folder: Path) -> LoadRequest:
        """The load that the choices describe."""
        placement, precision, context = self._key()
        return LoadRequest(
            folder, precision, placement, context, self._format(), rope_factor=self._factor()
        )

    def better(self) -> Precision | None:
        """A precision that would fit with the other choices; None where there is none."""
        placement, _, context = self._key()
        plans = self._plans()
        for precision in (Precision.BF16, Precision.FP16, Precision.INT8, Precision.INT4):
            plan = plans.get((placement, precision, context))
            if plan is not None and plan.fit is not Fit.NO:
                return precision
        return None

    def _show(self) -> None:
        """Everything that follows from the choices."""
        report = self._report
        assert report is not None
        plans = self._plans()
        placement, precision, context = self._key()
        for i in range(self.precision.count()):
            one = Precision(self.precision.itemData(i))
            self.precision.setItemText(
                i, self._precision_text(plans.get((placement, one, context)), one)
            )
        plan = plans.get((placement, precision, context))
        auto = plans.get((placement, Precision.AUTO, context))
        rows: list[Precision] = [p for p in report.precisions if p is not Precision.AUTO]
        if auto is not None and (auto.packed or not rows):
            rows.insert(0, Precision.AUTO)
        self.table.show_plans(plans, placement, rows, self._contexts())
        shown = precision
        if precision is Precision.AUTO and precision not in rows and plan is not None:
            shown = plan.runs_in
        self.table.show_choice(shown, context)
        self.plan_view.set_plan(plan)
        for i in range(self.kv.count()):
            one_format = KvFormat(self.kv.itemData(i))
            one_plan = plans_of(report, one_format).get(self._key())
            self.kv.setItemText(i, self._kv_text(one_plan, one_format))
        self._warn()
        for box in self._all:
            box.setToolTip(plain_tip(box.currentText()))  # where it is cut

    def _precision_text(self, plan: LoadPlan | None, precision: Precision) -> str:
        if plan is None:
            return precision_text(precision)
        return f"{plan_precision_text(plan)} · {size_text(plan.weights, QLocale())}"

    def _kv_text(self, plan: LoadPlan | None, kv: KvFormat) -> str:
        if plan is None:
            return kv_text(kv)
        return f"{kv_text(kv)} · {size_text(sum(s.kv for s in plan.shares), QLocale())}"

    def _stretch_text(self, factor: float) -> str:
        assert self._report is not None
        contexts = self._report.contexts_for(factor)
        longest = self._tokens(contexts[-1]) if contexts else ""
        words = stretch_text(factor, QLocale()) or self.tr("As it is")
        return f"{words} · {longest}" if longest else words

    def _warn(self) -> None:
        """What speaks against the choices."""
        text = ""
        if self._factor() > 1:
            text = self.tr(
                "YaRN stretches the positions beyond what the model was made for: answers to "
                "short texts can get worse. Choose it for long texts only."
            )
        self.warning.setText(text)
        self.warning.setAccessibleName(text)
        self.warning.setVisible(bool(text))

    def _placement_text(self, placement: str) -> str:
        assert self._report is not None
        if placement == "auto":
            return self.tr("Auto")
        if placement == "split":
            return self.tr("Split over all devices")
        devices = self._report.devices
        device = next((d for d in devices if d.id == placement), None)
        if device is None:
            return placement
        same = sum(d.name == device.name for d in devices) > 1
        number = placement.partition(":")[2]
        return f"{device.name} ({number})" if same and number else device.name

    def _tokens(self, count: int) -> str:
        return self.tr("{count} tokens").format(count=QLocale().toString(count))

    # -- what the user does ----------------------------------------------------------------

    def _on_chosen(self) -> None:
        self._show()
        self.changed.emit()

    def _on_stretched(self) -> None:
        self._fill_contexts(int(self.context.currentData() or 0))
        self._on_chosen()

    def _on_picked(self, precision: Precision, context: int) -> None:
        for box, value in ((self.precision, precision), (self.context, context)):
            blocked = box.blockSignals(True)
            box.setCurrentIndex(box.findData(value))
            box.blockSignals(blocked)
        self._show()
        self.changed.emit()
