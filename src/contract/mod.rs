//! The contract: an OpenAPI document that defines the shape of all requests and responses.
//!
//! A [`Contract`] is parsed once, at start. Its validators are compiled on first use, because compiling all of them
//! would make the start too slow. An [`Operation`] reads and checks a request. It reports issues as a [`Rejection`],
//! with the wording and the shape of Seam's own servers (which check with zod 3). Rules that a schema cannot express
//! produce the same shape through [`Issues`].

mod direction;
mod document;
mod formats;
mod issues;
pub(crate) mod number;
#[cfg(test)]
mod properties;
mod query;
mod references;
mod renamed;
#[cfg(test)]
mod requests_only;
mod schema;
#[cfg(test)]
mod tests;
mod unknown;
pub(crate) mod values;
mod walk;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use self::direction::Direction;
pub use self::document::{CONTROL_OPENAPI, Document, OPENAPI};
use self::issues::Issue;
pub(crate) use self::issues::{Issues, Rejection, quoted};
use self::schema::Schemas;
pub(crate) use self::unknown::UnknownParameter;

/// HTTP methods that an endpoint can support, in alphabetical order.
const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];

/// Reason why a document cannot be used as a contract.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The text is not JSON.
    #[error("the contract is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// A part of the document is missing or invalid.
    #[error("the contract's {part} {problem}")]
    Malformed {
        /// Part of the document, such as `GET /devices/list`.
        part: String,
        /// Description of the problem and of the expected form.
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
    /// Parses a document. If it is the part of a document that is about requests ([`Document::requests`]),
    /// [`Operation::check_response`] accepts everything.
    ///
    /// For each path, reads the operations DELETE, GET, PATCH, POST and PUT; for each operation, reads its
    /// `operationId`, `security`, query parameters or JSON body, and JSON responses. Schemas are compiled on first use;
    /// [`Contract::verify`] compiles all of them.
    ///
    /// # Errors
    /// The text is not JSON, has another OpenAPI version, has no paths, or has an operation without `operationId`.
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

    /// Returns the parsed document.
    pub fn document(&self) -> &Value {
        self.schemas.document()
    }

    /// Returns the paths in the order of the document.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let paths = self.document().get("paths").and_then(Value::as_object);
        paths.into_iter().flat_map(Map::keys).map(String::as_str)
    }

    /// Returns the endpoint of a path that is spelled as in the document.
    pub fn endpoint(&self, path: &str) -> Option<&Endpoint> {
        self.endpoints.get(path)
    }

    /// Compiles every schema of every operation, to verify that all of them compile. For tests.
    ///
    /// # Errors
    /// The first operation with a schema that cannot be compiled, and the reason.
    pub fn verify(&self) -> Result<(), ContractError> {
        let endpoints = self.paths().filter_map(|path| self.endpoint(path));
        for (endpoint, (method, operation)) in
            endpoints.flat_map(|endpoint| endpoint.operations.iter().map(move |operation| (endpoint, operation)))
        {
            for checker in operation.input.iter().chain(operation.responses.iter().map(|(_, checker)| checker)) {
                self.schemas.compile(&checker.schema, checker.direction).map_err(|error| {
                    let part = format!("{method} {}", endpoint.path);
                    ContractError::malformed(part, format!("has a schema that cannot be compiled: {error}"))
                })?;
            }
        }
        Ok(())
    }
}

/// Compiles a JSON Schema that is not part of a contract. Checks the formats of contracts, and also `duration`.
///
/// # Errors
/// `schema` is not a valid JSON Schema.
pub(crate) fn compile(schema: &Value) -> Result<Validator, ContractError> {
    let is_duration = |text: &str| crate::clock::duration_from_iso(text).is_some();
    schema::options(Direction::Request)
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
            let Some(operation) = item.get(method.to_ascii_lowercase()) else {
                continue;
            };
            let parsed = Operation::parse(schemas, method, operation).ok_or_else(|| {
                ContractError::malformed(format!("{method} {path}"), "has no operationId; give it one")
            })?;
            operations.push((method, parsed));
            let default = schemas.document().get("security");
            let accepted = operation.get("security").or(default).and_then(Value::as_array);
            for scheme in accepted.into_iter().flatten().filter_map(Value::as_object).flat_map(Map::keys) {
                if !security.contains(scheme) {
                    security.push(scheme.clone());
                }
            }
        }
        Ok(Self { path: path.to_owned(), operations, security })
    }

    /// Returns the path as spelled in the document.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the supported methods, in upper case and in alphabetical order.
    pub fn methods(&self) -> Vec<&'static str> {
        self.operations.iter().map(|(method, _)| *method).collect()
    }

    /// Returns the operation of `method` (in upper case); `None` if the endpoint does not support the method.
    pub fn operation(&self, method: &str) -> Option<&Operation> {
        let (_, operation) = self.operations.iter().find(|(supported, _)| *supported == method)?;
        Some(operation)
    }

    /// Returns the security schemes that at least one operation accepts; none for an endpoint without authentication.
    pub fn security(&self) -> impl Iterator<Item = &str> {
        self.security.iter().map(String::as_str)
    }

    /// Returns true if `scheme` is one of [`Endpoint::security`].
    pub fn allows(&self, scheme: &str) -> bool {
        self.security().any(|allowed| allowed == scheme)
    }
}

