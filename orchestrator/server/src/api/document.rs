//! The document: OpenAPI 3.1, made from the table of endpoints.

use axum::http::StatusCode;
use flow::api;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::describe::Operation;
use super::endpoint::Endpoint;
use super::request::NAME_MAX;

/// The document that describes `endpoints`.
pub(super) fn openapi(endpoints: &[Endpoint]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|it| it.definitions_path = "/components/schemas".into());
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<api::Problem>();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let operation = operation(endpoint, &mut schemas);
        paths.entry(endpoint.path).or_insert_with(|| json!({}))[endpoint.method] = operation;
    }
    let problem = json!({ "application/problem+json": { "schema": problem } });
    let token = json!({ "type": "http", "scheme": "bearer", "description": "A token of `flowctl token`." });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "flowctl",
            "summary": "Runs, flows and datasets of a flowctl server.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "responses": { "Problem": { "description": "Why there is no other answer.", "content": problem } },
            "securitySchemes": { "token": token },
        },
    })
}

fn operation(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let mut operation = Operation::default();
    (endpoint.describe)(&mut operation, schemas);
    let mut parameters: Vec<Value> = names(endpoint.path).map(name).collect();
    parameters.append(&mut operation.parameters);
    let mut answers: Map<String, Value> =
        operation.answers.into_iter().map(|(status, answer)| (status.to_string(), answer)).collect();
    let asked: &[u16] = if endpoint.scope.is_none() { &[] } else { &[401, 403, 500, 503] };
    for status in operation.problems.iter().chain(&endpoint.problems).chain(asked) {
        answers.insert(status.to_string(), problem(*status));
    }
    let mut told = json!({
        "operationId": endpoint.id, "summary": endpoint.summary, "tags": [tag(endpoint.path)], "responses": answers,
    });
    if !parameters.is_empty() {
        told["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        told["requestBody"] = body;
    }
    if let Some(scope) = endpoint.scope {
        // While no token was ever made, nobody is asked for one.
        told["security"] = json!([{ "token": [scope] }, {}]);
    }
    told
}

/// A problem in its own words, with the body that all share.
fn problem(status: u16) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Problem");
    json!({ "$ref": "#/components/responses/Problem", "description": reason })
}

/// The names in braces.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn name(name: &str) -> Value {
    let description = match name {
        "run" => "A run's id, the beginning of one, or `latest`.",
        "flow" => "A flow's name.",
        "dataset" => "`flow.dataset`, or `dataset` where that is clear; one column of it with `.column` behind.",
        _ => "A worker's name.",
    };
    let mut schema = json!({ "type": "string", "minLength": 1, "maxLength": NAME_MAX });
    if name == "run" {
        schema["examples"] = json!(["latest"]);
    }
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

/// What the path is about.
fn tag(path: &str) -> &str {
    match path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next()) {
        Some(word) if !word.contains('.') => word,
        _ => "server",
    }
}
