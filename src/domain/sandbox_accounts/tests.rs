use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the form of a provider with the right values, and with these other values.
fn form(provider: &SandboxProvider, changes: &[(&'static str, &'static str)]) -> BTreeMap<&'static str, &'static str> {
    let mut form: BTreeMap<_, _> = provider.fields.iter().map(|field| (field.name, field.example())).collect();
    form.extend(changes.iter().copied());
    form
}

fn login(name: &str, changes: &[(&'static str, &'static str)], code: Option<&str>) -> Login {
    let provider = of(name).unwrap();
    let form = form(provider, changes);
    provider.login(|field| form.get(field).copied(), code)
}

fn accepted(user: &str) -> Login {
    Login::Accepted { user_identifier: user.to_owned() }
}

#[test]
fn providers_have_brands_and_distinct_names() {
    let names: BTreeSet<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
    assert_eq!(names.len(), PROVIDERS.len());
    let types: BTreeSet<&str> = PROVIDERS.iter().map(|provider| provider.device_type).collect();
    let brands: BTreeSet<&str> = brands::BRANDS.iter().map(|brand| brand.device_type).collect();
    assert_eq!(types, brands, "each brand has a provider");
    for provider in PROVIDERS {
        assert!(provider.fields.len() > 1 && !provider.devices.is_empty(), "{}", provider.name);
    }
}

#[test]
fn documented_users_are_accepted_and_all_others_rejected() {
    let users: [(&str, &[&'static str]); 13] = [
        ("august", &["jane@example.com", "john@example.com", "sam@example.com", "frodo@example.com"]),
        ("yale", &["jane@example.com", "john@example.com", "sam@example.com", "frodo@example.com"]),
        ("schlage", &["jane@example.com", "frodo@example.com", "andrew@example.com"]),
        ("kwikset", &["jane@example.com", "anybody@example.com"]),
        ("nuki", &["jane@example.com", "anybody@example.com"]),
        ("igloohome", &["jane@example.com", "a.b+c@example.com"]),
        ("ttlock", &["jane@example.com"]),
        ("salto_ks", &["jane@example.com"]),
        ("smartthings", &["jane@example.com", "sam@example.com", "frodo@example.com"]),
        ("wyze", &["jane@example.com", "anybody@example.com"]),
        ("genie", &["john@example.com"]),
        ("controlbyweb", &["jane"]),
        ("dormakaba_oracode", &["jane"]),
    ];
    for (name, users) in users {
        let field = of(name).unwrap().fields[0].name;
        let code = Some(TWO_FACTOR_CODE);
        for user in users {
            assert_eq!(login(name, &[(field, *user)], code), accepted(user), "{name} {user}");
        }
        let others = ["", "jane@example.org", "@example.com", "jane@evil.com@example.com", "x y@example.com", "JANE "];
        for other in others.into_iter().filter(|other| field == "email" || *other != "JANE ") {
            assert_eq!(login(name, &[(field, other)], code), Login::Rejected, "{name} {other}");
        }
    }
    for name in ["ttlock", "salto_ks", "tedee", "akiles", "keyincode", "brivo", "lockly", "omnitec"] {
        assert_eq!(login(name, &[("email", "john@example.com")], None), Login::Rejected, "{name}");
    }
    assert_eq!(login("kwikset", &[("email", " Jane@Example.com ")], None), accepted("jane@example.com"));
}

#[test]
fn login_needs_the_right_value_in_each_field() {
    for provider in PROVIDERS {
        let code = Some(TWO_FACTOR_CODE);
        let user = provider.fields[0].example();
        assert_eq!(login(provider.name, &[], code), accepted(user), "{}", provider.name);
        for field in provider.fields {
            assert_eq!(login(provider.name, &[(field.name, "wrong")], code), Login::Rejected, "{field:?}");
            let mut form = form(provider, &[]);
            form.remove(field.name);
            assert_eq!(provider.login(|name| form.get(name).copied(), code), Login::Rejected, "{field:?}");
        }
    }
}

#[test]
fn second_factor_is_asked_for_after_right_credentials() {
    for name in ["august", "yale"] {
        assert_eq!(login(name, &[], None), Login::NeedsTwoFactorCode);
        assert_eq!(login(name, &[("password", "4321")], None), Login::Rejected);
        assert_eq!(login(name, &[], Some("654321")), Login::Rejected);
        assert_eq!(login(name, &[], Some(" 123456 ")), accepted("jane@example.com"));
    }
    assert_eq!(login("schlage", &[], Some("654321")), accepted("jane@example.com"), "schlage asks for no code");
}

#[test]
fn automatic_user_is_accepted_where_users_are_email_addresses() {
    for provider in PROVIDERS.iter().filter(|provider| provider.fields[0].name == "email") {
        let outcome = login(provider.name, &[("email", AUTOMATIC_USER)], Some(TWO_FACTOR_CODE));
        assert_eq!(outcome, accepted(AUTOMATIC_USER), "{}", provider.name);
    }
}

#[test]
fn categories_select_providers() {
    assert_eq!(of_category("stable").len(), PROVIDERS.len());
    assert!(of_category("consumer_smartlocks").contains(&"august"));
    assert!(!of_category("consumer_smartlocks").contains(&"brivo"));
    assert!(of_category("access_control_systems").contains(&"brivo"));
    assert!(of_category("thermostats").is_empty());
}
