-- What a workspace answers where Seam's own answer is uncertain.

alter table workspace
    -- Whether managed codes on one lock may have the same PIN while they are not on the lock at the same time.
    add column allow_same_code_in_disjoint_windows boolean not null default false,
    -- Whether a window that has begun is refused on locks that take no start in the past.
    add column refuse_begun_windows boolean not null default false;

-- A group goes with its last code from now on.
delete from pin_group g
where not exists (select from access_code a
                  where a.workspace_id = g.workspace_id and a.common_code_key = g.common_code_key and a.gone_at is null);

-- So does the note that there are faults, with the last fault.
update workspace w set has_faults = exists (select from fault f where f.workspace_id = w.workspace_id);
