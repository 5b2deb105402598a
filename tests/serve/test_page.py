"""The page at `/` in a real browser. Skipped where there is no Chromium with its driver."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from qwen_desktop.serve import page
from tests.serve.process import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no Chromium with its driver (chromium-driver)"
)
PATIENCE_S = 60


class Browser:
    """What a person does in it."""

    def __init__(self, language: str, folder: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for word in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--window-size=900,800",
            f"--lang={language}",
            f"--user-data-dir={folder}",
        ):
            options.add_argument(word)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def texts(self, css: str) -> list[str]:
        return [one.text for one in self.driver.find_elements(By.CSS_SELECTOR, css)]

    def wait(self, condition: object) -> None:
        WebDriverWait(self.driver, PATIENCE_S, 0.05).until(lambda _: condition())

    def open(self, address: str) -> None:
        self.driver.get(address)
        self.wait(lambda: self.find("#about").text or self.find("#lock").is_displayed())

    def say(self, text: str) -> None:
        self.find("#text").send_keys(text, Keys.ENTER)

    def answered(self) -> str:
        self.wait(lambda: self.find("#send").is_displayed())
        return self.texts(".assistant .body")[-1]

    def shot(self, name: str) -> None:
        if folder := os.environ.get("PAGE_PICTURES"):
            self.driver.save_screenshot(f"{folder}/{name}.png")

    def troubles(self) -> list[str]:
        return [one["message"] for one in self.driver.get_log("browser")]

    def requests(self) -> set[str]:
        """Addresses that were asked for since the last call."""
        found = set()
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                found.add(event["params"]["request"]["url"])
        return {url for url in found if not url.startswith(("data:", "chrome:"))}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser("en-US", tmp_path_factory.mktemp("chromium"))
    yield made
    made.driver.quit()


class Scripted(BaseHTTPRequestHandler):
    """Serves the real page and its policy, and says what a test wants a model to say."""

    pieces: tuple[dict[str, str], ...] = ()
    hold = threading.Event()

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, body: bytes, kind: str, **more: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/":
            shown = page.page()
            self._send(shown.html, "text/html", Content_Security_Policy=shown.policy)
        else:
            model = {"id": "Hostile", "family": "Qwen3", "precision": "BF16", "can_think": True}
            self._send(json.dumps({"data": [model]}).encode(), "application/json")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(b"", "text/event-stream")
        for piece in self.pieces:
            event = {"choices": [{"index": 0, "delta": piece}]}
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")


@pytest.fixture
def scripted() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    thread = threading.Thread(target=server.serve_forever, name="scripted model")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_send_stream_regenerate_clear(browser: Browser, server: Served) -> None:
    browser.requests()
    browser.open(server.address)
    assert browser.find("#model").text == "demo-checkpoint"
    assert browser.find("#text") == browser.driver.switch_to.active_element
    browser.shot("empty")
    browser.say("What can you do?")
    assert "demo model" in browser.answered()
    assert "tokens" in browser.texts(".assistant .note")[0]
    browser.say("And how do I export a chat?")
    browser.wait(lambda: len(browser.texts(".assistant")) == 2)
    assert browser.answered()
    assert len(browser.texts(".turn")) == 4
    browser.shot("chat")
    kept = browser.texts(".assistant .note")[-1]
    assert int(kept.split(" tokens, ")[1].split()[0]) > 13  # the turn before was not read again

    browser.find("#again").click()
    browser.wait(lambda: browser.find("#send").is_displayed() and browser.texts(".note")[-1])
    assert len(browser.texts(".turn")) == 4  # in place of the other

    browser.find("#clear").click()
    assert browser.texts(".turn") == []
    assert "Nothing is stored" in browser.find(".hello").text
    assert browser.troubles() == []
    there = server.address + "/"
    assert browser.requests() == {there, there + "v1/models", there + "v1/chat/completions"}
    assert browser.driver.execute_script(
        "return [localStorage.length, sessionStorage.length, document.cookie]"
    ) == [0, 0, ""]


def test_stop_keeps_what_came(browser: Browser, thinker: Served) -> None:
    browser.open(thinker.address)
    browser.say("Go on and on")
    browser.wait(lambda: browser.find("#stop").is_displayed())
    browser.wait(lambda: len(browser.texts(".assistant")[-1]) > 40)
    browser.find("#text").send_keys(Keys.ESCAPE)
    browser.answered()
    assert len(browser.texts(".assistant")[-1]) > 40
    assert "Stopped" in browser.texts(".assistant .note")
    browser.wait(lambda: any(line.endswith("left") for line in thinker.lines))


HOSTILE = """# Title

<script>window.hacked = 1</script> <img src=x onerror="window.hacked = 2">
<iframe src="http://192.0.2.1/"></iframe> &lt;b&gt;

