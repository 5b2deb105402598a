"""What either hub lists, and what the user is told where it does not."""

from __future__ import annotations

import threading

import pytest

from qwen_desktop.chat.hub import Endpoint, Hub, LeftOut, RepositoryName
from qwen_desktop.errors import Cancelled, Known
from qwen_desktop.hub.endpoints import endpoint as chosen
from qwen_desktop.hub.listing import fetch_listing
from qwen_desktop.hub.wanted import wanted
from tests.hub.fakehub import FakeHub
from tests.hub.fetching import (
    HUBS,
    NAME,
    NOT_NEEDED,
    REPOSITORY,
    WEIGHTS,
    endpoint,
    files,
    listed,
    shards,
)

by_hub = pytest.mark.parametrize("kind", HUBS, ids=lambda kind: kind.value)


def refused(
    hub: FakeHub, kind: Hub, name: str = NAME, revision: str = "", token: str = ""
) -> Known:
    repository = RepositoryName(*name.split("/"))
    with pytest.raises(Known) as caught:
        fetch_listing(endpoint(hub, kind, token), repository, revision)
    return caught.value


@by_hub
def test_files_sizes_and_hashes_are_those_of_the_hub(hub, kind):
    repo = hub.add(NAME, files())
    listing = listed(hub, kind)
    assert {file.path: file.size for file in listing.files} == {
        path: file.size for path, file in repo.files.items()
    }
    weights = next(file for file in listing.files if file.path == WEIGHTS)
    assert weights.sha256 == repo.files[WEIGHTS].sha256
    config = next(file for file in listing.files if file.path == "config.json")
    if kind is Hub.HUGGING_FACE:  # it has git's hash of what LFS does not keep
        assert (config.sha256, config.git_oid) == (None, repo.files["config.json"].oid)
        assert listing.commit == repo.refs["main"]
    else:
        assert config.sha256 == repo.files["config.json"].sha256
    assert (listing.hub, listing.endpoint) == (kind, hub.endpoint)


@by_hub
def test_only_what_a_load_needs_is_wanted(hub, kind):
    hub.add(NAME, files())
    found = wanted(listed(hub, kind))
    paths = [file.path for file in found.files]
    assert paths == ["README.md", "config.json", "tokenizer.json", WEIGHTS]
    assert dict(found.left_out) == {
        "modeling_tiny.py": LeftOut.CODE,
        "pytorch_model.bin": LeftOut.PICKLE,
        "a/b.png": LeftOut.NOT_NEEDED,
    }
    assert set(NOT_NEEDED) == set(dict(found.left_out))


def test_a_list_of_several_pages_is_read_to_its_end():
    with FakeHub(page_size=3) as hub:
        hub.add(NAME, shards((70_000,) * 11))
        assert len(listed(hub).files) == 13
        assert len(hub.asked("tree")) == 5
        assert len(wanted(listed(hub)).files) == 13


@by_hub
def test_a_revision_may_be_named(hub, kind):
    repo = hub.add(NAME, files(seed=1))
    old = repo.refs["main"]
    repo.commit(files(seed=2))
    repo.refs["v1"] = old
    first = repo.commits[old][WEIGHTS].sha256
    for revision in ("v1", old):
        listing = listed(hub, kind, revision)
        assert next(file.sha256 for file in listing.files if file.path == WEIGHTS) == first
        assert listing.revision == revision
    newest = listed(hub, kind)
    assert next(f.sha256 for f in newest.files if f.path == WEIGHTS) == repo.files[WEIGHTS].sha256


@by_hub
def test_a_revision_that_is_not_there_is_told(hub, kind):
    hub.add(NAME, files())
    known = refused(hub, kind, revision="v9")
    assert known.code == "hub-no-revision"
    assert "Qwen/Tiny has no revision v9" in str(known)


@by_hub
def test_a_repository_that_is_not_there_is_told(hub, kind):
    known = refused(hub, kind, "Qwen/Nothing")
    if kind is Hub.HUGGING_FACE:  # which does not say whether there is one for others
        assert known.code == "hub-unauthorised"
        assert "HF_TOKEN" in str(known)
        known = refused(hub, kind, "Qwen/Nothing", token="hf_x")
    assert known.code == "hub-not-found"
    assert "has no Qwen/Nothing" in str(known)


@by_hub
def test_a_private_repository_is_there_for_its_token(hub, kind):
    hub.add(NAME, files(), private=True, tokens=("good",))
    assert refused(hub, kind).code in ("hub-unauthorised", "hub-not-found")
    listing = fetch_listing(endpoint(hub, kind, "good"), REPOSITORY)
    assert WEIGHTS in {file.path for file in listing.files}


