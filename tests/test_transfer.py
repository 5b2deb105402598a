"""Exports and whole profiles by the command line."""

import json

import pytest

from qwen_desktop import cli
from qwen_desktop.bridge import profile_lock
from qwen_desktop.paths import Profile
from qwen_desktop.storage.imports.files import Reader
from qwen_desktop.storage.store import Store
from tests.export.conversations import branched, said


@pytest.fixture
def profile(tmp_path):
    made = Profile(tmp_path / "profile")
    store = Store.open(made.database)
    store.create(branched().conversation)
    store.create(said("Hello", "World").conversation)
    store.close()
    return made


def run(profile, *arguments):
    return cli.main(["--profile", str(profile.root), *map(str, arguments)])


def ids(profile):
    store = Store.open(profile.database)
    found = {one: store.load(one).title for one in ("c", "s", "n") if _has(store, one)}
    store.close()
    return found


def _has(store, conversation_id):
    with store.database.reading() as connection:
        found = connection.execute("SELECT 1 FROM conversations WHERE id = ?", (conversation_id,))
        return found.fetchone() is not None


def test_all_are_exported_into_a_folder(profile, tmp_path, capsys):
    assert run(profile, "export", "--all", "--format", "text", tmp_path / "out") == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["Hello.txt", "Rain.txt"]
    assert "Hello.txt" in capsys.readouterr().out


def test_one_is_exported_with_all_there_is_of_it(profile, tmp_path):
    target = tmp_path / "one.json"
    assert run(profile, "export", "--id", "c", "--format", "json", target) == 0
    assert json.loads(target.read_text())["title"] == "Rain"


def test_options_are_those_of_the_window(profile, tmp_path):
    everything = ("--versions", "--reasoning", "--details")
    run(profile, "export", "--all", "--one-file", *everything, tmp_path / "a.md")
    run(profile, "export", "--id", "c", "--versions", tmp_path / "b.md")
    text = (tmp_path / "a.md").read_text()
    assert "5-7-5" in text
    assert "seed 42" in text
    assert "World" in text
    assert "5-7-5" not in (tmp_path / "b.md").read_text()


def test_a_conversation_that_is_not_there_is_a_sentence(profile, tmp_path, capsys):
    assert run(profile, "export", "--id", "gone", tmp_path / "x") == 1
    assert "no longer there" in capsys.readouterr().err


def test_a_profile_that_is_open_is_left_alone(profile, tmp_path, capsys):
    lock = profile_lock.taken(profile)
    assert run(profile, "export", "--all", tmp_path / "out") == 1
    assert run(profile, "profile", "save", tmp_path / "p.qwenprofile") == 1
    assert "already open" in capsys.readouterr().err
    lock.unlock()
    assert not (tmp_path / "out").exists()


def test_a_profile_goes_to_another_machine(profile, tmp_path):
    file = tmp_path / "p.qwenprofile"
    assert run(profile, "profile", "save", file) == 0
    other = Profile(tmp_path / "other")
    assert run(other, "profile", "restore", file) == 0
    assert ids(other) == ids(profile) == {"c": "Rain", "s": ""}
    assert not list(other.root.glob("before*"))


def test_what_is_there_is_merged_or_kept_aside(profile, tmp_path, capsys):
    file = tmp_path / "p.qwenprofile"
    run(profile, "profile", "save", file)
    other = Profile(tmp_path / "other")
    store = Store.open(other.database)
    store.create(said("New", key="n").conversation)
    store.close()
    assert run(other, "profile", "restore", file) == 2
    assert "--merge or --replace" in capsys.readouterr().err
    assert ids(other) == {"n": ""}
    assert run(other, "profile", "restore", "--merge", file) == 0
    assert set(ids(other)) == {"c", "s", "n"}
    assert run(other, "profile", "restore", "--replace", file) == 0
    assert set(ids(other)) == {"c", "s"}
    (aside,) = other.root.glob("before restore *")
    assert set(ids(Profile(aside))) == {"c", "s", "n"}


def test_a_saved_profile_can_be_imported(profile, tmp_path, capsys):
    file = tmp_path / "p.qwenprofile"
    run(profile, "profile", "save", file)
    other = Profile(tmp_path / "other")
    assert run(other, "import", file) == 0
    assert set(ids(other)) == {"c", "s"}


def test_an_import_of_a_saved_profile_can_be_stopped(profile, tmp_path):
    file = tmp_path / "p.qwenprofile"
    run(profile, "profile", "save", file)
    looks = 0

    def stopped():
        nonlocal looks
        looks += 1
        return looks > 1  # in the middle of unpacking

    assert list(Reader((file,), stopped)) == []
    assert looks > 1
