//! What a command task says in the flow file, with parameters filled in.

use std::collections::BTreeMap;

use flow::placeholders;
use flow::plan::Column;
use flow::spec::{self, Format};
use flow::value::Params;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// The `with` of a command's [`flow::plan::Task`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The names of the datasets given to it, as written.
    pub inputs: Vec<String>,
    /// Files kept with the run: by name, the path in `FLOWCTL_OUTPUT_DIR`.
    pub artifacts: BTreeMap<String, String>,
    /// The format of the files that become the dataset. `None`: it makes no dataset.
    pub format: Option<Format>,
    /// The columns of that dataset, in the order of the file.
    pub schema: Vec<Column>,
    /// Whether an unchanged command is not run again.
    pub cache: bool,
}

impl Settings {
    /// The settings of `task`, which has a `command`.
    ///
    /// # Errors
    /// Says which `{param}` has no value, or which brace is none, as a lowercase fragment.
    pub fn new(task: &spec::Task, params: &Params) -> Result<Settings, String> {
        let words = task.command.as_ref().map(|command| command.get_ref().as_slice()).unwrap_or_default();
        let fill = |text: &Spanned<String>| placeholders::fill(text.get_ref(), params);
        let artifact = |(name, path): (&Spanned<String>, &Spanned<String>)| Ok((name.get_ref().clone(), fill(path)?));
        Ok(Settings {
            argv: words.iter().map(fill).collect::<Result<_, String>>()?,
            inputs: task.inputs.iter().map(|input| input.get_ref().clone()).collect(),
            artifacts: task.outputs.iter().map(artifact).collect::<Result<_, String>>()?,
            format: task.output.as_ref().and_then(|output| output.get_ref().format.as_ref().map(|it| *it.get_ref())),
            schema: columns(task),
            cache: task.cache.as_ref().is_some_and(|cache| *cache.get_ref()),
        })
    }
}

fn columns(task: &spec::Task) -> Vec<Column> {
    let Some(schema) = &task.schema else { return vec![] };
    let mut written: Vec<_> = schema.get_ref().iter().collect();
    written.sort_by_key(|(name, _)| name.span().start);
    let column = |(name, kind): (&Spanned<String>, &Spanned<String>)| Column {
        name: name.get_ref().clone(),
        kind: kind.get_ref().clone(),
    };
    written.into_iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use flow::value::Value;

    use super::*;

    #[test]
    fn settings_are_filled_in_and_keep_the_order_of_the_file() {
        let text = r#"
            command = ["python3", "score.py", "{month}"]
            inputs = ["daily"]
            output = { format = "parquet" }
            schema = { score = "float", carrier = "string" }
            outputs = { report = "report-{month}.html" }
        "#;
        let task: spec::Task = toml::from_str(text).unwrap();
        assert!(Settings::new(&task, &Params::new()).unwrap_err().contains("month"));
        let params = Params::from([("month".into(), Value::String("2013-01".into()))]);
        let settings = Settings::new(&task, &params).unwrap();
        assert_eq!(settings.argv, ["python3", "score.py", "2013-01"]);
        assert_eq!(settings.inputs, ["daily"]);
        assert_eq!(settings.artifacts["report"], "report-2013-01.html");
        assert_eq!(settings.format, Some(Format::Parquet));
        let names: Vec<_> = settings.schema.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["score", "carrier"]);
        assert!(!settings.cache);
        let json = serde_json::to_value(&settings).unwrap();
        assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
    }
}
