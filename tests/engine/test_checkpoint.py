"""What a folder holds is found out without loading; every kind of damage has its sentence."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
import transformers
from packaging.version import Version
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.families import text_families, transformers_version
from qwen_desktop.errors import Known
from tests.engine.checkpoints import PLAIN, THINKING, edit_json
from tests.engine.helpers import ask, load, request, text_of

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234\n"
MODEL = "model.safetensors"
FIRST = "model-00001-of-"


def test_a_good_folder_is_described(made):
    folder = made("qwen3", dtype=torch.bfloat16, shards=True, tie_word_embeddings=True)
    found = inspect(folder)
    assert (found.family, found.name, found.dtype) == ("qwen3", folder.name, "BF16")
    assert len({entry.shard for entry in found.tensors.values()}) > 1
    assert found.weight_bytes == 2 * found.parameters == found.bytes_by_dtype["BF16"]
    assert found.template == THINKING
    assert found.demo is None


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("models--Qwen--Qwen3-8B/snapshots/9c925d64d72725edaf899c6cb9c377fd0709d9c5", "Qwen3-8B"),
        ("Qwen/Qwen2___5-7B-Instruct", "Qwen2.5-7B-Instruct"),
        ("snapshots/Qwen3-8B", "Qwen3-8B"),
        ("My_Qwen--2", "My_Qwen--2"),
    ],
)
def test_the_name_is_that_of_the_model(made, tmp_path, place, name):
    folder = tmp_path / place
    shutil.copytree(made("qwen3"), folder)
    assert inspect(folder).name == name


def test_the_template_may_be_in_the_tokenizer_config(copied):
    folder = copied("qwen2", template=None)
    assert inspect(folder).template is None
    edit_json(folder / "tokenizer_config.json", chat_template=PLAIN)
    assert inspect(folder).template == PLAIN
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": PLAIN}]
    edit_json(folder / "tokenizer_config.json", chat_template=named)
    assert inspect(folder).template == PLAIN


def test_numbered_shards_need_no_index(copied):
    folder = copied("qwen3", shards=True)
    with_index = inspect(folder)
    (folder / "model.safetensors.index.json").unlink()
    assert inspect(folder).tensors == with_index.tensors


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ('{"parameters": 1, "questions": {"en": ["A?", 3], "zh": ["甲?"]}}', ("A?",)),
        ('{"questions": [1]}', None),
        ("{", None),
    ],
)
def test_the_demo_says_what_to_ask(copied, text, questions):
    folder = copied("qwen2")
    (folder / "demo.json").write_text(text, encoding="utf-8")
    demo = inspect(folder).demo
    assert (demo.questions["en"] if demo else None) == questions


def test_the_families_are_those_of_transformers():
    known = {name for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if name.startswith("qwen")}
    old = Version(transformers.__version__) < Version("5.23")
    assert known - text_families() == ({"qwen4_exp", "qwen4_exp_text"} if old else set())
    assert text_families() <= known


def test_the_version_of_transformers_is_read_from_its_source():
    assert Version(transformers_version()) == Version(transformers.__version__)


def write(name: str, data: bytes):
    return lambda folder: (folder / name).write_bytes(data)


def remove(*names: str):
    return lambda folder: [(folder / name).unlink() for name in names]


def configure(**changes: object):
    return lambda folder: edit_json(folder / "config.json", **changes)


def configure_tokenizer(**changes: object):
    return lambda folder: edit_json(folder / "tokenizer.json", **changes)


def pipe(name: str):
    """Something that nobody ever writes to: a reader would wait for ever."""

    def damage(folder: Path) -> None:
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes in folders here")
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def reheader(change):
    """Rewrite the header of the only shard, keeping the weights."""

    def damage(folder: Path) -> None:
        data = (folder / MODEL).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        (folder / MODEL).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    return damage


def cut(name: str, by: int):
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:by])

    return damage


def pickled(folder: Path) -> None:
    (folder / MODEL).rename(folder / "pytorch_model.bin")


def replaced_by_folder(name: str):
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def wrong_shape(header: dict) -> None:
    next(v for k, v in header.items() if k != "__metadata__")["shape"] = [1, -4]


SINGLE_DAMAGES = {
    "no config": (remove("config.json"), "has no config.json"),
    "adapter": (
        lambda f: (f / "config.json").rename(f / "adapter_config.json"),
        "is an adapter",
    ),
    "broken config": (write("config.json", b"{"), "config.json is damaged"),
    "config is a list": (write("config.json", b"[]"), "config.json is damaged"),
    "config is nested without end": (write("config.json", b"[" * 200_000), "config.json is"),
    "config is binary": (write("config.json", b"\xff\xfe\x00"), "config.json is damaged"),
    "config is huge": (write("config.json", b" " * (9 * 2**20)), "larger than any real"),
    "config is a folder": (replaced_by_folder("config.json"), "config.json cannot be read"),
    "config is a pointer": (write("config.json", POINTER), "config.json is only a Git LFS"),
    "no model_type": (configure(model_type=None), "has no model_type"),
    "strange model_type": (configure(model_type=7), "has no model_type"),
    "another model": (configure(model_type="llama"), "no Qwen: llama"),
    "a future Qwen": (configure(model_type="qwen9"), "qwen9 in config.json cannot be run"),
    "a vision model": (
        configure(model_type="qwen2_5_vl"),
        "for images or sound (qwen2_5_vl): transformers",
    ),
    "a future vision model": (configure(model_type="qwen9_vl"), "images or sound (qwen9_vl)"),
    "a part of a vision model": (
        configure(model_type="qwen3_5_vision"),
        "images or sound (qwen3_5_vision)",
    ),
    "the first Qwen with a later vocabulary": (
        configure(model_type="qwen"),
        "has no tokenizer: qwen.tiktoken is missing",
    ),
    "quantised in an unknown way": (
        configure(quantization_config={"quant_method": "exl2"}),
        "this way cannot be read: exl2",
    ),
    "quantised with nonsense": (
        configure(quantization_config={"quant_method": "gptq"}),
        "config.json does not say how",
    ),
    "quantised, it says": (
        write("quantize_config.json", b'{"bits": 4, "group_size": 128}'),
        "quantize_config.json says that weights are quantised: none is",
    ),
    "no weights": (remove(MODEL), "has no weights: model.safetensors is missing"),
    "pickle": (pickled, "pytorch_model.bin is a pickle"),
    "empty shard": (write(MODEL, b""), "model.safetensors is empty"),
    "tiny shard": (write(MODEL, b"abc"), "model.safetensors is truncated"),
    "pointer": (write(MODEL, POINTER), "model.safetensors is only a Git LFS pointer"),
    "header cut off": (cut(MODEL, 100), "model.safetensors is truncated"),
    "weights cut off": (cut(MODEL, -1), "model.safetensors is truncated"),
    "too long": (lambda f: (f / MODEL).open("ab").write(b"xx"), "model.safetensors is damaged"),
    "huge header": (write(MODEL, struct.pack("<Q", 2**40) + b"x" * 99), "model.safetensors is d"),
    "garbage header": (write(MODEL, struct.pack("<Q", 9) + b"x" * 99), "model.safetensors is d"),
    "header is a list": (write(MODEL, struct.pack("<Q", 2) + b"[]"), "model.safetensors is d"),
    "impossible shape": (reheader(wrong_shape), "model.safetensors is damaged"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer.json is missing"),
    "tokenizer is a pointer": (write("tokenizer.json", POINTER), "tokenizer.json is only a Git"),
    "broken tokenizer config": (
        write("tokenizer_config.json", b"{"),
        "tokenizer_config.json is damaged",
    ),
    "broken generation config": (
        write("generation_config.json", b"nan"),
        "generation_config.json is damaged",
    ),
    "broken tokenizer": (write("tokenizer.json", b"{}"), "The tokenizer in tokenizer.json"),
    "senseless config": (configure(hidden_size="wide"), "config.json does not describe"),
    "senseless rope": (configure(rope_parameters={"rope_type": "x"}), "config.json does not d"),
    "wide config": (configure(hidden_size=64), "does not have the shape in config.json"),
    "config without end": (
        configure(num_hidden_layers=10**9, layer_types=None),
        "config.json does not describe",
    ),
    "tokenizer that panics when read": (
        configure_tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        "The tokenizer in tokenizer.json",
    ),
    "tokenizer that panics when used": (
        configure_tokenizer(pre_tokenizer={"type": "FixedLength", "length": 0}),
        "The tokenizer in tokenizer.json",
    ),
    "tokenizer is huge": (
        lambda f: os.truncate(f / "tokenizer.json", 2**30),
        "tokenizer.json is larger than any real",
    ),
    "deep config": (configure(num_hidden_layers=3, layer_types=None), "weights are missing"),
}


if hasattr(os, "mkfifo"):
    SINGLE_DAMAGES["config is a pipe"] = (pipe("config.json"), "config.json cannot be read")


def drop_tensor(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    value = json.loads(index.read_text())
    value["weight_map"]["model.extra.weight"] = next(iter(value["weight_map"].values()))
    index.write_text(json.dumps(value))


def outside(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    value = json.loads(index.read_text())
    name = next(iter(value["weight_map"]))
    value["weight_map"][name] = "../other/model.safetensors"
    index.write_text(json.dumps(value))


def remove_first_shard(folder: Path) -> None:
    next(folder.glob(FIRST + "*")).unlink()


def remove_index_and_shard(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    remove_first_shard(folder)


SHARDED_DAMAGES = {
    "missing shard": (remove_first_shard, "weight files are missing: model-00001"),
    "missing shard, no index": (remove_index_and_shard, "weight files are missing: model-00001"),
    "broken index": (
        write("model.safetensors.index.json", b"{}"),
        "model.safetensors.index.json is damaged",
    ),
    "tensor only in the index": (drop_tensor, "lacks the tensor model.extra.weight"),
    "shard outside the folder": (outside, "no plain file: ../other/model.safetensors"),
}


@pytest.fixture(scope="module")
def engine_in_use(made):
    from qwen_desktop.engine.engine import Engine

    engine = Engine()
    load(engine, made("qwen2"))
    return engine, text_of(ask(engine, request("hello")))


@pytest.mark.parametrize(
    ("shards", "damage", "sentence"),
    [
        *(pytest.param(False, *d, id=name) for name, d in SINGLE_DAMAGES.items()),
        *(pytest.param(True, *d, id=name) for name, d in SHARDED_DAMAGES.items()),
    ],
)
def test_damage_is_refused_with_a_sentence_and_changes_nothing(
    copied, engine_in_use, shards, damage, sentence
):
    engine, answer = engine_in_use
    folder = copied("qwen3", shards=shards)
    damage(folder)
    with pytest.raises(Known) as refused:
        load(engine, folder)
    report = refused.value.report()
    assert sentence in report.text()
    assert report.remedy.endswith(".")
    assert engine.info.family == "qwen2"
    assert text_of(ask(engine, request("hello"))) == answer


def test_a_folder_that_is_none(tmp_path, copied):
    file = tmp_path / "file"
    file.write_text("x")
    folder = copied("qwen2")
    shutil.rmtree(folder)
    for path, sentence in ((file, "is not a folder"), (folder, "is not there")):
        with pytest.raises(Known, match=sentence):
            inspect(path)
