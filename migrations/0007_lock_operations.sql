-- Locks that are locked and unlocked through the API, and that lock themselves.

alter table device
    -- Operations that the lock performs later, in the order in which they were requested; null: none. See
    -- `domain/device/lock_operation.rs`.
    add column lock_operations jsonb,
    -- Machine time at which the first of them is due; null: none, or the clock does not lead there, as on a held clock.
    add column wake_at timestamptz;
create index device_wake on device (wake_at) where wake_at is not null;
