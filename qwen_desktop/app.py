"""The one place where every long-lived object is built and wired. Read it to learn the program.

It happens in two steps. `App()` makes what the first paint needs: settings and the empty window.
`App.build()` makes the rest after it and brings the window to life; nothing heavier than Qt's
widgets is imported before that.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from qwen_desktop.engine.libraries import preload_before_qt

preload_before_qt()  # Windows: torch's c10.dll has to come before Qt

from PySide6.QtCore import (  # noqa: E402
    QObject,
    QTimer,
    Signal,
    Slot,
)

from qwen_desktop.bridge.pyside import spare_source_scans  # noqa: E402

spare_source_scans()

from PySide6.QtWidgets import QApplication  # noqa: E402

from qwen_desktop import __version__, log  # noqa: E402
from qwen_desktop.bridge import profile_lock  # noqa: E402
from qwen_desktop.bridge.file_jobs import FileJobs  # noqa: E402
from qwen_desktop.bridge.preferences import PreferencesModel  # noqa: E402
from qwen_desktop.bridge.qt_messages import leave_messages, report_fatal_messages  # noqa: E402
from qwen_desktop.crash_report import CrashWatch, described  # noqa: E402
from qwen_desktop.errors import Known, Report, report_of  # noqa: E402
from qwen_desktop.options import Options  # noqa: E402
from qwen_desktop.paths import demo_checkpoint  # noqa: E402
from qwen_desktop.remembered import Remembered  # noqa: E402
from qwen_desktop.starting import EngineLast, FirstPaint, Steps, trace_first_paint  # noqa: E402
from qwen_desktop.storage.preferences import Preferences  # noqa: E402
from qwen_desktop.storage.state import LoadMark  # noqa: E402
from qwen_desktop.ui import i18n  # noqa: E402
from qwen_desktop.ui.main_window import MainWindow  # noqa: E402
from qwen_desktop.ui.places import Places  # noqa: E402

if TYPE_CHECKING:
    from qwen_desktop.bridge.backups import Backups
    from qwen_desktop.bridge.cards import Cards
    from qwen_desktop.bridge.chats import Chats
    from qwen_desktop.bridge.doctor import Doctor
    from qwen_desktop.bridge.engine_client import EngineClient
    from qwen_desktop.bridge.exporting import Exporting
    from qwen_desktop.bridge.importing import Importing
    from qwen_desktop.bridge.indexing import Indexing
    from qwen_desktop.bridge.instance import InstanceServer
    from qwen_desktop.bridge.memory import MemoryMonitor
    from qwen_desktop.bridge.models import Models, ModelState
    from qwen_desktop.bridge.presets import Presets
    from qwen_desktop.bridge.recents import Recents
    from qwen_desktop.bridge.run import RunState
    from qwen_desktop.bridge.search import Search
    from qwen_desktop.bridge.store_client import StoreClient
    from qwen_desktop.bridge.termination import TerminationSignals
    from qwen_desktop.bridge.titles import Titles
    from qwen_desktop.chat.settings import Value

_log = logging.getLogger(__name__)

LIST_WAITS_MS = 300  # at most, for the list, before the window goes on building
ENGINE_WAITS_MS = 2000  # at most, for the threads that import their libraries before it
SEARCH_WAITS_MS = 4000  # until the start is over; one who searches earlier does not wait for it


class App(QObject):
    """Builds, wires and ends everything. One per process, on the main thread.

    Signals: `built()` when `build()` has wired everything, `problem(Report)` for exceptions that
    nobody caught.
    """

    built = Signal()
    problem = Signal(object)

    # Made by `build()`.
    store: StoreClient
    engine: EngineClient
    models: Models
    chats: Chats
    memory: MemoryMonitor
    recents: Recents
    doctor: Doctor
    cards: Cards
    backups: Backups
    importing: Importing
    presets: Presets
    search: Search
    indexing: Indexing
    exporting: Exporting
    titles: Titles

    def __init__(self, options: Options, crash_watch: CrashWatch | None = None) -> None:
        super().__init__()
        self.options = options
        self._crash_watch = crash_watch
        profile = options.profile
        profile_lock.make_folder(profile)
        log.start(profile.log)
        _log.info("Qwen Desktop %s on Python %s", __version__, sys.version.split()[0])
        sys.excepthook = self._on_uncaught
        if profile.restore_mark.is_file():  # a saved profile waits to take the place of this one
            from qwen_desktop.bridge.profile_files import finish_restore

            finish_restore(profile)

        self.files = FileJobs()
        preferences = Preferences(profile.preferences)
        self.preferences = PreferencesModel(preferences, self.files, options.overrides, self)
        self.remembered = Remembered(profile, self.files, self)
        self._load_mark = LoadMark(profile.load_mark)
        self._load_that_never_ended = self._load_mark.folder()
        i18n.install(application(), str(self.preferences.get("language")))
        self._lock = profile_lock.taken(profile)  # a refusal is told in the language just installed
        if crash_watch is not None:
            crash_watch.start()

        self.window = MainWindow(self.preferences)
        self.window.restore_state(
            *(getattr(self.remembered.state, name) for name in Places._fields)
        )
        self.window.show_summaries(self.remembered.rows())

        self._first_problem = preferences.problem
        self._signals: TerminationSignals | None = None
        self.instance: InstanceServer | None = None
        self._steps = Steps(self)
        self._engine_last = EngineLast(lambda: self.engine.start(), self)
        self._built = False
        self._reading = False
        self._closed = False
        self._telling = False
        self.exit_status = 0  # of a process that has to leave without its engine thread

    def build(self) -> None:
        """Make everything behind the window and wire it; starts nothing. Safe to call twice."""
        if self._built:
            return
        self._built = True
        from qwen_desktop.bridge.adopting import Adopting
        from qwen_desktop.bridge.attaching import Attaching
        from qwen_desktop.bridge.backups import Backups
        from qwen_desktop.bridge.cards import Cards
        from qwen_desktop.bridge.chats import Chats
        from qwen_desktop.bridge.connections import Connections
        from qwen_desktop.bridge.doctor import Doctor
        from qwen_desktop.bridge.downloads import Downloads
        from qwen_desktop.bridge.engine_client import EngineClient
        from qwen_desktop.bridge.exporting import Exporting
        from qwen_desktop.bridge.helping import Helping
        from qwen_desktop.bridge.hub_access import HubAccess
        from qwen_desktop.bridge.importing import Importing
        from qwen_desktop.bridge.indexing import Indexing
        from qwen_desktop.bridge.inspecting import Inspecting
        from qwen_desktop.bridge.library import Library
        from qwen_desktop.bridge.load_marks import LoadMarks
        from qwen_desktop.bridge.measuring import Measuring
        from qwen_desktop.bridge.memory import MemoryMonitor
        from qwen_desktop.bridge.models import Models
        from qwen_desktop.bridge.offers import Offers
        from qwen_desktop.bridge.placing import Placing
        from qwen_desktop.bridge.presets import Presets
        from qwen_desktop.bridge.profile_files import ProfileFiles
        from qwen_desktop.bridge.prompts import Prompts
        from qwen_desktop.bridge.recents import Recents
        from qwen_desktop.bridge.search import Search
        from qwen_desktop.bridge.server_watch import ServerWatch
        from qwen_desktop.bridge.serving import Serving
        from qwen_desktop.bridge.spelling import Spelling
        from qwen_desktop.bridge.store_client import StoreClient
        from qwen_desktop.bridge.study import Studies
        from qwen_desktop.bridge.titles import Titles
        from qwen_desktop.storage.connections import ConnectionFile
        from qwen_desktop.storage.downloads import DownloadsFile
        from qwen_desktop.storage.library import LibraryFile
        from qwen_desktop.storage.presets import PresetFile
        from qwen_desktop.storage.prompts import PromptFile
        from qwen_desktop.ui.leaving import Leaving
        from qwen_desktop.ui.outgoing import write_pdf
        from qwen_desktop.ui.safekeeping import Safekeeping

        self.store = StoreClient(self.options.profile.database, self)
        self.engine = EngineClient(self)
        self.models = Models(self.engine, LoadMarks(self._load_mark, self.files, self), self)
        self.recents = Recents(self.remembered.state.recents, self)
        self.doctor = Doctor(self.engine.machine, self)
        self.cards = Cards(self.engine, self)
        preset_file = PresetFile(self.options.profile.presets)
        self.presets = Presets(preset_file, self.files, self)
        self._first_problem = self._first_problem or preset_file.problem
        self.chats = Chats(
            self.store, self.engine, self.models, lambda: self.preferences.values, self
        )
        self.titles = Titles(self.chats, self.engine, lambda: self.preferences.values, self)
        self.importing = Importing(self.chats, self.store, self)
        self.search = Search(self.options.profile.database, self)
        self.indexing = Indexing(self.store, lambda: self.chats.run.running, self)
        self.search.index_damaged.connect(self.indexing.rebuild)
        self.memory = MemoryMonitor(self.engine.memory, self)
        self.memory.sampled.connect(self.chats.alarms.look)
        self.problem.connect(self.window.show_problem)
        self.preferences.changed.connect(self._on_preference)
        self._configure_engine()
        self.chats.run_changed.connect(self._on_busy)
        self.models.changed.connect(self._on_busy)
        self.models.opened.connect(self.recents.remember)
        self.remembered.follow(self.window, self.chats, self.models, self.recents)
        self.window.connect_to(
            self.chats,
            self.models,
            self.memory,
            self.recents,
            self.doctor,
            self.cards,
            self.presets,
        )
        self.measuring = Measuring(self.chats, self.models, self.engine, self)
        studies = self.options.profile.studies
        self.studies = Studies(self.engine, self.models, self.chats, studies, self)
        self.window.study_by(self.studies)
        self.serving = Serving(self.engine, self.models, self.chats, self)
        serving, left = self.window.serve_by(self.serving), self.remembered.state
        serving.start_with(left.serving_port, left.serving_keyed)
        serving.chosen.connect(self.remembered.keep_serving)
        servers = ConnectionFile(self.options.profile.connections)
        self.connections = Connections(servers, self.files, self)
        self.engine.key_of = self.connections.key_of
        self.engine.proxy = lambda: self.connections.proxy
        self.connections.on_setting("proxy", self.preferences.get("proxy"))
        self.preferences.changed.connect(self.connections.on_setting)
        self.titles.may_ask = self.connections.may_title
        self.placing = Placing(self.chats, self.connections, self)
        self.server_watch = ServerWatch(self.chats, self.placing, self.connections, self)
        self.window.connect_servers_by(self.connections, self.placing, self.server_watch)
        self.hub_access = HubAccess(self.preferences, self)
        self.downloads = Downloads(
            DownloadsFile(self.options.profile.downloads),
            self.files,
            self.preferences,
            self.doctor,
            self.options.profile.models,
            self.hub_access.token,
            self,
        )
        self.downloads.arrived.connect(self.recents.enter)
        self.window.download_by(self.downloads, self.hub_access)
        self.library = Library(
            LibraryFile(self.options.profile.library),
            self.files,
            self.recents,
            self.engine.machine,
            lambda: self.downloads.models_folder,
            self,
        )
        self.library.removed.connect(self.downloads.on_deleted)
        self.offers = Offers(self.preferences, self.engine.machine, self.hub_access.token, self)
        self.adopting = Adopting(self.preferences, self.hub_access.token, self)
        self.window.stock_by(self.library, self.offers, self.adopting)
        self.downloads.arrived.connect(self.window.modelling.on_arrived)
        self.window.inspect_by(Inspecting(self.engine, self.chats, self.models, self))
        charting = self.window.chart_by(self.measuring, self.remembered.state.chart_place)
        charting.moved.connect(lambda place: self.remembered.keep(chart_place=place))
        self.window.pane.places.fill(self.remembered.state.places)
        self.window.search_by(self.search)
        self.window.take_files_by(self.importing)
        self.attaching = Attaching(self)
        self.window.attach_by(self.attaching)
        self.helping = Helping(self.options.profile, self.preferences, self._crash_watch, self)
        self.window.help_by(self.helping)
        self.prompts = Prompts(PromptFile(self.options.profile.prompts), self.files, self)
        self.window.prompt_by(self.prompts)
        self.spelling = Spelling(self.options.profile.words, self.files, self.preferences, self)
        self.window.spell_by(self.spelling)
        self.exporting = Exporting(self.store, write_pdf, self)
        self.profile_files = ProfileFiles(self.options.profile, self.store, self)
        self.window.move_profile_by(self.profile_files, self.importing)
        self.window.export_by(self.exporting).remembered.connect(self.remembered.keep_export)
        self.window.outgoing.remember(
            self.remembered.state.export_folder, self.remembered.state.export_format
        )
        self.backups = Backups(self.options.profile.database, self.store, self.chats, self)
        self.window.safekeeping = Safekeeping(self.window, self.store, self.backups)
        self.window.leaving = Leaving(self.window, self.chats, self.store)
        self.built.emit()

    def show(self) -> None:
        """Show the window; everything else starts after its first paint."""
        first_paint = FirstPaint(self.window)
        first_paint.painted.connect(self._after_first_paint)
        self.window.show()

    @Slot()
    def _after_first_paint(self) -> None:
        trace_first_paint()
        self._steps.plan((self.window.finish_building, self.start, self.listen))
        self.build()
        # The list is read in a moment where this thread leaves the interpreter to the store's.
        self.chats.started.connect(self._steps.take)
        QTimer.singleShot(LIST_WAITS_MS, self._steps, self._steps.take)
        self.read()

    def read(self) -> None:
        """Open the store and read the list: the window goes on building. Safe to call twice."""
        self.build()
        if not self._reading:
            self._reading = True
            self.chats.started.connect(self._on_store_ready)
            self.chats.list.rows_changed.connect(self._show_list)
            self.store.start()
            self.backups.start()
            self.chats.start(self.remembered.state.conversation_id)
            if self._first_problem is not None:
                self.window.show_problem(self._first_problem)

    @Slot()
    def _show_list(self) -> None:
        """The first rows are there: they are painted before anything else is built."""
        self.chats.list.rows_changed.disconnect(self._show_list)
        self.window.sidebar.repaint()

    def start(self) -> None:
        """Start the threads, open the last conversation and the checkpoint."""
        self.read()
        from qwen_desktop.bridge.termination import TerminationSignals

        self._signals = TerminationSignals(self)
        self._signals.received.connect(self.window.downloading.stop_asking)
        self._signals.received.connect(QApplication.quit)
        self._engine_last.import_for_later()
        self.memory.sampled.connect(self._on_sampled)
        self.memory.start()
        self._open_first_checkpoint()
        if not self.options.headless and self.options.ask is None:
            self.downloads.start_reading()
        QTimer.singleShot(ENGINE_WAITS_MS, self.engine, self.engine.start)

    def listen(self) -> None:
        """Hear of later starts on this profile. One without a window has nothing to show."""
        if self.options.headless or self.options.ask is not None:
            return
        from qwen_desktop.bridge.instance import InstanceServer
        from qwen_desktop.ui.arrivals import Arrivals

        self.instance = InstanceServer(self.options.profile, self)
        self.arrivals = Arrivals(self.window, self.models, self.instance)
        self.arrivals.files_arrived.connect(self.open_files)
        self.helping.review_crashes()

    @Slot(object)
    def open_files(self, paths: tuple[Path, ...]) -> None:
        """Open conversations, or the folder of a checkpoint."""
        self.window.incoming.open(paths)

    @Slot()
    def _on_sampled(self) -> None:
        self.memory.sampled.disconnect(self._on_sampled)
        self._engine_last.started("memory")

    @Slot()
    def _on_store_ready(self) -> None:
        self.importing.open(self.options.files)
        self.indexing.start()
        QTimer.singleShot(SEARCH_WAITS_MS, self.search, self.search.warm_up)
        self._engine_last.started("store")

    def _open_first_checkpoint(self) -> None:
        folder = self.options.checkpoint or self._last_checkpoint() or demo_checkpoint()
        request = self.recents.request_for(folder)
        if self.options.precision is not None:
            request = replace(request, precision=self.options.precision)
        if self.options.device is not None:
            request = replace(request, placement=self.options.device)
        if self.options.kv is not None:
            request = replace(request, kv=self.options.kv)
        if self.options.rope_factor is not None:
            request = replace(request, rope_factor=self.options.rope_factor)
        asked_for = self.options.checkpoint or self.options.headless or self.options.ask
        if not asked_for and str(folder) == self._load_that_never_ended:
            # What ended the program then may end it again; the mark stands until a load ends.
            self.window.show_not_reopened(request)
        else:
            self.models.open(request)

    def _last_checkpoint(self) -> Path | None:
        last = self.remembered.state.checkpoint
        return Path(last) if last and self.preferences.get("reopen_checkpoint") else None

    @Slot(str, object)
    def _on_preference(self, name: str, value: Value) -> None:
        if name in ("kv_memory", "kv_disk", "compiled_decode", "draft_model"):
            self._configure_engine()
        self.chats.on_setting(name, value)

    def _configure_engine(self) -> None:
        """What the engine may keep of conversations at rest, as the settings say."""
        profile = self.options.profile
        options = self.preferences.engine_options(profile.kv_caches, profile.compiled_code)
        self.engine.configure(options)

    @Slot(object)
    def _on_busy(self, _: RunState | ModelState) -> None:
        state = self.models.state
        self.memory.set_busy(self.chats.run.running or state.busy or state.engaged)

    # -- the end ---------------------------------------------------------------------------

    def _on_uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Exceptions that no border caught, from any thread."""
        if issubclass(kind, KeyboardInterrupt):
            QApplication.quit()
            return
        report = report_of(error)
        _log.critical("uncaught: %s", described(error))  # its words may quote a chat
        if self._crash_watch is not None:
            self._crash_watch.write_error(error, threading.current_thread().name)
        sys.__excepthook__(kind, error, trace)
        if not self._telling:  # what shows it may fail as well
            self._telling = True
            self.problem.emit(report)  # queued to the main thread if this is another
            self._telling = False

    @Slot()
    def close(self) -> None:
        """Put everything on disk and end every thread. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self.instance is not None:
            self.instance.close()
        self.remembered.keep(**self.window.state()._asdict())
        engine_ended = True
        if self._built:
            self.window.pane.keep_place()
            self.remembered.keep(places=self.window.pane.places.all)
            self.importing.close()
            self.attaching.close()
            self.spelling.close()
            self.indexing.close()
            self.search.close()
            self.models.close()
            self.studies.close()
            self.serving.close()
            self.connections.close()
            self.server_watch.close()
            self.downloads.close()
            self.library.close()
            self.offers.close()
            self.adopting.close()
            self.hub_access.close()
            self.helping.close()
            self.exporting.close()
            self.profile_files.close()
            self.chats.close()
            self.doctor.close()
            self.memory.close()
            self.backups.close()
            # The caches of a temporary profile are removed below.
            engine_ended = self.engine.close(rest=not self.options.profile.temporary)
            self.store.close()
        self.files.close()
        self._lock.unlock()
        if self._signals is not None:
            self._signals.close()
        if self._crash_watch is not None:
            self._crash_watch.stop()
        if self.options.profile.temporary:
            logging.shutdown()
            import shutil

            shutil.rmtree(self.options.profile.root, ignore_errors=True)
        sys.excepthook = sys.__excepthook__
        if not engine_ended:
            # An import or a foreign call cannot be interrupted. All data is on disk: leave.
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            os._exit(self.exit_status)


def application() -> QApplication:
    """The Qt application object, made once."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    made = QApplication(["qwen-desktop"])  # also the class of its windows on X11
    made.setApplicationName("qwen-desktop")
    made.setApplicationDisplayName("Qwen Desktop")
    made.setDesktopFileName("qwen-desktop")
    made.setApplicationVersion(__version__)
    made.setStyle("Fusion")
    return made


def run(options: Options) -> int:
    """Open the window and stay until it is closed."""
    qt = application()
    watch = CrashWatch(options.profile.crashes, __version__)
    report_fatal_messages(watch)
    try:
        app = App(options, watch)
    except Known as trouble:
        if trouble.code == profile_lock.TAKEN and _handed_over(options):
            return 0
        _tell(trouble.report())
        return 1
    qt.aboutToQuit.connect(app.close)
    app.show()
    status = qt.exec()
    app.close()
    leave_messages()
    return status


def _handed_over(options: Options) -> bool:
    """Whether the instance that has the profile shows what this start was asked for."""
    from qwen_desktop.bridge import instance

    return instance.hand_over(
        options.profile, instance.arguments_of(options.checkpoint, options.files)
    )


def _tell(report: Report) -> None:
    """Trouble before there is a window: in the terminal and in a box."""
    from PySide6.QtWidgets import QMessageBox

    from qwen_desktop.bridge.words import translated

    print(translated(report), file=sys.stderr)  # noqa: T201
    if QApplication.platformName() != "offscreen":
        QMessageBox.critical(None, "Qwen Desktop", translated(report))
