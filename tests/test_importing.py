"""`qwen-desktop import`: a profile filled without a window."""

import subprocess
import sys
from pathlib import Path

import pytest

from qwen_desktop import cli
from qwen_desktop.chat.summary import ListFilter, Place
from qwen_desktop.paths import Profile
from qwen_desktop.storage import profile_archive, profile_restore
from qwen_desktop.storage.store import Store
from tests.export.conversations import said

FIXTURES = Path(__file__).parent / "storage" / "imports" / "fixtures"


@pytest.fixture
def profile(tmp_path):
    return tmp_path / "profile"


def titles(profile):
    store = Store.open(Profile(profile).database)
    places = (Place.CHATS, Place.ARCHIVE)
    found = {row.title for p in places for row in store.listing.page(ListFilter(p), 0, 100)}
    store.close()
    return found


def test_what_came_in_is_printed_and_kept(profile, capsys):
    arguments = ["import", str(FIXTURES / "openwebui.json"), "--profile", str(profile)]
    assert cli.main(arguments) == 0
    told = capsys.readouterr().out
    assert "added         🐦 Birds of the marsh  (openwebui.json #1)" in told
    assert "Attachments left out (1): reeds.png." in told
    assert "2 added, 0 merged, 0 already here, 0 not imported" in told
    assert titles(profile) == {"🐦 Birds of the marsh", "Old list"}
    assert cli.main(["--profile", str(profile), "import", str(FIXTURES / "openwebui.json")]) == 0
    assert "0 added, 0 merged, 2 already here" in capsys.readouterr().out


def test_what_did_not_is_printed_with_its_reason(profile, capsys):
    files = [str(FIXTURES / "sharegpt.jsonl"), str(profile / "gone.json")]
    assert cli.main(["--profile", str(profile), "import", *files]) == 1
    told = capsys.readouterr().out
    assert "not imported  -  (sharegpt.jsonl #2)" in told
    assert "gone.json cannot be read" in told
    assert "2 added, 0 merged, 0 already here, 2 not imported" in told


def test_nothing_commands_the_terminal(profile, tmp_path, capsys):
    file = tmp_path / "evil.json"
    file.write_text('{"conversations": [{"from": "human", "value": "\\u001b[2Jhi"}]}')
    assert cli.main(["--profile", str(profile), "import", str(file)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_a_profile_in_use_is_left_alone(profile, capsys):
    from qwen_desktop.bridge import profile_lock

    profile.mkdir()
    lock = profile_lock.taken(Profile(profile))
    try:
        assert cli.main(["--profile", str(profile), "import", str(FIXTURES)]) == 1
    finally:
        lock.unlock()
    assert "already open" in capsys.readouterr().err
    assert not Profile(profile).database.exists()


def test_a_saved_profile_that_waits_takes_its_place_first(profile, tmp_path):
    """Else what came in would be put aside with the profile that it came into."""
    made = Profile(tmp_path / "other")
    store = Store.open(made.database)
    store.create(said("Hello", "World").conversation)
    store.close()
    profile_archive.save(made, tmp_path / "one.qwenprofile")
    Store.open(Profile(profile).database).close()
    profile_restore.prepare(tmp_path / "one.qwenprofile", Profile(profile))
    assert cli.main(["--profile", str(profile), "import", str(FIXTURES / "openwebui.json")]) == 0
    assert not profile_restore.is_prepared(Profile(profile))
    assert titles(profile) == {"Hello", "🐦 Birds of the marsh", "Old list"}


def test_it_needs_neither_torch_nor_widgets(profile):
    code = (
        "import sys; from qwen_desktop import cli; cli.main(sys.argv[1:]);"
        "print([m for m in sys.modules if m in ('torch', 'PySide6.QtWidgets', 'PySide6.QtGui')])"
    )
    command = [sys.executable, "-c", code, "--profile", str(profile), "import", str(FIXTURES)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines()[-1] == "[]"
