"""Every finding on a folder that is really damaged; a good folder has none and a plan."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_desktop import inspection
from qwen_desktop.chat.checkpoint import (
    Device,
    Fit,
    FolderReport,
    KvFormat,
    Precision,
    Severity,
)
from qwen_desktop.engine.doctor import examine
from qwen_desktop.engine.gpus import Gpu, Machine
from qwen_desktop.engine.nested import checkpoints_in
from tests.bench.inspect_ import make_folder
from tests.engine.checkpoints import PLAIN, edit_json, make_checkpoint
from tests.engine.helpers import load
from tests.engine.quantised import WIDE, WIDE_EXPERTS, Scheme, in_fp8, quantised
from tests.engine.test_checkpoint import SHARDED_DAMAGES, SINGLE_DAMAGES

GIB = 2**30
INDEX = "model.safetensors.index.json"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1234\n"


def machine_of(ram: int = 64 * GIB, card: int = 0, capability: tuple[int, int] = (9, 0)) -> Machine:
    gpus = (Gpu(Device("cuda:0", "Some Card", 2**40, card), capability),) if card else ()
    return Machine(Device("cpu", "CPU", 2**40, ram), gpus)


def codes(report: FolderReport, severity: Severity | None = None) -> list[str]:
    return [f.code for f in report.findings if severity in (None, f.severity)]


def shards_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("model-*.safetensors"))


def test_a_good_folder(made):
    folder = made("qwen3", shards=True)
    report = examine(folder, machine=machine_of())
    assert report.opens
    assert report.findings == ()
    facts = report.facts
    assert (facts.family, facts.family_name, facts.is_chat) == ("qwen3", "Qwen3", True)
    assert facts.files == len(shards_of(folder)) > 1
    assert facts.stored_bytes == sum(facts.bytes_by_dtype.values()) == 4 * facts.parameters
    assert (facts.stored, facts.quantisation) == ("F32", "")
    assert report.placements == ("auto", "cpu")
    assert report.precisions == tuple(Precision)
    assert report.contexts == (512,)
    keys = {(p, q, c) for p in report.placements for q in report.precisions for c in (512,)}
    assert set(report.plans) == keys
    assert all(plan.fit is Fit.YES for plan in report.plans.values())


def test_other_formats_and_longer_contexts_are_planned_too(made):
    folder = made("qwen3", head_dim=32, max_position_embeddings=4096)
    report = examine(folder, machine=machine_of())
    assert report.contexts == report.contexts_for(1.0) == (2048, 4096)
    assert report.rope_factors == (1.0, 2.0, 4.0)
    assert report.contexts_for(2.0) == (2048, 4096, 8192)
    assert report.contexts_for(4.0) == (2048, 4096, 8192, 16384)
    assert report.kv_formats == (KvFormat.MODEL, KvFormat.INT8)
    assert report.findings == ()
    for kv in KvFormat:
        plans = report.plans_for(kv)
        assert set(plans) == {
            (place, precision, context)
            for place in report.placements
            for precision in report.precisions
            for context in report.contexts_for(4.0)
        }
        for (_, _, context), plan in plans.items():
            assert (plan.kv, plan.context) == (kv, context)
    key = ("cpu", Precision.BF16, 16384)
    sizes = [report.plans_for(kv)[key].shares[0].kv for kv in KvFormat]
    assert sizes[1] == sizes[0] * 17 / 32
    assert report.plans == {
        key: plan for key, plan in report.plans_for(KvFormat.MODEL).items() if key[2] <= 4096
    }


def test_formats_and_stretches_that_a_folder_cannot_have(made, copied):
    report = examine(made("qwen3"), machine=machine_of())  # heads of 8
    assert report.kv_formats == (KvFormat.MODEL,)
    assert report.plans_for(KvFormat.INT8) == {}
    folder = copied("qwen3_5_text", head_dim=32)
    report = examine(folder, machine=machine_of())
    assert report.kv_formats == (KvFormat.MODEL, KvFormat.INT8)  # of its full attention
    assert (report.rope_factors, dict(report.stretched)) == ((1.0,), {})
    (folder / "tokenizer.json").unlink()
    broken = examine(folder, machine=machine_of())
    assert (broken.variants, broken.stretched, broken.rope_factors) == (None, None, (1.0,))


# What is no error by itself, but told.
SMALL_FINDINGS = {
    "part": (lambda f: (f / "a.safetensors.part").write_bytes(b""), "partial-download"),
    "aria": (lambda f: (f / "model.safetensors.aria2").write_bytes(b""), "partial-download"),
    "python": (lambda f: (f / "modeling_qwen.py").write_text("raise SystemExit"), "remote-code"),
    "auto_map": (
        lambda f: edit_json(f / "config.json", auto_map={"AutoConfig": "x.Y"}),
        "remote-code",
    ),
    "kernel": (
        lambda f: edit_json(f / "config.json", _attn_implementation="kernels-community/x"),
        "foreign-kernel",
    ),
    "adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), "adapter-ignored"),
    "pickle beside": (lambda f: (f / "pytorch_model.bin").write_bytes(b"x"), "weights-unused"),
    "base": (lambda f: (f / "chat_template.jinja").unlink(), "no-template"),
    "yarn": (
        lambda f: edit_json(
            f / "config.json",
            rope_parameters={
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 128,
                "rope_theta": 1e4,
            },
        ),
        "context-stretched",
    ),
    "chunks": (
        lambda f: edit_json(
            f / "config.json",
            dual_chunk_attention_config={"original_max_position_embeddings": 256},
        ),
        "context-chunked",
    ),
    "large tokenizer": (
        lambda f: edit_json(
            f / "tokenizer_config.json", added_tokens_decoder={"999": {"content": "<new>"}}
        ),
        "tokenizer-larger",
    ),
}


@pytest.mark.parametrize(("change", "code"), SMALL_FINDINGS.values(), ids=SMALL_FINDINGS)
def test_what_is_told_though_it_opens(copied, engine, change, code):
    folder = copied("qwen3")
    change(folder)
    report = examine(folder, machine=machine_of())
    assert codes(report) == [code]
    (finding,) = report.findings
    assert finding.severity is not Severity.ERROR
    assert finding.report.text()
    assert finding.report.remedy
    assert report.opens
    load(engine, folder)


def test_what_a_download_leaves_is_no_news(copied):
    folder = copied("qwen3")
    for name in (".mdl", ".msc", ".mv", "configuration.json", ".gitattributes", "README.md"):
        (folder / name).write_text("{}")
    (folder / "._____temp").mkdir()
    edit_json(folder / "config.json", attn_implementation="sdpa", experts_implementation="eager")
    assert examine(folder).findings == ()
    edit_json(folder / "config.json", experts_implementation="grouped_mm")
    assert examine(folder).findings == ()


def test_downloads_in_the_cache_of_a_downloader(copied):
    folder = copied("qwen3")
    cache = folder / ".cache" / "huggingface" / "download"
    cache.mkdir(parents=True)
    (cache / "config.json.metadata").write_text("")
    assert codes(examine(folder)) == []
    (cache / "abc.incomplete").write_text("")
    (finding,) = examine(folder).findings
    assert finding.code == "partial-download"
    assert "abc.incomplete" in finding.report.text()


@pytest.mark.parametrize(
    ("shards", "damage"),
    [
        *(pytest.param(False, d[0], id=name) for name, d in SINGLE_DAMAGES.items()),
        *(pytest.param(True, d[0], id=name) for name, d in SHARDED_DAMAGES.items()),
    ],
)
def test_damage_is_never_a_crash(copied, shards, damage):
    folder = copied("qwen3", shards=shards)
    damage(folder)
    report = examine(folder)
    assert report.plans is None or report.opens
    for finding in report.findings:
        assert finding.report.text().endswith(".")
        assert finding.code != "error"


REFUSED = (
    "no config", "no weights", "pickle", "header cut off", "pointer", "no tokenizer", "deep config",
    "wide config", "a future Qwen", "another model", "tokenizer is a pointer",
)  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_engine_refuses_does_not_open(copied, name):
    folder = copied("qwen3")
    damage, sentence = SINGLE_DAMAGES[name]
    damage(folder)
    report = examine(folder)
    assert not report.opens
    if name != "deep config":  # the engine counts weights there, the doctor layers
        assert any(sentence in finding.report.text() for finding in report.findings)


def test_all_is_told_at_once(copied):
    folder = copied("qwen3", shards=True)
    first, second, third, *_ = shards_of(folder)
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    third.write_bytes(POINTER)
    (folder / "tokenizer.json").unlink()
    (folder / "generation_config.json").write_text("{")
    (folder / "rest.part").write_text("")
    report = examine(folder)
    assert sorted(codes(report, Severity.ERROR)) == sorted(
        ["shards-missing", "shard-truncated", "lfs-pointer", "tokenizer-missing", "file-damaged"]
    )
    assert codes(report)[-1] == "partial-download"  # the lightest comes last
    assert not report.opens
    assert report.facts.layers == 2  # config.json is whole
    assert report.plans is None


def test_shards_of_another_folder_are_refused_and_the_rest_is_read(copied):
    folder = copied("qwen3", shards=True)
    index = json.loads((folder / INDEX).read_text())
    name = next(iter(index["weight_map"]))
    index["weight_map"][name] = "../../etc/passwd"
    (folder / INDEX).write_text(json.dumps(index))
    shards_of(folder)[-1].unlink()
    assert codes(examine(folder), Severity.ERROR) == ["shard-name", "shards-missing"]


def test_a_shard_too_long(copied):
    folder = copied("qwen3")
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"xx")
    assert codes(examine(folder)) == ["file-damaged"]


def test_what_is_no_checkpoint(tmp_path):
    for path, code in (
        (tmp_path / "gone", "folder-missing"),
        (Path(__file__), "not-a-folder"),
        (tmp_path, "config-missing"),
    ):
        report = examine(path)
        assert codes(report) == [code]
        assert report.facts is None
        assert not report.opens
    (tmp_path / "adapter_config.json").write_text("{}")
    assert codes(examine(tmp_path)) == ["adapter"]


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="needs links")
def test_links_of_a_download_cache_are_followed_and_loops_found(made, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    shutil.copytree(made("qwen3", shards=True), blobs)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(blobs.iterdir())):
        blob = path.rename(blobs / f"{number:064x}")
        (snapshot / path.name).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    assert examine(snapshot).opens
    link = tmp_path / "link"
    link.symlink_to(snapshot)
    assert examine(link).opens

    shard = shards_of(snapshot)[0]
    shard.unlink()
    shard.symlink_to(shard.name)
    (finding,) = examine(snapshot).findings
    assert finding.code == "unreadable"
    assert shard.name in finding.report.text()
    shard.unlink()
    shard.symlink_to(blobs / "gone")
    assert codes(examine(snapshot)) == ["unreadable"]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert codes(examine(loop)) == ["unreadable"]


def test_checkpoints_below_a_folder(made, tmp_path):
    good = made("qwen3")
    assert checkpoints_in(good) == ()
    hub = tmp_path / "hub"
    for place in ("models--Qwen--A/snapshots/1", "models--Qwen--A/snapshots/2", "C"):
        shutil.copytree(good, hub / place)
    (hub / "models--Qwen--B" / "refs").mkdir(parents=True)
    (hub / "datasets--Qwen--D" / "snapshots").mkdir(parents=True)
    one, two = (hub / "models--Qwen--A" / "snapshots" / name for name in "12")
    assert checkpoints_in(hub / "models--Qwen--A") == (one, two)
    assert checkpoints_in(hub) == (hub / "C", one, two)
    assert checkpoints_in(hub / "models--Qwen--B") == ()


def test_an_unreadable_file(copied):
    folder = copied("qwen3")
    (folder / "model.safetensors").chmod(0)
    if os.access(folder / "model.safetensors", os.R_OK):
        pytest.skip("this user may read everything")
    assert codes(examine(folder)) == ["unreadable"]


def test_memory_decides_what_fits(made):
    folder = made("qwen3")
    small = examine(folder, machine=machine_of(ram=100 * 2**20))
    assert small.opens
    assert codes(small) == ["no-room"]
    assert all(plan.fit is Fit.NO for plan in small.plans.values())
    assert "smaller model" in small.findings[0].report.remedy
    freed = examine(folder, machine_of(ram=100 * 2**20).giving_back({"cpu": 10 * GIB}))
    assert codes(freed) == []
    assert all(plan.fit is Fit.YES for plan in freed.plans.values())


def test_what_hardly_fits_is_told_apart(made):
    folder = made("qwen3")
    roomy = examine(folder, machine=machine_of(ram=10 * GIB)).plans
    need = {p: roomy["auto", p, 512].shares[0].need for p in (Precision.FP32, Precision.INT4)}
    tight = examine(folder, machine=machine_of(ram=int(need[Precision.FP32] / 0.95)))
    assert tight.plans["auto", Precision.FP32, 512].fit is Fit.TIGHT
    assert codes(tight) == []
    between = sum(need.values()) // 2
    packed = examine(folder, machine=machine_of(ram=between))
    assert packed.plans["auto", Precision.FP32, 512].fit is Fit.NO
    assert packed.plans["auto", Precision.INT4, 512].fit is Fit.TIGHT


def test_cards(made):
    folder = made("qwen3")
    report = examine(folder, machine=machine_of(card=24 * GIB))
    assert report.placements == ("auto", "cuda:0", "split", "cpu")
    assert report.plans["auto", Precision.AUTO, 512].shares[0].device.id == "cuda:0"
    machine = machine_of(card=24 * GIB)
    blind = examine(folder, machine=Machine(machine.ram, machine.gpus, usable=False))
    assert codes(blind) == ["card-unusable"]
    assert blind.placements == ("auto", "cpu")
    assert [device.id for device in blind.devices] == ["cuda:0", "cpu"]


def test_a_card_without_bfloat16(made):
    import torch

    folder = made("qwen3", dtype=torch.bfloat16)
    report = examine(folder, machine=machine_of(card=24 * GIB, capability=(7, 5)))
    assert codes(report) == ["card-bfloat16"]
    assert report.plans["auto", Precision.AUTO, 512].runs_in is Precision.FP16


def test_a_mixture_of_experts_is_packed_as_a_whole(made):
    report = examine(made("qwen3_moe", **WIDE, **WIDE_EXPERTS), machine=machine_of())
    assert not report.findings
    floats, packed = (
        report.plans["auto", precision, 512].weights
        for precision in (Precision.BF16, Precision.INT4)
    )
    assert packed < 0.5 * floats


def test_unused_shards(copied):
    folder = copied("qwen3", shards=True)
    shutil.copy(shards_of(folder)[0], folder / "consolidated.safetensors")
    assert codes(examine(folder)) == ["weights-unused"]


def test_a_template_in_the_tokenizer_config_counts(copied):
    folder = copied("qwen3")
    (folder / "chat_template.jinja").unlink()
    assert not examine(folder).facts.is_chat
    edit_json(folder / "tokenizer_config.json", chat_template=PLAIN)
    assert examine(folder).facts.is_chat


def test_a_large_model_on_the_cpu_is_slow(tmp_path):
    make_folder(tmp_path)  # 72 B parameters, and none of them on the disk
    report = examine(tmp_path, machine=machine_of(ram=512 * GIB))
    assert codes(report) == ["slow-on-cpu"]
    assert "72.7 B" in report.findings[0].report.text()
    assert codes(examine(tmp_path, machine=machine_of(card=300 * GIB))) == []


def test_layers_and_shapes_that_are_not_there(copied):
    folder = copied("qwen3")
    edit_json(folder / "config.json", num_hidden_layers=3, layer_types=None)
    assert codes(examine(folder)) == ["layers-missing"]
    edit_json(folder / "config.json", num_hidden_layers=2, hidden_size=64)
    assert codes(examine(folder)) == ["shape-mismatch"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
FILES = ("config.json", "generation_config.json", "tokenizer_config.json", INDEX)
SEEN = (
    "quantization_config", "text_config", "rope_scaling", "layer_types", "auto_map", "num_experts",
    "linear_num_value_heads", "full_attention_interval", "sliding_window", "use_sliding_window",
    "chat_template", "added_tokens_decoder", "weight_map", "model_type",
)  # fmt: skip


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_json_is_too_strange(copied_once, data):
    """Any value under any key of any file: a report, never an exception."""
    folder = copied_once
    name = data.draw(st.sampled_from(FILES))
    before = (folder / name).read_bytes()
    value = json.loads(before)
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.sampled_from((*value, *SEEN)))] = data.draw(JSON)
    try:
        (folder / name).write_text(json.dumps(value))
        report = examine(folder, machine=machine_of(card=24 * GIB))
        for finding in report.findings:
            assert finding.report.text()
        inspection.as_object(report)
    finally:
        (folder / name).write_bytes(before)


@pytest.fixture(scope="module")
def copied_once(made, tmp_path_factory) -> Path:
    folder = made("qwen3", shards=True)
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("once") / "model"))


def test_codes_of_a_quantised_folder_stay(made, tmp_path):
    folder, _ = quantised(made("qwen3", **WIDE), tmp_path, Scheme())
    report = examine(folder, machine=machine_of())
    assert report.findings == ()
    facts = report.facts
    assert (facts.stored, facts.quantisation) == ("GPTQ Int4, groups of 32", "gptq")
    assert facts.parameters == examine(made("qwen3", **WIDE)).facts.parameters
    own = report.plans["auto", Precision.AUTO, 512]
    assert (own.packed, own.runs_in) == (True, Precision.INT4)
    floats = report.plans["auto", Precision.BF16, 512]
    assert not floats.packed
    assert floats.weights == 2 * facts.parameters > own.weights


def test_codes_that_no_kernel_takes_become_floats(made, tmp_path):
    floats = made("qwen3_moe", **WIDE, **WIDE_EXPERTS)
    assert not examine(
        quantised(floats, tmp_path / "a", Scheme())[0], machine=machine_of()
    ).findings
    folder, _ = quantised(floats, tmp_path / "b", Scheme(group=16))
    (finding,) = examine(folder, machine=machine_of()).findings
    assert finding.code == "codes-dequantised"
    assert finding.report.values["count"] == str(2 * (4 + 4 * 3))  # layers, attention, experts


def test_fp8_becomes_bfloat16(made, tmp_path):
    folder, _ = in_fp8(made("qwen3", **WIDE), tmp_path)
    report = examine(folder, machine=machine_of())
    assert codes(report) == ["fp8-dequantised"]
    assert report.facts.stored == "FP8"
    card = examine(folder, machine=machine_of(card=24 * GIB))
    plan = card.plans["auto", Precision.AUTO, 512]
    assert plan.runs_in is Precision.BF16
    assert plan.weights == 2 * report.facts.parameters


@pytest.mark.parametrize("method", ["exl2", "gguf", 7])
def test_an_unknown_method_is_refused(copied, method):
    folder = copied("qwen3")
    edit_json(folder / "config.json", quantization_config={"quant_method": method})
    report = examine(folder)
    assert "quantisation-unknown" in codes(report, Severity.ERROR)
    assert not report.opens


def test_a_brief_report_says_the_same_with_fewer_plans(tmp_path):
    folder = make_checkpoint(tmp_path / "tiny", "qwen3")
    machine = machine_of()
    whole, brief = examine(folder, machine), examine(folder, machine, brief=True)
    assert brief.findings == whole.findings
    assert brief.facts == whole.facts
    assert brief.opens
    assert brief.contexts == whole.contexts
    for context in brief.contexts:
        key = ("auto", Precision.AUTO, context)
        assert brief.plans[key] == whole.plans[key]
    assert len(brief.plans) == len(brief.contexts) < len(whole.plans)
