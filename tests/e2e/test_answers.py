"""Versions, edits, going on, thinking, presets and a full context, in the real window."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import run_step

pytestmark = pytest.mark.e2e


def test_versions_and_edits_are_kept_beside_each_other_and_over_a_restart(profile):
    run_step("versions_and_edits", profile)
    run_step("versions_are_there", profile)


def test_a_stopped_answer_goes_on_and_so_does_an_interrupted_one(profile, endless):
    run_step("stop_and_continue", profile, endless)
    run_step("continue_after_restart", profile, endless)


def test_only_a_model_that_thinks_has_the_switch_which_each_chat_keeps(profile, thinking):
    run_step("cannot_think", profile)
    run_step("thinking_switch", profile, thinking)
    run_step("thinking_is_kept", profile, thinking)


def test_presets_are_saved_used_and_deleted(profile):
    run_step("presets", profile)
    run_step("presets_are_there", profile)


def test_a_full_context_is_shown_and_met_as_the_chat_wants(profile, narrow):
    run_step("outgrow_the_context", profile, narrow)
    run_step("context_is_kept", profile, narrow)


def test_a_message_that_can_never_fit_is_refused_with_numbers_and_stays(profile, narrow):
    run_step("too_long_to_fit", profile, narrow)
