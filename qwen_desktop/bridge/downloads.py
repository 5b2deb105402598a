"""The downloads that a user asked for: looked up, queued, fetched, kept over restarts. QtCore only.

Lives on the main thread. Each download that runs and each question to a hub has a thread of its
own. Nothing is asked of a network but by `look_up`, `start`, `resume`, `resume_all`, and by what
the user left running where the settings say that it goes on by itself.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qwen_desktop.bridge import download_work as work
from qwen_desktop.bridge.download_list import DownloadList
from qwen_desktop.bridge.download_work import Job, LookUp, Server, Token
from qwen_desktop.bridge.hub_access import ADDRESSES
from qwen_desktop.bridge.hub_questions import HubQuestions
from qwen_desktop.chat.checkpoint import FolderReport
from qwen_desktop.chat.downloads import DownloadEntry, Stage
from qwen_desktop.chat.hub import (
    DownloadPlan,
    DownloadProgress,
    Hub,
    Listing,
    RepositoryAddress,
    Standing,
)
from qwen_desktop.chat.messages import new_id
from qwen_desktop.errors import Cancelled, Report, report_of

if TYPE_CHECKING:
    from qwen_desktop.bridge.doctor import Doctor
    from qwen_desktop.bridge.file_jobs import FileJobs
    from qwen_desktop.bridge.preferences import PreferencesModel
    from qwen_desktop.hub.pace import Limit
    from qwen_desktop.storage.downloads import DownloadsFile

_log = logging.getLogger(__name__)

TELL_MS = 100
PATIENCE_S = 3.0  # at the end, for the threads together
MIB = 2**20
LIMIT, AT_ONCE, CONNECTIONS = "download_limit", "downloads_at_once", "connections"


class Downloads(DownloadList):
    """Owned by the application.

    Signals beside those of the list: `progressed(entry)`: one that runs has come further;
    `limit_changed(MiB/s)`; `planned(id, DownloadPlan)` and `unplanned(id, Report)` answer `look_up`
    and `plan_again`; `arrived(entry, FolderReport)`: all of it is here and the doctor has looked
    at the folder (None where it could not); `failed(entry)` has its trouble.
    """

    progressed = Signal(object)
    planned = Signal(str, object)
    unplanned = Signal(str, object)
    limit_changed = Signal(float)
    arrived = Signal(object, object)
    failed = Signal(object)
    _moved = Signal(str, object)  # of a run: DownloadProgress
    _ended = Signal(str, bool, object)  # of a run: whether it was paused, Report or None
    _taken_away = Signal(object)  # Report or None

    def __init__(
        self,
        file: DownloadsFile,
        files: FileJobs,
        preferences: PreferencesModel,
        doctor: Doctor,
        models: Path,
        token: Token = lambda _: None,
        parent: QObject | None = None,
    ) -> None:
        """`models` is where downloads go by default; `token` is asked on threads of downloads."""
        super().__init__(file, files, parent)
        self._preferences, self._doctor = preferences, doctor
        self._models, self._token = models, token
        self._jobs: dict[str, Job] = {}  # by id of the entry
        self._leaving: dict[str, bool] = {}  # to be removed when it has ended; with its files?
        self._again: set[str] = set()  # to be queued when it has ended
        self._fresh: dict[str, DownloadProgress] = {}  # by run, not yet told
        self._questions = HubQuestions(token, self)
        self._questions.planned.connect(self.planned)
        self._questions.unplanned.connect(self.unplanned)
        self._examined: dict[str, str] = {}  # request of the doctor -> entry
        self._limit: Limit | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(TELL_MS)
        self._timer.timeout.connect(self._tell_progress)
        self._moved.connect(self._on_moved)
        self._ended.connect(self._on_ended)
        self._taken_away.connect(self._on_taken_away)
        self.read.connect(self._begin)
        doctor.examined.connect(self._on_examined)
        doctor.failed.connect(self._on_not_examined)
        doctor.found.connect(self._on_not_examined)
        preferences.changed.connect(self._on_preference)

    # -- what there is -----------------------------------------------------------------------

    @property
    def goes_on(self) -> bool:
        """Whether what is under way goes on by itself at the next start."""
        return bool(self._preferences.get("resume_downloads"))

    @property
    def limit(self) -> float:
        """MiB a second that all take together; 0 for no limit."""
        limit = self._preferences.get(LIMIT)
        return float(limit) if isinstance(limit, (int, float)) else 0.0

    def set_limit(self, limit: float) -> None:
        """Another limit, at once and for the next start."""
        self._preferences.set(LIMIT, limit)

    @property
    def models_folder(self) -> Path:
        """Where the next download goes unless the user says otherwise."""
        if chosen := str(self._preferences.get("models_folder")):
            return work.folder_of(chosen)
        for entry in sorted(self._entries, key=lambda entry: entry.added_at, reverse=True):
            parent = entry.folder.parent.parent
            if work.folder_in(parent, entry.listing) == entry.folder:
                return parent
        return self._models

    @property
    def hub(self) -> Hub:
        """Where checkpoints are looked for first."""
        return Hub(str(self._preferences.get("hub")))

    # -- asking a hub ------------------------------------------------------------------------

    def look_up(
        self,
        address: RepositoryAddress,
        *,
        hub: Hub | None = None,
        revision: str = "",
        parent: Path | None = None,
    ) -> str:
        """Ask a hub what a repository holds; the id of the question.

        `hub` and `revision` go before what the address says; `parent` is where its folder would
        be made.
        """
        wanted = hub or address.hub or self.hub
        own = address.endpoint if address.hub in (None, wanted) else ""
        asked = LookUp(
            address,
            self._server(wanted, own),
            revision or address.revision,
            parent or self.models_folder,
        )
        return self._questions.look_up(asked)

    def plan_again(self, listing: Listing, folder: Path) -> str:
        """Look at what another folder would take, without a network; the id of the question."""
        return self._questions.ask(lambda _: work.plan_in(folder, listing))

    def folder_for(self, listing: Listing, parent: Path) -> Path:
        """The folder of a repository below a folder of models."""
        return work.folder_in(parent, listing)

    def leave(self, question_id: str) -> None:
        """Nobody waits for this answer any more."""
        self._questions.leave(question_id)

    def _server(self, hub: Hub, address: str = "") -> Server:
        own = str(self._preferences.get(ADDRESSES[hub]))
        proxy = str(self._preferences.get("proxy"))
        return Server(hub, address or own, proxy)

    # -- what the user does ------------------------------------------------------------------

    def start(self, plan: DownloadPlan, endpoint: str = "") -> str:
        """Fetch what `plan` says, as soon as it is its turn; the id of the entry.

        `endpoint` is a server that was named for this one; "" for that of the settings, which may
        be changed while it is under way. A download into the same folder is gone on with.
        """
        left_out = {path for path, _ in plan.left_out}
        files = tuple(file for file in plan.listing.files if file.path not in left_out)
        listing = replace(plan.listing, files=files, refused=())
        chosen = frozenset(planned.file.path for planned in plan.files)
        had = frozenset(one.file.path for one in plan.files if one.standing is not Standing.MISSING)
        same = next((entry for entry in self._entries if entry.folder == plan.folder), None)
        entry = DownloadEntry(
            same.id if same is not None else new_id(),
            listing,
            plan.folder,
            Stage.QUEUED,
            plan.total,
            plan.here,
            added_at=time.time(),
            only=None if len(chosen) == len(files) else chosen,
            had=had if same is None else same.had,
            endpoint=endpoint,
        )
        if same is None:
            self._set((*self._entries, entry))
        elif same.id in self._jobs:
            self.resume(same.id)
        else:
            others = tuple(one for one in self._entries if one.id != same.id)
            self._set((*others, entry))
        self._begin()
        return entry.id

    def pause(self, entry_id: str) -> None:
        """Stop one; what has come is kept, and it can go on."""
        entry = self.entry(entry_id)
        self._again.discard(entry_id)
        if entry is None:
            return
        if (job := self._jobs.get(entry_id)) is not None:
            job.stop.set()
            self._replace(replace(entry, stage=Stage.PAUSING))
        elif entry.stage is Stage.QUEUED:
            self._replace(replace(entry, stage=Stage.PAUSED))
        self._begin()

    def resume(self, entry_id: str) -> None:
        """Go on with one that is paused, failed, or whose files have gone."""
        entry = self.entry(entry_id)
        if entry is None or entry_id in self._leaving:
            return
        if entry_id in self._jobs:
            if self._jobs[entry_id].stop.is_set():
                self._again.add(entry_id)
        elif entry.stage is not Stage.QUEUED:
            self._replace(replace(entry, stage=Stage.QUEUED, trouble=None, opens=None))
        self._begin()

    def pause_all(self) -> None:
        """Stop what runs and what waits."""
        # What waits first, or it would begin in the place of what stops.
        for entry in sorted(self._entries, key=lambda entry: entry.stage is not Stage.QUEUED):
            if entry.stage in (Stage.QUEUED, Stage.RUNNING):
                self.pause(entry.id)

    def resume_all(self) -> None:
        """Go on with all that are paused."""
        for entry in self._entries:
            if entry.stage in (Stage.PAUSED, Stage.PAUSING):
                self.resume(entry.id)

    def cancel(self, entry_id: str, *, delete: bool) -> None:
        """Take one off the list; `delete` also deletes what was fetched of it."""
        entry = self.entry(entry_id)
        if entry is None:
            return
        self._again.discard(entry_id)
        if (job := self._jobs.get(entry_id)) is not None:
            self._leaving[entry_id] = delete
            job.stop.set()
            self._replace(replace(entry, stage=Stage.PAUSING))
        else:
            self._remove(entry, delete)

    def forget(self, entry_id: str) -> None:
        """Take one that does not run off the list; its files stay."""
        if entry_id not in self._jobs:
            self.cancel(entry_id, delete=False)

    @Slot(str, object)
    def on_deleted(self, folder: str, _freed: int) -> None:
        """The files of a checkpoint are gone: a download that brought them is done with."""
        for entry in self._entries:
            if entry.stage is Stage.DONE and entry.folder == Path(folder):
                self.forget(entry.id)

    def _remove(self, entry: DownloadEntry, delete: bool) -> None:
        self._set(tuple(one for one in self._entries if one.id != entry.id))
        if not delete:
            return

        def run() -> None:
            report = None
            try:
                fetched = [file.path for file in entry.files if file.path not in entry.had]
                work.take_away(entry.folder, fetched)
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                report = report_of(error)
            self._tell(self._taken_away, report)

        self._on_thread("download files", run)

    @Slot(object)
    def _on_taken_away(self, report: Report | None) -> None:
        if report is not None:
            self.problem.emit(report)

    # -- running -----------------------------------------------------------------------------

    @Slot()
    def _begin(self) -> None:
        """Let those run whose turn it is."""
        if self._closed or not self._is_read:
            return
        most = int(self._preferences.get(AT_ONCE) or 1)
        for entry in self._entries:
            if len(self._jobs) >= most:
                return
            if entry.stage is Stage.QUEUED and entry.id not in self._jobs:
                self._run(entry)

    def _run(self, entry: DownloadEntry) -> None:
        listing = entry.listing
        job = Job(
            new_id(),
            entry.folder,
            listing,
            entry.only,
            self._server(listing.hub, entry.endpoint),
            int(self._preferences.get(CONNECTIONS) or 1),
            self._shared_limit(),
        )
        self._jobs[entry.id] = job
        self._replace(replace(entry, stage=Stage.RUNNING, trouble=None, progress=None))

        def run() -> None:
            paused, report = False, None
            try:
                work.fetch(job, self._token, lambda p: self._tell(self._moved, job.run_id, p))
            except Cancelled:
                paused = True
            except BaseException as error:  # noqa: BLE001 - the border of this thread
                report = report_of(error)
                _log.warning("download: %s", report.for_log())
            self._tell(self._ended, job.run_id, paused, report)

        job.thread = self._on_thread("download", run)

    def _shared_limit(self) -> Limit:
        if self._limit is None:
            from qwen_desktop.hub.pace import Limit

            self._limit = Limit()
        self._limit.rate = self.limit * MIB
        return self._limit

    @Slot(str, object)
    def _on_preference(self, name: str, _: object) -> None:
        if name == LIMIT:
            self._shared_limit()
            self.limit_changed.emit(self.limit)
        elif name == AT_ONCE:
            self._begin()

    @Slot(str, object)
    def _on_moved(self, run_id: str, progress: DownloadProgress) -> None:
        self._fresh[run_id] = progress
        if not self._timer.isActive():
            self._timer.start()

    @Slot()
    def _tell_progress(self) -> None:
        fresh, self._fresh = self._fresh, {}
        by_run = {job.run_id: entry_id for entry_id, job in self._jobs.items()}
        for run_id, progress in fresh.items():
            entry = self.entry(by_run.get(run_id, ""))
            if entry is not None:
                moved = replace(entry, progress=progress, done=progress.done, total=progress.total)
                self._put(moved)
                self.progressed.emit(moved)
        self._tell_overview()

    @Slot(str, bool, object)
    def _on_ended(self, run_id: str, paused: bool, report: Report | None) -> None:
        entry_id = next((one for one, job in self._jobs.items() if job.run_id == run_id), "")
        entry = self.entry(entry_id)
        if run_id in self._fresh:
            self._tell_progress()
            entry = self.entry(entry_id)
        self._jobs.pop(entry_id, None)
        if entry is None:
            return
        delete = self._leaving.pop(entry_id, None)
        again = entry_id in self._again
        self._again.discard(entry_id)
        if delete is not None:
            self._remove(entry, delete)
        elif report is not None:
            entry = replace(entry, stage=Stage.FAILED, trouble=report)
            self._replace(entry)
            self.failed.emit(entry)
        elif paused:
            self._replace(replace(entry, stage=Stage.QUEUED if again else Stage.PAUSED))
        else:
            self._replace(replace(entry, stage=Stage.DONE, done=entry.total))
            self._examined[self._doctor.examine(entry.folder)] = entry_id
        self._begin()

    # -- when all is here --------------------------------------------------------------------

    @Slot(str, object)
    def _on_examined(self, request_id: str, report: FolderReport) -> None:
        entry = self.entry(self._examined.pop(request_id, ""))
        if entry is not None:
            entry = replace(entry, opens=report.opens)
            self._replace(entry)
            self.arrived.emit(entry, report)

    @Slot(str, object)
    def _on_not_examined(self, request_id: str, _: object) -> None:
        entry = self.entry(self._examined.pop(request_id, ""))
        if entry is not None:
            self.arrived.emit(entry, None)

    # -- the end -----------------------------------------------------------------------------

    def close(self) -> None:
        """Pause all that runs, and wait a moment for it. The list says what ran."""
        self.silence()
        for job in self._jobs.values():
            job.stop.set()
        self._timer.stop()
        end = time.monotonic() + PATIENCE_S
        self._questions.close(end)
        self.wait_for_threads(end)
