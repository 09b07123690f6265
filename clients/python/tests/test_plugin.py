"""The plugin for pytest, in runs of pytest inside a test."""

from pathlib import Path

import pytest
from conftest import Programs

from latchkey_seam import Latchkey
from latchkey_seam._client import get


def listed(latchkey: Latchkey) -> set[str]:
    """Ids of the workspaces on the server."""
    workspaces = get(latchkey.url, "/_emulator/workspaces/list", {}, None)["workspaces"]
    return {workspace["workspace_id"] for workspace in workspaces}


def test_fixture_latchkey_is_the_same_in_all_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        used = []

        def test_one(latchkey): used.append(latchkey)
        def test_two(latchkey): assert used == [latchkey]
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_fixture_workspace_is_new_in_each_test_and_deleted_after_it(latchkey: Latchkey, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("number", range(2))
        def test_one(workspace, number):
            with Path("ids").open("a") as file:
                print(workspace.workspace_id, file=file)

        def test_that_fails(workspace):
            with Path("ids").open("a") as file:
                print(workspace.workspace_id, file=file)
            assert False
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2, failed=1)
    ids = (pytester.path / "ids").read_text().split()
    assert len(set(ids)) == 3
    assert not listed(latchkey) & set(ids)


def test_fixture_workspace_that_the_test_deleted_is_no_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(workspace): workspace.emulator('workspaces/delete')")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_fixture_create_workspace_deletes_each_one_after_the_test(latchkey: Latchkey, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_one(create_workspace):
            created = [create_workspace(locks=number) for number in range(3)]
            assert [len(workspace.devices) for workspace in created] == [0, 1, 2]
            Path("ids").write_text(" ".join(workspace.workspace_id for workspace in created))
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert not listed(latchkey) & set((pytester.path / "ids").read_text().split())


def test_marker_passes_parameters_and_the_nearest_one_wins(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.latchkey(locks=2, clock={"held_at": "2026-03-02T12:00:00Z"})

        @pytest.mark.latchkey(locks=3)
        class TestMany:
            def test_of_a_class(self, workspace):
                assert (len(workspace.devices), workspace.now().month) == (3, 3)

            @pytest.mark.latchkey(locks=4)
            def test_with_its_own(self, workspace):
                assert (len(workspace.devices), workspace.now().month) == (4, 3)

        def test_of_the_module(workspace):
            assert (len(workspace.devices), workspace.now().month) == (2, 3)
        """
    )
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=3)


def test_marker_with_a_parameter_without_a_name_is_rejected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.latchkey(2)
        def test_one(workspace): pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes parameters with names only, such as locks=2*"])


def test_marker_with_an_unknown_parameter_is_rejected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.latchkey(lokcs=2)
        def test_one(workspace): pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*did you mean "locks"*'])
    result.stdout.no_fnmatch_line("*create_workspace*")


def test_report_of_a_failed_test_has_its_requests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_that_fails(workspace):
            workspace.seam.devices.list()
            workspace.seam.access_codes.create(device_id=workspace.devices[0]["device_id"], code="12")

        def test_that_passes(workspace):
            workspace.seam.locks.list()
        """
    )
    result = pytester.runpytest_subprocess("-rP")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Requests of workspace *",
            "GET /devices/list 200",
            '  response: {"devices": *...',
            "POST /access_codes/create 400",
            '  request: *"code": "12"*',
            '  response: {"error": *',
        ]
    )
    result.stdout.no_fnmatch_line("*/locks/list*")


def test_report_without_a_server_says_so(programs: Programs, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_BIN", programs.write("echo 'latchkey: no postgresql programs were found' >&2; exit 1"))
    pytester.makepyfile("def test_one(workspace): pass\ndef test_two(): pass")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["Latchkey did not start: *", "*no postgresql programs were found*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_option_url_uses_the_running_server(
    latchkey: Latchkey, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATCHKEY_BIN", "/nowhere/latchkey")
    monkeypatch.setenv("LATCHKEY_URL", "http://127.0.0.1:1")
    pytester.makepyfile(f"def test_one(workspace): assert workspace.url == {latchkey.url!r}")
    pytester.runpytest_subprocess("--latchkey-url", latchkey.url).assert_outcomes(passed=1)


def test_variable_url_uses_the_running_server(
    latchkey: Latchkey, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATCHKEY_BIN", "/nowhere/latchkey")
    monkeypatch.setenv("LATCHKEY_URL", latchkey.url)
    pytester.makepyfile(f"def test_one(workspace): assert workspace.url == {latchkey.url!r}")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_option_of_the_ini_file_is_passed_to_the_server(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nlatchkey_options = --keep-expired-access-codes --seed 'an ini file'")
    pytester.makepyfile(
        """
        def test_one(workspace):
            code = workspace.seam.access_codes.create(
                device_id=workspace.devices[0]["device_id"], starts_at="2026-01-01T01:00:00Z", ends_at="2026-01-01T02:00:00Z"
            )
            workspace.advance("72h")
            assert workspace.seam.access_codes.get(access_code_id=code.access_code_id).status == "unset"
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_workers_of_xdist_use_one_server(latchkey: Latchkey, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_one(workspace, number):
            Path(f"{os.environ['PYTEST_XDIST_WORKER']}-{number}").write_text(workspace.url)
        """
    )
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=8)
    written = {path.name.partition("-")[0]: path.read_text() for path in Path(pytester.path).glob("gw*-*")}
    assert len(written) == 2
    assert set(written.values()) == {latchkey.url}


def test_plugin_starts_no_server_without_its_fixtures(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_BIN", "/nowhere/latchkey")
    pytester.makepyfile("def test_one(): pass")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
