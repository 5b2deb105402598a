"""The command line: flags from the settings table, profiles, and sentences for bad values."""

from __future__ import annotations

import pytest

from qwen_desktop import cli
from qwen_desktop.chat.checkpoint import KvFormat, Precision
from qwen_desktop.chat.settings import SETTINGS
from qwen_desktop.paths import default_profile


def test_without_arguments_it_opens_the_window_with_the_default_profile():
    options = cli.parse([])

    assert options.profile == default_profile()
    assert options.checkpoint is None
    assert options.ask is None
    assert not options.headless
    assert options.overrides == {}


def test_folders_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    options = cli.parse(["--checkpoint", "models/qwen", "--profile", "data"])

    assert options.checkpoint == tmp_path / "models" / "qwen"
    assert options.profile.root == tmp_path / "data"
    assert not options.profile.temporary


def test_a_temporary_profile_is_new_each_time():
    first, second = cli.parse(["--temporary"]), cli.parse(["--temporary"])

    assert first.profile.temporary
    assert first.profile.root != second.profile.root
    for options in (first, second):
        options.profile.root.rmdir()


def test_how_the_first_checkpoint_is_opened():
    assert (cli.parse([]).precision, cli.parse([]).device) == (None, None)
    options = cli.parse(["--checkpoint", "x", "--precision", "int4", "--device", "cuda:1"])
    assert options.precision is Precision.INT4
    assert options.device == "cuda:1"
    assert (cli.parse([]).kv, cli.parse([]).rope_factor) == (None, None)
    options = cli.parse(["--checkpoint", "x", "--kv", "int8", "--rope-factor", "2"])
    assert (options.kv, options.rope_factor) == (KvFormat.INT8, 2.0)


def test_settings_of_this_run():
    options = cli.parse(["--theme", "dark", "--temperature", "0.5", "--thinking", "off"])

    assert options.overrides == {"theme": "dark", "temperature": 0.5, "thinking": False}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--temperature", "9"], "between 0 and 2"),
        (["--temperature", "nan"], "between 0 and 2"),
        (["--top-k", "many"], "invalid int value"),
        (["--theme", "pink"], "one of system, light, dark"),
        (["--thinking", "maybe"], "say on or off"),
        (["--precision", "int3"], "invalid choice: 'int3'"),
        (["--kv", "int4"], "invalid choice: 'int4'"),
        (["--rope-factor", "x"], "say a number from 1 to 64"),
        (["--rope-factor", "nan"], "say a number from 1 to 64"),
        (["--device", "the big one"], "say auto, cpu, cuda, cuda:1 or split"),
        (["--ask", "  "], "--ask needs a question"),
        (["--temporary", "--profile", "x"], "not allowed with"),
    ],
)
def test_a_wrong_command_line_is_told_in_words(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.parse(arguments)

    assert exit_.value.code == 2
    assert sentence in capsys.readouterr().err


def test_every_setting_has_a_flag_and_a_help(capsys):
    with pytest.raises(SystemExit):
        cli.parse(["--help"])

    text = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS:
        assert "--" + setting.name.replace("_", "-") in text
        assert setting.help in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["--theme", "dark", "a.json", "b.json"],
        ["--theme=dark", "open", "a.json", "b.json"],
        ["a.json", "b.json", "--theme", "dark"],
    ],
)
def test_files_to_open_stand_before_the_options_or_behind_them(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    options = cli.parse(arguments)

    assert options.files == (tmp_path / "a.json", tmp_path / "b.json")
    assert options.overrides == {"theme": "dark"}


def test_a_file_may_be_called_like_a_command_or_an_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert cli.parse(["open", "inspect"]).files == (tmp_path / "inspect",)
    assert cli.parse(["open", "--", "-x.json"]).files == (tmp_path / "-x.json",)


def test_every_option_without_a_value_is_known_as_one(capsys):
    with pytest.raises(SystemExit):
        cli.parse(["--help"])
    lines = capsys.readouterr().out.splitlines()
    # "  --temporary   keep nothing", but "  --profile DIR   keep all": a name stands between.
    alone = {
        line.split()[0]
        for line in lines
        if line.startswith("  --")
        and (line.strip().count(" ") == 0 or line.split("  ")[1].count(" ") == 0)
    }
    assert alone <= set(cli.FLAGS)
    assert {"--temporary", "--headless", "--version"} <= alone


def test_the_folder_of_a_checkpoint_is_what_is_loaded_first(tmp_path):
    (tmp_path / "Qwen").mkdir()
    (tmp_path / "Qwen" / "config.json").write_text("{}")

    options = cli.parse([str(tmp_path / "Qwen"), str(tmp_path / "a.json")])

    assert options.checkpoint == tmp_path / "Qwen"
    assert options.files == (tmp_path / "a.json",)
    assert cli.parse(["--checkpoint", "x", str(tmp_path / "Qwen")]).files == (tmp_path / "Qwen",)


def test_a_question_takes_no_files(capsys):
    with pytest.raises(SystemExit):
        cli.parse(["--ask", "Why?", "a.json"])
    assert "take no files" in capsys.readouterr().err


def test_a_diagnosis_is_the_only_thing_without_a_command_that_is_printed_as_json(capsys):
    for arguments in (["--json"], ["--json", "chat.qwenchat.json"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
        assert "--json goes with --diagnose" in capsys.readouterr().err
