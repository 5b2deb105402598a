"""The window: what its parts show and ask, wired to the bridge.

Its constructor runs before the first paint, so it is light: it makes the frame. `connect_to` brings
the bridge, `finish_building` the timeline with its Markdown parser; dialogs come when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import QWidget

from qwen_desktop.errors import Report
from qwen_desktop.ui import appearance, icons, theme
from qwen_desktop.ui.frame import Frame

if TYPE_CHECKING:
    from qwen_desktop.bridge.adopting import Adopting
    from qwen_desktop.bridge.attaching import Attaching
    from qwen_desktop.bridge.cards import Cards
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.connections import Connections
    from qwen_desktop.bridge.doctor import Doctor
    from qwen_desktop.bridge.downloads import Downloads
    from qwen_desktop.bridge.exporting import Exporting
    from qwen_desktop.bridge.helping import Helping
    from qwen_desktop.bridge.hub_access import HubAccess
    from qwen_desktop.bridge.importing import Importing
    from qwen_desktop.bridge.inspecting import Inspecting
    from qwen_desktop.bridge.library import Library
    from qwen_desktop.bridge.list_change import Change
    from qwen_desktop.bridge.measuring import Measuring
    from qwen_desktop.bridge.memory import MemoryMonitor
    from qwen_desktop.bridge.models import Models, ModelState
    from qwen_desktop.bridge.offers import Offers
    from qwen_desktop.bridge.placing import Placing
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.bridge.presets import Presets
    from qwen_desktop.bridge.profile_files import ProfileFiles
    from qwen_desktop.bridge.prompts import Prompts
    from qwen_desktop.bridge.recents import Recents
    from qwen_desktop.bridge.run import RunState
    from qwen_desktop.bridge.search import Search
    from qwen_desktop.bridge.server_watch import ServerWatch
    from qwen_desktop.bridge.serving import Serving
    from qwen_desktop.bridge.spelling import Spelling
    from qwen_desktop.bridge.study import Studies
    from qwen_desktop.chat.events import Alarm, Usage
    from qwen_desktop.chat.model import LoadRequest
    from qwen_desktop.chat.summary import Summary
    from qwen_desktop.chat.tree import Conversation
    from qwen_desktop.ui.asking import Asking
    from qwen_desktop.ui.attach import Attach
    from qwen_desktop.ui.charting import Charting
    from qwen_desktop.ui.checkpoints import Checkpoints
    from qwen_desktop.ui.connecting import Connecting
    from qwen_desktop.ui.conversation_pane import ConversationPane
    from qwen_desktop.ui.downloading import Downloading
    from qwen_desktop.ui.finding import Finding
    from qwen_desktop.ui.helping import HelpView
    from qwen_desktop.ui.incoming import Incoming
    from qwen_desktop.ui.inspection import Inspection
    from qwen_desktop.ui.leaving import Leaving
    from qwen_desktop.ui.modelling import Modelling
    from qwen_desktop.ui.outgoing import Outgoing
    from qwen_desktop.ui.prompting import Prompting
    from qwen_desktop.ui.safekeeping import Safekeeping
    from qwen_desktop.ui.serving import ServingView
    from qwen_desktop.ui.shelf import Shelf
    from qwen_desktop.ui.studying import Studying
    from qwen_desktop.ui.timeline.view import Timeline
    from qwen_desktop.ui.whole_profile import WholeProfile
    from qwen_desktop.ui.window_actions import WindowActions


class MainWindow(Frame):
    """Shows what the bridge says, asks it for the rest."""

    # Made by `connect_to()`.
    _chats: Chats
    _models: Models
    _memory: MemoryMonitor
    checkpoints: Checkpoints
    asking: Asking
    attach: Attach
    prompts: Prompting
    spelling: Spelling
    pane: ConversationPane
    acts: WindowActions
    actions_by_name: dict[str, QAction]
    finding: Finding
    charting: Charting
    downloading: Downloading
    modelling: Modelling
    studying: Studying
    helping: HelpView
    incoming: Incoming
    inspection: Inspection
    outgoing: Outgoing
    serving: ServingView
    connecting: Connecting
    shelf: Shelf
    whole_profile: WholeProfile

    def __init__(self, preferences: PreferencesModel, parent: QWidget | None = None) -> None:
        appearance.use(preferences.values)  # before anything asks for colours and sizes
        super().__init__(parent)
        self._preferences = preferences
        self._built = False
        # Made by the application, as they need the store.
        self.leaving: Leaving | None = None
        self.safekeeping: Safekeeping
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
        presets: Presets,
    ) -> None:
        """Bring the window to life. To be called once."""
        from qwen_desktop.ui.asking import Asking
        from qwen_desktop.ui.checkpoints import Checkpoints
        from qwen_desktop.ui.commanding import Commanding
        from qwen_desktop.ui.conversation_pane import ConversationPane
        from qwen_desktop.ui.notifying import Notifying
        from qwen_desktop.ui.shelf import Shelf
        from qwen_desktop.ui.switching import Switching
        from qwen_desktop.ui.window_actions import WindowActions

        self._chats = chats
        self._models = models
        self._memory = memory
        self.checkpoints = Checkpoints(self, chats, models, recents, doctor, cards)
        self.shelf = Shelf(self)
        self.asking = Asking(self, chats, models, self._preferences, presets)
        self.pane = ConversationPane(self, chats, models, self.asking)
        self._wire(recents)
        self.switching = Switching(self, chats, self.open_conversation)
        self.acts = WindowActions(
            self,
            {
                "new": self._new,
                "open": self.checkpoints.choose,
                "open_conversation": lambda: self.incoming.choose_conversation(),
                "import": lambda: self.incoming.choose_import(),
                "card": self.checkpoints.show_card,
                "models": lambda: self.shelf.show(),
                "get": lambda: self.downloading.get(),
                "downloads": lambda: self.downloading.show_page(),
                "hub_access": lambda: self.downloading.show_access(),
                "memory_chart": lambda: self.charting.show(),
                "inspect": lambda: self.inspection.show_now(),
                "study": lambda: self.studying.show(),
                "server": lambda: self.serving.show(),
                "connections": lambda: self.connecting.show_connections(),
                "turn_steps": lambda: self.pane.looks.show_turn(),
                "next_conversation": lambda: self.switching.step(1),
                "previous_conversation": lambda: self.switching.step(-1),
                "search": self._search,
                "find": self.pane.find,
                "focus": self.composer.focus_edit,
                "attach": lambda: self.attach.choose(),
                "prompts": lambda: self.prompts.show_library(),
                "stop": chats.stop,
                "regenerate": self.pane.regenerate,
                "edit": self.pane.edit_last,
                "thinking": self.asking.toggle_thinking,
                "chat_settings": self.asking.show_chat_settings,
                "next_hit": lambda: self.finding.step(1),
                "previous_hit": lambda: self.finding.step(-1),
                "undo_delete": lambda: self.undoing.undo(),
                "sidebar": self.toggle_sidebar,
                "panel": self.toggle_panel,
                "zoom_in": lambda: self.appearance.zoom_by(1),
                "zoom_out": lambda: self.appearance.zoom_by(-1),
                "zoom_reset": lambda: self.appearance.zoom_reset(),
                "save_as": lambda: self.outgoing.save_as(),
                "export": lambda: self.outgoing.export_shown(),
                "diagnostics": lambda: self.helping.show_diagnostics(),
                "about": lambda: self.helping.show_about(),
                "backups": lambda: self.safekeeping.show_backups(),
                "palette": lambda: self.commanding.show_palette(),
                "menu": lambda: self.commanding.show_menu(),
                "settings": lambda: self.commanding.show_settings(),
                "shortcuts": lambda: self.commanding.show_shortcuts(),
                "quit": self.close,
            },
            self._preferences,
        )
        self.actions_by_name = self.acts.by_name
        self.notifying = Notifying(self, chats, self._preferences)
        self.commanding = Commanding(self, chats, self.acts, self._preferences)
        self._set_undo(False)
        self._on_model(models.state)
        self._on_run(chats.run)
        self.asking.follow(models.state)

    def _wire(self, recents: Recents) -> None:
        chats, models = self._chats, self._models
        chats.list.shape_changed.connect(self._on_list)
        chats.list.rows_changed.connect(self._on_list)
        chats.list.renamed.connect(self._on_list)
        chats.opened.connect(self._on_opened)
        chats.run_changed.connect(self._on_run)
        chats.usage.connect(self._on_usage)
        chats.alarm.connect(self._on_alarm)
        chats.list.undoable.connect(self._on_undoable)
        chats.problem.connect(self.show_problem)
        models.changed.connect(self._on_model)
        self.appearance = appearance.Appearance(
            self, self._preferences, self._recolour, self._place
        )
        self.sidebar.new_requested.connect(self._new)
        self.sidebar.open_requested.connect(self.open_conversation)
        self.sidebar.connect_to(chats.list)
        self.sidebar.undo_requested.connect(self._undo_list)
        self.sidebar.said.connect(lambda text: self.toast.show_text(text))
        self.header.open_requested.connect(self.checkpoints.choose)
        self.header.checkpoint_requested.connect(self.checkpoints.open_folder)
        self.header.card_requested.connect(self.checkpoints.show_card)
        self.header.recents = lambda: recents.entries
        self.header.cancel_requested.connect(models.cancel)
        self.header.panel_toggled.connect(self.toggle_panel)
        self.header.sidebar_toggled.connect(self.toggle_sidebar)

    def take_files_by(self, importing: Importing) -> None:
        """Let files come in: dropped ones, chosen ones. To be called once, after `connect_to`."""
        from qwen_desktop.ui.incoming import Incoming

        self.incoming = Incoming(self, self._chats, importing)
        self.paths_dropped.connect(self.incoming.open)

    def attach_by(self, attaching: Attaching) -> None:
        """Let files be attached to the draft. To be called once, after `connect_to`."""
        from qwen_desktop.ui.attach import Attach

        self.attach = Attach(self, self._chats, attaching, self._preferences)
        self.files_dropped.connect(self.attach.add_or_open)

    def prompt_by(self, prompts: Prompts) -> None:
        """Let saved prompts and commands be typed. To be called once, after `connect_to`."""
        from qwen_desktop.ui.prompting import Prompting

        self.prompts = Prompting(self, self._chats, prompts, self._preferences)

    def spell_by(self, spelling: Spelling) -> None:
        """Let spelling be checked. To be called once, after `connect_to`."""
        from qwen_desktop.ui.spelling import SpellMarks

        self.spelling = spelling
        self.spell_marks = SpellMarks(self.composer.edit, spelling, self._preferences)
        spelling.problem.connect(self.show_problem)

    def study_by(self, studies: Studies) -> None:
        """Let memory be studied. To be called once, after `connect_to`."""
        from qwen_desktop.ui.studying import Studying

        self.studying = Studying(self, studies)

    def connect_servers_by(
        self, connections: Connections, placing: Placing, watch: ServerWatch
    ) -> None:
        """Let servers answer chats. To be called once, after `connect_to`."""
        from qwen_desktop.ui.connecting import Connecting

        self.connecting = Connecting(self, self._chats, self._models, connections, placing, watch)

    def serve_by(self, serving: Serving) -> ServingView:
        """Let the open model be served. To be called once, after `connect_to`."""
        from qwen_desktop.ui.serving import ServingView

        self.serving = ServingView(self, serving)
        return self.serving

    def download_by(self, downloads: Downloads, access: HubAccess) -> None:
        """Let checkpoints be downloaded. To be called once, after `connect_to`."""
        from qwen_desktop.ui.downloading import Downloading

        self.downloading = Downloading(self, downloads, access)

    def stock_by(self, library: Library, offers: Offers, adopting: Adopting) -> None:
        """Let models be found and chosen. To be called once, after `download_by`."""
        from qwen_desktop.ui.modelling import Modelling

        self.modelling = Modelling(self, library, offers, adopting, self._models)

    def chart_by(self, measuring: Measuring, place: str) -> Charting:
        """Let charts be shown. To be called once, after `connect_to`."""
        from qwen_desktop.ui.charting import Charting

        self.charting = Charting(self, measuring, place)
        return self.charting

    def help_by(self, helping: Helping) -> None:
        """Let the program tell of itself. To be called once, after `connect_to`."""
        from qwen_desktop.ui.helping import HelpView

        self.helping = HelpView(self, helping)

    def inspect_by(self, inspecting: Inspecting) -> None:
        """Let prompts be looked at. To be called once, after `connect_to`."""
        from qwen_desktop.ui.inspection import Inspection

        self.inspection = Inspection(self, self._chats, inspecting)

    def search_by(self, search: Search) -> None:
        """Let conversations be searched. To be called once, after `connect_to`."""
        from qwen_desktop.ui.finding import Finding

        self.finding = Finding(self, self._chats, search)

    def move_profile_by(self, files: ProfileFiles, importing: Importing) -> None:
        """Let the whole profile leave, and come back. To be called once, after `connect_to`."""
        from qwen_desktop.ui.whole_profile import WholeProfile

        self.whole_profile = WholeProfile(self, files, importing.start)

    def export_by(self, exporting: Exporting) -> Outgoing:
        """Let conversations leave. To be called once, after `connect_to`."""
        from qwen_desktop.ui.outgoing import Outgoing

        self.outgoing = Outgoing(self, self._chats, exporting)
        self.sidebar.export_requested.connect(self.outgoing.export)
        self.sidebar.copy_requested.connect(self.outgoing.copy)
        return self.outgoing

    # -- life ------------------------------------------------------------------------------

    def finish_building(self) -> None:
        """Build what the first paint does without. Safe to call twice."""
        if self._built:
            return
        self._built = True
        self.build_rest()
        self._memory.sampled.connect(self.panel.set_sample)
        self.charting.build(self.panel.chart_slot)
        self.connecting.build()
        self.panel.cancel_requested.connect(self._models.cancel)
        self.empty.asked.connect(self.asking.suggest)
        self.panel.card_requested.connect(self.checkpoints.show_card)
        self.empty.open_requested.connect(self.checkpoints.choose)
        self.empty.get_requested.connect(lambda: self.downloading.get())
        self.checkpoints.offer_in(self.empty)
        self.banner.details_requested.connect(self.show_details)
        self._chats.opened.connect(self.asking.leave_trouble)
        self.alarms.changed.connect(self.panel.set_alarms)
        self._chats.forecast.connect(self.panel.set_forecast)
        self.panel.forecast.told.connect(self.composer.set_forecast)
        self.panel.way_chosen.connect(self.asking.take_way)
        from qwen_desktop.ui.undoing import Undoing

        self.undoing = Undoing(self.toast, self)
        self.undoing.changed.connect(self._set_undo)
        self.pane.build()
        self.pane.follow(self._preferences)
        self._on_model(self._models.state)
        self.setWindowIcon(icons.application_icon())
        self.appearance.watch(self.windowHandle())

    @property
    def timeline(self) -> Timeline:
        """The messages of the shown conversation."""
        return self.pane.timeline

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Go on to the next control; into the conversation from either side."""
        if not self._built:
            return super().focusNextPrevChild(forward)
        self.timeline.order_controls()
        moved = super().focusNextPrevChild(forward)
        self.timeline.show_focused()
        return moved

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape that nothing else takes ends the search."""
        if event.key() == Qt.Key.Key_Escape and self._built:
            self.finding.end()
            return
        super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """What was typed last becomes a draft first; the application saves when Qt quits."""
        self.composer.flush_draft()
        if self.leaving is not None and not (self.downloading.may_go() and self.leaving.may_go()):
            event.ignore()
            return
        super().closeEvent(event)

    # -- conversations ---------------------------------------------------------------------

    def show_summaries(self, summaries: Sequence[Summary]) -> None:
        """Fill the conversation list, newest first."""
        self.sidebar.set_summaries(summaries)

    @Slot()
    def _on_list(self) -> None:
        self.refresh_title()

    @Slot(object)
    def _on_opened(self, conversation: Conversation) -> None:
        self.finish_building()
        if self.pane.shown:  # at the start the user may have begun to type already
            self.composer.clear()
        self.toast.leave_for(conversation.id)
        self.undoing.leave_for(conversation.id)
        self.sidebar.set_open(conversation.id)
        self.pane.show(conversation)
        if self.isActiveWindow() and not self.sidebar.view.hasFocus():
            self.composer.focus_edit()

    def _search(self) -> None:
        self.show_sidebar()
        self.sidebar.focus_search()

    def refresh_title(self) -> None:
        """Show the title that the conversation has now."""
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

    def open_conversation(self, conversation_id: str) -> None:
        """Show another conversation."""
        self.composer.flush_draft()
        self._chats.open(conversation_id)

    @Slot(object)
    def _on_undoable(self, change: Change) -> None:
        from qwen_desktop.ui.change_text import change_text

        self.finish_building()
        undo = self.undoing.undo_of(change, self.sidebar.acts.undo_of(change))
        self.toast.show_text(change_text(change, self.locale()), undo=undo, where=change.where)
        self.undoing.told()

    @Slot()
    def _undo_list(self) -> None:
        """Take back what was done to the list last: what the notice offers, then older ones."""
        if self.toast.can_undo:
            self.toast.undo()
        else:
            self.sidebar.acts.undo_last()

    def _set_undo(self, possible: bool) -> None:
        self.actions_by_name["undo_delete"].setEnabled(possible)
        self.pane.set_can_undo(possible)

    # -- answers ---------------------------------------------------------------------------

    @Slot(object)
    def _on_run(self, run: RunState) -> None:
        self.sidebar.set_busy(run.conversation_id if run.running else "")
        self.actions_by_name["stop"].setEnabled(run.running)

    @Slot(object)
    def _on_usage(self, usage: Usage | None) -> None:
        self.finish_building()
        here = usage if not self._chats.place.is_remote else None  # it is of the open checkpoint
        self.panel.set_speed(here.stats.decode_speed if here is not None else 0.0)

    @Slot(object)
    def _on_alarm(self, alarm: Alarm) -> None:
        self.finish_building()
        self.alarms.show_alarm(alarm)

    # -- checkpoints -----------------------------------------------------------------------

    @Slot(object)
    def _on_model(self, state: ModelState) -> None:
        self.header.set_model(state)
        if self._built:
            self.empty.set_model(state)
            self.panel.set_model(state, answering=self._chats.run.running)
        self.actions_by_name["card"].setEnabled(state.info is not None)

    def show_not_reopened(self, request: LoadRequest) -> None:
        """Say that the last checkpoint was left alone after a crash in its load."""
        self.checkpoints.show_not_reopened(request)

    # -- trouble, dialogs, theme -------------------------------------------------------------

    @Slot(object)
    def show_problem(
        self,
        report: Report,
        note: str = "",
        action: tuple[str, Callable[[], object]] | None = None,
    ) -> None:
        """Show a sentence above the conversation; everything else stays as it is.

        `note` is a sentence after it, `action` the words of a button and what it does.
        """
        from qwen_desktop.ui.remedies import remedy

        self.finish_building()
        offered = action or remedy(report, self.connecting.show_connections)
        self.banner.show_report(report, note, offered)

    @Slot(object)
    def show_details(self, report: Report | None) -> None:
        """Everything that is known of some trouble, ready to copy."""
        if report is None:
            return
        from qwen_desktop.ui.problem_dialog import ProblemDialog

        ProblemDialog(report, self).open()

    def _recolour(self) -> None:
        """Another theme is in use."""
        self.pane.set_theme(theme.current())
        self.update()
