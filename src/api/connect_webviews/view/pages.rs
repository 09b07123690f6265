//! HTML of the page of a connect webview.

use super::Form;
use crate::api::body;
use crate::domain::connect_webview::ConnectWebview;
use crate::domain::sandbox_accounts::{Accepted, Field, SandboxProvider, TWO_FACTOR_CODE};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Style sheet of all pages. The content security policy allows exactly this text.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1f24;--muted:#57606a;--back:#fff;--card:#f6f8fa;--line:#6e7781;\
--accent:#0550ae;--on-accent:#fff;--error:#a40e26}\
@media(prefers-color-scheme:dark){:root{--text:#f0f3f6;--muted:#c2cad4;--back:#0d1117;--card:#161b22;--line:#8b949e;\
--accent:#79b8ff;--on-accent:#0d1117;--error:#ff9a92}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}\
main{max-width:28rem;margin:0 auto;padding:1.5rem 1rem 3rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}\
ul{list-style:none;margin:0;padding:0}\
li{margin:0 0 .5rem}\
.choice,button,.continue{display:block;width:100%;min-height:2.75rem;padding:.6rem 1rem;border-radius:.5rem;\
font:inherit;text-align:left;text-decoration:none}\
.choice{background:var(--card);color:var(--text);border:1px solid var(--line)}\
button,.continue{background:var(--accent);color:var(--on-accent);border:1px solid var(--accent);text-align:center;\
font-weight:600;cursor:pointer}\
label{display:block;font-weight:600;margin:1rem 0 .25rem}\
input,select{display:block;width:100%;min-height:2.75rem;padding:.5rem .75rem;border:1px solid var(--line);\
border-radius:.5rem;background:var(--back);color:var(--text);font:inherit}\
button{margin-top:1.5rem}\
.hint{margin:.25rem 0 0;color:var(--muted);font-size:.9rem}\
.error{border:2px solid var(--error);border-radius:.5rem;color:var(--error);padding:.75rem 1rem;margin:0 0 1rem}\
a{color:var(--accent)}\
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}";

/// Page to show.
pub(super) enum Page<'a> {
    /// List of the providers to choose from.
    Providers {
        webview: &'a ConnectWebview,
        providers: Vec<&'static SandboxProvider>,
    },
    /// Login form of a provider.
    Login {
        webview: &'a ConnectWebview,
        provider: &'static SandboxProvider,
        /// Number of providers to choose from.
        providers: usize,
        /// Form with wrong credentials; `None`: nothing was submitted yet.
        rejected: Option<&'a Form>,
    },
    /// Form for the code of the second factor, after a form with right credentials.
    TwoFactor {
        webview: &'a ConnectWebview,
        provider: &'static SandboxProvider,
        form: &'a Form,
    },
    /// The account is connected.
    Done {
        webview: &'a ConnectWebview,
    },
    /// No such webview, or the secret is wrong.
    NotFound,
    Failure {
        message: String,
    },
}

impl<'a> Page<'a> {
    /// Returns the empty login form of a provider, which is one of these.
    pub(super) fn login(
        webview: &'a ConnectWebview,
        provider: &'static SandboxProvider,
        providers: &[&'static SandboxProvider],
    ) -> Self {
        Self::Login { webview, provider, providers: providers.len(), rejected: None }
    }

    pub(super) fn render(&self) -> String {
        match self {
            Self::Providers { webview, providers } => document("Choose a brand", &choice(webview, providers)),
            Self::Login { webview, provider, providers, rejected } => {
                let title = format!("Log in to {}", provider.display_name());
                let title = if rejected.is_some() { format!("Error: {title}") } else { title };
                document(&title, &login(webview, provider, *providers, *rejected))
            }
            Self::TwoFactor { webview, provider, form } => {
                document("Enter the verification code", &two_factor(webview, provider, form))
            }
            Self::Done { webview } => document("Account connected", &done(webview)),
            Self::NotFound => document(
                "Page not found",
                &html! {
                    h1 { "Page not found" }
                    p { "This link is not valid. Ask the application that gave it to you for a new one." }
                },
            ),
            Self::Failure { message } => document(
                "Something went wrong",
                &html! {
                    h1 { "Something went wrong" }
                    p class="error" role="alert" { (message) }
                },
            ),
        }
        .into_string()
    }
}

fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Latchkey" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    }
}

