"""Checkpoints of the first Qwen, made once per run, and the goldens that hold for them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from qwen_desktop.engine.qwen1.tokenizer import Qwen1Tokenizer
from qwen_desktop.engine.transformers_runner import TransformersRunner
from tests.engine.helpers import runner_of, tokenizer_of
from tests.engine.qwen1.checkpoints import make

GOLDENS = Path(__file__).parent / "goldens"
VOCABULARY = "b2b1b8dfb5cc5f024bafc373121c6aba3f66f9a5a0269e243470a1de16a33186"  # sha256


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache
def golden(name: str) -> Any:
    return json.loads((GOLDENS / f"{name}.json").read_text("ascii"))


@pytest.fixture(scope="session")
def vocabulary() -> Path:
    """qwen.tiktoken as it was released: a file in a wheel of which nothing else is used."""
    spec = importlib.util.find_spec("dashscope")
    assert spec is not None, "dashscope is not installed: see dev.py"
    assert spec.origin is not None
    path = Path(spec.origin).parent / "resources" / "qwen.tiktoken"
    assert sha256(path) == VOCABULARY
    return path


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory, vocabulary: Path) -> Callable[[str], Path]:
    """The checkpoint of a spec by its name; the folders are read-only."""
    root = tmp_path_factory.mktemp("qwen1")

    def get(name: str) -> Path:
        folder, spec = root / name, golden("specs")[name]
        if not folder.exists():
            make(folder, spec, vocabulary if spec["kind"].startswith("qwen1") else None)
            assert sha256(folder / "model.safetensors") == spec["sha256"]
        return folder

    return get


@pytest.fixture(scope="session")
def runner(first: Callable[[str], Path], started: None) -> Callable[[str], TransformersRunner]:
    """A runner in float32 by the name of its spec."""
    return lru_cache(lambda name: runner_of(first(name)))


@pytest.fixture(scope="session")
def tokenizer(first: Callable[[str], Path], started: None) -> Qwen1Tokenizer:
    found = tokenizer_of(first("s-plain"))
    assert isinstance(found, Qwen1Tokenizer)
    return found