/// One method of one path.
#[derive(Debug)]
pub struct Operation {
    id: String,
    schemas: Schemas,
    /// Schema of the input: that of the JSON body; for GET, DELETE and operations without a body, one built from the
    /// query parameters. `None` if the operation declares neither. Then any object is accepted.
    input: Option<Checker>,
    /// Names of the top-level parameters of the input.
    parameter_names: HashSet<String>,
    /// Parameter that receives a body that is not an object (`x-latchkey-bare-body`).
    bare_body_parameter: Option<String>,
    /// JSON bodies by status code, which is spelled as in the document.
    responses: Vec<(String, Checker)>,
}

impl Operation {
    /// Returns `None` if there is no `operationId`.
    fn parse(schemas: &Schemas, method: &str, operation: &Value) -> Option<Self> {
        let body = operation.get("requestBody").filter(|_| !matches!(method, "GET" | "DELETE"));
        let input = match body {
            Some(body) => json_content(schemas, body).cloned(),
            None => operation.get("parameters").map(|parameters| parameters_schema(schemas, parameters)),
        };
        let responses = operation.get("responses").and_then(Value::as_object);
        let responses = responses.into_iter().flatten().filter_map(|(status, response)| {
            Some((status.clone(), Checker::new(json_content(schemas, response)?.clone(), Direction::Response)))
        });
        let parameter_names = input.as_ref().map_or_else(HashSet::new, |schema| {
            schemas.properties(schema).into_iter().map(|(name, _)| name.to_owned()).collect()
        });
        Some(Self {
            id: operation.get("operationId")?.as_str()?.to_owned(),
            schemas: schemas.clone(),
            input: input.map(|schema| Checker::new(schema, Direction::Request)),
            parameter_names,
            bare_body_parameter: operation.get("x-latchkey-bare-body").and_then(Value::as_str).map(str::to_owned),
            responses: responses.collect(),
        })
    }

    /// Returns the `operationId`, which is unique in the document.
    pub fn operation_id(&self) -> &str {
        &self.id
    }

    /// Reads the input from the query string and the JSON body, either of which may be missing, and checks it.
    ///
    /// Both are read for every method. If both contain the same parameter, the value of the body has priority. Query
    /// values are parsed by their type in the contract. Body values are not converted, except that a number without a
    /// fraction becomes an integer (`20.0` becomes `20`). Event types and error codes that Seam has renamed are
    /// replaced by the current ones. Unknown parameters stay in the input; see [`Operation::unknown_parameters`].
    /// Defaults are not filled in.
    ///
    /// # Errors
    /// [`Rejection::InvalidQuery`] for a query that cannot be parsed (several values for a single-value parameter, or a
    /// list written in two notations), and [`Rejection::InvalidInput`] for an input that violates the contract.
    pub fn check(&self, query: Option<&str>, body: Option<Value>) -> Result<Map<String, Value>, Rejection> {
        self.checked(self.read(query, body)?, Issues::new())
    }

    /// Does the same as [`Operation::check`], but also rejects unknown parameters. Their issues come first.
    pub fn check_strictly(&self, query: Option<&str>, body: Option<Value>) -> Result<Map<String, Value>, Rejection> {
        let input = self.read(query, body)?;
        let (unknown, further_count) = self.unknown_and_count(&input);
        let issues =
            unknown.iter().fold(Issues::new(), |issues, parameter| issues.at(&parameter.path, parameter.message()));
        self.checked(input, issues.add_unreported(further_count))
    }

    /// Returns the input if `issues` is empty and the input matches the contract.
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

