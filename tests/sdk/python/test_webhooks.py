"""Webhooks through the official Python client: a delivery that the official verifier accepts.

Needs BASE_URL and API_KEY.
"""

import os
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from seam import Seam, SeamWebhook, SeamWebhookVerificationError

SETTLE_S = float(os.environ.get("SETTLE_TIMEOUT_MS", "20000")) / 1000


@pytest.fixture
def receiver():
    """A server that keeps what it receives."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self.server.received.put((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def test_webhook_delivery_is_verified_by_the_official_package(receiver):
    with Seam(api_key=os.environ["API_KEY"], endpoint=os.environ["BASE_URL"]) as seam:
        url = f"http://127.0.0.1:{receiver.server_port}/seam"
        webhook = seam.webhooks.create(url=url, event_types=["access_code.created"])
        assert seam.webhooks.get(webhook_id=webhook.webhook_id).secret == webhook.secret
        lock = next(device for device in seam.devices.list() if device.can_program_online_access_codes)
        code = seam.access_codes.create(device_id=lock.device_id, name="Guest")
        headers, body = receiver.received.get(timeout=SETTLE_S)
        event = SeamWebhook(webhook.secret).verify(body, headers)
        assert (event.event_type, event.access_code_id) == ("access_code.created", code.access_code_id)
        with pytest.raises(SeamWebhookVerificationError):
            SeamWebhook(webhook.secret).verify(body.replace(lock.device_id, "another"), headers)
        assert seam.webhooks.update(webhook_id=webhook.webhook_id, event_types=["*"]) is None
        assert seam.webhooks.delete(webhook_id=webhook.webhook_id) is None
        seam.access_codes.delete(access_code_id=code.access_code_id)
