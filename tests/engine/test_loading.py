"""Opening a folder: progress, cancel, refusals; nothing written, nothing fetched, nothing lost."""

from __future__ import annotations

import gc
import json
import socket
import struct
import threading
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

from qwen_desktop.chat.checkpoint import Device, KvFormat, Precision
from qwen_desktop.chat.events import Stage
from qwen_desktop.chat.model import LoadRequest
from qwen_desktop.engine import loader
from qwen_desktop.engine.checkpoint import inspect
from qwen_desktop.engine.fingerprint import fingerprint
from qwen_desktop.engine.gpus import Gpu
from qwen_desktop.errors import Cancelled, Known
from tests.engine.checkpoints import edit_json
from tests.engine.helpers import NEVER, ask, load, request, text_of, usage_of


def test_what_was_loaded_is_told(opened, made):
    engine = opened("qwen3", dtype=torch.bfloat16)
    info = engine.info
    assert info.folder == made("qwen3", dtype=torch.bfloat16)
    assert (info.family, info.device, info.dtype) == ("qwen3", "CPU", "FP32")
    assert info.weight_bytes == 4 * info.parameters
    assert info.kv_bytes_per_token == 2 * 2 * 2 * 8 * 4  # K and V, layers, heads, width, float32
    assert (info.has_chat_template, info.can_think) == (True, True)
    assert info.context_length == 512
    assert info.fingerprint == fingerprint(inspect(info.folder))
    assert (info.kv_format, info.rope_factor) == (KvFormat.MODEL, 1.0)


def test_precision_can_be_chosen(made, engine):
    load(engine, made("qwen3", tie_word_embeddings=True), precision=Precision.BF16)
    assert engine.info.dtype == "BF16"
    assert engine.info.weight_bytes == 2 * engine.info.parameters
    assert text_of(ask(engine, request("hello")))


@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe", "qwen3_5_text"])
def test_progress_counts_the_bytes_of_the_shards(made, engine, family):
    folder = made(family, shards=True)
    told = load(engine, folder)
    stages = [event.stage for event in told]
    order = [Stage.CHECKING, Stage.READING, Stage.PLACING, Stage.WARMING_UP]
    assert stages == sorted(stages, key=order.index)
    assert set(stages) == set(order)
    reading = [event for event in told if event.stage is Stage.READING]
    assert [e.done for e in reading] == sorted(e.done for e in reading)
    assert reading[-1].done == reading[-1].total == inspect(folder).weight_bytes
    shards = len(list(folder.glob("*.safetensors")))
    assert reading[-1].part == reading[-1].parts == shards > 1
    assert [e.part for e in reading] == sorted(e.part for e in reading)


def models_alive(name: str) -> int:
    return sum(type(found).__name__ == name for found in gc.get_objects())


@pytest.mark.parametrize("stage", [Stage.CHECKING, Stage.READING, Stage.WARMING_UP])
def test_cancel_keeps_the_model_and_its_conversation(opened, made, stage):
    engine = opened("qwen2")
    before = ask(engine, request("hello", max_new_tokens=8))
    cancel, read = threading.Event(), []

    def on_progress(event) -> None:
        if event.stage is stage:
            cancel.set()
        if event.stage is Stage.READING:
            read.append(event.done)

    before_models = models_alive("Qwen3MoeForCausalLM")
    with pytest.raises(Cancelled):
        engine.load(LoadRequest(made("qwen3_moe", shards=True)), cancel, on_progress)
    assert models_alive("Qwen3MoeForCausalLM") <= before_models  # its memory is given back
    assert stage is Stage.WARMING_UP or max(read, default=0) == 0
    assert engine.info.family == "qwen2"
    again = ask(engine, request("hello", max_new_tokens=8))
    assert text_of(again) == text_of(before)
    stats = usage_of(again).stats
    assert stats.reused_tokens == stats.prompt_tokens - 1


def test_another_model_answers_without_the_cache_of_the_first(opened, made):
    expected = text_of(ask(opened("qwen3", seed=1), request("hello")))
    engine = opened("qwen3")
    ask(engine, request("hello"))
    load(engine, made("qwen3", seed=1))
    events = ask(engine, request("hello"))
    assert usage_of(events).stats.reused_tokens == 0
    assert text_of(events) == expected


@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe", "qwen2_moe", "qwen3_5_text"])
def test_missing_and_misshapen_weights_are_refused(copied, engine, family):
    folder = copied(family)
    shard = folder / "model.safetensors"
    weights = load_file(shard)
    name = next(n for n in sorted(weights) if "down_proj" in n or "gate_up" in n)
    save_file({k: v for k, v in weights.items() if k != name}, shard, {"format": "pt"})
    # A missing expert of a fused parameter shows as a wrong shape.
    with pytest.raises(Known, match=r"weights are missing|does not have the shape"):
        load(engine, folder)
    weights[name] = weights[name][..., :-1].contiguous()
    save_file(weights, shard, {"format": "pt"})
    with pytest.raises(Known, match=r"does not have the shape|weights are missing"):
        load(engine, folder)
    assert engine.info is None


