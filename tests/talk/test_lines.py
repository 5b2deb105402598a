"""`chat DIR --prompt` and `chat DIR --json`, where PySide6 cannot be imported."""

import json
import subprocess
import sys
from itertools import groupby

from qwen_desktop.paths import demo_checkpoint
from tests.talk.terminal import ENVIRONMENT, arguments, run


def asked(**values):
    return json.dumps({"messages": [{"role": "user", "content": "Hello"}], **values})


def test_events_of_requests(tmp_path):
    limit = {"max_new_tokens": 4}
    done = run(
        demo_checkpoint(),
        tmp_path / "profile",
        "--json",
        stdin="\n".join(
            [
                asked(id=1, settings=limit),
                "no json",
                asked(id="wrong", settings={"temperature": "__import__('os')"}),
                json.dumps({"id": "turn", "messages": [{"role": "assistant", "content": "x"}]}),
                json.dumps({"stop": "nobody"}),
                asked(id={"a": 2}, settings=limit),
            ]
        ),
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1  # some were not answered
    loaded = [e["event"] for e in events].index("ready")
    assert {e["event"] for e in events[:loaded]} == {"progress"}
    by_id = {
        json.dumps(key): list(group)
        for key, group in groupby(events[loaded + 1 :], lambda e: e["id"])
    }
    assert [e["event"] for e in by_id["null"]] == ["error"]
    assert "temperature" in by_id['"wrong"'][0]["message"]
    assert by_id['"turn"'][0]["code"] == "bad-request"
    for name in ("1", '{"a": 2}'):
        mine = by_id[name]
        assert mine[0]["event"] == "started"
        assert mine[-1] == {"event": "finished", "id": json.loads(name), "reason": "length"}
        deltas = [e for e in mine if e["event"] == "delta"]
        assert sum(len(e["ids"]) for e in deltas) == 4
        assert {e["kind"] for e in deltas} == {"text"}
    assert not (tmp_path / "profile").exists()  # nothing is kept


def test_a_chat_is_kept_where_that_is_asked(tmp_path):
    profile = tmp_path / "profile"
    line = asked(id=1, keep=True, settings={"max_new_tokens": 4, "seed": 3})
    assert run(demo_checkpoint(), profile, "--json", stdin=line).returncode == 0
    from tests.talk.test_terminal import kept

    (chat,) = kept(profile)
    assert chat.options.values == {"max_new_tokens": 4, "seed": 3}
    assert len(chat.tree.path()) == 2


def test_a_temporary_chat_leaves_nothing(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    places = {name: str(made) for name in ("HOME", "TMPDIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    command = [sys.executable, *arguments(demo_checkpoint(), None, "--temporary", "--json")]
    done = subprocess.run(
        command,
        input=asked(id=1, keep=True, settings={"max_new_tokens": 4}).encode(),
        capture_output=True,
        env=ENVIRONMENT | places,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b'"finished"' in done.stdout
    # torch makes an empty folder of its own
    assert not [found for found in made.rglob("*") if found.is_file() or "qwen" in found.name]


def test_one_prompt(tmp_path):
    profile = tmp_path / "profile"
    done = run(demo_checkpoint(), profile, "--prompt", "-", stdin="What can you do?")
    assert done.returncode == 0
    assert done.stdout.startswith("You are talking")
    assert "\x1b" not in done.stdout + done.stderr
    assert run(demo_checkpoint(), profile).returncode == 2  # there is no terminal
