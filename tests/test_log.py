"""Where the log goes when its file refuses."""

from __future__ import annotations

import logging

import pytest

from qwen_desktop import log


@pytest.fixture
def root():
    """The root logger, given back as it was."""
    root, own = logging.getLogger(), logging.getLogger("qwen_desktop")
    before = (list(root.handlers), root.level, own.level)
    yield root
    for handler in set(root.handlers) - set(before[0]):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before[1])
    own.setLevel(before[2])


def test_records_go_to_the_file(root, tmp_path):
    log.start(tmp_path / "a.log")
    logging.getLogger("qwen_desktop.x").info("hello")
    assert "hello" in (tmp_path / "a.log").read_text(encoding="utf-8")


def test_a_large_file_makes_way(root, tmp_path):
    (tmp_path / "a.log").write_bytes(b"x" * (log.MAX_BYTES + 1))
    log.start(tmp_path / "a.log")
    assert (tmp_path / "a.log.1").stat().st_size == log.MAX_BYTES + 1
    assert (tmp_path / "a.log").stat().st_size == 0


def test_a_file_that_cannot_be_written_is_no_reason_not_to_start(root, tmp_path):
    (tmp_path / "a.log").mkdir()
    log.start(tmp_path / "a.log")
    logging.getLogger("qwen_desktop.x").info("hello")
