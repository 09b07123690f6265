//! Whole requests: an operation of one of the contracts with its parameters, and mistakes that clients make around
//! them.

use super::values::{Known, Parameters, Random, ValueGenerator};
use super::wire::Request;
use serde_json::{Map, Value, json};

/// One operation of a contract.
pub(super) struct Operation<'a> {
    pub(super) document: &'a Value,
    pub(super) path: &'a str,
    pub(super) method: String,
    described: &'a Value,
}

/// Returns the operations of a contract, without the event stream, whose response never ends.
pub(super) fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            if path != "/_emulator/stream" {
                operations.push(Operation { document, path, method: method.to_ascii_uppercase(), described });
            }
        }
    }
    operations
}

/// Credentials and workspace of the caller.
pub(super) struct Caller<'a> {
    pub(super) api_key: &'a str,
    pub(super) workspace_id: &'a str,
    pub(super) personal_access_token: &'a str,
    /// API key of a workspace of the lane, in most cases another one.
    pub(super) other_key: &'a str,
}

/// Creates a random request for an operation.
pub(super) fn request(random: &mut Random, operation: &Operation<'_>, caller: &Caller<'_>, known: &Known) -> Request {
    let is_control = operation.path.starts_with("/_emulator/");
    let is_keyless = operation.path == "/_emulator/workspaces/create" || (is_control && random.per_mille(250));
    // Most requests are valid, so that they change data. The others have several mistakes.
    let wrong = if random.per_mille(600) { 0 } else { 150 };
    let mut generator = ValueGenerator { random, document: operation.document, known, wrong };
    let body = &operation.described["requestBody"]["content"]["application/json"]["schema"];
    let parameters = if body.is_null() { of_query(operation.described) } else { generator.parameters(body) };
    let names_workspace = parameters.schemas.iter().any(|(name, _)| *name == "workspace_id");
    let mut fields = generator.fields(&parameters);
    if is_keyless && names_workspace && operation.path != "/_emulator/workspaces/create" {
        fields.insert("workspace_id".to_owned(), json!(caller.workspace_id));
    }
    if wrong == 0 {
        choose(&mut generator, operation.path, &parameters, &mut fields);
        complete_grant(&mut generator, operation.path, &mut fields);
    }
    limit_fault(operation.path, &mut fields);
    let mut request = Request {
        method: operation.method.clone(),
        path: operation.path.to_owned(),
        query: None,
        headers: Vec::new(),
        body: Vec::new(),
    };
    if body.is_null() {
        request.query = Some(query(random, &fields));
    } else {
        request.headers.push(("content-type", "application/json".to_owned()));
        request.body = Value::Object(fields).to_string().into_bytes();
    }
    if !is_keyless {
        request.headers.push(("authorization", format!("Bearer {}", caller.api_key)));
    }
    if random.per_mille(100) {
        damage(random, caller, known, &mut request, !must_stay_valid(operation.path));
    }
    request
}

/// Alternative parameters by path: the operation takes only one of them, although its schema does not say so.
const ALTERNATIVES: [(&str, &[&str]); 13] = [
    ("/access_codes/get", &["access_code_id", "access_code_id", "device_id", "code"]),
    ("/access_codes/unmanaged/get", &["access_code_id", "access_code_id", "device_id", "code"]),
    ("/access_codes/list", &["device_id", "access_code_ids"]),
    ("/devices/get", &["device_id", "name"]),
    ("/events/get", &["event_id", "event_type", "device_id"]),
    ("/events/list", &["since", "between"]),
    ("/_emulator/clock/advance", &["by", "to", "until"]),
    ("/_emulator/locks/change_code", &["access_code_id", "code"]),
    ("/_emulator/locks/remove_code", &["access_code_id", "code"]),
    ("/_emulator/programming/set", &["after", "programming"]),
    ("/_emulator/rate_limits/set", &["limits", "create"]),
    (
        "/_emulator/workspaces/update",
        &["allow_same_code_in_disjoint_windows", "refuse_begun_windows", "late_issuance_lead", "late_issuance_grace"],
    ),
    ("/access_codes/report_device_constraints", &["supported_code_lengths", "min_code_length", "max_code_length"]),
];

