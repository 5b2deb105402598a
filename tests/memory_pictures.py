"""Pictures of what makes memory and prompts visible: ledger, charts, study, inspector, tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tests.window_pictures import settle, top

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from tests.e2e.driver import Driver

Picture = Callable[[str], None]
Save = Callable[["QWidget", str], None]

_ASKED = {
    "en": (
        "What does the memory panel show?",
        "How is the KV cache kept?",
        "What happens when the context is full?",
        "How do I see the prompt?",
    ),
    "zh_CN": (
        "内存面板显示什么？",
        "KV 缓存怎样保留？",
        "上下文满了会怎样？",
        "怎样查看提示词？",
    ),
}


def take_memory(
    driver: Driver, picture: Picture, save: Save, send: Callable[[str, str], None]
) -> None:
    """With the demo checkpoint open; leaves a chat of four turns behind."""
    window, app = driver.window, driver.app
    app.chats.new()
    app.preferences.set("logprobs", 5)
    for number, pair in enumerate(zip(_ASKED["en"], _ASKED["zh_CN"], strict=True), start=1):
        send(*pair)
        driver.wait("an answer", partial(_has, driver, number))
        driver.wait_idle()
    app.preferences.set("logprobs", 0)
    driver.wait("the chart", lambda: window.charting.small.isVisible())
    driver.wait("the forecast", lambda: window.panel.forecast.isVisible())
    settle(driver)
    driver.to_front()
    picture("ledger")

    window.charting.show()
    charts = top(driver, "contextChart")
    settle(driver)
    save(charts, "memory-chart")
    window.charting.show()
    charts = top(driver, "contextChart")
    charts.tabs.setCurrentIndex(1)  # type: ignore[attr-defined]
    settle(driver)
    save(charts, "speed-chart")

    window.inspection.show_now()
    inspector = top(driver, "promptInspector")
    driver.wait("the prompt", lambda: inspector.found)  # type: ignore[attr-defined]
    settle(driver)
    save(inspector, "inspector")

    answer = app.chats.current.tree.path()[-1]
    window.pane.looks.show_tokens(answer.id)
    details = top(driver, "answerDetails")
    settle(driver)
    save(details, "answer-tokens")

    window.pane.looks.show_turn()
    steps = top(driver, "turnSteps")
    settle(driver)
    save(steps, "turn-steps")

    _take_study(driver, save)


def _has(driver: Driver, answers: int) -> bool:
    return len(driver.answers()) == answers and bool(driver.answers()[-1])


def _take_study(driver: Driver, save: Save) -> None:
    window = driver.window
    window.studying.show()
    study = top(driver, "studyDialog")
    study.go.click()  # type: ignore[attr-defined]
    done = driver.app.studies
    driver.wait("the study", lambda: done.state.running)
    driver.wait("the study's end", lambda: not done.state.running)
    settle(driver)
    save(study, "study")
