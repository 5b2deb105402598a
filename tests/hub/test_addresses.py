"""Names and addresses of repositories, endpoints and tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.chat.hub import Hub
from qwen_desktop.chat.hub_address import parse
from qwen_desktop.errors import Known
from qwen_desktop.hub.endpoints import endpoint, saved_token

FACE, SCOPE = Hub.HUGGING_FACE, Hub.MODELSCOPE
KNOWN = [
    ("Qwen/Qwen3-8B", None, "", ""),
    (" Qwen/Qwen3-8B/ ", None, "", ""),
    ("Qwen/Qwen3-8B@v1.0", None, "v1.0", ""),
    ("Qwen/Qwen3-8B/tree/refs/pr/3", None, "refs/pr/3", ""),
    ("https://huggingface.co/Qwen/Qwen3-8B", FACE, "", ""),
    ("huggingface.co/Qwen/Qwen3-8B/tree/main", FACE, "main", ""),
    ("https://hf.co/Qwen/Qwen3-8B/blob/9a1b/config.json", FACE, "9a1b", ""),
    ("https://huggingface.co/Qwen/Qwen3-8B/tree/a%2Fb", FACE, "a/b", ""),
    ("https://huggingface.co/api/models/Qwen/Qwen3-8B/revision/x1", FACE, "x1", ""),
    ("hf://Qwen/Qwen3-8B@dev", FACE, "dev", ""),
    ("https://hf-mirror.com/Qwen/Qwen3-8B/tree/dev", FACE, "dev", "https://hf-mirror.com"),
    ("http://127.0.0.1:8080/Qwen/Qwen3-8B.git", FACE, "", "http://127.0.0.1:8080"),
    ("http://[::1]:80/Qwen/Qwen3-8B", FACE, "", "http://[::1]:80"),
    ("git clone https://huggingface.co/Qwen/Qwen3-8B", FACE, "", ""),
    ("https://www.modelscope.cn/models/Qwen/Qwen3-8B/summary", SCOPE, "", ""),
    ("https://modelscope.cn/models/Qwen/Qwen3-8B/file/view/v2/a.json?status=1", SCOPE, "v2", ""),
    ("https://www.modelscope.cn/Qwen/Qwen3-8B.git", SCOPE, "", ""),
    ("https://mirror.example/models/Qwen/Qwen3-8B/files", SCOPE, "", "https://mirror.example"),
    (
        "https://x.example/api/v1/models/Qwen/Qwen3-8B/repo?Revision=v9&FilePath=a",
        SCOPE,
        "v9",
        "https://x.example",
    ),
]
NONE = [
    "", "Qwen", "Qwen/", "/Qwen3-8B", "../Qwen3-8B", "Qwen/..", "Qwen/a b", "Qwen/Qwen3-8B@../x",
    "Qwen/Qwen3-8B/something", "https://huggingface.co/Qwen", "https:///Qwen/Qwen3-8B", "http://[",
    "Qwen/Qwen3-8B/tree/-x", "C:\\models\\Qwen", "https://huggingface.co/Qwen/Qwen3-8B/tree/..%2F",
]  # fmt: skip


@pytest.mark.parametrize(("text", "hub", "revision", "server"), KNOWN)
def test_what_people_paste_is_understood(text, hub, revision, server):
    found = parse(text)
    assert str(found.repository) == "Qwen/Qwen3-8B"
    assert (found.hub, found.revision, found.endpoint) == (hub, revision, server)


@pytest.mark.parametrize("text", NONE)
def test_what_names_no_repository_is_told(text):
    with pytest.raises(Known) as caught:
        parse(text)
    assert caught.value.code == "repository-name"


@given(st.text() | st.text(alphabet="aQ./:@-%2F[]#?\\ ", max_size=30).map("https://".__add__))
def test_any_text_gives_a_plain_name_or_a_sentence(text):
    try:
        found = parse(text)
    except Known:
        return
    name = str(found.repository)
    assert name.isascii()
    assert name.count("/") == 1
    assert ".." not in name + found.revision
    assert not set(name) & set("\\?#%: ")


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment that says nothing of hubs."""
    for name in (
        *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT"),
        *("MODELSCOPE_API_TOKEN", "MODELSCOPE_SDK_TOKEN", "MODELSCOPE_DOMAIN"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    import keyring
    from keyring.backends import null

    before = keyring.get_keyring()
    keyring.set_keyring(null.Keyring())
    yield monkeypatch
    keyring.set_keyring(before)


def test_addresses_come_from_the_environment_or_are_the_hubs_own(bare):
    assert endpoint(FACE).address == "https://huggingface.co"
    assert endpoint(SCOPE).address == "https://www.modelscope.cn"
    bare.setenv("HF_ENDPOINT", "https://hf-mirror.com/")
    bare.setenv("MODELSCOPE_DOMAIN", "www.modelscope.ai")
    assert endpoint(FACE).address == "https://hf-mirror.com"
    assert endpoint(SCOPE).address == "https://www.modelscope.ai"
    assert endpoint(FACE, "mirror.example:8080/hf/").address == "https://mirror.example:8080/hf"


@pytest.mark.parametrize("address", ["ftp://x", "http://", "https://a b", "https://x?y=1", "::"])
def test_what_is_no_address_is_told(bare, address):
    with pytest.raises(Known) as caught:
        endpoint(FACE, address)
    assert caught.value.code == "hub-address"


def test_a_token_goes_to_the_hubs_own_server_and_not_to_one_that_was_pasted(bare):
    bare.setenv("HF_TOKEN", "hf_secret\n")
    assert endpoint(FACE).token == "hf_secret"
    assert endpoint(FACE, "https://elsewhere.example").token == ""
    assert endpoint(FACE, "https://elsewhere.example", token="mine").token == "mine"
    assert endpoint(SCOPE).token == ""
    bare.setenv("HF_ENDPOINT", "https://hf-mirror.com")
    assert endpoint(FACE, "https://hf-mirror.com").token == "hf_secret"
    assert endpoint(FACE, "https://huggingface.co").token == "hf_secret"
    assert "hf_secret" not in repr(endpoint(FACE))


def test_a_token_comes_from_the_hubs_own_file_too(bare, tmp_path):
    assert saved_token(FACE) == ""
    (tmp_path / "token").write_text("hf_file\n")
    assert saved_token(FACE) == "hf_file"
    bare.setenv("HF_TOKEN", "hf_env")
    assert saved_token(FACE) == "hf_env"


@pytest.mark.parametrize("text", ["https://me:hunter2@mirror.example", "me:hunter2@mirror.example"])
def test_an_address_with_a_password_is_refused_and_not_repeated(text):
    """It would be written into the folder of every checkpoint, and into the list of downloads."""
    with pytest.raises(Known) as caught:
        endpoint(Hub.HUGGING_FACE, text)
    assert caught.value.code == "hub-address"
    assert "hunter2" not in str(caught.value) + caught.value.details
    assert "mirror.example" in str(caught.value)