    /// Reads the input as [`Operation::check`] does, without checking it.
    ///
    /// # Errors
    /// [`Rejection::InvalidQuery`], and [`Rejection::InvalidInput`] for a body that is not an object, unless the
    /// operation has a parameter for it (`x-latchkey-bare-body`).
    pub fn read(&self, query: Option<&str>, body: Option<Value>) -> Result<Map<String, Value>, Rejection> {
        let mut input = match query {
            Some(query) => {
                let schema = self.input.as_ref().map_or(&Value::Null, |checker| &checker.schema);
                query::parse(&self.schemas, schema, query).map_err(|message| Rejection::InvalidQuery { message })?
            }
            None => Map::new(),
        };
        match body {
            // A `null` body counts as no body: Seam's Go client sends it for a request without parameters.
            None | Some(Value::Null) => {}
            Some(Value::Object(body)) if input.is_empty() => input = body,
            Some(Value::Object(body)) => input.extend(body),
            Some(value) => {
                let Some(name) = &self.bare_body_parameter else {
                    let message = format!("Expected object, received {}", walk::kind_of(&value));
                    return Err(Issues::new().root(message).into_rejection());
                };
                input.insert(name.clone(), value);
            }
        }
        renamed::translate(&mut input);
        let mut input = Value::Object(input);
        number::normalize_integers(&mut input);
        Ok(match input {
            Value::Object(input) => input,
            _ => Map::new(),
        })
    }

    /// Removes the unknown top-level parameters, as Seam's servers do, so that no handler receives one, not even a
    /// handler whose input type accepts any name.
    pub fn retain_known(&self, input: &mut Map<String, Value>) {
        input.retain(|name, _| self.parameter_names.contains(name));
    }

    /// Returns the parameters in `input` that are not in the contract, nested ones included: at most the first hundred.
    /// Seam's servers ignore unknown parameters; most of them are typing errors of the client.
    pub fn unknown_parameters(&self, input: &Map<String, Value>) -> Vec<UnknownParameter> {
        self.unknown_and_count(input).0
    }

    /// Returns [`Operation::unknown_parameters`] and the number of further ones.
    fn unknown_and_count(&self, input: &Map<String, Value>) -> (Vec<UnknownParameter>, usize) {
        let schema = self.input.as_ref().map_or(&Value::Null, |checker| &checker.schema);
        unknown::parameters(&self.schemas, schema, input)
    }

    /// Checks a response body against the contract for `status`. For tests. Statuses without a JSON body in the
    /// contract pass.
    ///
    /// # Errors
    /// The issues, one line per issue with its dotted path.
    pub fn check_response(&self, status: u16, body: &Value) -> Result<(), Vec<String>> {
        let status = status.to_string();
        let Some((_, checker)) = self.responses.iter().find(|(code, _)| *code == status) else {
            return Ok(());
        };
        if checker.accepts(&self.schemas, body) {
            return Ok(());
        }
        let issues = checker.issues(&self.schemas, body);
        Err(issues.reported().iter().map(Issue::line).collect())
    }
}

/// A schema and its compiled validator.
#[derive(Debug)]
struct Checker {
    schema: Value,
    /// Direction of the values to check.
    direction: Direction,
    /// Compiled on first use. `None` if the schema does not compile, which [`Contract::verify`] rules out; then only
    /// [`walk::issues`] decides.
    validator: OnceLock<Option<Validator>>,
}

impl Checker {
    fn new(schema: Value, direction: Direction) -> Self {
        Self { schema, direction, validator: OnceLock::new() }
    }

    fn validator(&self, schemas: &Schemas) -> Option<&Validator> {
        self.validator.get_or_init(|| schemas.compile(&self.schema, self.direction).ok()).as_ref()
    }

    fn accepts(&self, schemas: &Schemas, value: &Value) -> bool {
        match self.validator(schemas) {
            Some(validator) => validator.is_valid(value),
            None => walk::issues(schemas, &self.schema, value, self.direction).is_empty(),
        }
    }

    /// Returns the issues of a value that is not accepted: at least one.
    fn issues(&self, schemas: &Schemas, value: &Value) -> Issues {
        let issues = walk::issues(schemas, &self.schema, value, self.direction);
        if !issues.is_empty() {
            return issues;
        }
        // `walk::issues` does not support the violated keyword. The validator reports the path; the message is generic.
        let errors = self.validator(schemas).into_iter().flat_map(|validator| validator.iter_errors(value));
        let pointers = errors.map(|error| error.instance_path().as_str().to_owned());
        pointers.fold(Issues::new(), |issues, pointer| {
            let path: Vec<&str> = pointer.split('/').skip(1).collect();
            issues.at(&path, "Invalid input")
        })
    }
}

/// Returns the schema of the JSON content of a request body or a response; `None` if it has no JSON content.
fn json_content<'a>(schemas: &'a Schemas, holder: &'a Value) -> Option<&'a Value> {
    schemas.resolve(holder).get("content")?.get("application/json")?.get("schema")
}

/// Returns an object schema with the query parameters as properties.
fn parameters_schema(schemas: &Schemas, parameters: &Value) -> Value {
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
