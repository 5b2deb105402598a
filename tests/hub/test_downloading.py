"""Downloads of either hub that go well, and hubs that misbehave in the middle of one."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from qwen_desktop.chat.hub import Comparison, DownloadState, Endpoint, Hub, Standing
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub.download import Download
from qwen_desktop.hub.planning import plan
from qwen_desktop.hub.source_file import read_source
from qwen_desktop.hub.verifying import verify
from tests.hub.contents import noise
from tests.hub.fakehub import FakeHub
from tests.hub.fetching import (
    HUBS,
    NAME,
    REPOSITORY,
    SIZE,
    WEIGHTS,
    Watched,
    assert_whole,
    endpoint,
    fetch,
    files,
    listed,
    planned,
    shards,
)

by_hub = pytest.mark.parametrize("kind", HUBS, ids=lambda kind: kind.value)
MIB = 2**20
LARGE = 40 * MIB  # several blocks, so that several connections work on one file


def failed(hub: FakeHub, folder: Path, kind: Hub = Hub.HUGGING_FACE) -> Known:
    """The trouble that ends a download."""
    with pytest.raises(Known) as caught:
        fetch(hub, folder, kind)
    return caught.value


def told(hub: FakeHub, folder: Path, kind: Hub = Hub.HUGGING_FACE) -> str:
    """The sentence that is shown while something is tried again; the download is paused then."""
    with Watched(Download(planned(hub, folder, kind), endpoint(hub, kind))) as watched:
        progress = watched.wait_for(lambda one: one.trouble is not None)
        assert progress.state is DownloadState.RETRYING
        watched.cancel.set()
        watched.end()
        assert watched.was_cancelled
    assert progress.trouble is not None
    return progress.trouble.code


# --- What goes well ------------------------------------------------------------------------------


@by_hub
def test_a_checkpoint_comes_whole(hub, kind, tmp_path):
    repo = hub.add(NAME, files())
    source = fetch(hub, tmp_path, kind)
    assert_whole(tmp_path, repo)
    assert source.complete
    assert (source.hub, source.repository) == (kind, REPOSITORY)
    assert read_source(tmp_path) == source
    assert {one.file for one in hub.asked("resolve")} == {
        "README.md",
        "config.json",
        "tokenizer.json",
        WEIGHTS,
    }
    assert hub.sent(WEIGHTS) == SIZE


@by_hub
def test_shards_of_many_blocks_come_whole_over_several_connections(hub, kind, tmp_path):
    repo = hub.add(NAME, shards((LARGE, 9 * MIB, 3)))
    fetch(hub, tmp_path, kind)
    assert_whole(tmp_path, repo)
    assert hub.sent() == sum(file.size for file in repo.files.values()) + hub.sent(
        "model.safetensors.index.json"
    ) - len(repo.files["model.safetensors.index.json"].content)


@by_hub
def test_over_one_connection_nothing_is_asked_side_by_side(hub, kind, tmp_path):
    repo = hub.add(NAME, shards((LARGE, 9 * MIB)))
    fetch(hub, tmp_path, kind, connections=1)
    assert_whole(tmp_path, repo)


def test_without_redirects_it_comes_too(tmp_path):
    with FakeHub(redirects=False) as hub:
        repo = hub.add(NAME, files())
        fetch(hub, tmp_path)
        assert_whole(tmp_path, repo)


def test_a_file_of_a_size_of_nothing_comes_too(hub, tmp_path):
    repo = hub.add(NAME, {**files(), "added_tokens.json": b""})
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)


@by_hub
def test_a_token_stays_with_the_hub(hub, kind, tmp_path):
    repo = hub.add(NAME, files(), gated=True, tokens=("good",))
    fetch(hub, tmp_path, kind, token="good")  # the other port refuses whoever shows it one
    assert_whole(tmp_path, repo)
    for one in hub.asked("bytes", WEIGHTS):
        assert "authorization" not in one.headers
        assert "cookie" not in one.headers


@by_hub
def test_a_gated_repository_says_how_to_get_in(hub, kind, tmp_path):
    hub.add(NAME, files(), gated=True, tokens=("good",))
    known = failed(hub, tmp_path, kind)
    assert known.code in ("hub-unauthorised", "hub-forbidden")
    assert "licence" in str(known)


@by_hub
def test_a_second_download_fetches_nothing(hub, kind, tmp_path):
    hub.add(NAME, files())
    fetch(hub, tmp_path, kind)
    sent = hub.sent()
    plan_ = planned(hub, tmp_path, kind)
    assert {one.standing for one in plan_.files} == {Standing.CHECKED}
    assert plan_.missing == 0
    fetch(hub, tmp_path, kind)
    assert hub.sent() == sent


def test_a_file_that_is_missing_is_fetched_alone(hub, tmp_path):
    repo = hub.add(NAME, files())
    fetch(hub, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    before = hub.sent()
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)
    assert hub.sent() - before == repo.files["tokenizer.json"].size


def test_a_clone_without_its_large_files_is_completed(hub, tmp_path):
    repo = hub.add(NAME, files())
    for path, file in repo.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(file.pointer if file.lfs else file.content)
    plan_ = planned(hub, tmp_path)
    assert {one.file.path for one in plan_.files if one.standing is Standing.DIFFERENT} == {
        WEIGHTS,
        "tokenizer.json",
    }
    fetch(hub, tmp_path)
    digest = hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest()
    assert digest == repo.files[WEIGHTS].sha256
    assert hub.sent("config.json") == 0


def test_a_file_that_another_program_left_short_is_gone_on_with(hub, tmp_path):
    repo = hub.add(NAME, files())
    (tmp_path / WEIGHTS).write_bytes(repo.files[WEIGHTS].content[:2_000_000])
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)
    assert hub.sent(WEIGHTS) == SIZE - 2_000_000


def test_a_beginning_that_was_none_is_fetched_anew(hub, tmp_path):
    repo = hub.add(NAME, files())
    (tmp_path / WEIGHTS).write_bytes(noise(2_000_000, 77))
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)


@by_hub
def test_verifying_finds_what_was_changed_later(hub, kind, tmp_path):
    hub.add(NAME, files())
    fetch(hub, tmp_path, kind)

    def found() -> dict[str, Comparison]:
        verification = verify(tmp_path, lambda *_: None, threading.Event())
        assert verification.source is not None
        return dict(verification.files)

    assert set(found().values()) == {Comparison.SAME}
    with (tmp_path / WEIGHTS).open("r+b") as file:
        file.seek(1_234_567)
        file.write(b"\0\0\0")
    (tmp_path / "config.json").unlink()
    after = found()
    assert after[WEIGHTS] is Comparison.DIFFERENT
    assert after["config.json"] is Comparison.MISSING
    fetch(hub, tmp_path, kind)
    assert set(found().values()) == {Comparison.SAME}


def test_without_a_hash_the_size_is_what_is_compared(hub, tmp_path):
    def without(entries):
        for entry in entries:
            entry.pop("lfs", None)
            entry.pop("oid", None)
        return entries

    repo = hub.add(NAME, files())
    hub.misbehave("edit", on="tree", edit=without, times=0)
    assert {file.sha256 for file in listed(hub).files} == {None}
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)


def test_progress_goes_up_to_the_whole(hub, tmp_path):
    repo = hub.add(NAME, shards((LARGE, 9 * MIB)))
    hub.pace.rate = 200 * MIB
    total = sum(file.size for file in repo.files.values())
    with Watched(Download(planned(hub, tmp_path), endpoint(hub))) as watched:
        watched.end()
    assert watched.source is not None
    done = [one.done for one in watched.told]
    assert done == sorted(done)
    assert {one.total for one in watched.told} == {total}
    last = watched.told[-1]
    assert last.state is DownloadState.DONE
    assert last.done == total
    assert sum(file.done for file in last.files) == total


def test_a_disk_without_room_is_told_before_anything_is_fetched(hub, tmp_path):
    hub.add(NAME, files())

    def huge(entries):
        for entry in entries:
            if entry["path"] == WEIGHTS:
                entry["size"] = entry["lfs"]["size"] = 1 << 49
        return entries

    hub.misbehave("edit", on="tree", edit=huge, times=0)
    assert not planned(hub, tmp_path).fits
    assert failed(hub, tmp_path).code == "disk-full"
    assert hub.asked("resolve") == []


# --- What goes wrong and passes ------------------------------------------------------------------

PASSING = [
    ("cut", {"at": 0}),
    ("cut", {"at": 1}),
    ("cut", {"at": 1_500_000}),
    ("cut", {"at": SIZE - 1}),
    ("cut", {"at": 1_000_000, "times": 4}),
    ("reset_at", {"at": 2_000_000}),
    ("status", {"status": 500}),
    ("status", {"status": 503, "headers": {"Retry-After": "0"}}),
    ("status", {"status": 429, "headers": {"Retry-After": "0"}}),
    ("status", {"status": 403}),  # an address that has run out in the meantime
    ("reset", {}),
    ("flip", {"at": 2_345_678}),
    ("no_range", {"times": 0}),
    ("wrong_range", {}),
    ("gzip", {}),
    ("resize", {"by": -5}),
]


@by_hub
@pytest.mark.parametrize(("fault", "values"), PASSING)
def test_what_passes_does_not_stop_a_download(hub, kind, fault, values, tmp_path):
    repo = hub.add(NAME, files())
    hub.misbehave(fault, file=WEIGHTS, **values)
    fetch(hub, tmp_path, kind)
    assert_whole(tmp_path, repo)


@by_hub
@pytest.mark.parametrize("stage", ["resolve", "bytes"])
@pytest.mark.parametrize("file", ["config.json", WEIGHTS])
def test_one_refusal_of_any_kind_passes(hub, kind, stage, file, tmp_path):
    repo = hub.add(NAME, files())
    for fault, values in (("status", {"status": 502}), ("reset", {})):
        hub.misbehave(fault, on=stage, file=file, **values)
    fetch(hub, tmp_path, kind)
    assert_whole(tmp_path, repo)


@pytest.mark.parametrize("stage", ["resolve", "bytes"])
def test_a_server_that_wants_a_pause_gets_one_from_every_connection(hub, stage, tmp_path):
    hub.add(NAME, files())
    pause = {"status": 429, "headers": {"Retry-After": "0.6"}}
    hub.misbehave("status", on=stage, file=WEIGHTS, **pause)
    fetch(hub, tmp_path, connections=8)
    first, second = hub.asked(stage, WEIGHTS)
    assert second.moment - first.moment >= 0.6


def test_what_was_cut_is_not_fetched_twice(hub, tmp_path):
    repo = hub.add(NAME, files())
    for at in (400_000, 900_000, 1_900_000, 2_500_000):
        hub.misbehave("cut", at=at, file=WEIGHTS)
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)
    assert hub.sent(WEIGHTS) == SIZE


def test_an_etag_that_changes_while_the_bytes_do_not_is_no_trouble(hub, tmp_path):
    repo = hub.add(NAME, files())
    hub.misbehave("cut", at=1_000_000, file=WEIGHTS)
    hub.misbehave("etag", on="resolve", file=WEIGHTS)
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)


# --- What goes wrong and stays -------------------------------------------------------------------


@by_hub
@pytest.mark.parametrize(
    ("fault", "values", "code"),
    [
        ("status", {"status": 500}, "hub-failed"),
        ("status", {"status": 429}, "hub-busy"),
        ("cut", {"at": 0}, "hub-cut"),
        ("reset", {}, "hub-cut"),
    ],
)
def test_what_may_pass_is_told_and_tried_again(hub, kind, fault, values, code, tmp_path):
    hub.add(NAME, files())
    hub.misbehave(fault, file=WEIGHTS, times=0, **values)
    assert told(hub, tmp_path, kind) == code


@by_hub
@pytest.mark.parametrize(
    ("fault", "values", "code", "words"),
    [
        ("portal", {"on": "resolve"}, "hub-portal", "web page"),
        ("portal", {}, "hub-portal", "log in"),
        ("redirect", {"on": "resolve"}, "hub-redirects", "circle"),
        ("status", {"on": "resolve", "status": 401}, "hub-unauthorised", "token"),
        ("status", {"on": "resolve", "status": 403}, "hub-forbidden", "licence"),
        ("status", {"on": "resolve", "status": 404}, "hub-not-found", WEIGHTS),
        ("flip", {"at": 2_345_678}, "hub-bytes", "differ"),
        ("resize", {"by": 5}, "hub-length", "3000005 bytes"),
        ("resize", {"by": -5}, "hub-length", "2999995 bytes"),
    ],
)
def test_what_stays_ends_with_a_sentence(hub, kind, fault, values, code, words, tmp_path):
    hub.add(NAME, files())
    hub.misbehave(fault, **{"file": WEIGHTS, "times": 0, **values})
    known = failed(hub, tmp_path, kind)
    assert known.code == code
    assert words in str(known)
    assert not (tmp_path / WEIGHTS).exists()


def test_what_failed_goes_on_when_the_hub_is_well(hub, tmp_path):
    repo = hub.add(NAME, files())
    hub.misbehave("cut", at=2_000_000, file=WEIGHTS)
    hub.misbehave("status", status=404, on="resolve", file=WEIGHTS, times=0)
    failed(hub, tmp_path)
    hub.heal()
    fetch(hub, tmp_path)
    assert_whole(tmp_path, repo)


def test_a_file_that_changes_on_the_branch_in_the_middle_is_told(hub, tmp_path):
    hub.add(NAME, files(seed=1))
    plan_ = planned(hub, tmp_path, Hub.MODELSCOPE)  # its branch is asked for, not a commit
    hub.repos[NAME].commit(files(seed=2))
    with pytest.raises(Known) as caught:
        Download(plan_, endpoint(hub, Hub.MODELSCOPE)).run(lambda _: None, threading.Event())
    assert caught.value.code in ("hub-changed", "hub-bytes")
    assert not (tmp_path / WEIGHTS).exists()


def test_a_commit_stays_what_it_was_when_the_branch_moves_on(hub, tmp_path):
    hub.add(NAME, files(seed=1))
    plan_ = planned(hub, tmp_path)
    old = hub.repos[NAME].files[WEIGHTS].sha256
    hub.repos[NAME].commit(files(seed=2))
    Download(plan_, endpoint(hub)).run(lambda _: None, threading.Event())
    assert hashlib.sha256((tmp_path / WEIGHTS).read_bytes()).hexdigest() == old


def test_a_hostile_index_of_weights_leads_nowhere(hub, tmp_path):
    index = json.dumps({"weight_map": {"w": "../../evil.safetensors"}}).encode()
    hub.add(NAME, {**shards((70_000, 70_000)), "model.safetensors.index.json": index})
    with pytest.raises(Known) as caught:
        listed(hub)
    assert caught.value.code == "hub-nonsense"


def test_a_link_in_the_folder_leads_nowhere(hub, tmp_path):
    hub.add(NAME, files())
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / WEIGHTS).symlink_to(outside)
    fetch(hub, folder)
    assert outside.read_bytes() == b"mine"
    assert not (folder / WEIGHTS).is_symlink()


def test_a_folder_that_cannot_be_written_is_told(hub, tmp_path):
    hub.add(NAME, files())
    (tmp_path / "file").write_bytes(b"")
    assert failed(hub, tmp_path / "file" / "below").code == "download-write"


def test_the_second_of_two_in_one_folder_is_told(hub, tmp_path):
    hub.add(NAME, files())
    fault = hub.misbehave("hold", at=1_000_000, file=WEIGHTS)
    with Watched(Download(planned(hub, tmp_path), endpoint(hub))) as watched:
        assert fault.reached.wait(60)
        known = failed(hub, tmp_path)
        assert "another" in str(known).lower()
        hub.heal()
        watched.end()
        assert watched.source is not None


# --- Ways there ----------------------------------------------------------------------------------


def test_cancelled_before_it_begins(hub, tmp_path):
    hub.add(NAME, files())
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        Download(planned(hub, tmp_path), endpoint(hub)).run(lambda _: None, stop)
    assert hub.sent(WEIGHTS) == 0


def test_a_certificate_of_nobody_ends_it(hub, tmp_path):
    hub.add(NAME, files())
    with FakeHub(tls=True) as safe:
        safe.add(NAME, files())
        download = Download(plan(tmp_path, listed(hub)), Endpoint(Hub.HUGGING_FACE, safe.endpoint))
        with pytest.raises(Known) as caught:
            download.run(lambda _: None, threading.Event())
    assert caught.value.code == "hub-certificate"
