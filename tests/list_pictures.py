"""Pictures of the conversation list: places, several selected, what a search found, the bin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.storage.store import Store

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from tests.e2e.driver import Driver

Picture = Callable[[str], None]
Save = Callable[["QWidget", str], None]

SEARCHES = {"search": "memory", "search-chinese": "中文"}


def put_in_order(store: Store, ids: dict[str, str]) -> None:
    """Folders, tags and pins for the conversations `ids`, by their titles; all can be found."""
    listing = store.listing
    work, trip = listing.make_folder("Work"), listing.make_folder("旅行")
    listing.set_folder([ids["KV cache 与显存"], ids["SQL window functions"]], work.id)
    listing.set_folder([ids["旅游行程 🗾 京都三天"]], trip.id)
    listing.set_pinned([ids["SQL window functions"]], True)
    listing.add_tag([ids["KV cache 与显存"], ids["Regex for ISO dates"]], "python")
    listing.add_tag([ids["KV cache 与显存"]], "显存")
    while store.index.add_some(1000):
        pass


def take_list(driver: Driver, picture: Picture, save: Save) -> None:
    """All of them; the list is as before afterwards."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    sidebar, chats = driver.window.sidebar, driver.app.chats.list
    left = Qt.MouseButton.LeftButton
    QTest.mouseClick(sidebar.place.button, left)
    menus: list[QWidget] = []
    driver.wait("the menu", lambda: menus or _add(menus, driver.qt.activePopupWidget()))
    save(menus[0], "places")

    titles = ("SQL window functions", "Streaming decode loop", "Regex for ISO dates")
    before = sidebar.view.currentIndex()
    for title in titles:
        row = next(row for row in chats.top() if row.title == title)
        place = sidebar.view.visualRect(sidebar.list.index_of(row.id)).center()
        modifier = Qt.KeyboardModifier.ControlModifier
        QTest.mouseClick(sidebar.view.viewport(), left, modifier, place)
    picture("selection")
    sidebar.view.choose_none()
    sidebar.view.setCurrentIndex(before)

    for name, words in SEARCHES.items():
        sidebar.focus_search()
        sidebar.search.setText(words)
        driver.wait(words, lambda: sidebar.results.list.hits)
        picture(name)
        sidebar.search.clear()

    ids = tuple(row.id for row in chats.top() if row.title in titles)
    chats.delete(ids)
    chats.set_filter(ListFilter(place=Place.BIN))
    driver.wait("the bin", lambda: chats.filter.place is Place.BIN and chats.shape.count == 3)
    driver.window.toast.dismiss()
    picture("bin")
    chats.restore(ids)
    chats.set_filter(ListFilter())
    driver.wait("the list", lambda: chats.filter == ListFilter() and chats.shape.deleted == 0)


def _add(found: list[QWidget], widget: QWidget | None) -> None:
    if widget is not None:
        found.append(widget)
