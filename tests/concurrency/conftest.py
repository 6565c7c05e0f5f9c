"""Stages for races: the fixtures of the sessions' tests."""

from __future__ import annotations

from tests.integration.session.conftest import open_stage, stage

__all__ = ["open_stage", "stage"]
