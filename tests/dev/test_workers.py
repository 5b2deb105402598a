"""How the tests are shared out to several processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import workers

TESTS = Path(workers.__file__).parent


def test_what_is_named_is_there() -> None:
    files = [path.relative_to(TESTS.parent).as_posix() for path in TESTS.rglob("test_*.py")]
    for begin in {*workers.TOGETHER, *workers.FIRST, workers.COMPILED}:
        assert any(file.startswith(begin) for file in files), begin


def test_a_file_stays_together_and_some_do_with_others() -> None:
    share = workers.share_of
    assert share("tests/ui/test_pdf.py::test_a") == share("tests/ui/test_pdf.py::T::test_b[x::y]")
    assert share("tests/ui/test_pdf.py::test_a") != share("tests/ui/test_look.py::test_a")
    assert share("tests/serve/test_api.py::test_a") == share("tests/serve/test_page.py::test_a")
    codes = "tests/engine/test_compiled_codes.py::test_a"
    assert share(codes) == share(f"{workers.COMPILED}::test_a")
    assert share("tests/engine/qwen1/test_chat.py::test_a") != share(codes)


def test_what_takes_longest_begins_first() -> None:
    files = ["tests/ui/test_pdf.py", *reversed(workers.FIRST), "tests/chat/test_tree.py"]
    wanted = [*workers.FIRST, "tests/ui/test_pdf.py", "tests/chat/test_tree.py"]
    assert sorted(files, key=workers.rank_of) == wanted


@pytest.mark.parametrize(
    ("arguments", "one"),
    [
        (["tests"], False),
        (["tests/ui/test_pdf.py", "tests/ui/test_look.py"], False),
        (["tests/ui/test_pdf.py"], True),
        (["tests/ui/test_pdf.py::test_a[b.c]", "tests/ui/test_pdf.py::test_d"], True),
    ],
)
def test_a_single_file_is_told(arguments: list[str], one: bool) -> None:
    assert workers.are_of_one_file(arguments) is one
