-- Times after which a code of an access grant counts as late: see domain::workspace::LateIssuanceLimits.

alter table workspace
    add column late_issuance_lead_ms bigint not null default 129600000,
    add column late_issuance_grace_ms bigint not null default 300000;
