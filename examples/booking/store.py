"""What the booking service remembers, in SQLite: webviews, bookings with their access codes, and events."""

import sqlite3
import threading
from contextlib import contextmanager

# The state of a booking is not stored: it follows from the last events of its access codes.
SCHEMA = """
create table if not exists webview (
    connect_webview_id text primary key,
    connected_account_id text  -- null: nobody has logged in yet
);
create table if not exists booking (
    booking_id text primary key,
    guest text not null,
    starts_at text not null,
    ends_at text not null,
    pin text not null,
    common_code_key text not null,  -- Seam's name for the linked access codes of the booking
    is_cancelled integer not null default 0
);
create table if not exists access_code (
    access_code_id text primary key,
    booking_id text not null references booking,
    device_id text not null
);
create table if not exists event (
    event_id text primary key,
    event_type text not null,
    access_code_id text,
    occurred_at text not null,
    problem text
);
create index if not exists access_code_of_booking on access_code (booking_id);
create index if not exists event_of_access_code on event (access_code_id);
"""


class Store:
    """Database of the service. Each method is one transaction, and threads take turns."""

    def __init__(self, path=":memory:"):
        self._turn = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(SCHEMA)

    @contextmanager
    def _transaction(self):
        with self._turn, self._database as database:
            yield database

    def add_webview(self, connect_webview_id):
        with self._transaction() as database:
            database.execute("insert into webview (connect_webview_id) values (?)", (connect_webview_id,))

    def has_webview(self, connect_webview_id):
        with self._transaction() as database:
            found = database.execute("select 1 from webview where connect_webview_id = ?", (connect_webview_id,))
            return found.fetchone() is not None

    def set_account(self, connect_webview_id, connected_account_id):
        """Records who has logged in. A webview that this service did not create has no row, so it changes nothing."""
        with self._transaction() as database:
            database.execute(
                "update webview set connected_account_id = ? where connect_webview_id = ?",
                (connected_account_id, connect_webview_id),
            )

    def accounts(self):
        with self._transaction() as database:
            found = database.execute(
                "select distinct connected_account_id from webview where connected_account_id is not null order by 1"
            )
            return [row["connected_account_id"] for row in found]

    def add_booking(self, booking, access_codes):
        with self._transaction() as database:
            database.execute(
                "insert into booking (booking_id, guest, starts_at, ends_at, pin, common_code_key)"
                " values (:booking_id, :guest, :starts_at, :ends_at, :pin, :common_code_key)",
                booking,
            )
            database.executemany(
                "insert into access_code (access_code_id, booking_id, device_id) values (?, ?, ?)",
                [(code.access_code_id, booking["booking_id"], code.device_id) for code in access_codes],
            )

    def booking_ids(self):
        with self._transaction() as database:
            return [row["booking_id"] for row in database.execute("select booking_id from booking order by starts_at")]

    def booking(self, booking_id):
        """Returns a booking, and its access codes with their last events. Returns `(None, [])` if it does not exist."""
        with self._transaction() as database:
            booking = database.execute("select * from booking where booking_id = ?", (booking_id,)).fetchone()
            # Deliveries need not arrive in order, so the order is that of occurrence. Nothing follows a deletion.
            found = database.execute(
                "select access_code_id, device_id, event_type as last_event, problem"
                " from access_code left join event using (access_code_id) where booking_id = ?"
                " order by access_code.rowid, event_type = 'access_code.deleted', occurred_at, event.rowid",
                (booking_id,),
            )
            # The last row of a code replaces the others.
            access_codes = {row["access_code_id"]: dict(row) for row in found}
            return booking and dict(booking), list(access_codes.values())

    def move_booking(self, booking_id, starts_at, ends_at):
        with self._transaction() as database:
            database.execute(
                "update booking set starts_at = ?, ends_at = ? where booking_id = ?", (starts_at, ends_at, booking_id)
            )

    def cancel_booking(self, booking_id):
        with self._transaction() as database:
            database.execute("update booking set is_cancelled = 1 where booking_id = ?", (booking_id,))

    def add_event(self, event, problem):
        """Adds an event of an access code, unless it was added before: a webhook delivers at least once.

        The access code may be unknown: its event can be faster than the response to the request that created it.
        """
        with self._transaction() as database:
            database.execute(
                "insert or ignore into event (event_id, event_type, access_code_id, occurred_at, problem)"
                " values (?, ?, ?, ?, ?)",
                (event.event_id, event.event_type, event.access_code_id, event.occurred_at, problem),
            )
