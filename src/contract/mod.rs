//! The contract: an OpenAPI document as the one source of what a request and a response look like.
//!
//! A [`Contract`] is parsed once, at start. Its validators are compiled when they are first needed, because all of
//! them together take longer than a start may. A request is read and checked by its [`Operation`]; what is wrong with
//! it comes back as a [`Rejection`], in the words and the shape of Seam's own servers (which check with zod 3).
//! Rules that a schema cannot state end in the same shape by way of [`Issues`].

mod formats;
mod issues;
pub(crate) mod number;
#[cfg(test)]
mod properties;
mod query;
mod renamed;
mod schema;
mod side;
#[cfg(test)]
mod tests;
mod unknown;
pub(crate) mod values;
mod walk;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use self::issues::Issue;
pub(crate) use self::issues::{Issues, Rejection, quoted};
use self::schema::Schemas;
use self::side::Side;
pub(crate) use self::unknown::UnknownParameter;

/// Seam's contract, as it is served at `/openapi.json`.
pub const OPENAPI: &str = include_str!("../../openapi.json");

/// The contract of the control plane, as it is served at `/_emulator/openapi.json`.
pub const CONTROL_OPENAPI: &str = include_str!("control.json");

/// The methods an endpoint may take, in the order in which they are listed.
const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

/// Why a document cannot serve as a contract.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The text is not JSON.
    #[error("the contract is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// A part of the document is missing or not of use.
    #[error("the contract's {part} {problem}")]
    Malformed {
        /// The part, such as `GET /devices/list`.
        part: String,
        /// What is wrong with it and what it should be.
        problem: String,
    },
}

impl ContractError {
    fn malformed(part: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Malformed { part: part.into(), problem: problem.into() }
    }
}

/// One OpenAPI 3.0 document.
#[derive(Debug)]
pub struct Contract {
    schemas: Schemas,
    endpoints: HashMap<String, Endpoint>,
}

impl Contract {
    /// Reads a document.
    ///
    /// Of each path it takes the operations in [`Endpoint::methods`]; of each operation its `operationId`, `security`,
    /// parameters in the query, JSON body and JSON responses. Schemas are only looked at when they are first used:
    /// [`Contract::verify`] looks at all of them.
    ///
    /// # Errors
    /// The text is not JSON, is of another OpenAPI version, has no paths, or an operation without `operationId`.
    pub fn parse(document: &str) -> Result<Self, ContractError> {
        let document: Value = serde_json::from_str(document)?;
        let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
        if !version.starts_with("3.0.") {
            return Err(ContractError::malformed("openapi version", format!("is \"{version}\"; it must be 3.0.x")));
        }
        let schemas = Schemas::new(document);
        let paths = schemas.document().get("paths").and_then(Value::as_object);
        let paths = paths.ok_or_else(|| ContractError::malformed("paths", "are missing; add an object"))?;
        let endpoints = paths
            .iter()
            .map(|(path, item)| Ok((path.clone(), Endpoint::parse(&schemas, path, item)?)))
            .collect::<Result<_, ContractError>>()?;
        Ok(Self { schemas, endpoints })
    }

    /// The document as it was read.
    pub fn document(&self) -> &Value {
        self.schemas.document()
    }

    /// The paths, in the order of the document.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let paths = self.document().get("paths").and_then(Value::as_object);
        paths.into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// What the document says of one path, which is spelled as in the document.
    pub fn endpoint(&self, path: &str) -> Option<&Endpoint> {
        self.endpoints.get(path)
    }

    /// Compiles every schema of every operation, to prove that it can be done. For tests.
    ///
    /// # Errors
    /// Names the first operation with a schema that cannot be compiled, and why.
    pub fn verify(&self) -> Result<(), ContractError> {
        let endpoints = self.paths().filter_map(|path| self.endpoint(path));
        for (endpoint, (method, operation)) in
            endpoints.flat_map(|endpoint| endpoint.operations.iter().map(move |operation| (endpoint, operation)))
        {
            for checker in operation.input.iter().chain(operation.responses.iter().map(|(_, checker)| checker)) {
                self.schemas.compile(&checker.schema, checker.side).map_err(|error| {
                    let part = format!("{method} {}", endpoint.path);
                    ContractError::malformed(part, format!("has a schema that cannot be compiled: {error}"))
                })?;
            }
        }
        Ok(())
    }
}

