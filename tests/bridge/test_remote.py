"""Chats that servers answer: a real store, a real client, and a server on loopback."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import keyring
import pytest
from keyring.backends import null

from qwen_desktop.bridge import asking
from qwen_desktop.bridge.connections import Connections
from qwen_desktop.bridge.file_jobs import FileJobs
from qwen_desktop.bridge.forking import NOT_THERE
from qwen_desktop.bridge.inspecting import Inspecting, Wait
from qwen_desktop.bridge.measuring import Measuring
from qwen_desktop.bridge.placing import Placing
from qwen_desktop.bridge.server_watch import ServerWatch
from qwen_desktop.bridge.titles import Titles
from qwen_desktop.chat.connection import Connection, RemoteModel, ServerKind, ServerState
from qwen_desktop.chat.context import ChatOptions
from qwen_desktop.chat.downloads import TokenPlace
from qwen_desktop.chat.messages import Role, Status
from qwen_desktop.storage.connections import ConnectionEntry, ConnectionFile
from tests.bridge.conftest import Desk
from tests.engine.remote.fakeserver import KEY, chunk, fake, usage


class Lab:
    """A desk without a checkpoint, and a connection to a server that answers as told."""

    def __init__(self, qtbot, folder):
        self.folder = folder
        self.files = FileJobs()
        self.desk = Desk(qtbot, folder / "conversations.db")
        self.connections = Connections(ConnectionFile(folder / "connections.json"), self.files)
        self.placing = Placing(self.desk.chats, self.connections)
        self.titles = Titles(self.desk.chats, self.desk.engine, lambda: self.desk.settings)
        self.desk.engine.key_of = self.connections.key_of
        self.wanted = []
        self.desk.chats.agreement_wanted.connect(self.wanted.append)

    @property
    def chats(self):
        return self.desk.chats

    def know(self, server, **values):
        made = Connection("Lab", server.address, id="lab", model="m")
        entry = ConnectionEntry(made, (RemoteModel("m", 4096),), **values)
        self.connections.save(entry)

    def close(self):
        self.connections.close()
        self.desk.close()
        self.files.close()
        for made in (self.connections, self.placing, self.titles):
            made.deleteLater()


@pytest.fixture
def lab(qtbot, tmp_path, vault):
    made = Lab(qtbot, tmp_path / "profile")
    yield made
    made.close()


def says(*words):
    def answer(exchange):
        exchange.stream(
            *(chunk(word) for word in words), chunk(finish="stop"), usage(7, len(words))
        )

    return answer


def asked(server):
    """The requests for answers that came."""
    return [one for one in server.seen if one.path.endswith("/chat/completions")]


def test_a_server_answers_without_a_checkpoint(lab):
    with fake(says("Soft ", "rain")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        assert lab.chats.place.is_remote
        answer = lab.desk.ask_and_wait("A haiku about rain")
        assert answer.text == "Soft rain"
        assert answer.status is Status.COMPLETE
        assert answer.stats.model == "m"
        assert answer.stats.prompt_tokens == 7
        assert answer.provenance.connection == "Lab"
        assert not lab.wanted  # everything was typed when it was seen where it goes
        assert len(asked(server)) == 1  # no title, nothing read ahead
    assert lab.desk.engine._worker.engine is None


def test_who_answers_is_kept_with_the_chat_and_new_ones_are_local(lab, tmp_path):
    with fake(says("Hi")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        conversation = lab.chats.current
        lab.chats.new()
        assert not lab.chats.place.is_remote
        store = lab.desk.on_disk(tmp_path / "copy")
        assert store.load(conversation.id).options.remote.connection == "lab"
        store.close()
        lab.chats.open(conversation.id)
        lab.desk.wait(lambda: lab.chats.current.id == conversation.id)
        assert lab.chats.place.target.model == "m"


def test_what_was_said_here_goes_to_a_server_once_the_user_agrees(lab, endless):
    lab.desk.load(endless)
    lab.desk.ask_and_wait("Something private")
    with fake(says("Hi"), says("Hi again")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        assert not lab.chats.ask("More")
        assert [target.connection.host for target in lab.wanted] == [
            server.address[7:].split("/")[0]
        ]
        assert lab.placing.said == 2
        assert not server.seen
        lab.placing.agree()
        assert lab.desk.ask_and_wait("More").text == "Hi"
        assert lab.desk.ask_and_wait("More yet").text == "Hi again"
        assert len(lab.wanted) == 1
        assert asked(server)[0].body["messages"][0]["content"] == "Something private"
        # Back to the checkpoint: what is said there is asked about again.
        lab.placing.use_checkpoint()
        lab.desk.ask_and_wait("Private again")
        lab.placing.use_server("lab", "m")
        assert not lab.chats.ask("And now?")
        assert len(lab.wanted) == 2


def test_another_address_is_another_server_to_agree_to(lab):
    with fake(says("Hi")) as server, fake(says("Hi")) as other:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        lab.know(other)
        assert not lab.chats.ask("More")
        assert lab.wanted[0].connection.base == other.address
        assert not other.seen


def test_a_connection_that_is_gone_is_told_and_nothing_else_is_asked(lab, endless):
    lab.desk.load(endless)
    with fake() as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.connections.remove("lab")
        assert not lab.chats.ask("Hello")
        assert lab.desk.problems == [asking.NO_CONNECTION]
        assert not server.seen
        assert lab.chats.request() is None


def test_stop_keeps_the_text_and_a_cut_answer_stays_with_its_reason(lab):
    def hangs(exchange):
        exchange.begin()
        exchange.event(chunk("Half"))
        exchange.hang()

    with fake(hangs) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        assert lab.chats.ask("Hello")
        lab.desk.wait(lambda: lab.path_text() == "Half")
        lab.chats.stop()
        lab.desk.wait(lambda: lab.desk.saved)
        assert lab.desk.saved[0].status is Status.STOPPED
        assert lab.desk.saved[0].text == "Half"
    # The server is gone: the question and the reason stay.
    assert lab.chats.ask("More")
    lab.desk.wait(lambda: len(lab.desk.saved) == 2)
    assert lab.desk.saved[1].status is Status.FAILED
    assert lab.chats.report_for(lab.desk.saved[1].id).code.startswith("remote-")


def test_a_slow_server_does_not_hold_up_a_checkpoint(lab, endless):
    def hangs(exchange):
        exchange.begin()
        exchange.hang()

    with fake(hangs) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        assert lab.chats.ask("Hello")
        lab.desk.wait(lambda: asked(server))
        lab.desk.load(endless)
        assert lab.desk.models.state.info is not None
        assert lab.chats.run.running
        lab.chats.stop()
        lab.desk.wait(lambda: not lab.chats.run.running)


def test_titles_are_asked_of_a_server_where_the_user_lets_it(lab):
    with fake(says("Soft rain"), says("Rain")) as server:
        lab.know(server, titles=True)
        lab.desk.set(title_by_model=True)
        lab.titles.may_ask = lambda one: lab.connections.entry(one).titles
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("A haiku about rain please")
        lab.desk.wait(lambda: lab.chats.current.summary().title == "Rain")
        assert len(asked(server)) == 2


def test_a_server_writes_no_answer_anew_from_a_token(lab, endless):
    lab.desk.load(endless)
    answer = lab.desk.ask_and_wait("Hello")
    with fake() as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        assert lab.chats.fork_refusal(answer.id) == NOT_THERE


def test_the_inspector_shows_what_is_sent_as_it_is_sent(lab):
    with fake(says("Yes"), says("Yes")) as server:
        lab.know(server)
        lab.desk.set(system_prompt="Be <brief>", temperature=0.25)
        lab.placing.use_server("lab", "m")
        key_told(lab, lambda: lab.connections.set_key("lab", KEY))
        inspecting = Inspecting(lab.desk.engine, lab.chats, lab.desk.models, lab.chats)
        now = inspecting.now(lab.chats)
        now.start()
        lab.chats.count("Well?")
        lab.desk.wait(lambda: now.shows is not None and "Well?" in now.shows.body)
        assert now.shows.is_guess
        assert not server.seen, "looking asks nobody"
        answer = lab.desk.ask_and_wait("Well?")
        sent = asked(server)[0].body
        lab.chats.count("More?")
        lab.desk.wait(lambda: now.shows is not None and "More?" in now.shows.body)
        assert not now.shows.is_guess
        shown = json.loads(now.shows.body)
        now.close()
        back = inspecting.back(answer.id, lab.chats)
        back.start()
        lab.desk.wait(lambda: back.shows is not None)
        assert json.loads(back.shows.body) == sent
        assert back.shows.is_remade
        assert [(m.role, m.content) for m in back.shows.messages] == [
            ("system", "Be <brief>"),
            ("user", "Well?"),
        ]
        back.close()
        lab.desk.ask_and_wait("More?")
        assert asked(server)[1].body == shown
        assert KEY not in repr(now.shows) + repr(back.shows)
        lab.connections.remove("lab")
        waits = []
        look = inspecting.now(lab.chats)
        look.waits.connect(waits.append)
        look.start()
        assert waits == [Wait.NO_CONNECTION]
        look.close()


def test_an_answer_made_here_is_inspected_here_wherever_the_chat_goes_now(lab, endless):
    lab.desk.load(endless)
    answer = lab.desk.ask_and_wait("Hello")
    with fake() as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        inspecting = Inspecting(lab.desk.engine, lab.chats, lab.desk.models, lab.chats)
        back = inspecting.back(answer.id, lab.chats)
        back.start()
        lab.desk.wait(lambda: back.shows is not None)
        assert back.shows.tokens.ids
        back.close()
        assert not server.seen


def hanging(*words):
    def answer(exchange):
        exchange.begin()
        for word in words:
            exchange.event(chunk(word))
        exchange.hang()

    return answer


def gated(gate, *words):
    """Says all but the last word, and that once `gate` is open."""

    def answer(exchange):
        exchange.begin()
        for word in words[:-1]:
            exchange.event(chunk(word))
        gate.wait(20)
        exchange.event(chunk(words[-1], finish="stop"))

    return answer


def test_a_chat_that_moves_in_mid_answer_gets_its_answer_from_where_it_was_asked(lab, endless):
    lab.desk.load(endless)
    gate = threading.Event()
    with fake(gated(gate, "From ", "afar")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        assert lab.chats.ask("Hello")
        lab.desk.wait(lambda: lab.path_text() == "From ")
        lab.placing.use_checkpoint()
        assert not lab.chats.place.is_remote
        gate.set()
        lab.desk.wait(lambda: lab.desk.saved)
        answer = lab.desk.saved[0]
        assert (answer.text, answer.provenance.connection) == ("From afar", "Lab")
        local = lab.desk.ask_and_wait("And here?")
        assert not local.provenance.address
        assert len(asked(server)) == 1
        # Another version of the first, by the checkpoint; then one of the second, by the server,
        # which is asked about: what was said here is new to it.
        lab.chats.retry(answer.id)
        lab.desk.wait(lambda: len(lab.desk.saved) == 3)
        assert not lab.desk.saved[2].provenance.address
        lab.placing.use_server("lab", "m")
        lab.chats.retry(local.id)
        assert len(lab.wanted) == 1
        assert len(asked(server)) == 1
        lab.placing.agree()
        server.answers = [says("Again")]
        lab.chats.retry(local.id)
        lab.desk.wait(lambda: len(lab.desk.saved) == 4)
        assert lab.desk.saved[3].provenance.connection == "Lab"
        assert lab.chats.current.tree.versions(local.id) == (local.id, lab.desk.saved[3].id)
        question = lab.chats.current.tree.messages[local.parent_id]
        assert lab.chats.edit(question.id, "And there?")
        lab.desk.wait(lambda: len(lab.desk.saved) == 5)
        assert asked(server)[-1].body["messages"][-1]["content"] == "And there?"


def test_closing_amid_an_answer_keeps_what_came(lab, tmp_path):
    with fake(hanging("Half")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        assert lab.chats.ask("Hello")
        lab.desk.wait(lambda: lab.path_text() == "Half")
        conversation = lab.chats.current.id
        lab.desk.close()
        assert server.left.wait(10), "the server sees that nobody waits"
        store = lab.desk.on_disk(tmp_path / "copy")
        answer = store.load(conversation).tree.path()[-1]
        assert answer.text == "Half"
        assert answer.status is not Status.COMPLETE
        store.close()


def test_messages_that_a_server_does_not_get_are_told(lab):
    with fake(says("Yes")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        unseen = []
        lab.chats.unseen_changed.connect(unseen.append)
        for number in range(6):
            lab.desk.ask_and_wait(f"question {number} " + "word " * 1200)
        answer = lab.desk.saved[-1]
        assert answer.provenance.unseen
        assert unseen[-1][: len(answer.provenance.unseen)] == answer.provenance.unseen
        sent = asked(server)[-1].body["messages"]
        assert len(sent) + len(answer.provenance.unseen) == 11
        lab.desk.set(context_policy="ask")
        over = []
        lab.chats.overflowed.connect(over.append)
        assert lab.chats.ask("More " + "word " * 1200)
        lab.desk.wait(lambda: over)
        assert over[0].estimated
        assert len(asked(server)) == 6, "nothing is sent"


def test_a_chart_of_a_served_chat_predicts_nothing(lab, endless):
    measuring = Measuring(lab.chats, lab.desk.models, lab.desk.engine, lab.chats)
    lab.desk.load(endless)
    lab.desk.wait(lambda: measuring.predicted is not None)
    with fake(says("Yes")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.desk.wait(lambda: measuring.predicted is None)
        lab.desk.ask_and_wait("Hello")
        lab.desk.wait(lambda: measuring.points)
        (point,) = measuring.points
        assert point.served
        assert (point.peak, point.steady, point.prefill_speed) == (0, 0, 0.0)
        assert point.tokens == 8


# Samples of a page of metrics, as the documentation of each gives names and labels.
VLLM_PAGE = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 2.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.4
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{le="1.0",model_name="m"} 3.0
"""
SGLANG_PAGE = """# HELP sglang:token_usage The token usage
# TYPE sglang:token_usage gauge
sglang:token_usage{model_name="m"} 0.28
# HELP sglang:cache_hit_rate The cache hit rate
# TYPE sglang:cache_hit_rate gauge
sglang:cache_hit_rate{model_name="m"} 0.007507552643049313
# HELP sglang:num_running_reqs The number of running requests
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{model_name="m"} 161.0
# HELP sglang:num_queue_reqs The number of requests in the waiting queue
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{model_name="m"} 2826.0
"""