/// Inserts one of the alternative parameters and removes the others.
fn choose<'a>(
    generator: &mut ValueGenerator<'a>,
    path: &str,
    parameters: &Parameters<'a>,
    fields: &mut Map<String, Value>,
) {
    let Some((_, alternatives)) = ALTERNATIVES.iter().find(|(of, _)| *of == path) else { return };
    let chosen = *generator.random.pick(alternatives);
    for (name, schema) in &parameters.schemas {
        if *name == chosen {
            fields.insert(chosen.to_owned(), generator.value(name, schema));
        } else if alternatives.contains(name) {
            fields.shift_remove(*name);
        }
    }
}

/// Gives a request for an access grant a guest, a lock and a code. Most random combinations of its parameters are
/// rejected, and without access grants all requests about them get a 404.
fn complete_grant(generator: &mut ValueGenerator<'_>, path: &str, fields: &mut Map<String, Value>) {
    if path != "/access_grants/create" {
        return;
    }
    for name in
        ["user_identity_id", "acs_entrance_ids", "location", "location_ids", "space_keys", "starts_at", "ends_at"]
    {
        fields.shift_remove(name);
    }
    fields.insert("user_identity".to_owned(), json!({ "full_name": "Guest" }));
    fields.insert("requested_access_methods".to_owned(), json!([{ "mode": "code" }]));
    let lock = generator.known.random_value(generator.random, "device_id");
    fields.insert("device_ids".to_owned(), json!(lock.into_iter().collect::<Vec<_>>()));
}

/// True for operations whose body must not be damaged: an arbitrary HTTP fault would break the other requests.
fn must_stay_valid(path: &str) -> bool {
    path == "/_emulator/http_faults/create"
}

fn of_query(described: &Value) -> Parameters<'_> {
    let mut parameters = Parameters::default();
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        parameters.schemas.push((name, &parameter["schema"]));
        if parameter["required"] == true {
            parameters.required.push(name);
        }
    }
    parameters
}

/// Limits an HTTP fault so that it does not disturb the other requests.
fn limit_fault(path: &str, fields: &mut Map<String, Value>) {
    if !must_stay_valid(path) {
        return;
    }
    fields.insert("times".to_owned(), json!(3));
    let Some(outcome) = fields.get_mut("outcome") else { return };
    if outcome == "reset" {
        *outcome = json!({ "status": 418 });
    }
    let Some(outcome) = outcome.as_object_mut() else { return };
    // A fault may have any body and status, but the test expects envelopes and treats a 5xx status as a failure.
    outcome.shift_remove("body");
    if outcome.get("status").is_some_and(|status| status.as_f64().is_some_and(|status| status >= 500.0)) {
        outcome.insert("status".to_owned(), json!(429));
    }
    if outcome.contains_key("delay") {
        outcome.insert("delay".to_owned(), json!("PT0.01S"));
    }
}

/// Writes parameters as a query string, in one of the forms that clients use.
fn query(random: &mut Random, fields: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut pairs = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Null => pairs.push((name.clone(), String::new())),
            Value::Array(items) if items.is_empty() || random.per_mille(200) => {
                pairs.push((name.clone(), items.iter().map(text).collect::<Vec<_>>().join(",")));
            }
            Value::Array(items) => {
                let name = if random.per_mille(300) { format!("{name}[]") } else { name.clone() };
                pairs.extend(items.iter().map(|item| (name.clone(), text(item))));
            }
            Value::Object(inner) => {
                pairs.extend(inner.iter().map(|(field, value)| (format!("{name}.{field}"), text(value))));
            }
            value => pairs.push((name.clone(), text(value))),
        }
    }
    if random.per_mille(300) {
        pairs.push(("_strict".to_owned(), "true".to_owned()));
    }
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Content types other than JSON, and unusual spellings of it.
const CONTENT_TYPES: [&str; 6] = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/json; charset=utf-16",
    "",
    "application/JSON;",
];

/// Damages one part of a request.
fn damage(random: &mut Random, caller: &Caller<'_>, known: &Known, request: &mut Request, also_body: bool) {
    match random.below(7) {
        0 => {
            request.method = (*random
                .pick(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]))
            .to_owned();
        }
        1 => damage_path(random, request),
        2 => damage_query(random, request),
        3 => damage_key(random, caller, request),
        4 => {
            request.headers.retain(|(name, _)| *name != "content-type");
            if random.per_mille(800) {
                request.headers.push(("content-type", (*random.pick(&CONTENT_TYPES)).to_owned()));
            }
        }
        5 if also_body => damage_body(random, request),
        _ => {
            let mut generator = ValueGenerator { random, document: &Value::Null, known, wrong: 0 };
            let value: String =
                generator.text().chars().filter(|character| !character.is_control()).take(500).collect();
            let name = *random.pick(&[
                "host",
                "origin",
                "accept",
                "seam-workspace",
                "sec-fetch-site",
                "x-forwarded-for",
                "seam-request-id",
                "cookie",
                "range",
                "accept-encoding",
            ]);
            request.headers.push((name, value));
        }
    }
}

