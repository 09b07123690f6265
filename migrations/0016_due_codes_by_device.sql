-- Due codes of one device stand together, so that a batch of the scheduler locks few devices.

drop index access_code_wake;
create index access_code_wake on access_code (wake_at, device_id) where wake_at is not null;
