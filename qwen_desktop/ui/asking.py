"""What the window does about the next message: its draft, its tokens, sending it, its settings.

Stands between the composer and the bridge. Its dialogs are imported when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from qwen_desktop.bridge.words import translated
from qwen_desktop.chat.draft import Draft, joined
from qwen_desktop.chat.ledger import Way, WayKind
from qwen_desktop.errors import Report
from qwen_desktop.ui.chat_values import with_value

if TYPE_CHECKING:
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.models import Models, ModelState
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.presets import Presets
    from qwen_desktop.bridge.run import RunState
    from qwen_desktop.chat.context import Policy
    from qwen_desktop.chat.events import PromptCount, Usage
    from qwen_desktop.ui.main_window import MainWindow

THINKING = "thinking"
# Codes of trouble that is said of one chat, and of no other.
_OF_ONE_CHAT = frozenset({"prompt-too-long", "conversation-missing"})


@dataclass(frozen=True)
class Attempt:
    """What was asked for last: how to ask again, and the draft it was about."""

    again: Callable[[], object]
    text: Callable[[], str]
    is_typed: bool = False  # what stands in the composer


class Asking(QObject):
    """Belongs to the window."""

    def __init__(
        self,
        window: MainWindow,
        chats: Chats,
        models: Models,
        preferences: PreferencesModel,
        presets: Presets,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._composer = window.composer
        self._chats = chats
        self._models = models
        self._preferences = preferences
        self._presets = presets
        self._attempt: Attempt | None = None
        composer = self._composer
        composer.send_requested.connect(self.send)
        composer.stop_requested.connect(chats.stop)
        composer.draft_changed.connect(chats.set_draft)
        composer.typed.connect(self._count)
        composer.thinking_toggled.connect(self._set_thinking)
        composer.options_requested.connect(self.show_chat_settings)
        chats.leaving.connect(composer.flush_draft)
        chats.draft_restored.connect(self._on_draft)
        chats.run_changed.connect(self._on_run)
        chats.usage.connect(self._on_usage)
        chats.counted.connect(self._on_counted)
        chats.options_changed.connect(self.refresh)
        chats.overflowed.connect(self._on_overflow)
        chats.opened.connect(self.refresh)
        models.changed.connect(self.follow)

    # -- asking ----------------------------------------------------------------------------

    @Slot(str)
    def send(self, text: str) -> None:
        """Send a draft, which is what is typed; it stays where it is refused."""
        self._window.banner.dismiss()
        self._attempt = Attempt(
            lambda: self.send(self._composer.draft()), self._composer.draft, is_typed=True
        )
        if self._chats.ask(text):
            self._composer.clear()

    def suggest(self, question: str) -> None:
        """Send a question that was offered; what is typed stays as the draft."""
        self._window.banner.dismiss()
        self._attempt = Attempt(lambda: self.suggest(question), lambda: question)
        if self._chats.ask(question):
            self._chats.set_draft(self._composer.draft())
        self._composer.focus_edit()

    def attempt(self, again: Callable[[], object], text: str) -> None:
        """Ask for an answer in another way, which can be tried again where the context is full."""
        self._window.banner.dismiss()
        self._attempt = Attempt(again, lambda: text)
        again()

    def again(self) -> None:
        """Ask once more for what was asked for last."""
        if self._attempt is not None:
            self._attempt.again()

    @Slot()
    def leave_trouble(self) -> None:
        """Another chat is shown: what the banner says of the one before goes with it."""
        shown = self._window.banner.report
        if shown is not None and shown.code in _OF_ONE_CHAT:
            self._window.banner.dismiss()

    @Slot(str)
    def _on_draft(self, draft: str) -> None:
        pane, before = self._window.pane, Draft.read(self._composer.draft())
        kept = Draft.read(draft)
        # At the start the draft ends with what was typed before it could be read.
        has_typed = not pane.shown and kept.text.endswith(f"\n{before.text}")
        if not pane.shown:
            pane.show(self._chats.current)
        if draft and kept != before:
            # What is being typed meanwhile stays, below what comes back.
            both = kept if has_typed and before.text else kept.then(before)
            self._composer.set_draft(both.written())
        if before != Draft():
            self._chats.set_draft(self._composer.draft())

    # -- what the composer shows -----------------------------------------------------------

    @Slot()
    def refresh(self) -> None:
        """Send or Stop, and why not; the thinking switch; the tokens counted anew."""
        self._refresh_state()
        info = self._models.state.info
        # Of a server it is not known; one that cannot is told so, or leaves it.
        thinks = self._chats.place.is_remote or (info is not None and info.can_think)
        self._composer.set_thinking(bool(self._chats.values.get(THINKING)) if thinks else None)
        self._count()

    def _refresh_state(self) -> None:
        run, state = self._chats.run, self._models.state
        here = run.running and run.conversation_id == self._chats.current.id
        self._composer.set_state(
            running=here, reason=self._reason(run, state), stopping=run.stopping
        )

    def _reason(self, run: RunState, state: ModelState) -> str:
        if run.running:
            title = run.title or self.tr("New chat")
            return self.tr("Answering in “{title}”").format(title=title)
        if self._chats.place.is_remote:
            is_gone = self._chats.place.target is None
            return self.tr("The connection was removed: choose another one") if is_gone else ""
        if state.busy:
            return self.tr("Loading…")
        if state.engaged:
            return self.tr("A memory study is under way")
        return "" if state.info is not None else self.tr("Open a checkpoint first")

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        self._refresh_state()
        if not run.running:
            self._count()

    @Slot(object)
    def follow(self, state: ModelState) -> None:
        """Who will read the message: the model that is open."""
        info, choice = state.info, self._chats.place.choice
        if choice is not None:
            self._composer.set_model_name(choice.model)
        else:
            self._composer.set_model_name(
                info.name if info is not None else "",
                completes=info is not None and not info.has_chat_template,
            )
        self.refresh()

    @Slot(object)
    def _on_usage(self, usage: Usage | None) -> None:
        self._composer.set_usage(usage)

    @Slot()
    def _count(self) -> None:
        """Ask for the tokens of what is typed; while an answer is written nobody waits for it."""
        if not self._chats.run.running:
            self._chats.count(self._composer.draft())

    @Slot(object)
    def _on_counted(self, count: PromptCount | Report | None) -> None:
        if isinstance(count, Report):
            self._composer.prompt.set_trouble(translated(count))
            return
        if count is not None and count.refusal is not None:
            self._composer.attachments.set_tokens(count.files)
            self._composer.prompt.set_trouble(translated(count.refusal))
            return
        path = self._chats.current.tree.path()
        known = next((m.provenance for m in reversed(path) if m.provenance is not None), None)
        self._composer.set_count(count, known.unseen if known is not None else ())

    # -- settings of the conversation ------------------------------------------------------

    def toggle_thinking(self) -> None:
        """Switch thinking for the next messages, where the model can."""
        if not self._composer.thinking.isHidden():
            self._set_thinking(not self._composer.thinking.isChecked())

    @Slot(bool)
    def _set_thinking(self, on: bool) -> None:
        general = self._preferences.values
        self._chats.set_options(with_value(self._chats.options, THINKING, on, general))

    def show_chat_settings(self, *, policy: bool = False) -> None:
        """Open the settings of the shown conversation; with `policy`, at the full context."""
        from qwen_desktop.ui.chat_settings import ChatSettingsDialog

        dialog = ChatSettingsDialog(self._chats, self._presets, self._preferences, self._window)
        dialog.open()
        if policy:
            dialog.focus_policy()

    @Slot(object)
    def take_way(self, way: Way) -> None:
        """Go to where the limit of the chat can be moved: its settings, or the checkpoint's."""
        info = self._models.state.info
        if way.kind is WayKind.SHORTER:
            self.show_chat_settings()
        elif info is not None:
            self._window.checkpoints.look_into(info.folder)

    # -- a full context --------------------------------------------------------------------

    @Slot(object)
    def _on_overflow(self, count: PromptCount) -> None:
        from qwen_desktop.ui.overflow_dialog import OverflowDialog

        dialog = OverflowDialog(count, self._window)
        dialog.policy_chosen.connect(self._use_policy)
        dialog.new_chosen.connect(self._take_to_new)
        dialog.open()

    @Slot(object)
    def _use_policy(self, policy: Policy) -> None:
        """From now on in this conversation, and for what was just asked."""
        self._chats.set_options(replace(self._chats.options, policy=policy))
        attempt = self._attempt
        if attempt is None:
            return
        if not attempt.is_typed:  # an edited message that came back goes where it belongs
            self._take_out(attempt.text())
        attempt.again()

    @Slot()
    def _take_to_new(self) -> None:
        draft = self._attempt.text() if self._attempt is not None else self._composer.draft()
        self._take_out(draft)
        self._chats.new()
        # Below a draft that waited there.
        self._composer.set_draft(joined(self._composer.draft(), draft))
        self._chats.set_draft(self._composer.draft())
        self._composer.focus_edit()

    def _take_out(self, draft: str) -> None:
        """Take a message out of the composer that came back; what was typed below it stays."""
        rest = Draft.read(self._composer.draft()).without(Draft.read(draft)) if draft else None
        if rest is not None:
            self._composer.set_draft(rest.written())
        self._chats.set_draft(self._composer.draft())
