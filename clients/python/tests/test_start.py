"""Start of the server, and its failures."""

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Programs

from latchkey_seam import Latchkey, LatchkeyError, find_program, start_latchkey


def test_start_of_two_servers_uses_the_same_one(latchkey: Latchkey) -> None:
    with start_latchkey() as second:
        assert second.url == latchkey.url
        with second.create_workspace() as workspace:
            assert workspace.url == latchkey.url


def test_start_with_other_options_is_another_server(latchkey: Latchkey) -> None:
    with start_latchkey("--keep-expired-access-codes") as other:
        assert other.url != latchkey.url


def test_start_of_a_program_that_fails_shows_its_log(programs: Programs) -> None:
    program = programs.write("echo 'latchkey: no postgresql programs were found' >&2; exit 1")
    with pytest.raises(LatchkeyError, match="did not start a server(.|\n)*no postgresql programs were found"):
        start_latchkey(program=program)


def test_start_shows_the_end_of_a_long_log_only(programs: Programs) -> None:
    program = programs.write("yes 'a line of the log' | head -n 5000 >&2; echo the cause >&2; exit 1")
    with pytest.raises(LatchkeyError, match="the cause$") as raised:
        start_latchkey(program=program)
    assert len(str(raised.value)) < 5000


def test_start_of_a_program_that_is_not_ready_in_time_ends_it(programs: Programs, tmp_path: Path) -> None:
    program = programs.write(f"echo $$ > {tmp_path}/pid; echo 'waiting for the database' >&2; sleep 600; echo late")
    with pytest.raises(LatchkeyError, match="not ready after 0.5 s(.|\n)*waiting for the database"):
        start_latchkey(program=program, timeout=0.5)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_start_of_a_program_that_does_not_exist_names_latchkey_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_BIN", "/nowhere/latchkey")
    with pytest.raises(LatchkeyError, match="/nowhere/latchkey cannot be started(.|\n)*LATCHKEY_BIN"):
        start_latchkey()


def test_start_does_not_give_the_database_of_the_tests_to_latchkey(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://localhost/application")
    program = programs.write("echo database=${DATABASE_URL:-none} >&2; exit 1")
    with pytest.raises(LatchkeyError, match="database=none"):
        start_latchkey(program=program)


def test_start_keeps_ctrl_c_from_its_program(programs: Programs, tmp_path: Path) -> None:
    # Ctrl-C is sent to a process group. The server must live until the fixtures of the tests have ended.
    ready = '{"url": "http://127.0.0.1:1", "api_key": "key"}'
    program = programs.write(f"echo $$ > {tmp_path}/pid; echo '{ready}'; cat > /dev/null")
    with start_latchkey(program=program):
        assert os.getpgid(int((tmp_path / "pid").read_text())) != os.getpgid(0)


def test_start_ends_its_program_when_it_is_closed(programs: Programs, tmp_path: Path) -> None:
    ready = '{"url": "http://127.0.0.1:1", "api_key": "key"}'
    program = programs.write(f"echo '{ready}'; cat > /dev/null; echo ended > {tmp_path}/ended")
    server = start_latchkey(program=program)
    assert (server.url, server.api_key) == ("http://127.0.0.1:1", "key")
    server.close()
    server.close()
    assert (tmp_path / "ended").read_text() == "ended\n"


def test_start_with_a_server_that_died_since_shows_its_log(programs: Programs) -> None:
    ready = '{"url": "http://127.0.0.1:1", "api_key": "key"}'
    program = programs.write(f"echo 'the disk is full' >&2; echo '{ready}'")
    with start_latchkey(program=program) as server:
        with pytest.raises(LatchkeyError, match="Has the server stopped") as raised:
            server.create_workspace()
        assert "the disk is full" in raised.value.__notes__[0]


def test_start_with_a_url_starts_nothing(latchkey: Latchkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_BIN", "/nowhere/latchkey")
    monkeypatch.setenv("LATCHKEY_URL", f"{latchkey.url}/")
    with start_latchkey() as server, server.create_workspace() as workspace:
        assert (server.url, workspace.url) == (latchkey.url, latchkey.url)


def test_start_uses_the_admin_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATCHKEY_ADMIN_TOKEN", "the-token-of-this-test")
    with start_latchkey() as server:
        server.create_workspace().delete()
        monkeypatch.delenv("LATCHKEY_ADMIN_TOKEN")
        with start_latchkey(url=server.url) as without, pytest.raises(LatchkeyError, match="status 401"):
            without.create_workspace()


def test_start_with_a_url_where_nothing_runs_names_the_fix() -> None:
    with pytest.raises(LatchkeyError, match="no Latchkey responds at http://127.0.0.1:1(.|\n)*unset LATCHKEY_URL"):
        start_latchkey(url="http://127.0.0.1:1")


@pytest.fixture
def other_server() -> Iterator[str]:
    """URL of a server that is not Latchkey."""
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_start_with_the_url_of_another_server_is_rejected(other_server: str) -> None:
    with pytest.raises(LatchkeyError, match="no Latchkey responds"):
        start_latchkey(url=other_server)


def test_program_is_the_one_of_the_package() -> None:
    assert Path(find_program()).name == "latchkey"
    assert Path(find_program()).is_file()
