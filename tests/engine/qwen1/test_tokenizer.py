"""Ids and texts as the original tokenizer gave them; vocabularies that are broken."""

from __future__ import annotations

import shutil
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.detokenize import Detokenizer
from qwen_desktop.engine.qwen1.tokenizer import read_ranks
from qwen_desktop.engine.tokenizer import load_tokenizer
from qwen_desktop.errors import Known
from tests.engine.qwen1.conftest import golden

GOLDEN = golden("tokenizer")
FFFD = "\ufffd"
LOST = {"max tokens (no end)": "😀", "cut emoji, no end": "\U0001f3ff"}  # with the last token


def visible(text: str) -> str:
    """What UTF-8 can hold of `text`: a lone surrogate comes back as a replacement."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shown(tokenizer, ids: list[int]) -> str:
    """The text that an answer of `ids` shows, token after token."""
    stream = Detokenizer(tokenizer.piece)
    return "".join(stream.step(token) for token in ids) + stream.flush()


def test_text_becomes_the_original_ids(tokenizer):
    """The engine's own way: whatever is typed, nothing becomes a control token."""
    for case in GOLDEN["strings"]:
        ids = tokenizer.encode(case["text"])
        assert ids == case.get("ids_no_special", case["ids"]), ascii(case["text"])
        back = tokenizer.decode(ids)
        assert back == visible(unicodedata.normalize("NFC", case["text"]))
        assert shown(tokenizer, ids) == back


@pytest.mark.parametrize(
    ("key", "arguments"),
    [
        ("ids", {"allowed_special": "all"}),
        ("ids_only_im_end", {"allowed_special": {"<|im_end|>"}, "disallowed_special": ()}),
        ("ids_disallow_all", {"allowed_special": set(), "disallowed_special": "all"}),
    ],
)
def test_special_tokens_are_the_original_ones(tokenizer, key, arguments):
    """Nothing in the program asks for these; they hold the table of special tokens to its ids."""
    for case in GOLDEN["strings"]:
        text, wanted = unicodedata.normalize("NFC", case["text"]), case.get(key, case["ids"])
        if isinstance(wanted, dict):
            with pytest.raises(ValueError, match="disallowed special"):
                tokenizer.encoding.encode(text, **arguments)
        else:
            assert tokenizer.encoding.encode(text, **arguments) == wanted, ascii(text)


def test_half_characters_wait(tokenizer):
    for case in GOLDEN["partial"]:
        stream = Detokenizer(tokenizer.piece)
        complete = "".join(stream.step(token) for token in case["ids"])
        assert complete.replace(FFFD, "") == case["ignore"].replace(FFFD, "")
        assert complete + stream.flush() == case["replace"]
        assert shown(tokenizer, case["ids"][-1:]) == case["last_alone"][0]


def test_any_ids_become_text(tokenizer):
    for case in GOLDEN["id_lists"]:
        assert tokenizer.decode(case["ids"]) == case["skip_special"]
        assert shown(tokenizer, case["ids"]) == case["skip_special"]
        for errors in ("replace", "ignore"):
            decoded = tokenizer.encoding.decode(case["ids"], errors=errors)
            assert decoded == case[errors]


def test_facts(tokenizer):
    misc = GOLDEN["misc"]
    assert tokenizer.vocabulary == misc["vocab_size"] == misc["len_tokenizer"]
    assert {misc["eod_id"], misc["im_start_id"], misc["im_end_id"]} == tokenizer.end_ids
    assert tokenizer.message_start == misc["im_start_id"]
    assert tokenizer.added[151850] == misc["decode_151850"]
    assert tokenizer.decode([]) == misc["decode_empty"]
    assert [tokenizer.encode(text) for text in ("hi", "hello there")] == misc["batch_call"]
    assert misc["chatml_stop_words"] == [[misc["im_end_id"]], [misc["im_start_id"]]]
    # Original errors: rows of the embedding without a token. An answer must not die of them.
    for token in (151851, 151935, 10**9):
        assert tokenizer.decode([9707, token]) == "Hello"
        assert shown(tokenizer, [token, 9707]) == "Hello"


def test_answers_keep_all_of_their_text(tokenizer):
    """Where `chat` lost text, the engine does not: three quirks of the original are left out.

    It decoded prompt and answer together and cut off as many characters as the prompt had before
    it became NFC, which eats into the answer; it dropped the last token of an answer that came
    to its limit; and it showed special tokens.
    """
    quirks = 0
    for case in GOLDEN["decode_tokens"]:
        ids = case["generated"]
        end = next((i for i, t in enumerate(ids) if t in tokenizer.end_ids), len(ids))
        text = shown(tokenizer, ids[:end]).strip()
        said = case["response"].replace("<|extra_0|>", "")
        quirks += text != case["response"]
        if case["case"] in LOST:
            said += LOST[case["case"]]
        if unicodedata.normalize("NFC", case["query"]) != case["query"] and text:
            said = "Pa" + said
        assert text == said, case["case"]
    assert quirks == 11


@pytest.mark.parametrize("length", [499_999, 500_000, 1_700_000])
def test_any_amount_of_white_space(tokenizer, length):
    """tiktoken itself gives up on a million spaces."""
    text = "a" + " " * length + "b"
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(text=st.text())
def test_everything_typed_comes_back_in_nfc(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)
    assert not set(ids) & tokenizer.special


def edited(change):
    def damage(path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        edited(lambda data: b""),
        edited(lambda data: data[: len(data) // 2]),
        edited(lambda data: data[: data.rindex(b"\n", 0, -1) + 1]),  # one line less
        edited(lambda data: data + data[:20]),
        edited(lambda data: data.replace(b"IQ== 0", b"IQ== 7")),
        edited(lambda data: data.replace(b"IQ== 0", b"IQ== x")),
        edited(lambda data: data.replace(b"IQ== 0", b"I!== 0")),
        edited(lambda data: data + b"AAAAAAAAAAAA 151643\n"),
    ],
    ids=["empty", "half", "a line less", "half a line more", "ranks", "number", "base64", "more"],
)
def test_a_damaged_vocabulary_is_refused(vocabulary, tmp_path, damage):
    copy = tmp_path / "qwen.tiktoken"
    shutil.copyfile(vocabulary, copy)
    damage(copy)
    with pytest.raises(ValueError):
        read_ranks(copy)


def test_trouble_with_the_vocabulary_is_one_sentence(first, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(first("s-gptq1-int8"), folder)
    file = folder / "qwen.tiktoken"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(Known) as refused:
        load_tokenizer(inspect(folder))
    assert "The tokenizer in qwen.tiktoken cannot be loaded." in refused.value.report().text()
    file.unlink()
    with pytest.raises(Known) as refused:
        inspect(folder)
    assert "qwen.tiktoken is missing" in refused.value.report().text()
