"""Requests of a workspace, with a real server."""

from datetime import UTC, datetime, timedelta

import pytest

from latchkey_seam import Latchkey, LatchkeyError, Workspace
from latchkey_seam._client import get
from latchkey_seam.pytest_plugin import CreateWorkspace


def exists(workspace: Workspace) -> bool:
    listed = get(workspace.url, "/_emulator/workspaces/list", {}, None)["workspaces"]
    return workspace.workspace_id in [each["workspace_id"] for each in listed]


def statuses(workspace: Workspace, lock: str) -> list[str]:
    return [code.status for code in workspace.seam.access_codes.list(device_id=lock)]


def test_workspace_has_one_lock_and_a_held_clock_by_default(workspace: Workspace) -> None:
    assert [device["device_type"] for device in workspace.devices] == ["august_lock"]
    assert workspace.now() == datetime(2026, 1, 1, tzinfo=UTC)


def test_workspace_has_the_parameters_of_its_creation(create_workspace: CreateWorkspace) -> None:
    locks = [{"device_type": "schlage_lock", "name": "Cellar"}]
    created = create_workspace(locks=locks, clock={"held_at": "2026-03-02T12:00:00Z"}, ttl=timedelta(minutes=5))
    assert created.devices[0]["display_name"] == "Cellar"
    assert created.now() == datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_workspace_with_a_seed_has_the_same_ids_again(latchkey: Latchkey) -> None:
    def ids() -> tuple[str, str, str]:
        with latchkey.create_workspace(seed="the same ids again") as workspace:
            return workspace.workspace_id, workspace.api_key, workspace.devices[0]["device_id"]

    assert ids() == ids()


def test_workspace_with_a_seed_in_use_is_rejected(latchkey: Latchkey, create_workspace: CreateWorkspace) -> None:
    create_workspace(seed="a seed in use")
    with pytest.raises(LatchkeyError, match="status 409") as raised:
        latchkey.create_workspace(seed="a seed in use")
    assert raised.value.status == 409


def test_workspace_with_an_unknown_parameter_is_rejected(workspace: Workspace) -> None:
    with pytest.raises(LatchkeyError, match='did you mean "by"') as raised:
        workspace.emulator("clock/advance", bye="PT1H")
    assert (raised.value.status, raised.value.type) == (400, "invalid_input")


def test_seam_client_acts_on_the_workspace(workspace: Workspace) -> None:
    assert workspace.seam.workspaces.get().workspace_id == workspace.workspace_id
    assert workspace.seam is workspace.seam


def test_seam_client_ignores_the_proxy_of_the_machine(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert len(workspace.seam.devices.list()) == 1
    assert workspace.requests()[0]["path"] == "/devices/list"


@pytest.mark.parametrize("by", ["72h", "PT72H", timedelta(hours=72)])
def test_advance_moves_the_clock_by_a_duration(workspace: Workspace, by: str | timedelta) -> None:
    assert workspace.advance(by)["now"] == "2026-01-04T00:00:00.000Z"


def test_advance_moves_the_clock_to_an_instant(workspace: Workspace) -> None:
    workspace.advance(to="2026-01-02T00:00:00Z")
    assert workspace.advance(to=datetime(2026, 1, 3, tzinfo=UTC))["now"] == "2026-01-03T00:00:00.000Z"


def test_advance_does_what_is_due(workspace: Workspace) -> None:
    lock = workspace.devices[0]["device_id"]
    workspace.seam.access_codes.create(device_id=lock)
    assert statuses(workspace, lock) == ["setting"]
    assert workspace.advance(until="next")["transitions"] > 0
    workspace.advance(until="quiet", wait_for_webhooks=True)
    assert statuses(workspace, lock) == ["set"]


def test_advance_of_a_clock_that_is_not_held_is_rejected(create_workspace: CreateWorkspace) -> None:
    with pytest.raises(LatchkeyError) as raised:
        create_workspace(clock="live").advance("1h")
    assert raised.value.status == 409


def test_fault_makes_the_next_operation_fail(workspace: Workspace) -> None:
    lock = workspace.devices[0]["device_id"]
    fault = workspace.fault("set", times=1, device_id=lock)
    assert (fault["outcome"], fault["times"], fault["device_id"]) == ({"fail": {}}, 1, lock)
    workspace.seam.access_codes.create(device_id=lock)
    workspace.advance("1s")
    assert statuses(workspace, lock) == ["setting"]
    workspace.advance("10s")
    assert statuses(workspace, lock) == ["set"]


def test_fault_has_the_given_outcome(workspace: Workspace) -> None:
    fault = workspace.fault("unlock", "never", after=1, device_type="august_lock")
    assert (fault["outcome"], fault["after"], fault["device_type"]) == ("never", 1, "august_lock")
    assert workspace.fault("remove", {"delay": "PT5M"})["outcome"] == {"delay": "PT5M"}


def test_events_are_listed_oldest_first_and_filtered(workspace: Workspace) -> None:
    code = workspace.seam.access_codes.create(device_id=workspace.devices[0]["device_id"])
    workspace.advance("1m")
    types = [event["event_type"] for event in workspace.events(access_code_id=code.access_code_id)]
    assert types == ["access_code.created", "access_code.set_on_device"]
    assert len(workspace.events()) > 2
    assert len(workspace.events(limit=1)) == 1
    assert workspace.events(since="2026-01-01T00:00:01Z") == []


def test_requests_are_listed_with_their_responses(workspace: Workspace) -> None:
    workspace.seam.devices.list()
    (request,) = workspace.requests(path="/devices/list")
    assert (request["status"], request["answer"]["ok"]) == (200, True)


def test_reset_returns_to_the_first_state(workspace: Workspace) -> None:
    workspace.seam.access_codes.create(device_id=workspace.devices[0]["device_id"])
    workspace.advance("72h")
    workspace.reset()
    assert workspace.now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert workspace.seam.access_codes.list(device_id=workspace.devices[0]["device_id"]) == []


def test_restore_returns_to_the_snapshot(workspace: Workspace) -> None:
    workspace.advance("1h")
    snapshot = workspace.snapshot()
    workspace.advance("72h")
    workspace.restore(snapshot)
    assert workspace.now() == datetime(2026, 1, 1, 1, tzinfo=UTC)
    assert workspace.emulator("snapshots/export", snapshot_id=snapshot)["snapshot"]["workspace_id"] == workspace.workspace_id


def test_delete_can_be_called_twice(workspace: Workspace) -> None:
    assert exists(workspace)
    workspace.delete()
    workspace.delete()
    assert not exists(workspace)


def test_delete_called_twice_keeps_a_new_workspace_with_the_same_seed(latchkey: Latchkey) -> None:
    first = latchkey.create_workspace(seed="the same seed again")
    first.delete()
    with latchkey.create_workspace(seed="the same seed again") as second:
        first.delete()
        assert exists(second)


def test_delete_closes_the_connections_of_the_seam_client(workspace: Workspace) -> None:
    client = workspace.seam.client
    workspace.delete()
    assert client.is_closed


def test_delete_of_a_workspace_that_is_gone_does_nothing(workspace: Workspace) -> None:
    workspace.seam.client.post("/_emulator/workspaces/delete")
    workspace.delete()


def test_workspace_in_a_with_statement_is_deleted_at_its_end(latchkey: Latchkey) -> None:
    with latchkey.create_workspace() as workspace:
        assert exists(workspace)
    assert not exists(workspace)
