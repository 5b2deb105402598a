"""What the application wires: settings that reach the engine, caches and presets of its profile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qwen_desktop.chat.model import EngineOptions


@pytest.fixture
def application(qtbot, tmp_path):
    """The whole application, of which no thread has been started."""
    from qwen_desktop import cli
    from qwen_desktop.app import App

    built = App(cli.parse(["--profile", str(tmp_path / "profile")]))
    yield built
    built.window.close()
    built.close()
    built.window.deleteLater()


@pytest.fixture
def configured(application, monkeypatch):
    """The application, and what its engine was told to keep."""
    from qwen_desktop.bridge.engine_client import EngineClient

    told = []
    configure = EngineClient.configure

    def listen(client, options):
        told.append(options)
        configure(client, options)

    monkeypatch.setattr(EngineClient, "configure", listen)
    application.build()
    return application, told


def test_what_is_kept_of_chats_follows_the_settings_at_once(configured, tmp_path):
    built, told = configured
    profile = tmp_path / "profile"
    first = EngineOptions(None, 2 * 2**30, profile / "kv-cache", profile / "compiled")
    assert told == [first]

    built.preferences.set("kv_memory", 1.5)
    built.preferences.set("kv_disk", 0.0)
    built.preferences.set("compiled_decode", False)
    built.preferences.set("seed", 3)

    assert told[1:] == [
        replace(first, kv_memory=3 * 2**29),
        replace(first, kv_memory=3 * 2**29, kv_disk=0),
        replace(first, kv_memory=3 * 2**29, kv_disk=0, code_folder=None),
    ]
    assert built.chats.values["seed"] == 3


def test_a_general_setting_is_told_to_the_window_of_the_chat(configured, qtbot):
    built, _ = configured

    with qtbot.waitSignal(built.chats.options_changed):
        built.preferences.set("thinking", False)

    assert built.chats.values["thinking"] is False


def test_presets_are_kept_in_the_profile(configured, tmp_path):
    built, _ = configured

    built.presets.save("Brief", {"system_prompt": "Be brief."})
    built.close()

    assert "Be brief." in (tmp_path / "profile" / "presets.json").read_text()