/// Compiles a JSON Schema that is no part of a contract. Formats are checked as in contracts, and `duration` besides.
///
/// # Errors
/// If it is no schema.
pub(crate) fn compile(schema: &Value) -> Result<Validator, ContractError> {
    let is_duration = |text: &str| crate::clock::duration_from_iso(text).is_some();
    schema::options(Side::Request)
        .with_format("duration", is_duration)
        .build(schema)
        .map_err(|error| ContractError::malformed("schema", format!("cannot be compiled: {error}")))
}

/// One path of a contract.
#[derive(Debug)]
pub struct Endpoint {
    path: String,
    operations: Vec<(&'static str, Operation)>,
    security: Vec<String>,
}

impl Endpoint {
    fn parse(schemas: &Schemas, path: &str, item: &Value) -> Result<Self, ContractError> {
        let mut operations = Vec::new();
        let mut security: Vec<String> = Vec::new();
        for method in METHODS {
            let Some(described) = item.get(method.to_ascii_lowercase()) else {
                continue;
            };
            let parsed = Operation::parse(schemas, method, described).ok_or_else(|| {
                ContractError::malformed(format!("{method} {path}"), "has no operationId; give it one")
            })?;
            operations.push((method, parsed));
            let default = schemas.document().get("security");
            let accepted = described.get("security").or(default).and_then(Value::as_array);
            for scheme in accepted.into_iter().flatten().filter_map(Value::as_object).flat_map(Map::keys) {
                if !security.contains(scheme) {
                    security.push(scheme.clone());
                }
            }
        }
        Ok(Self { path: path.to_owned(), operations, security })
    }

    /// The path, as the document spells it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The methods it takes, in upper case and in alphabetical order.
    pub fn methods(&self) -> Vec<&'static str> {
        self.operations.iter().map(|(method, _)| *method).collect()
    }

    /// What `method` (in upper case) does here; nothing when it is not taken.
    pub fn operation(&self, method: &str) -> Option<&Operation> {
        let (_, operation) = self.operations.iter().find(|(taken, _)| *taken == method)?;
        Some(operation)
    }

    /// The security schemes any of its operations accepts; none for an open endpoint.
    pub fn security(&self) -> impl Iterator<Item = &str> {
        self.security.iter().map(String::as_str)
    }

    /// Whether `scheme` is among [`Endpoint::security`].
    pub fn allows(&self, scheme: &str) -> bool {
        self.security().any(|allowed| allowed == scheme)
    }
}

/// One method of one path.
#[derive(Debug)]
pub struct Operation {
    id: String,
    schemas: Schemas,
    /// Nothing for an operation that names no input: it takes any object.
    input: Option<Checker>,
    /// The names of its parameters.
    known: HashSet<String>,
    /// The parameter that a body stands for which is no object (`x-latchkey-bare-body`).
    bare: Option<String>,
    /// The JSON bodies, by status code as the document writes it.
    responses: Vec<(String, Checker)>,
}

impl Operation {
    /// Nothing when it has no `operationId`.
    fn parse(schemas: &Schemas, method: &str, operation: &Value) -> Option<Self> {
        let body = operation.get("requestBody").filter(|_| !matches!(method, "GET" | "DELETE"));
        let input = match body {
            Some(body) => json_content(schemas, body).cloned(),
            None => operation.get("parameters").map(|parameters| of_parameters(schemas, parameters)),
        };
        let responses = operation.get("responses").and_then(Value::as_object);
        let responses = responses.into_iter().flatten().filter_map(|(status, response)| {
            Some((status.clone(), Checker::new(json_content(schemas, response)?.clone(), Side::Response)))
        });
        let known = input.as_ref().map_or_else(HashSet::new, |schema| {
            schemas.properties(schema).into_iter().map(|(name, _)| name.to_owned()).collect()
        });
        Some(Self {
            id: operation.get("operationId")?.as_str()?.to_owned(),
            schemas: schemas.clone(),
            input: input.map(|schema| Checker::new(schema, Side::Request)),
            known,
            bare: operation.get("x-latchkey-bare-body").and_then(Value::as_str).map(str::to_owned),
            responses: responses.collect(),
        })
    }

