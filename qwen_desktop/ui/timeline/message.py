"""One message: name, text, footer. Its widgets are placed by hand, for one width at a time."""

from __future__ import annotations

from PySide6.QtCore import QLocale

from qwen_desktop.chat.messages import Role, Status
from qwen_desktop.ui.timeline.buttons import RevealButton
from qwen_desktop.ui.timeline.cards import DamageCard, EndCard, GapCard
from qwen_desktop.ui.timeline.footer import Footer
from qwen_desktop.ui.timeline.items import Gap
from qwen_desktop.ui.timeline.labels import PinMark, colour_label, plain_label
from qwen_desktop.ui.timeline.markdown import MarkdownTail, normalized, steady
from qwen_desktop.ui.timeline.offers import needs_card
from qwen_desktop.ui.timeline.parts import MessageParts, inner_width
from qwen_desktop.ui.timeline.portions import Portions
from qwen_desktop.ui.timeline.reasoning import ReasoningView
from qwen_desktop.ui.timeline.usercard import UserCard


class MessageView(MessageParts):
    """The widget of one message, as wide as the pane."""

    # Content

    def refresh(self, last: bool, width: int) -> None:
        """Show the item as it is now; costs nothing where nothing changed.

        `last`: nothing follows. `width`: of the pane in px, for which new blocks are built.
        """
        item = self._item
        editing = item.draft is not None
        folds = self._shared.collapse_reasoning
        state = (
            last,
            item.progress,
            item.pause,
            item.versions,
            item.unseen,
            item.gap,
            editing,
            folds,
        )
        if self._shown is not None and item.message is self._shown[0] and state == self._shown[1]:
            return
        self._shown = (item.message, state)
        self._dirty = True
        self._show_gap(item.gap)
        self._show_damage(item.message.damaged)
        if self.message.role is Role.USER:
            self._show_user(inner_width(width))
        else:
            self._stack.expect(inner_width(width))
            self._show_answer(last, inner_width(width))

    def _show_user(self, column: int) -> None:
        if self._user is None:
            self.setAccessibleName(self.tr("Your message"))
            self._user = UserCard(self._shared, self, self._item, self._on_changed)
            self._user.expect(column)
            self._user.reveal(self.underMouse())
            self._user.show()
        self._user.show_item()

    def _show_answer(self, last: bool, column: int) -> None:
        message = self.message
        stats = message.stats
        self._show_name((stats.model if stats else "") or "Qwen")
        self._show_pinned(message.pinned)
        self._stack.set_dim(self._item.unseen)
        live = message.status is Status.STREAMING
        text, reasoning = message.text, message.reasoning
        self._show_reasoning(reasoning, live and not text, column)
        source = normalized(text)
        if live:
            self._tail = self._tail or MarkdownTail()
            first = self._tail.feed(steady(source))
            self._stack.sync(first, self._tail.blocks, True)
        else:
            if self._tail is not None:
                self._item.shown = len(source)  # what was seen growing is not folded now
            # A whole parse at the end: a late link definition can change earlier blocks.
            self._tail = None
            self._show_portion(source)
        self._show_waiting(live and not text and not reasoning)
        self._show_end(live, last)

    def _show_portion(self, source: str) -> None:
        self._portions = self._portions or Portions()
        shown = self._portions.show(source, self._item.shown)
        self._stack.sync(0, shown.blocks, False)
        self._shown_end = shown.end
        left = len(source) - shown.end
        if left and self._more is None:
            self._more = RevealButton(self._shared, self)
            self._more.clicked.connect(self._on_more)
        if self._more is not None:
            self._more.show_left(left)

    def show_more(self) -> None:
        """Show another portion of a long answer; to be measured again."""
        self._item.shown = self._shown_end
        self._show_portion(normalized(self.message.text))
        self._dirty = True

    def _on_more(self) -> None:
        self.show_more()
        self._on_changed()

    def show_more_reasoning(self) -> None:
        """Show another portion of long reasoning; to be measured again."""
        if self._reasoning is not None:
            self._reasoning.show_more()
            self._dirty = True

    def _show_gap(self, gap: Gap | None) -> None:
        if gap is not None:
            if self._gap is None:
                self._gap = GapCard(self._shared, self)
            self._gap.show_gap(gap)
            self._gap.show()
        elif self._gap is not None:
            self._gap.hide()
            self._gap.deleteLater()
            self._gap = None

    def _show_damage(self, damaged: bool) -> None:
        if damaged and self._damage is None:
            self._damage = DamageCard(self._shared, self)
        if self._damage is not None:
            self._damage.setVisible(damaged)

    def _show_name(self, name: str) -> None:
        if self._name is None:
            self._name = plain_label(self, 600)
            colour_label(self._name, self._shared.theme.dim)
        if name != self._name.text():
            self._name.setText(name)
            self._name.show()
            self.setAccessibleName(self.tr("Answer by %1").replace("%1", name))

    def _show_pinned(self, pinned: bool) -> None:
        if pinned and self._pinned is None:
            self._pinned = PinMark(self)
            self._pinned.apply_theme(self._shared.theme)
        if self._pinned is not None:
            self._pinned.setVisible(pinned)

    def _show_reasoning(self, reasoning: str, live: bool, column: int) -> None:
        if not reasoning:
            if self._reasoning is not None:
                self._reasoning.hide()
                self._reasoning.deleteLater()
                self._reasoning = None
            return
        if self._reasoning is None:
            self._reasoning = ReasoningView(self._shared, self, self._set_reasoning_open)
            self._reasoning.expect(column)
            self._reasoning.show()
        chosen = self._item.reasoning_open
        opened = live or not self._shared.collapse_reasoning if chosen is None else chosen
        self._reasoning.show_text(reasoning, self.message.stats, live, opened)

    def _show_waiting(self, waiting: bool) -> None:
        if not waiting:
            if self._waiting is not None:
                self._waiting.hide()
            return
        if self._waiting is None:
            self._waiting = plain_label(self)
            colour_label(self._waiting, self._shared.theme.dim)
        self._waiting.show()
        progress = self._item.progress
        if progress is None:
            self._waiting.setText("")
            return
        locale = QLocale()
        if self._item.pause:
            text = self.tr("The server is busy; asked again in %1 s")
            self._waiting.setText(text.replace("%1", locale.toString(self._item.pause)))
            return
        if not progress[1]:
            self._waiting.setText(self.tr("Waiting for the server…"))
            return
        text = self.tr("Reading the prompt, %1 of %2 tokens")
        text = text.replace("%1", locale.toString(progress[0]))
        self._waiting.setText(text.replace("%2", locale.toString(progress[1])))

    def _show_end(self, live: bool, last: bool) -> None:
        message = self.message
        if not live and self._footer is None:
            self._footer = Footer(self._shared, self)
            self._footer.reveal(self.underMouse())
        if self._footer is not None:
            self._footer.setVisible(not live)
            if not live:
                self._footer.show_item(self._item, last)
        carded = needs_card(message, last)
        if carded and self._end is None:
            self._end = EndCard(self._shared, self)
        if self._end is not None:
            self._end.setVisible(carded)
            if carded:
                self._end.show_message(message, last)

    def refresh_enabled(self) -> None:
        """The model became free, or is no longer."""
        for part in (self._user, self._footer, self._end):
            if part is not None:
                part.refresh_enabled()

    # Editing

    def store(self) -> None:
        """Keep in the item what only the widgets know: they go."""
        if self._user is not None:
            self._user.store()

    def _on_changed(self) -> None:
        """The card wants another height."""
        self._dirty = True
        self._shared.resized.emit()

    def _set_reasoning_open(self, opened: bool) -> None:
        self._item.reasoning_open = opened
        self._dirty = True
