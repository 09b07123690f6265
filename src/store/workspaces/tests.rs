use super::*;

#[test]
fn clock_row_that_is_invalid_is_an_error_that_names_the_workspace() {
    let at = Timestamp::default();
    let read = |clock_mode: &str, clock_at, clock_since, clock_rate| {
        let row = WorkspaceSettingsRow {
            workspace_id: Uuid::from_u128(7),
            seed: None,
            clock_mode: clock_mode.to_owned(),
            clock_at,
            clock_since,
            clock_rate,
            programming_ms: None,
            slow_after_ms: 0,
            keeps_expired: false,
            has_faults: false,
            has_webhooks: false,
            rate_limits: None,
            allow_same_code_in_disjoint_windows: false,
            refuse_begun_windows: false,
            late_issuance_lead_ms: 0,
            late_issuance_grace_ms: 0,
        };
        <(Ids, WorkspaceSettings)>::try_from(row).map(|(_, settings)| settings.clock)
    };
    assert_eq!(read("live", None, None, None).unwrap(), WorkspaceClock::Live);
    assert_eq!(read("held", Some(at), None, None).unwrap(), WorkspaceClock::Held { at });
    let running = read("running", Some(at), Some(at), Some(2.0)).unwrap();
    assert_eq!(running, WorkspaceClock::Running { at, since: at, rate: 2.0 });
    for (clock_mode, clock_at, clock_since, clock_rate) in [
        ("held", None, None, None),
        ("running", Some(at), None, Some(1.0)),
        ("running", None, Some(at), Some(1.0)),
        ("running", Some(at), Some(at), None),
        ("stopped", Some(at), None, None),
    ] {
        let error = read(clock_mode, clock_at, clock_since, clock_rate).unwrap_err().to_string();
        assert!(error.contains("00000000-0000-0000-0000-000000000007 has an impossible clock"), "{error}");
    }
}
