"""The window: what its parts show and ask, wired to the bridge.

Its constructor runs before the first paint, so it is light: it makes the frame. `connect_to` brings
the bridge, `finish_building` the timeline with its Markdown parser; dialogs come when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Slot
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication
from PySide6.QtWidgets import QWidget

from qwen_desktop.errors import Report
from qwen_desktop.ui import icons, theme
from qwen_desktop.ui.frame import Frame

if TYPE_CHECKING:
    from PySide6.QtCore import QUrl

    from qwen_desktop.bridge.cards import Cards
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.doctor import Doctor
    from qwen_desktop.bridge.memory import MemoryMonitor
    from qwen_desktop.bridge.models import Models, ModelState
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.recents import Recents
    from qwen_desktop.bridge.run import RunState
    from qwen_desktop.chat.events import Usage
    from qwen_desktop.chat.messages import Message
    from qwen_desktop.chat.model import LoadRequest
    from qwen_desktop.chat.summary import Summary
    from qwen_desktop.chat.tree import Conversation
    from qwen_desktop.ui.checkpoints import Checkpoints
    from qwen_desktop.ui.timeline.view import Timeline


class MainWindow(Frame):
    """Shows what the bridge says, asks it for the rest."""

    # Made by `connect_to()`.
    _chats: Chats
    _models: Models
    _memory: MemoryMonitor
    checkpoints: Checkpoints
    actions_by_name: dict[str, QAction]

    def __init__(self, preferences: PreferencesModel, parent: QWidget | None = None) -> None:
        theme.choose(str(preferences.get("theme")))  # before anything asks for colours
        super().__init__(parent)
        self._preferences = preferences
        self._timeline: Timeline | None = None
        self._shown = False  # whether a conversation was shown yet
        self.setObjectName("mainWindow")
        self.show_title("")
        self.composer.set_state(running=False, reason=self.tr("Loading…"))
        self.composer.focus_edit()

    def connect_to(
        self,
        chats: Chats,
        models: Models,
        memory: MemoryMonitor,
        recents: Recents,
        doctor: Doctor,
        cards: Cards,
    ) -> None:
        """Bring the window to life. To be called once."""
        from qwen_desktop.ui import actions
        from qwen_desktop.ui.checkpoints import Checkpoints

        self._chats = chats
        self._models = models
        self._memory = memory
        self.checkpoints = Checkpoints(self, chats, models, recents, doctor, cards)
        self._wire(recents)
        self.actions_by_name = actions.add_to(
            self,
            {
                "new": self._new,
                "open": self.checkpoints.choose,
                "card": self.checkpoints.show_card,
                "search": self.sidebar.focus_search,
                "focus": self.composer.focus_edit,
                "stop": chats.stop,
                "undo_delete": lambda: self.toast.undo(),
                "panel": self.toggle_panel,
                "settings": self.show_settings,
                "shortcuts": self.show_shortcuts,
                "quit": self.close,
            },
        )
        self._set_undo(False)
        self._on_model(models.state)
        self._on_run(chats.run)

    def _wire(self, recents: Recents) -> None:
        chats, models = self._chats, self._models
        chats.summaries_changed.connect(self._on_summaries)
        chats.opened.connect(self._on_opened)
        chats.message_added.connect(self._on_added)
        chats.message_changed.connect(self._on_changed)
        chats.rewound.connect(self._on_rewound)
        chats.run_changed.connect(self._on_run)
        chats.usage.connect(self._on_usage)
        chats.draft_restored.connect(self._on_draft)
        chats.leaving.connect(self.composer.flush_draft)
        chats.deleted.connect(self._on_deleted)
        chats.problem.connect(self.show_problem)
        models.changed.connect(self._on_model)
        self._preferences.changed.connect(self._on_preference)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_system)
        self.sidebar.new_requested.connect(self._new)
        self.sidebar.open_requested.connect(self._open)
        self.sidebar.rename_requested.connect(chats.rename)
        self.sidebar.delete_requested.connect(chats.delete)
        self.sidebar.settings_requested.connect(self.show_settings)
        self.composer.send_requested.connect(self._send)
        self.composer.stop_requested.connect(chats.stop)
        self.composer.draft_changed.connect(chats.set_draft)
        self.header.open_requested.connect(self.checkpoints.choose)
        self.header.checkpoint_requested.connect(self.checkpoints.open_folder)
        self.header.card_requested.connect(self.checkpoints.show_card)
        self.header.recents = lambda: recents.entries
        self.header.cancel_requested.connect(models.cancel)
        self.header.panel_toggled.connect(self.toggle_panel)
        self.folder_dropped.connect(self.checkpoints.open_folder)

    # -- life ------------------------------------------------------------------------------

    def finish_building(self) -> None:
        """Build what the first paint does without. Safe to call twice."""
        if self._timeline is not None:
            return
        from qwen_desktop.ui.timeline.view import Timeline

        self.build_rest()
        self._memory.sampled.connect(self.panel.set_sample)
        self.panel.cancel_requested.connect(self._models.cancel)
        self.empty.asked.connect(self._ask_suggestion)
        self.panel.card_requested.connect(self.checkpoints.show_card)
        self.empty.open_requested.connect(self.checkpoints.choose)
        self.banner.details_requested.connect(self._show_details)
        self.toast.hidden.connect(lambda: self._set_undo(False))
        self._timeline = Timeline()
        self._timeline.setObjectName("timeline")
        self._timeline.set_theme(theme.current())
        self._timeline.retry_requested.connect(self._chats.retry)
        self._timeline.link_activated.connect(self._ask_link)
        self._timeline.details_requested.connect(self._show_message_details)
        self.body.addWidget(self._timeline)
        self._on_model(self._models.state)
        self.setWindowIcon(icons.application_icon())
        QWidget.setTabOrder(self.empty.more, self._timeline)
        QWidget.setTabOrder(self._timeline, self.composer.edit)

    @property
    def timeline(self) -> Timeline:
        """The conversation pane."""
        self.finish_building()
        assert self._timeline is not None
        return self._timeline

    def closeEvent(self, event: QCloseEvent) -> None:
        """What was typed last becomes a draft first; the application saves when Qt quits."""
        self.composer.flush_draft()
        super().closeEvent(event)

    # -- conversations ---------------------------------------------------------------------

    def show_summaries(self, summaries: Sequence[Summary]) -> None:
        """Fill the conversation list, newest first."""
        self.sidebar.set_summaries(summaries)

    @Slot(object)
    def _on_summaries(self, summaries: Sequence[Summary]) -> None:
        self.show_summaries(summaries)
        self._refresh_title()

    @Slot(object)
    def _on_opened(self, conversation: Conversation) -> None:
        if self._shown:  # at the start the user may have begun to type already
            self.composer.clear()
        self.sidebar.set_open(conversation.id)
        self._show(conversation)
        if self.isActiveWindow() and not self.sidebar.view.hasFocus():
            self.composer.focus_edit()

    @Slot(object)
    def _on_rewound(self, conversation: Conversation) -> None:
        self._show(conversation)

    def _show(self, conversation: Conversation) -> None:
        self.finish_building()
        self._shown = True
        path = conversation.tree.path()
        if path:
            self.timeline.set_messages(path)
            self.body.setCurrentWidget(self.timeline)
        else:
            self.timeline.clear()
            self.body.setCurrentWidget(self.empty)
        self._refresh_title()
        self._on_run(self._chats.run)

    @Slot(object)
    def _on_added(self, message: Message) -> None:
        self.timeline.add(message)
        self.body.setCurrentWidget(self.timeline)
        self.sidebar.set_open(self._chats.current.id)
        self._refresh_title()

    @Slot(object)
    def _on_changed(self, message: Message) -> None:
        self.timeline.change(message)

    def _refresh_title(self) -> None:
        self.show_title(self._chats.current.summary().title)

    def show_title(self, title: str) -> None:
        """Show the title of the conversation, in the header and of the window."""
        self.header.set_title(title)
        application = QGuiApplication.applicationDisplayName()
        self.setWindowTitle(title or application)

    def _new(self) -> None:
        self.composer.flush_draft()
        self._chats.new()
        self.composer.focus_edit()

    def _open(self, conversation_id: str) -> None:
        self.composer.flush_draft()
        self._chats.open(conversation_id)

    @Slot(str, str)
    def _on_deleted(self, conversation_id: str, title: str) -> None:
        name = title or self.tr("New chat")
        self.toast.show_text(
            self.tr("Deleted “{title}”").format(title=name),
            undo=lambda: self._chats.undo_delete(conversation_id),
        )
        self._set_undo(True)

    def _set_undo(self, possible: bool) -> None:
        self.actions_by_name["undo_delete"].setEnabled(possible)

    # -- asking ----------------------------------------------------------------------------

    def _send(self, text: str) -> None:
        self.banner.dismiss()
        if self._chats.ask(text):
            self.composer.clear()

    def _ask_suggestion(self, question: str) -> None:
        self.banner.dismiss()
        if self._chats.ask(question):
            # What is typed was not sent: it goes on as the draft of this conversation.
            self._chats.set_draft(self.composer.text())
        self.composer.focus_edit()

    @Slot(str)
    def _on_draft(self, text: str) -> None:
        typed = self.composer.text()
        # At the start the draft ends with what was typed before it could be read.
        has_typed = not self._shown and text.endswith(f"\n{typed}")
        if not self._shown:
            self._show(self._chats.current)
        if text and text != typed:
            # What is being typed meanwhile stays, below what comes back.
            self.composer.set_text(f"{text}\n{typed}" if typed and not has_typed else text)
        if typed:
            self._chats.set_draft(self.composer.text())

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        self.sidebar.set_busy(run.conversation_id if run.running else "")
        self.actions_by_name["stop"].setEnabled(run.running)
        if run.running and run.conversation_id == self._chats.current.id:
            progress = run.progress
            if progress is not None and run.answer_id:
                self.timeline.set_prefill(run.answer_id, progress.done, progress.total)
        self._refresh_composer()

    @Slot(object)
    def _on_usage(self, usage: Usage | None) -> None:
        self.composer.set_usage(usage)
        self.finish_building()
        self.panel.set_speed(usage.stats.decode_speed if usage is not None else 0.0)

    def _refresh_composer(self) -> None:
        run, state = self._chats.run, self._models.state
        here = run.running and run.conversation_id == self._chats.current.id
        self.composer.set_state(
            running=here, reason=self._reason(run, state), stopping=run.stopping
        )

    def _reason(self, run: RunState, state: ModelState) -> str:
        if run.running:
            title = run.title or self.tr("New chat")
            return self.tr("Answering in “{title}”").format(title=title)
        if state.busy:
            return self.tr("Loading…")
        return "" if state.info is not None else self.tr("Open a checkpoint first")

    # -- checkpoints -----------------------------------------------------------------------

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        self.header.set_model(state)
        if self._timeline is not None:
            self.empty.set_model(state)
            self.panel.set_model(state, answering=self._chats.run.running)
        info = state.info
        self.composer.set_model_name(
            info.name if info is not None else "",
            completes=info is not None and not info.has_chat_template,
        )
        self.actions_by_name["card"].setEnabled(info is not None)
        self._refresh_composer()

    def show_not_reopened(self, request: LoadRequest) -> None:
        """Say that the last checkpoint was left alone after a crash in its load."""
        self.checkpoints.show_not_reopened(request)

    # -- trouble, dialogs, theme -------------------------------------------------------------

    @Slot(object)
    def show_problem(
        self,
        report: Report,
        note: str = "",
        action: tuple[str, Callable[[], None]] | None = None,
    ) -> None:
        """Show a sentence above the conversation; everything else stays as it is.

        `note` is a sentence after it, `action` the words of a button and what it does.
        """
        self.finish_building()
        self.banner.show_report(report, note, action)

    @Slot(object)
    def _show_details(self, report: Report | None) -> None:
        if report is None:
            return
        from qwen_desktop.ui.problem_dialog import ProblemDialog

        ProblemDialog(report, self).open()

    @Slot(str)
    def _show_message_details(self, message_id: str) -> None:
        report = self._chats.report_for(message_id)
        message = self._chats.current.tree.messages.get(message_id)
        if report is None and message is not None and message.error:
            # Of an earlier start only the sentence was kept.
            report = Report("{sentence}", values={"sentence": message.error})
        self._show_details(report)

    def _ask_link(self, url: QUrl) -> None:
        from qwen_desktop.ui.link_dialog import LinkDialog

        LinkDialog(url, self).open()

    def show_shortcuts(self) -> None:
        """List the keyboard shortcuts."""
        from qwen_desktop.ui.shortcuts_dialog import ShortcutsDialog

        ShortcutsDialog(self).open()

    def show_settings(self) -> None:
        """Open the settings."""
        from qwen_desktop.ui.settings_dialog import SettingsDialog

        SettingsDialog(self._preferences, self).open()

    @Slot(str, object)
    def _on_preference(self, name: str, value: object) -> None:
        if name == "theme":
            self._use_theme(str(value))

    @Slot()
    def _follow_system(self) -> None:
        if self._preferences.get("theme") == "system":
            self._use_theme("system")

    def _use_theme(self, choice: str) -> None:
        before, wanted = theme.current(), theme.choose(choice)
        if wanted == before:
            return
        if self._timeline is not None:
            self._timeline.set_theme(wanted)
        self.update()
