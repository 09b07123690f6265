//! Page of a connect webview: forms, wrong credentials, redirects, and what protects it.

use super::{JANE, PAGE, Webview, devices, post_form};
use crate::support::{Reply, TestWorkspace, UNKNOWN, ask, run, types};
use serde_json::{Value, json};

#[test]
fn wrong_credentials_fail_the_webview_until_a_login_succeeds() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({ "accepted_providers": ["august"] })).await;
        let region = ("region", "Europe");
        for form in [
            vec![("email", "jane@example.com"), ("password", "wrong"), region],
            vec![("email", "nobody@example.com"), ("password", "1234"), region],
            vec![("email", "jane@example.com"), ("password", "1234"), region, ("two_factor_code", "654321")],
            vec![],
        ] {
            let reply = webview.submit("august", &form).await;
            assert_eq!(reply.status, 422, "{form:?}: {}", reply.text);
            assert!(reply.text.contains("role=\"alert\"") && !reply.text.contains("wrong\""), "{}", reply.text);
            let state = webview.state().await;
            assert_eq!((&state["status"], &state["selected_provider"]), (&json!("failed"), &json!("august")));
            assert_eq!(state["connected_account_id"], Value::Null);
        }
        let failed = workspace.events(json!({ "connect_webview_id": webview.id })).await;
        assert_eq!(types(&failed), ["connect_webview.login_failed"; 4]);
        assert_eq!(devices(&workspace, json!({})).await.len(), 0);
        let right = [JANE[0], JANE[1], region, ("two_factor_code", "123456")];
        assert_eq!(webview.log_in("august", &right).await.status, 200);
        assert_eq!(webview.state().await["status"], "authorized");
    });
}

#[test]
fn second_factor_is_no_login_until_its_code_is_given() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({})).await;
        let reply = webview.submit("yale", &[JANE[0], JANE[1], ("region", "Europe")]).await;
        assert!(reply.text.contains("one-time-code"), "{}", reply.text);
        assert!(reply.text.contains("value=\"jane@example.com\""), "the form keeps the first step");
        assert_eq!(webview.state().await["status"], "pending");
        assert_eq!(workspace.events(json!({ "connect_webview_id": webview.id })).await, Vec::<Value>::new());
    });
}

#[test]
fn redirects_lead_to_the_urls_of_the_application() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let both = json!({ "accepted_providers": ["kwikset"], "custom_redirect_url": "https://app.test/done?a=1",
                           "custom_redirect_failure_url": "myapp://failed" });
        let webview = Webview::create(&workspace, both).await;
        let location = |reply: &Reply| reply.headers["location"].to_str().unwrap().to_owned();
        let id = webview.id.as_str().unwrap();
        let reply = webview.submit("kwikset", &[JANE[0], ("password", "wrong")]).await;
        assert_eq!((reply.status, location(&reply)), (303, format!("myapp://failed?connect_webview_id={id}")));
        let policy = webview.open("").await.headers["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.ends_with("form-action 'self' https://app.test myapp:"), "{policy}");
        for _ in 0..2 {
            let reply = webview.submit("kwikset", &JANE).await;
            let account = webview.state().await["connected_account_id"].as_str().unwrap().to_owned();
            let expected = format!("https://app.test/done?a=1&connect_webview_id={id}&connected_account_id={account}");
            assert_eq!((reply.status, location(&reply)), (303, expected), "also when the form is sent again");
        }
        assert_eq!(devices(&workspace, json!({})).await.len(), 2);
        assert!(webview.open("").await.text.contains("href=\"https://app.test/done?a=1&amp;connect_webview_id="));

        // Without a URL for failures, Seam uses the other one.
        let only_one = json!({ "accepted_providers": ["kwikset"], "custom_redirect_url": "https://app.test/done" });
        let webview = Webview::create(&workspace, only_one).await;
        let reply = webview.submit("kwikset", &[JANE[0], ("password", "wrong")]).await;
        let id = webview.id.as_str().unwrap();
        assert_eq!(location(&reply), format!("https://app.test/done?connect_webview_id={id}"));
    });
}

