"""The engine runs where there is no Qt, and its light modules bring no torch in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

WITHOUT_QT = """
import sys, threading
from pathlib import Path
sys.modules["PySide6"] = sys.modules["shiboken6"] = None  # importing them fails
from qwen_desktop.chat.events import Finished, Stage
from qwen_desktop.chat.messages import user_message
from qwen_desktop.chat.model import GenerationRequest, LoadRequest
from qwen_desktop.chat.settings import GenerationSettings
from qwen_desktop.engine.start import create_engine
told = []
engine = create_engine(told.append)
assert {event.stage for event in told} == {Stage.IMPORTING}, told
assert (told[0].done, told[-1].done) == (0, told[-1].total)
engine.load(LoadRequest(Path(sys.argv[1])), threading.Event(), lambda _: None)
settings = GenerationSettings(max_new_tokens=4)
asked = GenerationRequest("c", (user_message("hello", None),), settings)
assert isinstance(list(engine.generate(asked, threading.Event()))[-1], Finished)
"""

WITHOUT_TORCH = """
import sys
import qwen_desktop.engine.checkpoint, qwen_desktop.engine.memory, qwen_desktop.engine.start
qwen_desktop.engine.libraries.preload_before_qt()
qwen_desktop.engine.checkpoint.inspect(__import__("pathlib").Path(sys.argv[1]))
assert qwen_desktop.engine.memory.ram_sample().main.used > 0
heavy = {"torch", "transformers", "tokenizers", "numpy", "PySide6"} & set(sys.modules)
assert not heavy, heavy
"""


def run(code: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""  # transformers is silent too


def test_it_answers_without_qt(made):
    run(WITHOUT_QT, made("qwen3"))


def test_inspecting_and_measuring_need_no_torch(made):
    run(WITHOUT_TORCH, made("qwen3", shards=True))