def test_a_token_of_the_environment_goes_to_the_server_of_the_environment_alone(hub, monkeypatch):
    with FakeHub() as other:
        for one in (hub, other):
            one.add(NAME, files())
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
        fetch_listing(chosen(Hub.HUGGING_FACE), REPOSITORY)
        fetch_listing(chosen(Hub.HUGGING_FACE, other.endpoint), REPOSITORY)
        assert {one.headers.get("authorization") for one in hub.log} == {"Bearer hf_mine"}
        assert {one.headers.get("authorization") for one in other.log} == {None}


def test_redirects_of_a_list_take_no_token_along(hub):
    hub.add(NAME, files())
    with FakeHub() as other:
        other.add(NAME, files())
        to = f"{other.endpoint}/api/models/{NAME}/revision/main"
        hub.misbehave("redirect", on="info", to=to)
        fetch_listing(endpoint(hub, token="hf_mine"), REPOSITORY)
        assert len(other.log) == 1
        assert "authorization" not in other.log[0].headers


BAD_PATHS = ["../x", "/etc/x", "a/../../x", "C:x", "a\\b", "CON", "nul.json", "x.", "a ", "b?c", ""]


@by_hub
@pytest.mark.parametrize("path", BAD_PATHS)
def test_hostile_names_are_never_wanted(hub, kind, path):
    hub.add(NAME, files())
    key, holder = ("path", "tree") if kind is Hub.HUGGING_FACE else ("Path", "listing")

    def add(value):
        entries = value if kind is Hub.HUGGING_FACE else value["Data"]["Files"]
        entry = next(e for e in entries if e[key] == "config.json")
        entries.append({**entry, key: path})
        return value

    hub.misbehave("edit", on=holder, edit=add, times=0)
    if not path:
        assert refused(hub, kind).code == "hub-nonsense"
        return
    listing = listed(hub, kind)
    assert listing.refused == (path,)
    assert path not in {file.path for file in listing.files}


@by_hub
@pytest.mark.parametrize(
    ("kind_of_fault", "values", "code"),
    [
        ("portal", {}, "hub-portal"),
        ("redirect", {}, "hub-redirects"),
        ("edit", {"edit": lambda _: {"hello": 1}}, "hub-nonsense"),
        ("edit", {"edit": lambda _: 7}, "hub-nonsense"),
        ("status", {"status": 403}, "hub-forbidden"),
        ("status", {"status": 418}, "hub-status"),
        ("status", {"status": 429, "headers": {"Retry-After": "600"}}, "hub-busy"),
    ],
)
def test_what_does_not_pass_is_told_at_once(hub, kind, kind_of_fault, values, code):
    hub.add(NAME, files())
    hub.misbehave(kind_of_fault, on="list", times=0, **values)
    assert refused(hub, kind).code == code
    assert len(hub.log) == (1 if kind_of_fault != "redirect" else len(hub.log))


@by_hub
@pytest.mark.parametrize(
    ("kind_of_fault", "values"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 503, "headers": {"Retry-After": "0"}}),
        ("status", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("reset", {}),
        ("truncated", {}),
    ],
)
def test_what_passes_is_asked_again(hub, kind, kind_of_fault, values):
    hub.add(NAME, files())
    hub.misbehave(kind_of_fault, on="list", **values)
    assert WEIGHTS in {file.path for file in listed(hub, kind).files}


@by_hub
def test_a_silent_hub_is_left_at_once(hub, kind):
    hub.add(NAME, files())
    fault = hub.misbehave("silent", on="list")
    cancel = threading.Event()

    def leave() -> None:
        assert fault.reached.wait(60)
        cancel.set()

    leaver = threading.Thread(target=leave)
    leaver.start()
    with pytest.raises(Cancelled):
        fetch_listing(endpoint(hub, kind), REPOSITORY, cancel=cancel)
    leaver.join()


def test_nobody_there_is_told():
    with FakeHub() as hub:
        address = hub.endpoint
    with pytest.raises(Known) as caught:
        fetch_listing(Endpoint(Hub.HUGGING_FACE, address), REPOSITORY)
    assert caught.value.code == "hub-refused"


def test_a_certificate_of_nobody_is_told():
    with FakeHub(tls=True) as hub:
        hub.add(NAME, files())
        known = refused(hub, Hub.HUGGING_FACE)
        assert known.code == "hub-certificate"
        assert hub.log == []


def test_plain_http_where_tls_is_asked_for_is_told(hub):
    address = hub.endpoint.replace("http:", "https:")
    with pytest.raises(Known) as caught:
        fetch_listing(Endpoint(Hub.HUGGING_FACE, address), REPOSITORY)
    assert caught.value.code == "hub-tls"