#[test]
fn page_is_plain_html_that_offers_the_accepted_brands() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({ "accepted_providers": ["yale", "nest", "august"] })).await;
        let page = webview.open("").await;
        assert_eq!((page.status, page.headers["content-type"].to_str().unwrap()), (200, "text/html; charset=utf-8"));
        for offered in ["&amp;provider=august\"", "&amp;provider=yale\"", "lang=\"en\"", "name=\"viewport\""] {
            assert!(page.text.contains(offered), "{offered}: {}", page.text);
        }
        for missing in ["provider=nest", "provider=schlage", "<script", "src=", "http:", "https:"] {
            assert!(!page.text.contains(missing), "{missing}: {}", page.text);
        }
        for (name, value) in
            [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")]
        {
            assert_eq!(page.headers[name], value);
        }
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let from_page = [("origin", "https://evil.test")];
        let page = ask("GET", &format!("{PAGE}?{}", webview.query), &from_page, "").await;
        assert!(!page.headers.contains_key("access-control-allow-origin"));
        let form = webview.open("&provider=yale").await;
        for field in ["email", "password", "region"] {
            assert!(form.text.contains(&format!("<label for=\"{field}\">")), "{}", form.text);
            assert!(form.text.contains(&format!("id=\"{field}\" name=\"{field}\"")), "{}", form.text);
        }
        for provider in ["schlage", "nest", "acme", "%3Cscript%3E"] {
            assert_eq!(webview.open(&format!("&provider={provider}")).await.status, 400, "{provider}");
            assert_eq!(webview.submit(provider, &JANE).await.status, 400, "{provider}");
        }
        assert_eq!(webview.state().await["status"], "pending");
        let only = Webview::create(&workspace, json!({ "accepted_providers": ["schlage"] })).await;
        assert!(only.open("").await.text.contains("Log in to Schlage"), "one brand needs no choice");
        let none = Webview::create(&workspace, json!({ "accepted_providers": ["nest"] })).await;
        assert!(none.open("").await.text.contains("has no devices"));
    });
}

#[test]
fn submitted_values_are_escaped_and_secrets_are_not_repeated() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({})).await;
        let form = [("email", "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"), ("password", "secret-word")];
        let reply = webview.submit("schlage", &form).await;
        assert!(reply.text.contains("&quot;&gt;&lt;script&gt;"), "{}", reply.text);
        assert!(!reply.text.contains("<script") && !reply.text.contains("secret-word"), "{}", reply.text);
    });
}

#[test]
fn page_needs_the_secret_of_its_url() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({})).await;
        let id = webview.id.as_str().unwrap();
        let (start, token) = webview.query.split_once("auth_token=").unwrap();
        let other = Webview::create(&workspace, json!({})).await;
        let other_token = other.query.split_once("auth_token=").unwrap().1;
        for query in [
            String::new(),
            format!("connect_webview_id={id}"),
            format!("{start}auth_token="),
            format!("{start}auth_token={}", &token[1..]),
            format!("{start}auth_token={token}x"),
            format!("{start}auth_token={other_token}"),
            format!("connect_webview_id={UNKNOWN}&auth_token={token}"),
            format!("connect_webview_id=nope&auth_token={token}"),
        ] {
            let page = ask("GET", &format!("{PAGE}?{query}"), &[], "").await;
            assert_eq!(page.status, 404, "{query}");
            assert!(page.text.contains("Page not found"), "{}", page.text);
            let reply = post_form(&format!("{query}&provider=schlage"), &JANE).await;
            assert_eq!(reply.status, 404, "{query}");
        }
        assert_eq!(webview.state().await["status"], "pending");
        assert_eq!(devices(&workspace, json!({})).await.len(), 0);
        let key = format!("Bearer {}", workspace.api_key);
        let requests = ask("GET", "/_emulator/requests", &[("authorization", &key)], "").await.ok().to_string();
        assert!(!requests.contains(token), "{requests}");
    });
}

#[test]
fn page_rejects_other_methods_and_large_forms() {
    run(async {
        let workspace = TestWorkspace::with_locks(0).await;
        let webview = Webview::create(&workspace, json!({})).await;
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS"] {
            ask(method, &format!("{PAGE}?{}", webview.query), &[], "").await.error(405, "method_not_allowed");
        }
        let long = "x".repeat(20_000);
        assert_eq!(webview.submit("schlage", &[("email", &long)]).await.status, 413);
        assert_eq!(webview.state().await["status"], "pending");
    });
}