[link](javascript:window.hacked=3) [data](data:text/html,x) ![picture](http://192.0.2.1/p.png)
[good](https://example.com/a?b=1) <style>body { display: none }</style>

- one **bold** and *soft*
  - inner `code <b>`
- two

1. first
2. second

> quoted

| a | b |
|---|---|
| 1 | <u>2</u> |

```html
<script>window.hacked = 4</script>
```
"""


def test_markdown_is_shown_and_hostile_html_stays_text(browser: Browser, scripted: str) -> None:
    said = ({"content": HOSTILE[at : at + 7]} for at in range(0, len(HOSTILE), 7))
    Scripted.pieces = ({"reasoning_content": "Let me *see*."}, *said)
    browser.open(scripted)
    browser.requests()
    browser.say("<b>I</b>")
    browser.answered()
    browser.shot("markdown")
    assert browser.texts(".user .body") == ["<b>I</b>"]
    body = browser.find(".assistant .body")
    assert [one.text for one in body.find_elements(By.TAG_NAME, "h3")] == ["Title"]
    assert [one.text for one in body.find_elements(By.CSS_SELECTOR, "ul ul li")] == [
        "inner code <b>"
    ]
    assert len(body.find_elements(By.CSS_SELECTOR, "ol > li")) == 2
    assert [one.text for one in body.find_elements(By.TAG_NAME, "strong")] == ["bold"]
    assert [one.text for one in body.find_elements(By.TAG_NAME, "td")] == ["1", "<u>2</u>"]
    assert [one.text for one in body.find_elements(By.TAG_NAME, "blockquote")] == ["quoted"]
    assert body.find_element(By.CSS_SELECTOR, "pre").text == "<script>window.hacked = 4</script>"
    assert not body.find_elements(By.CSS_SELECTOR, "script, img, iframe, style, b, u")
    links = [one.get_attribute("href") for one in body.find_elements(By.TAG_NAME, "a")]
    assert links == ["http://192.0.2.1/p.png", "https://example.com/a?b=1"]
    assert "javascript:window.hacked=3" in body.text
    details = browser.find(".assistant details")
    assert details.get_attribute("open") is None  # folded when the answer came
    details.find_element(By.TAG_NAME, "summary").click()
    assert "Let me see." in details.text
    assert browser.driver.execute_script("return window.hacked") is None
    assert browser.requests() == {scripted + "v1/chat/completions"}
    copy = body.find_element(By.CSS_SELECTOR, "button[data-copy]")
    assert copy.text == "Copy"


def test_the_policy_refuses_what_is_not_ours(browser: Browser, server: Served) -> None:
    browser.open(server.address)
    browser.requests()
    refused = browser.driver.execute_async_script(
        """
        const tell = arguments[0], found = [];
        document.addEventListener("securitypolicyviolation", event => {
          found.push(event.effectiveDirective);
          if (found.length === 4) tell(found);
        });
        try { document.body.innerHTML += "<b>x</b>"; } catch { }
        const link = document.createElement("link");
        link.rel = "stylesheet"; link.href = "http://127.0.0.1:1/x.css"; document.head.append(link);
        const picture = new Image(); picture.src = "http://127.0.0.1:1/x.png";
        fetch("http://127.0.0.1:1/").catch(() => 0);
        """
    )
    assert set(refused) == {"require-trusted-types-for", "style-src-elem", "img-src", "connect-src"}


def test_both_languages_and_both_themes(browser: Browser, server: Served) -> None:
    browser.open(server.address)
    assert browser.find("#send").text == "Send"
    browser.find("#language").click()
    assert browser.find("#send").text == "发送"
    assert browser.find("html").get_attribute("lang") == "zh-CN"
    before = browser.find("html").get_attribute("data-theme")
    browser.find("#theme").click()
    assert browser.find("html").get_attribute("data-theme") != before
    browser.say("What can you do?")
    browser.answered()
    browser.shot("chinese")
    assert "词元" in browser.texts(".note")[0]
    assert browser.texts(".user h2") == ["你"]


def test_a_chinese_browser_gets_a_chinese_page(server: Served, tmp_path: Path) -> None:
    browser = Browser("zh-CN", tmp_path / "chromium")
    try:
        browser.open(server.address)
        assert browser.find("#send").text == "发送"
    finally:
        browser.driver.quit()


def test_everything_can_be_reached_and_has_a_name(browser: Browser, server: Served) -> None:
    browser.open(server.address)
    browser.say("What can you do?")
    browser.answered()
    browser.find("#text").send_keys("x")
    names = set()
    for _ in range(8):
        focused = browser.driver.switch_to.active_element
        names.add(focused.accessible_name)
        focused.send_keys(Keys.TAB)
    assert {"Message", "Send", "Regenerate", "Clear"} <= names
    assert "" not in names - {browser.find("body").accessible_name}


def test_the_key_is_asked_for(browser: Browser, keyed_server: Served) -> None:
    browser.open(keyed_server.address)
    browser.wait(lambda: browser.find("#lock").is_displayed())
    assert not browser.find("#form").is_displayed()
    browser.find("#key").send_keys("wrong", Keys.ENTER)
    browser.wait(lambda: "does not take" in browser.find("#status").text)
    browser.find("#key").send_keys(keyed_server.key, Keys.ENTER)
    browser.wait(lambda: browser.find("#form").is_displayed())
    browser.say("What can you do?")
    assert "demo model" in browser.answered()
