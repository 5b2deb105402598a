"""Half-finished folders become whole by fetching what is missing, and nothing else."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from qwen_desktop.chat.hub import Clue, Hub, Standing
from qwen_desktop.errors import Known
from qwen_desktop.hub.adopt import guesses, plan_missing, take_pieces
from qwen_desktop.hub.catalogue import bundled
from qwen_desktop.hub.download import Download
from tests.hub.contents import noise
from tests.hub.fetching import NAME, assert_whole, endpoint, listed, shards

CATALOGUE = bundled()
SIZES = (300_000, 500_000, 400_000)
SECOND = "model-00002-of-00003.safetensors"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def repo(hub):
    return hub.add(NAME, shards(SIZES))


def fill(folder: Path, repo, without: tuple[str, ...] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path, file in repo.files.items():
        if path not in without:
            (folder / path).write_bytes(file.content)
    return folder


def finish(hub, folder: Path, kind: Hub = Hub.HUGGING_FACE) -> None:
    there = endpoint(hub, kind)
    plan = plan_missing(folder, listed(hub, kind))
    Download(plan, there).run(lambda _: None, threading.Event())


def best(folder: Path) -> tuple[str, Hub | None, Clue]:
    guess = guesses(folder, CATALOGUE)[0]
    return str(guess.address.repository), guess.address.hub, guess.clue


# -- which repository ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name", "hub", "endpoint"),
    [
        ("https://huggingface.co/Qwen/Qwen-7B-Chat", "Qwen/Qwen-7B-Chat", Hub.HUGGING_FACE, ""),
        ("https://me:secret@huggingface.co/Qwen/Q.git", "Qwen/Q", Hub.HUGGING_FACE, ""),
        ("git@hf.co:Qwen/Qwen-7B-Chat", "Qwen/Qwen-7B-Chat", Hub.HUGGING_FACE, ""),
        ("https://www.modelscope.cn/qwen/Qwen-7B-Chat.git", "qwen/Qwen-7B-Chat",
         Hub.MODELSCOPE, ""),
        ("https://mirror.example/Qwen/Qwen-7B-Chat", "Qwen/Qwen-7B-Chat", Hub.HUGGING_FACE,
         "https://mirror.example"),
    ],
)  # fmt: skip
def test_a_clone_names_its_remote(tmp_path, url, name, hub, endpoint) -> None:
    git = tmp_path / "anything" / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "config").write_text(f'[core]\n\tbare = false\n[remote "origin"]\n\turl = {url}\n')
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs/heads/main").write_text(COMMIT + "\n")
    guess = guesses(tmp_path / "anything", CATALOGUE)[0]
    assert str(guess.address.repository) == name
    assert (guess.address.hub, guess.clue, guess.endpoint) == (hub, Clue.GIT, endpoint)
    assert guess.address.revision == (COMMIT if hub is Hub.HUGGING_FACE else "")
    assert "secret" not in repr(guess)


def test_a_cache_names_it_by_its_place(tmp_path) -> None:
    snapshot = tmp_path / "models--Qwen--Qwen3-8B" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    assert best(snapshot) == ("Qwen/Qwen3-8B", Hub.HUGGING_FACE, Clue.CACHE)
    assert guesses(snapshot, CATALOGUE)[0].address.revision == COMMIT
    other = tmp_path / "modelscope" / "hub" / "models" / "Qwen" / "Qwen2___5-7B-Instruct"
    other.mkdir(parents=True)
    assert best(other) == ("Qwen/Qwen2.5-7B-Instruct", Hub.MODELSCOPE, Clue.CACHE)


def test_a_card_names_it(tmp_path) -> None:
    link = "https://huggingface.co/Qwen/Qwen2.5-Coder-7B-Instruct/blob/main/LICENSE"
    (tmp_path / "README.md").write_text(f"---\nlicense: apache-2.0\nlicense_link: {link}\n---\n")
    assert best(tmp_path)[::2] == ("Qwen/Qwen2.5-Coder-7B-Instruct", Clue.CARD)
    (tmp_path / "README.md").write_text("# Qwen-14B-Chat-Int4\n<br>\n")
    assert best(tmp_path)[::2] == ("Qwen/Qwen-14B-Chat-Int4", Clue.CARD)
    (tmp_path / ".msc").write_bytes(b"")
    assert best(tmp_path) == ("qwen/Qwen-14B-Chat-Int4", Hub.MODELSCOPE, Clue.CARD)


def test_the_name_of_the_folder_and_its_numbers_name_it(tmp_path) -> None:
    offer = next(one for one in CATALOGUE.offers if one.key == "Qwen2.5-7B-Instruct-GPTQ-Int4")
    config = {**offer.config, "quantization_config": {"quant_method": "gptq", "bits": 4}}
    folder = tmp_path / "Qwen2.5-7B-Instruct-GPTQ-Int4"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    found = guesses(folder, CATALOGUE)
    assert found[0].clue is Clue.NAME
    renamed = folder.rename(tmp_path / "my-model")
    found = guesses(renamed, CATALOGUE)
    names = {guess.address.repository.name for guess in found}
    assert {guess.clue for guess in found} == {Clue.ARCHITECTURE}
    assert "Qwen2.5-7B-Instruct-GPTQ-Int4" in names
    assert "Qwen2.5-7B-Instruct" not in names  # not quantised
    assert all("7B" in name for name in names)


def test_our_own_note_comes_first(tmp_path, hub, repo) -> None:
    folder = tmp_path / "Qwen3-8B"
    there = endpoint(hub)
    plan = plan_missing(folder, listed(hub))
    Download(plan, there).run(lambda _: None, threading.Event())
    (folder / SECOND).unlink()
    guess = guesses(folder, CATALOGUE)[0]
    assert (str(guess.address.repository), guess.clue) == (NAME, Clue.SOURCE)
    assert guess.endpoint == hub.endpoint


def test_nothing_is_made_up(tmp_path) -> None:
    assert guesses(tmp_path / "gone", CATALOGUE) == ()
    (tmp_path / "config.json").write_text("[" * 100_000)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_bytes(b"\xff\xfe url = ???")
    assert guesses(tmp_path, CATALOGUE) == ()
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_size": 4096}')
    assert guesses(tmp_path, CATALOGUE) == ()


# -- what is missing -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(Hub))
def test_only_the_missing_file_is_fetched(tmp_path, hub, repo, kind) -> None:
    folder = fill(tmp_path / "model", repo, without=(SECOND,))
    finish(hub, folder, kind)
    assert_whole(folder, repo)
    fetched = hub.sent(SECOND)
    assert fetched == SIZES[1]
    assert all(hub.sent(path) == 0 for path in repo.files if path.endswith("3.safetensors")
               and path != SECOND)  # fmt: skip


def test_pointers_of_a_clone_are_replaced_by_the_files(tmp_path, hub, repo) -> None:
    folder = fill(tmp_path / "model", repo)
    for path, file in repo.files.items():
        if file.lfs and path != SECOND:
            (folder / path).write_bytes(file.pointer)
    plan = plan_missing(folder, listed(hub))
    standing = {one.file.path: one.standing for one in plan.files}
    assert standing[SECOND] is Standing.PRESENT
    assert plan.missing == SIZES[0] + SIZES[2]
    finish(hub, folder)
    assert_whole(folder, repo)
    assert hub.sent(SECOND) == 0


def test_objects_that_lfs_has_fetched_are_used(tmp_path, hub, repo) -> None:
    folder = fill(tmp_path / "model", repo)
    lfs = folder / ".git" / "lfs"
    for path, file in repo.files.items():
        if file.lfs:
            (folder / path).write_bytes(file.pointer)
            oid = file.sha256
            place = lfs / "objects" / oid[:2] / oid[2:4] / oid
            if path == SECOND:  # came in half
                place = lfs / "incomplete" / f"{oid}.part"
            place.parent.mkdir(parents=True, exist_ok=True)
            content = file.content
            place.write_bytes(content[:200_000] if path == SECOND else content)
    plan = plan_missing(folder, listed(hub))
    assert plan.missing == SIZES[1] - 200_000
    there = endpoint(hub)
    Download(plan, there).run(lambda _: None, threading.Event())
    for path, file in repo.files.items():
        assert (folder / path).read_bytes() == file.content
    assert hub.sent(SECOND) == SIZES[1] - 200_000
    oid = repo.files["model-00001-of-00003.safetensors"].sha256
    assert (lfs / "objects" / oid[:2] / oid[2:4] / oid).is_file()  # git still has its own


@pytest.mark.parametrize("end", [".crdownload", ".part", ".partial", ".incomplete"])
def test_what_a_browser_left_is_gone_on_with(tmp_path, hub, repo, end) -> None:
    folder = fill(tmp_path / "model", repo, without=(SECOND,))
    left = folder / (SECOND + end)
    left.write_bytes(repo.files[SECOND].content[:123_456])
    plan = plan_missing(folder, listed(hub))
    assert plan.missing == plan.space_needed == SIZES[1] - 123_456
    assert left.is_file()  # looking changes nothing
    finish(hub, folder)
    assert_whole(folder, repo)
    assert hub.sent(SECOND) == SIZES[1] - 123_456


def test_what_hugging_faces_program_left_is_gone_on_with(tmp_path, hub, repo) -> None:
    folder = fill(tmp_path / "model", repo, without=(SECOND,))
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    file = repo.files[SECOND]
    (notes / f"abc.{file.sha256}.incomplete").write_bytes(file.content[:99_999])
    finish(hub, folder)
    assert hub.sent(SECOND) == SIZES[1] - 99_999
    assert (folder / SECOND).read_bytes() == file.content


@pytest.mark.parametrize("content", [b"", b"short", noise(SIZES[1], 99), noise(200_000, 98)])
def test_empty_cut_and_damaged_files_are_fetched_anew(tmp_path, hub, repo, content) -> None:
    folder = fill(tmp_path / "model", repo)
    (folder / SECOND).write_bytes(content)
    finish(hub, folder)
    assert_whole(folder, repo)


def test_pieces_of_a_whole_file_are_left_alone(tmp_path, hub, repo) -> None:
    folder = fill(tmp_path / "model", repo)
    piece = folder / f"{SECOND}.crdownload"
    piece.write_bytes(b"x" * 5000)
    assert take_pieces(folder, listed(hub).files) == ()
    assert piece.exists()
    # A beginning that is longer than the piece stays, too.
    (folder / SECOND).write_bytes(repo.files[SECOND].content[:90_000])
    assert take_pieces(folder, listed(hub).files) == ()
    assert (folder / SECOND).stat().st_size == 90_000


def test_a_link_out_of_the_folder_is_not_followed(tmp_path, hub, repo) -> None:
    folder = fill(tmp_path / "model", repo, without=(SECOND,))
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 5000)
    (folder / f"{SECOND}.crdownload").symlink_to(secret)
    assert take_pieces(folder, listed(hub).files) == ()
    assert secret.read_bytes() == b"s" * 5000


def test_what_the_disk_refuses_is_told(tmp_path, hub, repo) -> None:
    folder = fill(tmp_path / "model", repo, without=(SECOND,))
    (folder / f"{SECOND}.crdownload").write_bytes(b"x" * 5000)
    (folder / SECOND).mkdir()  # a folder of that name cannot be replaced by a file
    with pytest.raises(Known):
        take_pieces(folder, listed(hub).files)
    assert (folder / f"{SECOND}.crdownload").stat().st_size == 5000