def metrics(server, text):
    server.pages["/metrics"] = lambda x: x.send(text.encode(), "text/plain; version=0.0.4")


def looks_at_metrics(server):
    return [one for one in server.seen if one.path == "/metrics"]


@pytest.fixture
def watch(lab):
    made = ServerWatch(lab.chats, lab.placing, lab.connections, lab.chats)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("page", "state"),
    [(VLLM_PAGE, ServerState(0.4, 2, 1)), (SGLANG_PAGE, ServerState(0.28, 161, 2826))],
)
def test_how_busy_a_server_is_is_told_once_something_was_sent_there(lab, watch, page, state):
    told = []
    watch.told.connect(told.append)
    with fake(says("Hi")) as server:
        metrics(server, page)
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.chats.count("Hello")
        lab.desk.wait(lambda: lab.chats.request() is not None)
        assert not looks_at_metrics(server), "before, nothing is asked"
        lab.desk.ask_and_wait("Hello")
        lab.desk.wait(lambda: told and told[-1] == state)
        # In a chat that is answered here, nothing is known; back there it is again.
        lab.chats.new()
        assert told[-1] is None
        lab.placing.use_server("lab", "m")
        lab.desk.wait(lambda: told[-1] == state)


def test_a_server_that_does_not_tell_is_left_alone(lab, watch):
    told = []
    watch.told.connect(told.append)
    watch._timer.setInterval(1)
    with fake(says("Hi")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        lab.desk.wait(lambda: not watch._timer.isActive())
        assert len(looks_at_metrics(server)) == 3
        assert not [state for state in told if state is not None]


def test_a_kind_that_has_no_such_page_is_not_asked(lab, watch):
    with fake(says("Hi")) as server:
        made = Connection("Lab", server.address, id="lab", kind=ServerKind.OLLAMA)
        lab.connections.save(ConnectionEntry(made, (RemoteModel("m", 4096),)))
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        assert not looks_at_metrics(server)


def test_counts_are_estimates_and_ask_nobody(lab):
    counts = []
    lab.chats.counted.connect(counts.append)
    with fake() as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.chats.count("Hello there, how are you?")
        lab.desk.wait(lambda: counts and counts[-1] is not None)
        assert counts[-1].estimated
        assert counts[-1].limit == 4096
        assert not server.seen


# -- keys and the list ---------------------------------------------------------------------------


def key_told(lab, ask):
    told = []
    lab.connections.key_told.connect(lambda one, access: told.append(access))
    ask()
    lab.desk.wait(lambda: told)
    return told[-1]


def nowhere(folder, secret):
    for file in folder.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file


def test_a_key_lies_in_the_keyring_and_nowhere_else(lab, vault):
    with fake(says("Hi")) as server:
        lab.know(server)
        access = key_told(lab, lambda: lab.connections.set_key("lab", f" {KEY}\n"))
        assert access.place is TokenPlace.KEYRING
        assert list(vault.kept.values()) == [KEY]
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        assert asked(server)[0].headers["Authorization"] == f"Bearer {KEY}"
        access = key_told(lab, lambda: lab.connections.forget_key("lab"))
        assert access.place is TokenPlace.NONE
        assert not vault.kept
    lab.desk.close()
    lab.files.close()
    nowhere(lab.folder, KEY)
    assert threading.main_thread() not in vault.threads


def test_a_key_does_not_follow_to_another_server(lab, vault):
    with fake() as server, fake(says("Hi")) as other:
        lab.know(server)
        key_told(lab, lambda: lab.connections.set_key("lab", KEY))
        lab.know(other)
        lab.desk.wait(lambda: not vault.kept)
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        assert KEY not in asked(other)[0].headers.get("Authorization", "")


def test_what_is_under_way_to_the_old_address_does_not_get_the_new_key(lab, vault):
    come, moved = threading.Event(), threading.Event()

    def slow(exchange):
        come.set()
        assert moved.wait(60)
        exchange.json({"error": {"message": "no such model"}}, 404)  # the models are asked for then

    with fake(slow) as server, fake() as other:
        lab.know(server)
        lab.placing.use_server("lab", "gone")
        assert lab.chats.ask("Hello")
        lab.desk.wait(come.is_set)
        lab.know(other)
        key_told(lab, lambda: lab.connections.set_key("lab", KEY))
        before = len(server.seen)
        moved.set()
        lab.desk.wait(lambda: not lab.chats.run.running)
        assert [one.path for one in server.seen[before:]] == ["/v1/models"]
        assert not any("Authorization" in one.headers for one in server.seen)


def test_without_a_keyring_a_key_lasts_as_long_as_the_run(lab):
    keyring.set_keyring(null.Keyring())
    with fake(says("Hi")) as server:
        lab.know(server)
        access = key_told(lab, lambda: lab.connections.set_key("lab", KEY))
        assert access.place is TokenPlace.RUN
        assert not access.has_keyring
        connection = lab.connections.get("lab")
        assert lab.connections.key_of(connection) == KEY
        lab.connections.remove("lab")
        assert lab.connections.key_of(connection) is None
    lab.files.close()
    nowhere(lab.folder, KEY)


def test_a_test_tells_models_and_takes_a_key_that_is_only_typed(lab, vault):
    found, failed = [], []
    lab.connections.tested.connect(lambda job, one: found.append((job, one)))
    lab.connections.untested.connect(lambda job, one: failed.append((job, one)))
    with fake() as server:
        made = Connection("Lab", server.address)
        job = lab.connections.test(made, KEY)
        lab.desk.wait(lambda: found)
        assert found[0][0] == job
        assert [model.name for model in found[0][1].models]
        assert any(KEY in one.headers.get("Authorization", "") for one in server.seen)
    job = lab.connections.test(made)
    lab.desk.wait(lambda: failed)
    assert failed[0][0] == job
    assert not failed[0][1].is_bug
    assert not vault.kept


def test_the_list_is_kept_without_secrets_that_were_in_an_address(lab):
    made = Connection("Lab", "http://user:hunter2@127.0.0.1:9/v1?key=hunter2", id="lab")
    lab.connections.save(ConnectionEntry(made, (RemoteModel("m", 8),), titles=True))
    lab.files.close()
    (entry,) = ConnectionFile(lab.folder / "connections.json").entries
    assert entry.connection.address == "http://127.0.0.1:9/v1"
    assert entry.models == (RemoteModel("m", 8),)
    assert entry.titles
    nowhere(lab.folder, "hunter2")


def test_options_of_a_chat_can_be_reset_and_leave_in_no_file(lab):
    from qwen_desktop.chat.record import Record
    from qwen_desktop.storage.conversation_json import encoded, from_value

    with fake(says("Hi")) as server:
        lab.know(server)
        lab.placing.use_server("lab", "m")
        lab.desk.ask_and_wait("Hello")
        text = encoded(Record(lab.chats.current))
        back = from_value(json.loads(text)).conversation
        assert back.options == ChatOptions()
        answer = next(m for m in back.tree.messages.values() if m.role is Role.ASSISTANT)
        assert answer.provenance.connection == "Lab"
        assert answer.provenance == lab.desk.saved[0].provenance
        assert replace(lab.chats.options, remote=None) == ChatOptions()


Lab.path_text = lambda self: self.desk.path()[-1].text if self.desk.path() else ""