    /// Its name in the document, unique there.
    pub fn operation_id(&self) -> &str {
        &self.id
    }

    /// Reads the input from the query string and the JSON body, either of which may be missing, and checks it.
    ///
    /// Both are read for every method; where they name the same parameter, the body's value counts. Values of the
    /// query are read by their type in the contract; values of the body stay as they are, except that a number without
    /// a fraction is always an integer (`20.0` is `20`). Parameters the contract does not know are kept; see
    /// [`Operation::unknown_parameters`]. Defaults are not filled in.
    ///
    /// # Errors
    /// [`Rejection::InvalidQuery`] for a query that cannot be read (a single value given twice, forms of a list
    /// mixed), and [`Rejection::InvalidInput`] for an input that breaks the contract.
    pub fn check(&self, query: Option<&str>, body: Option<Value>) -> Result<Map<String, Value>, Rejection> {
        self.checked(self.read(query, body)?, Issues::new())
    }

    /// The same, but parameters that the contract does not know are refused too, before anything else.
    pub fn check_strictly(&self, query: Option<&str>, body: Option<Value>) -> Result<Map<String, Value>, Rejection> {
        let input = self.read(query, body)?;
        let (unknown, others) = self.unknown_and_count(&input);
        let told = unknown.iter().fold(Issues::new(), |issues, it| issues.at(&it.path, it.message()));
        self.checked(input, told.and_untold(others))
    }

    /// Gives the input back if there are no issues with it.
    fn checked(&self, input: Map<String, Value>, mut issues: Issues) -> Result<Map<String, Value>, Rejection> {
        let input = Value::Object(input);
        if let Some(checker) = &self.input
            && !checker.accepts(&self.schemas, &input)
        {
            issues.extend(checker.issues(&self.schemas, &input));
        }
        match input {
            Value::Object(input) if issues.is_empty() => Ok(input),
            _ => Err(issues.into_rejection()),
        }
    }

    /// Reads the input as [`Operation::check`] does, and does not check it.
    ///
    /// # Errors
    /// [`Rejection::InvalidQuery`], and [`Rejection::InvalidInput`] for a body that is no object.
    pub fn read(&self, query: Option<&str>, body: Option<Value>) -> Result<Map<String, Value>, Rejection> {
        let mut input = match query {
            Some(query) => {
                let schema = self.input.as_ref().map_or(&Value::Null, |checker| &checker.schema);
                query::parse(&self.schemas, schema, query).map_err(|message| Rejection::InvalidQuery { message })?
            }
            None => Map::new(),
        };
        match body {
            // A `null` body says as little as none: Seam's Go client sends it for a request without parameters.
            None | Some(Value::Null) => {}
            Some(Value::Object(body)) if input.is_empty() => input = body,
            Some(Value::Object(body)) => input.extend(body),
            Some(other) => {
                let Some(name) = &self.bare else {
                    let message = format!("Expected object, received {}", walk::kind_of(&other));
                    return Err(Issues::new().root(message).into_rejection());
                };
                input.insert(name.clone(), other);
            }
        }
        renamed::translate(&mut input);
        let mut input = Value::Object(input);
        number::settle(&mut input);
        Ok(match input {
            Value::Object(input) => input,
            _ => Map::new(),
        })
    }

    /// Drops the parameters that the contract does not know, as Seam's servers do: no handler must meet one, whatever
    /// its type.
    pub fn retain_known(&self, input: &mut Map<String, Value>) {
        input.retain(|name, _| self.known.contains(name));
    }

