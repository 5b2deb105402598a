"""The middle of the window: the timeline of the shown conversation and what is asked of it.

The timeline is built by `build()`, after the first paint; dialogs are imported when asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import QWidget

from qwen_desktop.chat.draft import Draft
from qwen_desktop.chat.events import Stage
from qwen_desktop.chat.messages import Role
from qwen_desktop.chat.places import ReadingPlaces
from qwen_desktop.errors import Report
from qwen_desktop.ui import theme
from qwen_desktop.ui.answer_looks import AnswerLooks

if TYPE_CHECKING:
    from PySide6.QtCore import QUrl

    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.models import Models
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.run import RunState
    from qwen_desktop.chat.messages import Message
    from qwen_desktop.chat.tree import Conversation
    from qwen_desktop.ui.asking import Asking
    from qwen_desktop.ui.find_bar import FindBar
    from qwen_desktop.ui.main_window import MainWindow
    from qwen_desktop.ui.theme import Theme
    from qwen_desktop.ui.timeline.view import Timeline

_SOUGHT = 200  # characters of a selection that is looked for at once
PRESENCE_PENALTY = 1.5  # to go on after a loop; what Qwen advises against repetitions


class ConversationPane(QObject):
    """Belongs to the window."""

    def __init__(self, window: MainWindow, chats: Chats, models: Models, asking: Asking) -> None:
        super().__init__(window)
        self._window = window
        self._chats = chats
        self._models = models
        self._asking = asking
        self._timeline: Timeline | None = None
        self._find: FindBar | None = None
        self._unseen: Collection[str] = ()
        self.shown = False  # whether a conversation was shown yet
        self.places = ReadingPlaces()
        self._shown_id = ""  # of the conversation in the timeline
        self.looks = AnswerLooks(window, chats, models, asking)
        chats.leaving.connect(self.keep_place)
        chats.message_added.connect(self._on_added)
        chats.message_changed.connect(self._on_changed)
        chats.rewound.connect(self.show)
        chats.unseen_changed.connect(self._on_unseen)
        chats.jump_requested.connect(self._on_jump)
        chats.run_changed.connect(self._on_run)
        models.changed.connect(self._refresh_offers)

    def build(self) -> None:
        """Make the timeline. Safe to call twice."""
        if self._timeline is not None:
            return
        from qwen_desktop.ui.saving_code import SavingCode
        from qwen_desktop.ui.timeline.view import Timeline

        made = self._timeline = Timeline()
        made.setObjectName("timeline")
        made.set_theme(theme.current())
        made.retry_requested.connect(self._retry)
        made.edit_requested.connect(self._edit)
        made.edit_typed.connect(self._chats.set_edit)
        made.version_requested.connect(self._chats.show_version)
        made.resume_requested.connect(self._resume)
        made.pin_requested.connect(self._chats.set_pinned)
        made.branch_requested.connect(self._branch)
        made.delete_requested.connect(self._chats.delete_message)
        made.undo_requested.connect(lambda: self._window.undoing.undo())
        made.prompt_requested.connect(self.looks.show_prompt)
        made.provenance_requested.connect(self.looks.show)
        made.tokens_requested.connect(self.looks.show_tokens)
        made.turn_requested.connect(self.looks.show_turn)
        made.policy_requested.connect(lambda: self._asking.show_chat_settings(policy=True))
        made.details_requested.connect(self._show_details)
        made.link_activated.connect(self._ask_link)
        made.copy_all_requested.connect(self._window.outgoing.copy_shown)
        made.export_requested.connect(self._window.outgoing.export_shown)
        made.save_requested.connect(SavingCode(self._window).save)
        self._window.body.addWidget(made)
        QWidget.setTabOrder(self._window.empty.demo_button, made)
        QWidget.setTabOrder(made, self._window.composer.edit)
        self._refresh_offers()

    def follow(self, preferences: PreferencesModel) -> None:
        """Let the settings of the timeline hold, now and when they change."""

        def take(name: str, value: object) -> None:
            if name == "collapse_reasoning":
                self.timeline.set_collapse_reasoning(bool(value))

        preferences.changed.connect(take)
        take("collapse_reasoning", preferences.get("collapse_reasoning"))

    def set_can_undo(self, possible: bool) -> None:
        """Whether something deleted can be taken back."""
        if self._timeline is not None:
            self._timeline.can_undo = possible

    def flush(self) -> None:
        """Tell the bridge at once what is being typed in the conversation."""
        if self._timeline is not None:
            self._timeline.flush_edits()

    @property
    def timeline(self) -> Timeline:
        """The messages."""
        self._window.finish_building()
        assert self._timeline is not None
        return self._timeline

    # -- finding ---------------------------------------------------------------------------

    def find(self) -> None:
        """Look for something in the conversation, or for what is selected in it."""
        timeline = self.timeline
        if self._window.body.currentWidget() is not timeline:
            return
        if self._find is None:
            from qwen_desktop.ui.find_bar import FindBar

            self._find = FindBar(timeline, self._window.centre)
        selected = timeline.selected_text()
        self._find.enter(selected if "\n" not in selected and len(selected) <= _SOUGHT else "")

    def find_step(self, by: int) -> bool:
        """Go to another occurrence of what is looked for; False where nothing is."""
        if self._find is None or not self._find.is_open:
            return False
        self._find.step(by)
        return True

    def set_theme(self, wanted: Theme) -> None:
        """Another theme."""
        if self._timeline is not None:
            self._timeline.set_theme(wanted)

    @Slot()
    def keep_place(self) -> None:
        """Remember where one reads in the conversation that is shown."""
        if self._timeline is not None and self._shown_id:
            self.places.keep(self._shown_id, self._timeline.place_read())

    # -- what is shown ---------------------------------------------------------------------

    @Slot(object)
    def show(self, conversation: Conversation) -> None:
        """Show the path of `conversation` that is being read."""
        self.shown = True
        tree = conversation.tree
        path, timeline = tree.path(), self.timeline
        is_other, self._shown_id = conversation.id != self._shown_id, conversation.id
        if path:
            timeline.set_messages(path, tree.version_positions(path))
            timeline.set_unseen(self._unseen)
            timeline.set_edits(self._chats.edits)
            self._window.body.setCurrentWidget(timeline)
            if is_other and (place := self.places.of(conversation.id)) is not None:
                timeline.go_to_place(place.message_id, place.above)
        else:
            timeline.clear()
            self._window.body.setCurrentWidget(self._window.empty)
        self._window.refresh_title()
        self._on_run(self._chats.run)

    @Slot(object)
    def _on_added(self, message: Message) -> None:
        self.timeline.add(message)
        self._window.body.setCurrentWidget(self.timeline)
        self._window.sidebar.set_open(self._chats.current.id)
        self._window.refresh_title()

    @Slot(object)
    def _on_changed(self, message: Message) -> None:
        self.timeline.change(message)

    @Slot(str)
    def _on_jump(self, message_id: str) -> None:
        self.timeline.show_message(message_id)

    @Slot(object)
    def _on_unseen(self, ids: Collection[str]) -> None:
        self._unseen = ids
        if self._timeline is not None:
            self._timeline.set_unseen(ids)

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        progress = run.progress
        here = run.running and run.conversation_id == self._chats.current.id
        if here and progress is not None and run.answer_id:
            if progress.stage is Stage.WAITING:
                rest = max(1, progress.total - progress.done)
                self.timeline.set_prefill(run.answer_id, 0, 0, pause=rest)
            else:
                self.timeline.set_prefill(run.answer_id, progress.done, progress.total)
        self._refresh_offers()

    @Slot()
    def _refresh_offers(self) -> None:
        """Whether an answer can be asked for now."""
        state = self._models.state
        free = state.info is not None and not (
            state.busy or state.engaged or self._chats.run.running
        )
        for name in ("regenerate", "edit"):
            self._window.actions_by_name[name].setEnabled(free)
        if self._timeline is not None:
            self._timeline.set_can_answer(free)

    # -- answers and versions --------------------------------------------------------------

    def regenerate(self) -> None:
        """Answer the last question, again if it was."""
        path = self._chats.current.tree.path()
        if path:
            self._retry(path[-1].id)

    def edit_last(self) -> None:
        """Write the last question anew, in its place."""
        question = self._last(Role.USER)
        if question is not None:
            self.timeline.begin_edit(question.id)

    def _last(self, role: Role) -> Message | None:
        path = self._chats.current.tree.path()
        return next((message for message in reversed(path) if message.role is role), None)

    @Slot(str)
    def _retry(self, message_id: str) -> None:
        messages = self._chats.current.tree.messages
        question: Message | None = messages[message_id]
        if question is not None and question.role is Role.ASSISTANT:
            question = messages.get(question.parent_id or "")
        draft = Draft.of(question).written() if question is not None else ""
        self._asking.attempt(lambda: self._chats.retry(message_id), draft)

    @Slot(str, str)
    def _edit(self, message_id: str, text: str) -> None:
        old = self._chats.current.tree.messages[message_id]
        draft = Draft(text, old.files).written()
        self._asking.attempt(lambda: self._chats.edit(message_id, text), draft)

    @Slot(str, bool)
    def _resume(self, message_id: str, with_penalty: bool) -> None:
        penalty = PRESENCE_PENALTY if with_penalty else None
        self._asking.attempt(lambda: self._chats.resume(message_id, penalty), "")

    @Slot(str)
    def _branch(self, message_id: str) -> None:
        self._window.composer.flush_draft()
        title = self._chats.current.summary().title
        self._chats.branch(message_id, self.tr("%1 (branch)").replace("%1", title))

    # -- details ---------------------------------------------------------------------------

    @Slot(str)
    def _show_details(self, message_id: str) -> None:
        report = self._chats.report_for(message_id)
        message = self._chats.current.tree.messages.get(message_id)
        if report is None and message is not None and message.error:
            # Of an earlier start only the sentence was kept.
            report = Report("{sentence}", values={"sentence": message.error})
        self._window.show_details(report)

    @Slot(object)
    def _ask_link(self, url: QUrl) -> None:
        from qwen_desktop.ui.link_dialog import LinkDialog

        LinkDialog(url, self._window).open()
