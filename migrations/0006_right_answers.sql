-- What a workspace answers where Seam's own answer is uncertain.

alter table workspace
    -- Whether managed codes on one lock may have the same PIN while they are not on the lock at the same time.
    add column allow_same_code_in_disjoint_windows boolean not null default false,
    -- Whether a window that has begun is refused on locks that take no start in the past.
    add column refuse_begun_windows boolean not null default false;
