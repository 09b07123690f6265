-- Locks that travel in one message with the begin of a transaction. The statements after it see what was committed
-- before these locks were free. Devices of other accounts than these stay unlocked; null: all accounts.

-- Locks these devices of a workspace, in the order of their ids.
create function lock_devices(of_workspace uuid, device_ids uuid[], of_accounts uuid[])
returns void language plpgsql as $$
begin
    perform from device
    where device_id = any(device_ids) and workspace_id is not distinct from of_workspace and deleted_at is null
          and (of_accounts is null or connected_account_id = any(of_accounts))
    order by device_id for update;
end $$;

-- Locks the devices of these access codes, in the order of their ids. A code never moves to another device.
create function lock_devices_of_access_codes(of_workspace uuid, access_code_ids uuid[], of_accounts uuid[])
returns void language plpgsql as $$
begin
    perform from device
    where device_id = any(array(select device_id from access_code where access_code_id = any(access_code_ids)))
          and workspace_id is not distinct from of_workspace and deleted_at is null
          and (of_accounts is null or connected_account_id = any(of_accounts))
    order by device_id for update;
end $$;
