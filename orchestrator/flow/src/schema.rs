//! The JSON Schema of the flow file, for editors and for `flowctl schema`.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::spec::Flow;

/// The schema (draft 2020-12), made from the types that read the file: their doc comments are its descriptions.
pub fn json_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Flow>();
    // A key with a default does not count as required, and an empty flow is none.
    schema.insert("required".to_owned(), serde_json::json!(["name", "tasks"]));
    schema.insert("title".to_owned(), "flowctl flow".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema that a schema stands for, past references and `null`.
    fn meant<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
        if let Some(name) = schema["$ref"].as_str() {
            return meant(root, root.pointer(name.trim_start_matches('#')).unwrap());
        }
        let options = schema["anyOf"].as_array().into_iter().flatten();
        options.into_iter().find(|option| option["type"] != "null").map_or(schema, |option| meant(root, option))
    }

    /// The keys of `value` that the schema does not know.
    fn unknown(root: &Value, schema: &Value, value: &toml::Value, path: &str, found: &mut Vec<String>) {
        let schema = meant(root, schema);
        match value {
            toml::Value::Table(table) if schema.is_object() => {
                for (key, value) in table {
                    let path = format!("{path}.{key}");
                    let of_key = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                    match of_key {
                        Value::Bool(false) | Value::Null => found.push(path),
                        known => unknown(root, known, value, &path, found),
                    }
                }
            }
            toml::Value::Array(items) => {
                items.iter().for_each(|item| unknown(root, &schema["items"], item, &format!("{path}[]"), found));
            }
            _ => {}
        }
    }

    fn unknown_in(text: &str) -> Vec<String> {
        let (schema, mut found) = (json_schema(), vec![]);
        unknown(&schema, &schema, &toml::from_str(text).unwrap(), "", &mut found);
        found.sort();
        found
    }

    #[test]
    fn the_flows_of_this_repository_fit() {
        assert_eq!(unknown_in(include_str!("../../../flows/etl.toml")), [""; 0]);
        assert_eq!(unknown_in(include_str!("../../../examples/05-commands/flow.toml")), [""; 0]);
    }

    #[test]
    fn keys_that_do_not_exist_do_not() {
        let text = "[tasks.a]\nsqll = ''\nchecks = [{ row = {} }, { between = { colum = 'x' } }]\n[steps.b]\nsql = ''";
        assert_eq!(
            unknown_in(text),
            [".steps", ".tasks.a.checks[].between.colum", ".tasks.a.checks[].row", ".tasks.a.sqll"]
        );
    }

    #[test]
    fn it_says_what_it_is_and_what_every_key_means() {
        let schema = json_schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["required"], serde_json::json!(["name", "tasks"]));
        let definitions = schema["$defs"].as_object().unwrap().values().chain([&schema]);
        let keys = definitions.flat_map(|definition| definition["properties"].as_object().into_iter().flatten());
        let mute: Vec<_> = keys.filter(|(_, key)| key.get("description").is_none()).map(|(name, _)| name).collect();
        assert_eq!(mute, [""; 0], "keys without a word about them");
    }
}
