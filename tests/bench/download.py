"""A download with all its checks, beside a plain curl of the same files from the same server.

The server is a process of its own on loopback. curl and the download take turns in one run, each
into a folder that is empty, and the medians of their speeds are compared. The download asks for
the list, keeps to blocks that survive a kill, compares every byte with the hub's SHA-256 and gives
files their names at the end; curl writes what comes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

ROOT = Path(__file__).resolve().parents[2]
MB = 10**6
REPOSITORY = "Qwen/Bench"
PIECE = 1 << 24
SPOILT = 0.3  # cores that others may use; the system itself needs some to write


def make_repository(root: Path, megabytes: int) -> list[Path]:
    """Weights in two files that no compression makes smaller, and the small files beside."""
    folder = root / REPOSITORY
    folder.mkdir(parents=True)
    names = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
    for name in names:
        with (folder / name).open("wb") as file:
            for _ in range(max(1, megabytes * MB // 2 // PIECE)):
                file.write(os.urandom(PIECE))
    index = {"metadata": {}, "weight_map": {f"weight.{name}": name for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "tokenizer.json").write_bytes(os.urandom(3_500_000).hex().encode())
    return sorted(folder.iterdir())


def with_curl(address: str, names: list[str], target: Path) -> None:
    """All files over one connection after the other, as a script would."""
    command = ["curl", "--silent", "--show-error", "--fail", "--location"]
    for name in names:
        command += ["-o", str(target / name), f"{address}/{REPOSITORY}/resolve/main/{name}"]
    subprocess.run(command, check=True)


def with_download(address: str, target: Path, connections: int) -> None:
    """As the program does it, from the list of files to their names."""
    from qwen_desktop.chat.hub import Endpoint, Hub, RepositoryName
    from qwen_desktop.hub.download import Download
    from qwen_desktop.hub.listing import fetch_listing
    from qwen_desktop.hub.planning import plan

    endpoint = Endpoint(Hub.HUGGING_FACE, address)
    listing = fetch_listing(endpoint, RepositoryName(*REPOSITORY.split("/")))
    download = Download(plan(target, listing), endpoint, connections=connections)
    download.run(lambda _: None, threading.Event())


def speed(work: Callable[[Path], None], root: Path, size: int) -> float:
    """Bytes a second of `work` into a folder of its own, which goes away."""
    target = root / "target"
    target.mkdir()
    began = time.perf_counter()
    work(target)
    took = time.perf_counter() - began
    came = sum(file.stat().st_size for file in target.iterdir() if file.suffix == ".safetensors")
    assert came >= 0.9 * size, f"{came} of {size} bytes came"
    shutil.rmtree(target)
    return size / took


def own_seconds() -> float:
    """Of CPU, of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def measure(megabytes: int, runs: int, connections: int) -> dict[str, Any]:
    """Take turns; prints a table."""
    from tests.bench._quiet import busy

    began, busy_before, own_before = time.perf_counter(), busy(), own_seconds()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files = make_repository(root / "hub", megabytes)
        size = sum(file.stat().st_size for file in files)
        names = [file.name for file in files]
        command = [sys.executable, "-m", "tests.hub.fakehub", str(root / "hub")]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            address = json.loads(server.stdout.readline())["endpoint"]
            ways: dict[str, Callable[[Path], None]] = {
                "curl": lambda target: with_curl(address, names, target),
                "download": lambda target: with_download(address, target, connections),
            }
            speeds: dict[str, list[float]] = {way: [] for way in ways}
            for turn in range(runs + 1):  # the first does not count
                for way, work in ways.items():
                    found = speed(work, root, size)
                    if turn:
                        speeds[way].append(found)
            server.stdin.close()
    passed = time.perf_counter() - began
    others = max(0.0, busy() - busy_before - (own_seconds() - own_before)) / passed
    print(f"{size / MB:.0f} MB in {len(names)} files, {connections} connections")
    print(f"{'MB/s':<10}{'median':>8}{'least':>8}{'most':>8}")
    for way, found_ in speeds.items():
        least, most, median = min(found_), max(found_), statistics.median(found_)
        print(f"{way:<10}{median / MB:>8.0f}{least / MB:>8.0f}{most / MB:>8.0f}")
    curl, download = (statistics.median(speeds[way]) for way in ways)
    pairs = [mine / other for mine, other in zip(speeds["download"], speeds["curl"], strict=True)]
    print(f"over curl: {download / curl:.2f} (of each turn {min(pairs):.2f} to {max(pairs):.2f})")
    if others > SPOILT:
        print(f"other programs used {others:.1f} cores meanwhile: this says little")
    return {
        "over_curl": round(download / curl, 3),
        "download_mb_s": round(download / MB),
        "curl_mb_s": round(curl / MB),
        "megabytes": round(size / MB),
        "connections": connections,
        "runs": runs,
        "others": round(others, 2),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="dev.py bench download", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--connections", type=int, default=4)
    given = parser.parse_args()
    if shutil.which("curl") is None:
        print("curl is not installed", file=sys.stderr)
        return 1
    result = measure(given.megabytes, given.runs, given.connections)
    if given.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