fn choice(webview: &ConnectWebview, providers: &[&SandboxProvider]) -> Markup {
    let query = body::connect_webview::query(webview);
    html! {
        h1 { "Choose the brand of your devices" }
        @if providers.is_empty() {
            p { "The application accepts only brands of which this sandbox has no devices." }
        } @else {
            nav aria-label="Brands" {
                ul {
                    @for provider in providers {
                        li {
                            a class="choice" href={ "?" (query) "&provider=" (provider.name) } {
                                (provider.display_name())
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Inputs that identify the webview and the provider.
fn identity(webview: &ConnectWebview, provider: &SandboxProvider) -> Markup {
    html! {
        input type="hidden" name="connect_webview_id" value=(webview.connect_webview_id);
        input type="hidden" name="auth_token" value=(webview.auth_token);
        input type="hidden" name="provider" value=(provider.name);
    }
}

fn login(webview: &ConnectWebview, provider: &SandboxProvider, providers: usize, rejected: Option<&Form>) -> Markup {
    html! {
        h1 { "Log in to " (provider.display_name()) }
        @if rejected.is_some() {
            p class="error" role="alert" id="problem" {
                "These credentials are not those of an account of the sandbox. Check each field, and try again."
            }
        }
        form method="post" {
            (identity(webview, provider))
            @for (index, field) in provider.fields.iter().enumerate() {
                (input(field, index == 0, rejected))
            }
            button type="submit" { "Log in" }
        }
        @if providers > 1 {
            p { a href={ "?" (body::connect_webview::query(webview)) } { "Choose another brand" } }
        }
    }
}

/// Labelled input of a field. After a rejected form it has the submitted value, except for secrets.
fn input(field: &Field, is_first: bool, rejected: Option<&Form>) -> Markup {
    let hint = format!("{}-hint", field.name);
    let described_by = if rejected.is_some() { format!("problem {hint}") } else { hint.clone() };
    let submitted = rejected.filter(|_| !field.is_secret).and_then(|form| form.get(field.name));
    let (kind, autocomplete) = match field.name {
        "email" => ("email", "username"),
        "username" => ("text", "username"),
        "password" => ("password", "current-password"),
        _ if field.is_secret => ("password", "off"),
        _ => ("text", "off"),
    };
    html! {
        label for=(field.name) { (field.label) }
        @if let Accepted::Choice(values) = field.accepted {
            select id=(field.name) name=(field.name) required aria-describedby=(described_by) {
                @for value in values {
                    option value=(value) selected[submitted.is_some_and(|submitted| submitted == value)] { (value) }
                }
            }
            p class="hint" id=(hint) { "Choose any value." }
        } @else {
            input id=(field.name) name=(field.name) type=(kind) autocomplete=(autocomplete) autocapitalize="none"
                spellcheck="false" required value=[submitted] autofocus[is_first] aria-describedby=(described_by)
                aria-invalid=[rejected.map(|_| "true")];
            p class="hint" id=(hint) { "In the sandbox: " (field.example()) }
        }
    }
}

fn two_factor(webview: &ConnectWebview, provider: &SandboxProvider, form: &Form) -> Markup {
    html! {
        h1 { "Enter the verification code" }
        p { (provider.display_name()) " has sent you a code." }
        form method="post" {
            (identity(webview, provider))
            @for field in provider.fields {
                input type="hidden" name=(field.name) value=[form.get(field.name)];
            }
            label for="two_factor_code" { "Verification code" }
            input id="two_factor_code" name="two_factor_code" type="text" inputmode="numeric"
                autocomplete="one-time-code" required autofocus aria-describedby="two_factor_code-hint";
            p class="hint" id="two_factor_code-hint" { "In the sandbox: " (TWO_FACTOR_CODE) }
            button type="submit" { "Verify" }
        }
    }
}

fn done(webview: &ConnectWebview) -> Markup {
    html! {
        h1 { "Your account is connected" }
        p role="status" { "You can close this page, and go back to the application." }
        @if let Some(url) = webview.redirect_url() {
            p { a class="continue" href=(url) rel="noreferrer" { "Continue" } }
        }
    }
}