def test_an_untied_head_must_be_there(copied, engine):
    folder = copied("qwen2", tie_word_embeddings=True)
    edit_json(folder / "config.json", tie_word_embeddings=False)
    with pytest.raises(Known, match=r"1 weights are missing, first lm_head.weight"):
        load(engine, folder)


def test_a_shard_that_shrinks_while_it_is_read(copied):
    folder = copied("qwen3", shards=True)
    plan = loader.plan(inspect(folder), LoadRequest(folder, Precision.FP32, "cpu"))
    shard = max(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(Known, match=f"{shard.name} is truncated"):
        loader.load(plan, NEVER, lambda _: None)
    shard.unlink()
    with pytest.raises(Known, match=f"{shard.name} cannot be read"):
        loader.load(plan, NEVER, lambda _: None)


def test_the_folder_chooses_no_code(copied, engine):
    folder = copied("qwen3")
    edit_json(
        folder / "config.json",
        _attn_implementation="kernels-community/evil",
        attn_implementation="kernels-community/evil",
        auto_map={"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"},
        transformers_weights="../evil.safetensors",
        fusion_config={"evil": True},
    )
    edit_json(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tok", None]})
    (folder / "evil.py").write_text("raise SystemExit('remote code ran')")
    load(engine, folder)
    assert text_of(ask(engine, request("hello")))


def test_nothing_is_fetched_and_nothing_written(copied, engine, monkeypatch):
    folder = copied("qwen3", shards=True)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    load(engine, folder)
    ask(engine, request("hello"))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_card_that_torch_cannot_use_is_told(made, engine, monkeypatch):
    """The driver tells of a card, and the installed torch is one for the CPU."""
    if torch.cuda.is_available():
        pytest.skip("torch can use the card of this machine")
    card = Gpu(Device("cuda:0", "NVIDIA Some Card", 24 * 2**30, 23 * 2**30), (8, 9))
    monkeypatch.setattr("qwen_desktop.engine.device.cuda_gpus", lambda: (card,))
    load(engine, made("qwen3"))
    assert engine.info.device == "CPU"
    assert engine.info.cpu_fallback.startswith("The graphics card is not used")
    load(engine, made("qwen3"), placement="cpu")
    assert engine.info.cpu_fallback == ""
    with pytest.raises(Known, match="no device cuda"):
        load(engine, made("qwen3"), placement="cuda")


@pytest.mark.parametrize("placement", ["cuda:99", "tpu"])
def test_unknown_devices(made, engine, placement):
    with pytest.raises(Known, match=placement):
        load(engine, made("qwen2"), placement=placement)


def memory_of(monkeypatch, available: int) -> None:
    """Let the system say that it has `available` bytes left."""
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(total=2**40, available=available)
    )


def test_a_model_that_cannot_fit_is_refused_with_numbers(opened, made, monkeypatch):
    engine = opened("qwen2")
    memory_of(monkeypatch, 10_000_000)
    with pytest.raises(Known, match=r"needs 0\.3 GiB of memory; 0\.0 GiB are free on CPU"):
        load(engine, made("qwen3"))
    assert engine.info.family == "qwen2"
    assert text_of(ask(engine, request("hello")))


def test_the_old_model_makes_way_where_both_do_not_fit(opened, made, copied, monkeypatch):
    engine = opened("qwen3")
    other = made("qwen3", seed=1)
    plan = loader.plan(inspect(other), LoadRequest(other, Precision.FP32, "cpu"))
    memory_of(monkeypatch, plan.placing.shares[0].need - 1000)
    load(engine, made("qwen3", seed=1), precision=Precision.FP32)
    assert engine.info.folder == made("qwen3", seed=1)

    folder = copied("qwen3", seed=2)
    shard = folder / "model.safetensors"

    def lose_the_shard(event) -> None:
        if event.stage is Stage.READING:  # from here on no check could have known
            shard.unlink(missing_ok=True)

    closed = engine.info.name
    wanted = LoadRequest(folder, precision=Precision.FP32)
    with pytest.raises(Known, match=f"cannot be read.*{closed} was closed") as refused:
        engine.load(wanted, threading.Event(), lose_the_shard)
    report = refused.value.report()
    assert report.text().count(report.remedy) == 1
    assert engine.info is None
    with pytest.raises(Known, match="No checkpoint is open"):
        ask(engine, request("hello"))


def test_memory_knows_weights_and_cache(opened):
    engine = opened("qwen3")
    before = engine.memory()
    assert before.weights == pytest.approx(engine.info.weight_bytes, abs=1024)  # and tables
    assert before.kv == 0
    ask(engine, request("hello"))
    after = engine.memory()
    assert after.kv >= engine.info.kv_bytes_per_token * 20
    assert 0 < after.main.used < after.main.total
    engine.unload()
    assert engine.info is None
    assert engine.memory().weights == engine.memory().kv == 0


def test_headers_with_strange_dtypes_are_refused(copied, engine):
    folder = copied("qwen3")
    shard = folder / "model.safetensors"
    data = shard.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for entry in header.values():
        if entry.get("dtype") == "F32":
            entry["dtype"] = "U32"
    text = json.dumps(header).encode()
    shard.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(Known, match="weights of type U32"):
        load(engine, folder)
