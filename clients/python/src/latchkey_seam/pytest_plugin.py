"""Fixtures for pytest: one server for the whole run, and a new workspace for each test."""

import json
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Protocol, Unpack, cast

import pytest

from ._client import LatchkeyError
from ._params import Json, WorkspaceParams
from ._server import Latchkey, start_latchkey
from ._workspace import Workspace

# Number of requests in the report of a failed test, and of characters of each body.
_SHOWN_REQUESTS = 20
_SHOWN_CHARACTERS = 200

_workspaces = pytest.StashKey[list[Workspace]]()


class CreateWorkspace(Protocol):
    """Type of the fixture `create_workspace`."""

    def __call__(self, **params: Unpack[WorkspaceParams]) -> Workspace:
        """Creates a workspace that is deleted after the test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options of the plugin."""
    group = parser.getgroup("latchkey")
    group.addoption(
        "--latchkey-url", metavar="URL", help="URL of a running Latchkey server. Default: LATCHKEY_URL, else start one."
    )
    parser.addini("latchkey_options", "Options of `latchkey serve` for the server that the plugin starts.", type="args")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, for `--strict-markers` and `pytest --markers`."""
    text = "latchkey(**params): parameters of `workspaces/create` for the fixture `workspace`, such as seed, locks and clock."
    config.addinivalue_line("markers", text)


@pytest.fixture(scope="session")
def latchkey(request: pytest.FixtureRequest) -> Iterator[Latchkey]:
    """The Latchkey server of this run. All workers of pytest-xdist use the same one."""
    url = cast(str | None, request.config.getoption("--latchkey-url"))
    options = cast(list[str], request.config.getini("latchkey_options"))
    try:
        server = start_latchkey(*options, url=url)
    except LatchkeyError as error:
        raise pytest.fail.Exception(f"Latchkey did not start: {error}", pytrace=False) from None
    with server:
        yield server


@pytest.fixture
def create_workspace(request: pytest.FixtureRequest, latchkey: Latchkey) -> Iterator[CreateWorkspace]:
    """Creates workspaces, such as `create_workspace(locks=5, seed="x")`, and deletes them after the test."""
    created = request.node.stash.setdefault(_workspaces, [])

    with ExitStack() as workspaces:

        def create(**params: Unpack[WorkspaceParams]) -> Workspace:
            workspace = workspaces.enter_context(latchkey.create_workspace(**params))
            created.append(workspace)
            return workspace

        yield create


@pytest.fixture
def workspace(request: pytest.FixtureRequest, create_workspace: CreateWorkspace) -> Workspace:
    """A workspace for this test. The marker `latchkey` passes parameters of `workspaces/create`."""
    params: Json = {}
    # The marker of the module comes first, then that of the class, then that of the test, whose parameters win.
    for marker in reversed(list(request.node.iter_markers("latchkey"))):
        if marker.args:
            pytest.fail(f"the marker latchkey takes parameters with names only, such as locks=2: {marker.args}", pytrace=False)
        params.update(marker.kwargs)
    try:
        return create_workspace(**cast(WorkspaceParams, params))
    except (LatchkeyError, ValueError) as error:
        # Without a traceback: none of its lines is of the test.
        raise pytest.fail.Exception(f"no workspace was created: {error}", pytrace=False) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the latest requests of its workspaces to the report of a failed test."""
    report = yield
    if report.when == "call" and report.failed:
        for workspace in item.stash.get(_workspaces, []):
            report.sections.append((f"Requests of workspace {workspace.workspace_id}", _describe_requests(workspace)))
    return report


def _describe_requests(workspace: Workspace) -> str:
    try:
        requests = workspace.requests(limit=_SHOWN_REQUESTS)
    except LatchkeyError as error:
        return f"not available: {error}"
    return "\n".join(_describe(request) for request in requests) or "none"


def _describe(request: Json) -> str:
    lines = [f"{request['method']} {request['path']} {request['status']}"]
    for name, value in (("request", request["query"] or request["body"]), ("response", request["answer"])):
        if value:
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"  {name}: {text[:_SHOWN_CHARACTERS]}{'...' if len(text) > _SHOWN_CHARACTERS else ''}")
    return "\n".join(lines)