fn damage_path(random: &mut Random, request: &mut Request) {
    request.path = match random.below(8) {
        0 => format!("{}/", request.path),
        1 => request.path.to_uppercase(),
        2 => format!("/{}", request.path),
        3 => request.path.replace('_', "%5f"),
        4 => format!("{}/{}", request.path, "a".repeat(random.below(40_000))),
        5 => "/acs/users/create".to_owned(),
        6 => "/locks/unlock_door".to_owned(),
        _ => (*random.pick(&["/", "/nowhere", "/%00", "/%ff%zz", "/..", "/_emulator", "/_emulator/", "/health"]))
            .to_owned(),
    };
}

fn damage_query(random: &mut Random, request: &mut Request) {
    let query = request.query.clone().unwrap_or_default();
    request.query = Some(match random.below(8) {
        0 => format!("{query}&{query}"),
        1 => format!("{query}%"),
        2 => format!("{query}%zz&%ff=%00"),
        3 => query.replace('=', "[]="),
        4 => query.replace('=', "[a][b]="),
        5 => query.replace('=', ".a.b="),
        6 => format!("{query}&{}", "&=&".repeat(random.below(3000))),
        _ => format!("limit={}&device_id", random.below(10)),
    });
}

fn damage_key(random: &mut Random, caller: &Caller<'_>, request: &mut Request) {
    request.headers.retain(|(name, _)| *name != "authorization");
    let value = match random.below(9) {
        0 => return,
        1 => format!("Bearer {}", caller.other_key),
        2 => "Bearer seam_test_nobody".to_owned(),
        3 => format!("Basic {}", caller.api_key),
        4 => "Bearer ".to_owned(),
        5 => format!("Bearer  {}\u{e9}", caller.api_key),
        6 => "Bearer seam_cst_x".to_owned(),
        7 => "Bearer ey.x.y".to_owned(),
        _ => {
            let named = if random.per_mille(700) { caller.workspace_id } else { "x" };
            request.headers.push(("seam-workspace", named.to_owned()));
            format!("Bearer {}", caller.personal_access_token)
        }
    };
    request.headers.push(("authorization", value));
}

fn damage_body(random: &mut Random, request: &mut Request) {
    let body = String::from_utf8(std::mem::take(&mut request.body)).unwrap();
    let index = random.below(body.len() + 1);
    request.body = match random.below(12) {
        0 => Vec::new(),
        1 => body.as_bytes()[..index].to_vec(),
        2 => [
            &body.as_bytes()[..index],
            &[*random.pick(&[0_u8, 0x80, 0xff, b'"', b'}', b',', b'\\'])],
            &body.as_bytes()[index..],
        ]
        .concat(),
        3 => format!("[{body}]").into_bytes(),
        4 => format!("\u{feff}{body}").into_bytes(),
        5 => format!("{body}{body}").into_bytes(),
        6 => body.replacen('{', "{\"device_id\":1,\"device_id\":[],", 1).into_bytes(),
        7 => body.replacen('{', "{\"name\":\"\\ud800\",", 1).into_bytes(),
        8 => body.replacen('{', "{\"limit\":1e999,\"battery_level\":NaN,", 1).into_bytes(),
        9 => body.replacen(':', &format!(":{}", "[".repeat(random.below(300))), 1).into_bytes(),
        10 => body.replacen('{', &format!("{{\"name\":\"{}\",", "y".repeat(random.below(1_200_000))), 1).into_bytes(),
        _ => (*random.pick(&["null", "\"\"", "1", "-", "{", "[]", "{\"\":\"\"}", "{\"__proto__\":{}}"])).into(),
    };
    if request.headers.iter().all(|(name, _)| *name != "content-type") {
        request.headers.push(("content-type", "application/json".to_owned()));
    }
}
