"""The file of the list of downloads: what is kept comes back, and nothing in it can do harm."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.downloads import DownloadEntry, Stage
from qwen_desktop.chat.hub import Hub, Listing, RemoteFile, RepositoryName
from qwen_desktop.storage.downloads import DownloadsFile

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True).filter(
    lambda name: ".." not in name
)
hashes = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
files = st.builds(RemoteFile, names, st.integers(0, 2**50), hashes, st.none())


@st.composite
def entries(draw):
    listed = tuple(draw(st.lists(files, min_size=1, max_size=4, unique_by=lambda f: f.path)))
    paths = [file.path for file in listed]
    some = st.frozensets(st.sampled_from(paths))
    only = draw(st.none() | some)
    total = sum(file.size for file in listed if only is None or file.path in only)
    return DownloadEntry(
        draw(names),
        Listing(
            draw(st.sampled_from(Hub)),
            "https://huggingface.co",
            RepositoryName(draw(names), draw(names)),
            draw(names),
            draw(names),
            listed,
            draw(st.none() | some),
            licence=draw(names),
        ),
        Path("/models") / draw(names),
        draw(st.sampled_from(Stage)),
        total,
        draw(st.integers(0, total)),
        only=only,
        had=draw(some),
        endpoint=draw(st.sampled_from(["", "http://127.0.0.1:8000"])),
        added_at=float(draw(st.integers(0, 10**10))),
        opens=draw(st.none() | st.booleans()),
    )


@given(st.lists(entries(), max_size=4, unique_by=lambda entry: entry.id))
def test_what_is_kept_comes_back(tmp_path_factory, kept):
    file = tmp_path_factory.mktemp("list") / "downloads.json"
    DownloadsFile(file).save(kept)
    assert DownloadsFile(file).read() == tuple(kept)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(entries(), st.data())
def test_any_value_may_be_exchanged(tmp_path_factory, entry, data):
    file = tmp_path_factory.mktemp("list") / "downloads.json"
    DownloadsFile(file).save([entry])
    (value,) = json.loads(file.read_text())
    key = data.draw(st.sampled_from(sorted(value)))
    value[key] = data.draw(anything)
    file.write_text(json.dumps([value]))
    for found in DownloadsFile(file).read():
        assert found.total == sum(one.size for one in found.files)
        assert 0 <= found.done <= found.total


HOSTILE = ["../x", "a/../../x", "/etc/passwd", "C:/x", "a\\..\\x", ""]


def test_no_path_leads_out_of_the_folder(tmp_path):
    file = tmp_path / "downloads.json"
    entry = DownloadEntry(
        "1",
        Listing(
            Hub.MODELSCOPE,
            "https://www.modelscope.cn",
            RepositoryName("Qwen", "Tiny"),
            "",
            "",
            (RemoteFile("config.json", 2),),
        ),
        tmp_path,
        Stage.PAUSED,
        2,
    )
    for path in HOSTILE:
        DownloadsFile(file).save([entry])
        (value,) = json.loads(file.read_text())
        value["files"][0][0] = path
        file.write_text(json.dumps([value]))
        assert DownloadsFile(file).read() == ()


def test_where_it_is_not_known_what_was_there_nothing_counts_as_fetched(tmp_path):
    file = tmp_path / "downloads.json"
    listing = Listing(
        Hub.MODELSCOPE, "https://x.cn", RepositoryName("a", "b"), "", "", (RemoteFile("c", 1),)
    )
    DownloadsFile(file).save([DownloadEntry("1", listing, tmp_path, Stage.PAUSED, 1)])
    (value,) = json.loads(file.read_text())
    del value["had"]
    file.write_text(json.dumps([value]))
    assert DownloadsFile(file).read()[0].had == {"c"}
