-- Devices that are unmanaged, renamed or deleted through the API.

alter table device
    -- False: Seam lists the device, but does not control it.
    add column is_managed boolean not null default true,
    -- Name that a client of the API gave the device; null: none. The column `name` is the name in the provider's app.
    add column nickname text,
    -- Time at which the device was deleted, on the clock of the workspace; null: it exists. The row stays, because
    -- events and action attempts refer to it, and because its ordinal is taken.
    add column deleted_at timestamptz;
