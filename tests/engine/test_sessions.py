"""Which conversations stay in memory, which go to cache files, and which are read from there."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import psutil
import pytest
import torch

from qwen_desktop.chat.model import EngineOptions
from qwen_desktop.engine.relief import Relief
from qwen_desktop.engine.sessions import WORTH_COPYING, Sessions
from qwen_desktop.engine.spill import CacheKey
from tests.engine.helpers import NEVER, runner_of
from tests.engine.test_runner import CancelAfter

KEY = CacheKey("print", "FP32", "float32", "model", 1.0)
TOKENS = 300  # more than one step of a growing layer


@pytest.fixture(scope="module")
def runner(made):
    return runner_of(made("qwen3", max_position_embeddings=2048))


@pytest.fixture
def ample(monkeypatch) -> list[int]:
    """The free memory of the machine: what the test puts into this list."""
    free = [2**34]

    def virtual_memory() -> SimpleNamespace:
        return SimpleNamespace(total=2**35, available=free[0])

    monkeypatch.setattr(psutil, "virtual_memory", virtual_memory)
    return free


def ids_of(name: str, count: int = TOKENS) -> list[int]:
    return [40 + (i * ord(name)) % 60 for i in range(count)]


def read(sessions: Sessions, name: str, count: int = TOKENS) -> int:
    """Let the conversation `name` read its prompt; how many tokens of it were there already."""
    prompt = ids_of(name, count)
    session = sessions.take(name, prompt)
    reused = session.rewind(prompt)
    relief = Relief(torch.device("cpu"), lambda: 0)
    for _ in session.prefill(prompt, 0, NEVER, chunk=256, relief=relief):
        pass
    return reused


def there(sessions: Sessions, *names: str) -> str:
    """Those of `names` that are in memory."""
    return "".join(name for name in names if sessions.find(name) is not None)


def size_of_one(runner) -> int:
    one = Sessions(runner, KEY)
    read(one, "a")
    return one.nbytes


def test_conversations_keep_their_caches(runner, ample):
    sessions = Sessions(runner, KEY)
    assert [read(sessions, name) for name in "abcab"] == [0, 0, 0, TOKENS - 1, TOKENS - 1]
    assert sessions.nbytes == 3 * size_of_one(runner)
    assert sessions.at_rest("a") == 2 * size_of_one(runner)
    sessions.drop("b")
    assert there(sessions, "a", "b", "c") == "ac"
    assert read(sessions, "b") == 0


def test_the_one_used_longest_ago_goes_first(runner, ample):
    size = size_of_one(runner)
    sessions = Sessions(runner, KEY, EngineOptions(kv_memory=2 * size))
    for name in "abcad":  # three of them: one in use and two at rest
        read(sessions, name)
    assert there(sessions, *"abcd") == "acd"
    sessions.configure(EngineOptions(kv_memory=size))
    assert there(sessions, *"abcd") == "ad"
    sessions.configure(EngineOptions(kv_memory=0))
    assert there(sessions, *"abcd") == "d"  # the one in use stays in any case
    assert sessions.nbytes == size


def test_room_is_made_of_others(runner, ample):
    size = size_of_one(runner)
    sessions = Sessions(runner, KEY)
    for name in "abcd":
        read(sessions, name)
    assert sessions.make_room(size + 1, "a") == 2 * size
    assert there(sessions, *"abcd") == "ad"
    assert sessions.make_room(10**9, "a") == size
    assert sessions.make_room(10**9, "a") == 0
    read(sessions, "b")
    assert sessions.drop_others("b") == size
    assert there(sessions, *"abcd") == "b"
    assert sessions.drop_others("b") == 0
    assert sessions.drop_others("nobody") == size
    assert sessions.nbytes == 0


def test_without_a_limit_caches_stay_while_memory_is_free(runner, ample):
    sessions = Sessions(runner, KEY)
    for name in "abc":
        read(sessions, name)
    assert there(sessions, *"abc") == "abc"
    ample[0] = 0
    read(sessions, "c")
    assert there(sessions, *"abc") == "c"


def test_what_goes_is_written_and_comes_back(runner, ample, tmp_path):
    options = EngineOptions(kv_memory=0, kv_disk=2**30, kv_folder=tmp_path / "kv")
    sessions = Sessions(runner, KEY, options)
    assert [read(sessions, name) for name in "abab"] == [0, 0, TOKENS - 1, TOKENS - 1]
    assert there(sessions, *"ab") == "b"
    # A longer prompt goes on after what the file holds; one that hardly agrees leaves it alone.
    assert read(sessions, "a", TOKENS + 20) == TOKENS
    assert sessions.take("b", [1, 2, *ids_of("b")]).ids == []


def test_what_goes_for_want_of_memory_is_written(runner, ample, tmp_path):
    """Writing copies one tensor at a time; what memory runs out for goes as it is."""
    options = EngineOptions(kv_disk=2**30, kv_folder=tmp_path / "kv")
    sessions = Sessions(runner, KEY, options)
    read(sessions, "a")
    read(sessions, "b")
    sessions.drop_others("b")
    assert read(sessions, "a") == 0
    ample[0] = sessions.nbytes // 4
    sessions.make_room(10**9, "a")
    assert there(sessions, *"ab") == "a"
    assert read(sessions, "b") == TOKENS - 1


def test_resting_writes_what_changed_one_at_a_time(runner, ample, tmp_path):
    folder = tmp_path / "kv"
    options = EngineOptions(kv_disk=2**30, kv_folder=folder)
    sessions = Sessions(runner, KEY, options)
    read(sessions, "a")
    read(sessions, "b")
    steps = sessions.rest()
    next(steps)
    assert len(list(folder.glob("*.safetensors"))) == 1
    sessions.drop("a")  # meanwhile
    assert list(steps) == []
    read(sessions, "a")
    assert len(list(sessions.rest())) == 1
    assert len(list(folder.glob("*.safetensors"))) == 2
    assert list(sessions.rest()) == []  # nothing changed
    read(sessions, "b", TOKENS // 2)  # shorter: the file has it all
    assert list(sessions.rest()) == []
    read(sessions, "b", TOKENS + 1)
    assert len(list(sessions.rest())) == 1
    tomorrow = Sessions(runner, KEY, options)
    assert read(tomorrow, "b", TOKENS + 9) == TOKENS + 1
    assert list(tomorrow.rest()) != []
    assert list(tomorrow.rest()) == []


def test_no_files_without_a_folder_a_size_and_a_fingerprint(runner, ample, tmp_path):
    folder = tmp_path / "kv"
    unknown = CacheKey("", "FP32", "float32", "model", 1.0)
    for key, options in (
        (KEY, EngineOptions(kv_disk=2**30)),
        (KEY, EngineOptions(kv_folder=folder)),
        (unknown, EngineOptions(kv_disk=2**30, kv_folder=folder)),
    ):
        sessions = Sessions(runner, key, options)
        read(sessions, "a")
        assert list(sessions.rest()) == []
    assert not folder.exists()


def test_switched_off_the_files_go(runner, ample, tmp_path):
    folder = tmp_path / "kv"
    sessions = Sessions(runner, KEY, EngineOptions(kv_disk=2**30, kv_folder=folder))
    read(sessions, "a")
    assert len(list(sessions.rest())) == 1
    (folder / "of somebody else.json").write_text("{}")
    sessions.configure(EngineOptions(kv_disk=0, kv_folder=folder))
    assert [path.name for path in folder.iterdir()] == ["of somebody else.json"]
    assert list(sessions.rest()) == []
    sessions.configure(EngineOptions(kv_disk=2**30, kv_folder=folder))
    assert len(list(sessions.rest())) == 1  # on again, with what was read meanwhile


def test_forgetting_takes_memory_and_file(runner, ample, tmp_path):
    folder = tmp_path / "kv"
    sessions = Sessions(runner, KEY, EngineOptions(kv_disk=2**30, kv_folder=folder))
    for name in "ab":
        read(sessions, name)
    assert len(list(sessions.rest())) == 2
    sessions.forget("a")
    assert len(list(folder.glob("*.json"))) == len(list(folder.glob("*.safetensors"))) == 1
    assert read(sessions, "a") == 0
    assert read(sessions, "b") == TOKENS - 1


def test_stop_does_not_wait_for_a_file(runner, ample, tmp_path):
    options = EngineOptions(kv_memory=0, kv_disk=2**30, kv_folder=tmp_path / "kv")
    sessions = Sessions(runner, KEY, options)
    read(sessions, "a")
    read(sessions, "b")
    stopped = threading.Event()
    stopped.set()
    assert sessions.take("a", ids_of("a"), stopped).ids == []
    # Nor for those of others; and the file is still there for the next request.
    assert there(sessions, *"ab") == "ab"
    assert read(sessions, "a") == TOKENS - 1


def test_stop_ends_the_writing_of_files(runner, ample, tmp_path):
    options = EngineOptions(kv_disk=2**30, kv_folder=tmp_path / "kv")
    sessions = Sessions(runner, KEY, options)
    read(sessions, "a")
    read(sessions, "b")
    for looks in range(2 * runner.module.config.num_hidden_layers + 1):
        assert list(sessions.rest(CancelAfter(looks))) == []
        assert sessions.make_room(10**9, "b", CancelAfter(looks)) == 0
        assert list((tmp_path / "kv").glob("*")) == []
    assert there(sessions, *"ab") == "ab"
    assert len(list(sessions.rest())) == 2


@pytest.mark.parametrize("family", ["qwen3_5_text", "qwen3"])
def test_a_state_that_cannot_go_back_serves_what_goes_on_after_it(made, ample, tmp_path, family):
    """A cache that can be cropped also where it only begins in the same way."""
    runner = runner_of(made(family))
    options = EngineOptions(kv_disk=2**30, kv_folder=tmp_path / "kv")
    sessions = Sessions(runner, KEY, options)
    read(sessions, "a", 60)
    assert len(list(sessions.rest())) == 1
    croppable = runner.capabilities.croppable
    for prompt, kept in (
        (ids_of("a", 70), 60),
        (ids_of("a", 60), 59 if croppable else 0),
        ([*ids_of("a", 50), 1, 2], 50 if croppable else 0),
    ):
        session = Sessions(runner, KEY, options).take("a", prompt)
        assert session.rewind(prompt) == kept
    session = Sessions(runner, KEY, options).take("a", ids_of("a", 70))
    relief = Relief(torch.device("cpu"), lambda: 0)
    list(session.prefill(ids_of("a", 70), 0, NEVER, chunk=8, relief=relief))
    assert session.rewind([*ids_of("a", 60), 3]) == 60  # what was loaded can be gone back to


# -- what another conversation has read already ------------------------------------------------


def branch(sessions: Sessions, name: str, prompt: list[int]) -> tuple[int, list[float]]:
    """Let `name` read `prompt`: how many of its tokens were there, and the logits after it."""
    session = sessions.take(name, prompt)
    reused = session.rewind(prompt)
    relief = Relief(torch.device("cpu"), lambda: 0)
    logits = None
    for _, logits in session.prefill(prompt, 0, NEVER, chunk=256, relief=relief):  # noqa: B007
        pass
    assert logits is not None
    assert session.ids == prompt
    return reused, logits.float().flatten().tolist()


def test_a_branch_takes_over_what_the_other_conversation_has_read(runner, ample):
    sessions = Sessions(runner, KEY)
    whole = ids_of("a")
    other = branch(sessions, "a", whole)[1]
    prompt = whole[:200] + ids_of("b", 50)
    assert sessions.would_keep("b", prompt) == 200
    reused, logits = branch(sessions, "b", prompt)
    assert reused == 200
    alone = branch(Sessions(runner, KEY), "b", prompt)
    assert alone[0] == 0
    assert logits == pytest.approx(alone[1], abs=1e-4)
    # The other one is as it was, and goes on by itself.
    again, same = branch(sessions, "a", whole)
    assert again == TOKENS - 1
    assert same == pytest.approx(other, abs=1e-4)
    assert there(sessions, "a", "b") == "ab"


def test_little_in_common_is_not_copied(runner, ample):
    sessions = Sessions(runner, KEY)
    whole = ids_of("a")
    branch(sessions, "a", whole)
    prompt = whole[: WORTH_COPYING - 1] + ids_of("b", 50)
    assert sessions.would_keep("b", prompt) == 0
    assert branch(sessions, "b", prompt)[0] == 0


def test_without_room_for_a_copy_the_prompt_is_read_anew(runner, ample):
    sessions = Sessions(runner, KEY)
    whole = ids_of("a")
    branch(sessions, "a", whole)
    ample[0] = 2**35 // 10 + 100  # what is left free anyway
    assert sessions.would_keep("b", whole) == 0
    assert branch(sessions, "b", whole)[0] == 0


def test_memory_that_runs_out_in_a_copy_is_no_trouble(runner, ample, monkeypatch):
    sessions = Sessions(runner, KEY)
    whole = ids_of("a")
    branch(sessions, "a", whole)

    def copied(_self, _count):
        raise MemoryError

    monkeypatch.setattr(type(sessions.find("a").cache), "copied", copied)
    assert branch(sessions, "b", whole)[0] == 0


def test_what_cannot_go_back_is_not_copied(made, ample):
    model = runner_of(made("qwen3_5_text"))
    assert not model.capabilities.croppable
    sessions = Sessions(model, KEY)
    branch(sessions, "a", ids_of("a"))
    assert branch(sessions, "b", ids_of("a"))[0] == 0
