"""`qwen-desktop inspect` as people and scripts run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_desktop import inspection
from qwen_desktop.chat.checkpoint import CheckpointFacts, Device, Precision
from qwen_desktop.engine import doctor
from qwen_desktop.engine.gpus import Gpu, Machine
from tests.bench.inspect_ import make_folder

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "resources" / "demo-checkpoint"
GIB = 2**30

LIGHT = """
import sys
class Refuse:
    def find_spec(self, name, *_):
        heavy = "torch", "transformers", "tokenizers", "safetensors", "numpy", "PySide6"
        if name.split(".")[0] in heavy:
            raise ImportError(f"{name} is not installed")
sys.meta_path.insert(0, Refuse())
from qwen_desktop.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "qwen_desktop", "inspect", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
    )


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    shard = folder / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    return folder


def test_a_good_folder_for_people():
    done = run(DEMO, PYTHONIOENCODING="utf-8")
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    for expected in ("Qwen3, chat", "2.3 M", "auto (fp32)", "✓", "layers 0–2", "It opens."):
        assert expected in text
    rows = {line[:14].strip(): line.split() for line in text.splitlines()}
    assert rows["KV cache"][-4:] == ["8k", "2k", "4k", "8k"]
    assert rows["as the model"][3:] == ["12.0", "MiB", "✓", "✓", "✓"]
    assert rows["--kv int8"][2:] == ["3.2", "MiB", "✓", "✓", "✓"]
    assert "--rope-factor 4 stretches it from 2k to 8k" in text


def test_a_damaged_folder_for_people(damaged):
    done = run(damaged, PYTHONIOENCODING="utf-8")
    text = done.stdout.decode()
    assert done.returncode == 1
    assert "✗ model.safetensors is truncated" in text
    assert "Download this file again. " not in text
    assert "  Download this file again." in text
    assert "[shard-truncated]" in text
    assert "It does not open." in text


def test_an_old_terminal_gets_plain_letters(damaged):
    for folder, mark in ((DEMO, b" ok"), (damaged, b"x model.safetensors is")):
        done = run(folder, PYTHONIOENCODING="ascii")
        assert done.stderr == b""
        assert mark in done.stdout
        assert done.stdout.isascii()


def test_names_stay_readable_where_marks_are_not_known(damaged, tmp_path):
    folder = damaged.rename(tmp_path / "千问")
    done = run(folder, PYTHONIOENCODING="gbk")
    assert done.stderr == b""
    assert "千问" in done.stdout.decode("gbk")
    assert b"x model.safetensors is" in done.stdout


def test_json_has_its_keys_and_nothing_else():
    done = run(DEMO, "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert list(found) == [
        "format", "folder", "opens", "facts", "findings",
        "devices", "placements", "precisions", "contexts", "kv_formats", "stretched", "plans",
        "variants",
    ]  # fmt: skip
    assert (found["format"], found["opens"]) == (1, True)
    assert found["folder"] == str(DEMO)
    assert list(found["facts"]) == [
        "family", "family_name", "parameters", "active_parameters", "layers", "heads", "kv_heads",
        "head_dim", "hidden_size", "vocabulary", "experts", "context_length", "is_chat", "stored",
        "quantisation", "files", "stored_bytes", "bytes_by_dtype", "kv_bytes_per_token",
        "state_bytes",
    ]  # fmt: skip
    assert set(found["facts"]) == set(CheckpointFacts.__dataclass_fields__)
    assert found["facts"]["bytes_by_dtype"] == {"BF16": found["facts"]["stored_bytes"]}
    assert found["precisions"] == [precision.value for precision in Precision]
    plan = found["plans"][0]
    assert list(plan) == [
        "placement", "precision", "runs_in", "packed", "context", "kv_format", "weights", "fit",
        "shares",
    ]  # fmt: skip
    (share,) = plan["shares"]
    assert list(share) == ["device", "weights", "kv", "reserve", "first", "last"]
    expected = len(found["placements"]) * len(found["precisions"]) * len(found["contexts"])
    assert len(found["plans"]) == expected
    assert found["kv_formats"] == ["model", "int8"]
    assert found["stretched"] == [
        {"rope_factor": 2.0, "contexts": [2048, 4096]},
        {"rope_factor": 4.0, "contexts": [2048, 4096, 8192]},
    ]
    assert {plan["kv_format"] for plan in found["plans"]} == {"model"}
    every = [(p["kv_format"], p["context"]) for p in found["variants"] if p["precision"] == "auto"]
    assert set(every) == {
        ("model", 4096), ("model", 8192), ("int8", 2048), ("int8", 4096), ("int8", 8192),
    }  # fmt: skip
    assert list(found["variants"][0]) == list(plan)
    documented = inspection.__doc__ or ""
    for names in (found, found["facts"], plan, share):
        assert all(name in documented for name in names)


def test_json_of_a_damaged_folder(damaged, tmp_path):
    done = run(damaged, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    (finding,) = found["findings"]
    assert list(finding) == ["severity", "code", "text", "remedy", "details"]
    assert (finding["severity"], finding["code"]) == ("error", "shard-truncated")
    assert found["plans"] == []
    gone = run(tmp_path / "gone", "--json")
    assert gone.returncode == 1
    assert json.loads(gone.stdout)["facts"] is None


def test_it_needs_neither_torch_nor_qt():
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, "inspect", str(DEMO)],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        timeout=60,
    )
    assert done.stderr == b""
    assert done.returncode == 0
    assert "It opens." in done.stdout.decode()


def test_a_folder_has_to_be_named():
    done = run()
    assert done.returncode == 2
    assert b"DIR" in done.stderr


def test_a_split_is_told(monkeypatch, tmp_path):
    make_folder(tmp_path)  # 145 GB in bfloat16
    card = Gpu(Device("cuda:0", "Some Card", 80 * GIB, 78 * GIB), (8, 9))
    machine = Machine(Device("cpu", "CPU", 256 * GIB, 200 * GIB), (card,))
    monkeypatch.setattr(doctor, "this_machine", lambda: machine)
    text, status = inspection.run(tmp_path, as_json=False, encoding="utf-8")
    assert status == 0
    assert "72.7 B" in text
    assert "128k" in text
    assert "Some Card (cuda:0): layers 0–" in text
    on_cpu = next(line for line in text.splitlines() if "CPU (cpu): layers" in line)
    assert "–79" in on_cpu
    bf16 = next(line for line in text.splitlines() if line.strip().startswith("bf16"))
    assert bf16.split()[3:] == ["✓+"] * 7
    assert "+ a part in main memory" in text
    int4 = next(line for line in text.splitlines() if line.strip().startswith("int4"))
    assert int4.split()[3:] == ["✓"] * 6 + ["✓+"]  # on the card alone but for the longest


def test_a_folder_of_checkpoints_names_them(tmp_path: Path):
    for name in ("one", "two"):
        shutil.copytree(DEMO, tmp_path / name)
    text, status = inspection.run(tmp_path, as_json=False, encoding="utf-8")
    assert status == 1
    assert text.endswith(f"It has checkpoints in it:\n  {tmp_path / 'one'}\n  {tmp_path / 'two'}")


def test_many_findings_of_a_kind_are_counted(tmp_path: Path):
    folder = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    for number in range(8):
        (folder / f"{number}.safetensors.part").touch()
    before = len(doctor.examine(folder).findings)
    text, status = inspection.run(folder, as_json=False, encoding="utf-8")
    assert status == 0
    assert text.count("[partial-download]") == min(before, inspection.SHOWN_OF_A_KIND + 1)