    /// The parameters in `input`, nested ones included, that the contract does not know. Seam's servers ignore such
    /// ones; they are mostly typing errors of the caller's. Where there are more than a hundred, the first hundred.
    pub fn unknown_parameters(&self, input: &Map<String, Value>) -> Vec<UnknownParameter> {
        self.unknown_and_count(input).0
    }

    /// The same, and how many more there are.
    fn unknown_and_count(&self, input: &Map<String, Value>) -> (Vec<UnknownParameter>, usize) {
        let schema = self.input.as_ref().map_or(&Value::Null, |checker| &checker.schema);
        unknown::parameters(&self.schemas, schema, input)
    }

    /// Checks a response body against what the contract says of `status`, and lists what is wrong with it, one line
    /// per issue with its dotted path. For tests: statuses without a JSON body in the contract pass.
    pub fn check_response(&self, status: u16, body: &Value) -> Result<(), Vec<String>> {
        let status = status.to_string();
        let Some((_, checker)) = self.responses.iter().find(|(known, _)| *known == status) else {
            return Ok(());
        };
        if checker.accepts(&self.schemas, body) {
            return Ok(());
        }
        let issues = checker.issues(&self.schemas, body);
        Err(issues.reported().iter().map(Issue::line).collect())
    }
}

/// A schema with the validator it is compiled into.
#[derive(Debug)]
struct Checker {
    schema: Value,
    /// Which way the values go that it checks.
    side: Side,
    /// Compiled when first needed. Nothing when that fails, which [`Contract::verify`] rules out: then the walk
    /// decides alone.
    validator: OnceLock<Option<Validator>>,
}

impl Checker {
    fn new(schema: Value, side: Side) -> Self {
        Self { schema, side, validator: OnceLock::new() }
    }

    fn validator(&self, schemas: &Schemas) -> Option<&Validator> {
        self.validator.get_or_init(|| schemas.compile(&self.schema, self.side).ok()).as_ref()
    }

    fn accepts(&self, schemas: &Schemas, value: &Value) -> bool {
        match self.validator(schemas) {
            Some(validator) => validator.is_valid(value),
            None => walk::issues(schemas, &self.schema, value, self.side).is_empty(),
        }
    }

    /// What is wrong with a value that is not accepted: one issue at least.
    fn issues(&self, schemas: &Schemas, value: &Value) -> Issues {
        let issues = walk::issues(schemas, &self.schema, value, self.side);
        if !issues.is_empty() {
            return issues;
        }
        // A keyword the walk does not know: the validator says where, and nobody says what in zod's words.
        let errors = self.validator(schemas).into_iter().flat_map(|validator| validator.iter_errors(value));
        let pointers = errors.map(|error| error.instance_path().as_str().to_owned());
        pointers.fold(Issues::new(), |issues, pointer| {
            let path: Vec<&str> = pointer.split('/').skip(1).collect();
            issues.at(&path, "Invalid input")
        })
    }
}

/// The schema of the JSON content of a request body or a response.
fn json_content<'a>(schemas: &'a Schemas, holder: &'a Value) -> Option<&'a Value> {
    schemas.resolve(holder).get("content")?.get("application/json")?.get("schema")
}

/// The object that the parameters in the query make up.
fn of_parameters(schemas: &Schemas, parameters: &Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let parameters = parameters.as_array().into_iter().flatten().map(|parameter| schemas.resolve(parameter));
    for parameter in parameters.filter(|parameter| parameter.get("in") == Some(&json!("query"))) {
        let Some(name) = parameter.get("name").and_then(Value::as_str) else {
            continue;
        };
        if parameter.get("required") == Some(&Value::Bool(true)) {
            required.push(name);
        }
        properties.insert(name.to_owned(), parameter.get("schema").cloned().unwrap_or_else(|| json!({})));
    }
    json!({"type": "object", "properties": properties, "required": required})
}
