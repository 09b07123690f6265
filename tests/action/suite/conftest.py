"""A workspace for each test, on the server that the action started: the variables are those that it sets."""

import os

import pytest
from seam import Seam


@pytest.fixture(scope="session")
def sandbox():
    with Seam() as seam:
        yield seam


@pytest.fixture
def stay(sandbox):
    params = {"clock": {"held_at": "2026-03-02T12:00:00Z"}, "locks": 1, "ttl": "PT10M"}
    created = sandbox.client.post("/_emulator/workspaces/create", json=params)
    with Seam(created["api_key"], endpoint=os.environ["SEAM_ENDPOINT"]) as seam:
        yield seam, created["devices"][0]["device_id"]
        seam.client.post("/_emulator/workspaces/delete")
