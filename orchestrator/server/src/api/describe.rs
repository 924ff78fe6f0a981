//! What a handler takes and answers, told by its own signature, so that the document cannot say anything else.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

/// What the document says of one endpoint, as far as its handler knows.
#[derive(Default)]
pub(super) struct Operation {
    /// Query and header parameters.
    pub parameters: Vec<Value>,
    pub body: Option<Value>,
    pub answers: BTreeMap<u16, Value>,
    /// Statuses of problems that come from what it takes.
    pub problems: BTreeSet<u16>,
}

/// Something that a handler takes from a request.
pub(super) trait Takes {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
}

/// Something that a handler answers.
pub(super) trait Answers {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
}

/// A handler, described. `Taken` is what it takes.
pub(super) trait Described<Taken> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
}

macro_rules! described {
    ($($taken:ident)*) => {
        impl<F, Answer, $($taken),*> Described<($($taken,)*)> for F
        where
            F: FnOnce($($taken),*) -> Answer,
            Answer: Future<Output: Answers>,
            $($taken: Takes),*
        {
            fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
                $($taken::describe(operation, schemas);)*
                Answer::Output::describe(operation, schemas);
            }
        }
    };
}

described!();
described!(A);
described!(A B);
described!(A B C);
described!(A B C D);
described!(A B C D E);

impl Operation {
    /// It answers `status` with JSON.
    pub fn answers_json<T: JsonSchema>(&mut self, status: u16, description: &str, schemas: &mut SchemaGenerator) {
        let content = json!({ "application/json": { "schema": schemas.subschema_for::<T>() } });
        self.answers.insert(status, json!({ "description": description, "content": content }));
    }

    /// It answers `status` with nothing.
    pub fn answers_nothing(&mut self, status: u16, description: &str) {
        self.answers.insert(status, json!({ "description": description }));
    }

    /// It takes what `T` has, after the `?`.
    pub fn takes_query<T: JsonSchema>(&mut self, schemas: &mut SchemaGenerator) {
        let schema = T::json_schema(schemas).to_value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            self.parameters.push(json!({
                "name": name, "in": "query", "description": description,
                "required": required.contains(&json!(name)), "schema": never_null(schema),
            }));
        }
    }
}

/// What may be left out is not written as null in an address.
fn never_null(mut schema: Value) -> Value {
    if let Some(kinds) = schema["type"].as_array()
        && let Some(kind) = kinds.iter().find(|kind| *kind != "null").cloned()
    {
        schema["type"] = kind;
    }
    if let Some(meant) = schema["anyOf"].as_array().and_then(|all| all.iter().find(|it| it["type"] != "null")) {
        schema = meant.clone();
    }
    schema
}
