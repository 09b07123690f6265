"""Requests to a Latchkey server, and the error of this package."""

import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

# Longer than the time-out of the server for a request, 30 s, so that its message arrives.
_TIMEOUT_SECONDS = 60

# Without the proxy of the environment: a local server is not behind it.
_opener = build_opener(ProxyHandler({}))


class LatchkeyError(Exception):
    """The server did not start, rejected a request, or did not respond. The message names the cause and the fix.

    `status` is the status of the response, and `type` the type of the error, for programs, such as `invalid_input`. Both are
    None without a response.
    """

    def __init__(self, message: str, status: int | None = None, type: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = type


def post(url: str, path: str, body: dict[str, Any], credential: str | None) -> Any:
    """Sends a POST with JSON to a path such as "/events/list", and returns the JSON of the response.

    Raises LatchkeyError if the server rejects the request, or does not respond within 60 s.
    """
    __tracebackhide__ = True
    content = {"Content-Type": "application/json"}
    return _send(Request(url + path, json.dumps(body).encode(), content, method="POST"), credential)


def get(url: str, path: str, query: dict[str, Any], credential: str | None) -> Any:
    """Sends a GET, and returns the JSON of the response. Raises the same errors as `post`."""
    __tracebackhide__ = True
    return _send(Request(f"{url}{path}?{urlencode(query)}"), credential)


def _send(request: Request, credential: str | None) -> Any:
    # pytest then shows the line of the test.
    __tracebackhide__ = True
    if credential is not None:
        request.add_header("Authorization", f"Bearer {credential}")
    try:
        with _opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return json.load(response)
    except HTTPError as error:
        with error:
            raise _rejected(request, error.code, error.read()) from None
    except (OSError, HTTPException, ValueError) as error:
        raise LatchkeyError(f"{_name(request)} got no response from Latchkey: {_cause(error)}. Has the server stopped?") from None


def check_health(url: str) -> None:
    """Raises LatchkeyError if no Latchkey responds at this URL within 10 s."""
    try:
        with _opener.open(f"{url}/health", timeout=10) as response:
            response.read()
    except (OSError, HTTPException, ValueError) as error:
        raise LatchkeyError(
            f"no Latchkey responds at {url}: {_cause(error)}. Start one there with `latchkey`, or unset LATCHKEY_URL and omit "
            "--latchkey-url, so that one is started"
        ) from None


def _rejected(request: Request, status: int, body: bytes) -> LatchkeyError:
    got = f"{_name(request)} got the status {status}"
    try:
        error = json.loads(body)["error"]
        return LatchkeyError(f"{got}: {error['message']}", status, error["type"])
    except (ValueError, KeyError, TypeError):
        text = body[:500].decode(errors="replace")
        return LatchkeyError(f"{got}. The response is not an error of Latchkey: {text!r}", status)


def _name(request: Request) -> str:
    return f"{request.get_method()} {request.full_url.partition('?')[0]}"


def _cause(error: Exception) -> object:
    """Returns what `urllib` has wrapped in its own error."""
    return getattr(error, "reason", error)
