"""Uses the module as a program of a user does. Checked with `mypy --strict`, and run."""

from datetime import UTC, datetime, timedelta

from latchkey_seam import Latchkey, LatchkeyError, Workspace, WorkspaceParams, start_latchkey

params: WorkspaceParams = {"locks": 2, "clock": {"held_at": "2026-03-02T12:00:00Z"}, "ttl": timedelta(minutes=5)}


def visit(workspace: Workspace) -> list[str]:
    """Returns the types of the events of an access code in three days."""
    code = workspace.seam.access_codes.create(device_id=workspace.devices[0]["device_id"])
    now: str = workspace.advance("71h")["now"]
    assert now == "2026-03-05T11:00:00.000Z"
    workspace.advance(to=datetime(2026, 3, 5, 12, tzinfo=UTC))
    return [event["event_type"] for event in workspace.events(access_code_id=code.access_code_id)]


def main() -> None:
    """Uses the server, and prints what happened."""
    latchkey: Latchkey
    with start_latchkey() as latchkey, latchkey.create_workspace(**params) as workspace:
        print(visit(workspace))
        try:
            workspace.advance("1h", until="next")
        except LatchkeyError as error:
            print(error.status, error.type)


main()
