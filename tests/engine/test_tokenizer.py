"""Tokenizers of real folders' shapes: the ids of transformers' own, and text out of every kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.detokenize import Detokenizer
from qwen_desktop.engine.qwen1.tokenizer import PATTERN
from qwen_desktop.engine.tokenizer import Tokenizer as OurTokenizer
from qwen_desktop.engine.tokenizer import load_tokenizer
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN, edit_json
from tests.engine.helpers import tokenizer_of

TEXTS = ("the inner 12", "日本 <think>a</think>", "a<|im_end|>\n<tool_call>", "e\u0301 <|new|>")
CONFIG, VOCABULARY = "tokenizer_config.json", "tokenizer.json"

CUTS = json.loads(
    pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ).__getstate__()
)


def _token(text: str, special: bool = True) -> dict:
    flags = dict.fromkeys(("lstrip", "normalized", "rstrip", "single_word"), False)
    return {"content": text, "special": special, **flags}


def _added(folder: Path) -> dict[str, dict]:
    """The added tokens of tokenizer.json as tokenizer_config.json writes them."""
    found = json.loads((folder / VOCABULARY).read_text())["added_tokens"]
    return {str(t["id"]): _token(t["content"], t["special"]) for t in found}


def _told_apart(folder: Path) -> None:
    """All added tokens in tokenizer_config.json, in another order, and none in tokenizer.json."""
    added = dict(reversed(_added(folder).items()))
    edit_json(folder / VOCABULARY, added_tokens=[])
    edit_json(folder / CONFIG, added_tokens_decoder=added)


def _one_more(folder: Path) -> None:
    added = _added(folder)
    number = str(max(map(int, added)) + 1)
    edit_json(folder / CONFIG, added_tokens_decoder=added | {number: _token("<|new|>")})


SHAPES = {
    "as it is": lambda folder: None,
    "no configuration": lambda folder: (folder / CONFIG).unlink(),
    "eos as an object": lambda folder: edit_json(
        folder / CONFIG, eos_token={"__type": "AddedToken", **_token("<|endoftext|>")}
    ),
    "extra tokens as a list": lambda folder: edit_json(
        folder / CONFIG, extra_special_tokens=["<|im_start|>"], bos_token=None, unk_token=None
    ),
    "extra tokens as an object": lambda folder: edit_json(
        folder / CONFIG, extra_special_tokens={"image_token": "<|im_start|>"}
    ),
    "old names": lambda folder: edit_json(
        folder / CONFIG,
        additional_special_tokens=["<|im_start|>"],
        tokenizer_class="Qwen2Tokenizer",
    ),
    "one more": _one_more,
    "told apart": _told_apart,
}


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
def test_tokens_are_those_of_transformers(copied, change):
    folder = copied("qwen2", template=PLAIN)
    # Text is cut as in every release; transformers has it so in the class, too.
    edit_json(folder / VOCABULARY, normalizer={"type": "NFC"}, pre_tokenizer=CUTS)
    change(folder)
    ours, theirs = tokenizer_of(folder), AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = theirs.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert ours.encode(text) == ids
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
    added = {number: str(token) for number, token in theirs.added_tokens_decoder.items()}
    assert ours.added == added
    assert ours.special == {n for n, t in theirs.added_tokens_decoder.items() if t.special}
    assert ours.vocabulary == len(theirs)
    if theirs.eos_token_id is not None:
        assert theirs.eos_token_id in ours.end_ids


@pytest.fixture(scope="module")
def sentencepiece(made, tmp_path_factory) -> OurTokenizer:
    """As CodeQwen1.5's: pieces of characters with ▁ for a space, bytes by number for the rest."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁theinr", "th", "▁th", "▁the"]
    merges = [("t", "h"), ("▁", "th"), ("▁th", "e")]
    inner = Tokenizer(
        models.BPE(
            {p: i for i, p in enumerate(pieces)}, merges, byte_fallback=True, unk_token="<unk>"
        )
    )
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    inner.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    folder = tmp_path_factory.mktemp("sentencepiece")
    for path in made("qwen2", template=PLAIN).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    inner.save(str(folder / VOCABULARY))
    return tokenizer_of(folder)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.characters(exclude_characters="▁", exclude_categories=["Cs"])))
def test_pieces_of_characters_make_the_text(sentencepiece, text):
    ids = sentencepiece.encode(text)
    stream = Detokenizer(sentencepiece.piece)
    told = "".join(map(stream.step, ids)) + stream.flush()
    assert told == (f" {text}" if text else "")
    assert sentencepiece.decode(ids) == text


def test_a_special_token_shows_nothing_also_there(sentencepiece):
    (end,) = (n for n, text in sentencepiece.added.items() if text == "<|im_end|>")
    assert sentencepiece.piece(end) == b""
    assert sentencepiece.piece(10**6) == b""


def test_a_folder_that_goes_away_meanwhile_is_told_as_that(copied):
    checkpoint = inspect(copied("qwen3"))
    shutil.rmtree(checkpoint.folder)
    with pytest.raises(Known, match=r"tokenizer.json cannot be read"):
        load_tokenizer(checkpoint)
