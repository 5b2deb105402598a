"""The program is ended by force at random moments: all that a call had saved is there."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import qwen_desktop
from qwen_desktop.chat.messages import Provenance, Status
from qwen_desktop.storage.store import Store
from tests.listed import listed

KILLS = 24
PIECES = [f"{number} " for number in range(12)]


def run_and_kill(file, lines):
    """The calls acknowledged by a child that is killed after about `lines` of them."""
    root = Path(qwen_desktop.__file__).parent.parent
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("streaming_child.py")), str(file)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with child:
        seen = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        seen += child.stdout.readlines()  # it went on until the signal arrived
    return [json.loads(line) for line in seen if line.endswith(b"\n")]


def test_everything_acknowledged_is_there_after_every_kill(tmp_path):
    file = tmp_path / "conversations.db"
    moments = random.Random(20)
    acknowledged = []
    endings = set()
    for kill in range(KILLS):
        new = run_and_kill(file, moments.randint(1, 40))
        assert new, f"the program of kill {kill} did nothing"
        acknowledged += new
        store = Store.open(file)
        for what in new:
            endings.add(check(store, *what))
        store.close()
    # And all of the earlier runs is still there after the later ones.
    store = Store.open(file)
    for what in acknowledged:
        if what[1] != "draft":
            check(store, *what)
    assert len(listed(store)) == KILLS
    store.close()
    assert endings >= {Status.COMPLETE, Status.INTERRUPTED}


def check(store, conversation_id, what, message_id, number=0):
    """Find one acknowledged call in the store; the status of its message."""
    conversation = store.load(conversation_id)
    if what == "draft":
        assert store.drafts()[conversation_id] in conversation.tree.messages
        return None
    message = conversation.tree.messages[message_id]
    if what == "question":
        assert message.text == "Count, please. 请数数。"
        return None
    assert message.provenance == Provenance(fingerprint="f", seed=7)
    assert store.trace(message_id).prompt_ids == tuple(range(700))
    if what == "start":
        return None
    said = (message.reasoning + message.text).split(" ")[:-1]
    whole = "".join(PIECES).split(" ")[:-1]
    assert said == whole[: len(said)], "pieces out of order"
    assert message.token_ids == tuple(range(len(said)))
    if what == "piece":
        assert len(said) > number
        assert message.status in {Status.COMPLETE, Status.INTERRUPTED, Status.STOPPED}
    else:
        assert (said, message.status) == (whole, Status.COMPLETE)
    return message.status
