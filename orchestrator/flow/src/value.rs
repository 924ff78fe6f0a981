//! Parameters: their types, their values, and how text becomes one of the other.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name;
use crate::spec::{Flow, Param};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Any text.
    String,
    /// A whole number of at most 64 bits.
    Int,
    /// A finite number.
    Float,
    /// `true` or `false`.
    Bool,
    /// A day of the calendar.
    Date,
    /// An instant, to the microsecond.
    Timestamp,
    /// One of these texts.
    Enum(Vec<String>),
}

/// The value of a parameter. In JSON a date is `"2013-01-31"` and a timestamp RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ParamValue")]
#[serde(rename_all = "lowercase", tag = "type", content = "value")]
pub enum Value {
    /// A text, also one of an enum.
    String(String),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// A truth.
    Bool(bool),
    /// Days since the Unix epoch.
    Date(i32),
    /// Microseconds since the Unix epoch, in UTC.
    Timestamp(i64),
}

/// The parameters of a run, by name.
pub type Params = BTreeMap<String, Value>;

/// Parameters as texts, in the form in which `-p name=value` takes them.
pub fn texts(params: &Params) -> BTreeMap<String, String> {
    params.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

/// Why parameters cannot be used. Wrong usage, not a mistake in the flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The parameter.
    pub param: String,
    /// A lowercase fragment that names the parameter.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The words for the types of parameters, but `enum`.
pub const TYPE_WORDS: [&str; 6] = ["string", "int", "float", "bool", "date", "timestamp"];

impl ParamType {
    /// The type that a parameter declares. `None` unless it declares exactly one that exists.
    pub fn of(param: &Param) -> Option<ParamType> {
        match (&param.kind, &param.choices) {
            (Some(word), None) => ParamType::of_word(word.get_ref()),
            (None, Some(choices)) => {
                Some(ParamType::Enum(choices.get_ref().iter().map(|choice| choice.get_ref().clone()).collect()))
            }
            _ => None,
        }
    }

    fn of_word(word: &str) -> Option<ParamType> {
        match word {
            "string" => Some(ParamType::String),
            "int" => Some(ParamType::Int),
            "float" => Some(ParamType::Float),
            "bool" => Some(ParamType::Bool),
            "date" => Some(ParamType::Date),
            "timestamp" => Some(ParamType::Timestamp),
            _ => None,
        }
    }

    /// What a text of this type looks like.
    fn example(&self) -> String {
        match self {
            ParamType::String => "any text".to_owned(),
            ParamType::Int => "a whole number of at most 64 bits, such as `42`".to_owned(),
            ParamType::Float => "a number, such as `0.5`".to_owned(),
            ParamType::Bool => "`true` or `false`".to_owned(),
            ParamType::Date => "a date, such as `2013-01-31`".to_owned(),
            ParamType::Timestamp => "a time, such as `2013-01-31T10:00:00Z` (without a zone: UTC)".to_owned(),
            ParamType::Enum(choices) => name::list(choices.iter().map(String::as_str))
                .map_or("nothing".to_owned(), |list| format!("one of {list}")),
        }
    }
}

impl Value {
    /// Reads a text, such as that of `-p name=text`.
    ///
    /// # Errors
    /// Says what was expected, as the rest of a sentence that begins with "expected".
    pub fn parse(text: &str, kind: &ParamType) -> Result<Value, String> {
        let value = match kind {
            ParamType::String => Some(Value::String(text.to_owned())),
            ParamType::Enum(choices) => {
                choices.iter().any(|choice| choice == text).then(|| Value::String(text.to_owned()))
            }
            ParamType::Int => text.parse().ok().map(Value::Int),
            ParamType::Float => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float),
            ParamType::Bool => text.parse().ok().map(Value::Bool),
            ParamType::Date => date(text).map(Value::Date),
            ParamType::Timestamp => timestamp(text).map(Value::Timestamp),
        };
        value.ok_or_else(|| kind.example())
    }

    /// Takes a value of a flow file. Dates and times may be TOML's own or texts, a float may be written as an integer.
    ///
    /// # Errors
    /// Says what was expected, as the rest of a sentence that begins with "expected".
    pub fn of_toml(value: &toml::Value, kind: &ParamType) -> Result<Value, String> {
        match (value, kind) {
            (
                toml::Value::String(text),
                ParamType::String | ParamType::Enum(_) | ParamType::Date | ParamType::Timestamp,
            ) => Value::parse(text, kind),
            (toml::Value::Integer(number), ParamType::Int) => Ok(Value::Int(*number)),
            (toml::Value::Integer(number), ParamType::Float) => Ok(Value::Float(*number as f64)),
            (toml::Value::Float(number), ParamType::Float) if number.is_finite() => Ok(Value::Float(*number)),
            (toml::Value::Boolean(truth), ParamType::Bool) => Ok(Value::Bool(*truth)),
            (toml::Value::Datetime(time), ParamType::Date | ParamType::Timestamp) => {
                Value::parse(&time.to_string(), kind)
            }
            (_, ParamType::String) => Err("a text in quotes".to_owned()),
            _ => Err(kind.example()),
        }
    }

    /// The typed JSON value: numbers and truths as such, everything else as text.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Bool(truth) => (*truth).into(),
            Value::String(_) | Value::Date(_) | Value::Timestamp(_) => self.to_string().into(),
        }
    }
}

/// The text that stands for the value in paths, commands and environment variables.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::String(text) => f.write_str(text),
            Value::Int(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Bool(truth) => write!(f, "{truth}"),
            Value::Date(days) => match Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(*days)) {
                Ok(date) => write!(f, "{date}"),
                Err(_) => write!(f, "{days} days after 1970-01-01"),
            },
            Value::Timestamp(micros) => match EPOCH.checked_add(SignedDuration::from_micros(*micros)) {
                Ok(time) => write!(f, "{time}Z"),
                Err(_) => write!(f, "{micros} microseconds after 1970-01-01T00:00:00Z"),
            },
        }
    }
}

/// Days since the epoch of `YYYY-MM-DD`.
fn date(text: &str) -> Option<i32> {
    let shape = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date: Date = text.parse().ok().filter(|_| shape)?;
    Date::constant(1970, 1, 1).until(date).ok().map(|span| span.get_days())
}

/// Microseconds since the epoch of an RFC 3339 time; without an offset in UTC, without a time at midnight.
fn timestamp(text: &str) -> Option<i64> {
    let shape =
        text.as_bytes().get(4) == Some(&b'-') && text.bytes().all(|byte| b"0123456789-+:.TtZz ".contains(&byte));
    let zoned = || Some(text.parse::<Timestamp>().ok()?.as_microsecond());
    // Also what no zone can have any more, as the last day of 9999.
    let utc = || {
        let time = text.strip_suffix(['Z', 'z']).unwrap_or(text);
        let time: DateTime =
            time.parse().ok().filter(|_| !time.get(10..).is_some_and(|it| it.contains(['+', '-', 'Z'])))?;
        i64::try_from(time.duration_since(EPOCH).as_micros()).ok()
    };
    if shape { zoned().or_else(utc) } else { None }
}

/// The parameters of a run: those `given` as texts, the defaults for the others.
///
/// # Errors
/// Every parameter that is missing, of the wrong type, or not declared.
pub fn resolve(flow: &Flow, given: &BTreeMap<String, String>) -> Result<Params, Vec<Problem>> {
    let declared = || flow.params.keys().map(|name| name.get_ref().as_str());
    let unknown = given.keys().filter(|name| !declared().any(|declared| declared == *name));
    let mut problems: Vec<_> = unknown
        .map(|name| Problem {
            param: name.clone(),
            message: format!("the flow has no parameter `{name}`"),
            hint: name::suggest(name, declared()).or_else(|| Some("it has no parameters".to_owned())),
        })
        .collect();
    let mut params = Params::new();
    for (name, param) in &flow.params {
        match one(name.get_ref(), param.get_ref(), given.get(name.get_ref())) {
            Ok(Some(value)) => drop(params.insert(name.get_ref().clone(), value)),
            // Its declaration is wrong, which is told where the flow is checked.
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(params) } else { Err(problems) }
}

fn one(name: &str, param: &Param, given: Option<&String>) -> Result<Option<Value>, Problem> {
    let Some(kind) = ParamType::of(param) else { return Ok(None) };
    let problem = |message: String, hint: String| Problem { param: name.to_owned(), message, hint: Some(hint) };
    match (given, &param.default) {
        (Some(text), _) => {
            let value = Value::parse(text, &kind).map_err(|expected| {
                problem(format!("parameter `{name}` cannot be `{text}`"), format!("expected {expected}"))
            })?;
            match mismatch(param, &value) {
                Some(pattern) => Err(problem(
                    format!("parameter `{name}` cannot be `{text}`"),
                    format!("expected a text that matches `{pattern}`"),
                )),
                None => Ok(Some(value)),
            }
        }
        (None, Some(default)) => Ok(Value::of_toml(default.get_ref(), &kind).ok()),
        (None, None) => {
            let hint =
                format!("give it with `-p {name}=…`: {}", param.description.clone().unwrap_or_else(|| kind.example()));
            Err(problem(format!("parameter `{name}` is missing"), hint))
        }
    }
}

/// The pattern of `param` if `value` does not match it.
pub(crate) fn mismatch<'p>(param: &'p Param, value: &Value) -> Option<&'p str> {
    let pattern = param.pattern.as_ref()?.get_ref();
    let (Ok(regex), Value::String(text)) = (regex::Regex::new(pattern), value) else { return None };
    (!regex.is_match(text)).then_some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kind: &ParamType, texts: &[&str]) -> Vec<Option<String>> {
        texts.iter().map(|text| Value::parse(text, kind).ok().map(|value| value.to_string())).collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn texts_become_typed_values() {
        assert_eq!(
            texts(&ParamType::Int, &["42", "-7", "9223372036854775807"]),
            [some("42"), some("-7"), some("9223372036854775807")]
        );
        assert_eq!(
            texts(&ParamType::Int, &["", "1.0", "9223372036854775808", "x", " 1"]),
            [None, None, None, None, None]
        );
        assert_eq!(texts(&ParamType::Float, &["0.5", "3", "1e3"]), [some("0.5"), some("3"), some("1000")]);
        assert_eq!(texts(&ParamType::Float, &["nan", "inf", "x", "1e999"]), [None, None, None, None]);
        assert_eq!(texts(&ParamType::Bool, &["true", "false", "TRUE", "1"]), [some("true"), some("false"), None, None]);
        let choices = ParamType::Enum(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(texts(&choices, &["a", "c", "A"]), [some("a"), None, None]);
    }

    #[test]
    fn dates_are_days_and_times_are_microseconds_in_utc() {
        assert_eq!(Value::parse("1970-01-02", &ParamType::Date), Ok(Value::Date(1)));
        assert_eq!(Value::parse("1969-12-31", &ParamType::Date), Ok(Value::Date(-1)));
        assert_eq!(
            texts(&ParamType::Date, &["2013-02-29", "2013-1-1", "20130101", "2013-01-01T00:00:00"]),
            [None, None, None, None]
        );
        let times = ["2013-01-31T10:00:00Z", "2013-01-31T12:00:00+02:00", "2013-01-31T10:00:00", "2013-01-31 10:00:00"];
        assert_eq!(texts(&ParamType::Timestamp, &times), vec![some("2013-01-31T10:00:00Z"); 4]);
        assert_eq!(
            texts(&ParamType::Timestamp, &["1970-01-01T00:00:00.5Z", "2013-01-31"]),
            [some("1970-01-01T00:00:00.5Z"), some("2013-01-31T00:00:00Z")]
        );
        let far = ["9999-12-31", "9999-12-31T23:59:59.999999Z", "0001-01-01"];
        assert_eq!(
            texts(&ParamType::Timestamp, &far),
            [some("9999-12-31T00:00:00Z"), some("9999-12-31T23:59:59.999999Z"), some("0001-01-01T00:00:00Z")]
        );
        assert_eq!(
            texts(
                &ParamType::Timestamp,
                &[
                    "9999-12-31T12:00:00+02:00",
                    "2013-01-31ZZ",
                    "2013-13-01T00:00:00Z",
                    "10:00",
                    "2013-01-31T10:00:00[Europe/Paris]",
                    "now"
                ]
            ),
            vec![None; 6]
        );
    }

    #[test]
    fn json_is_typed() {
        let params =
            [Value::Int(1), Value::Float(1.5), Value::Bool(true), Value::Date(0), Value::String("x".to_owned())];
        let json: Vec<_> = params.iter().map(Value::json).collect();
        assert_eq!(serde_json::json!(json), serde_json::json!([1, 1.5, true, "1970-01-01", "x"]));
    }

    fn flow() -> Flow {
        let text = r#"
            name = "f"
            [params]
            month = { type = "string", default = "2013-01", pattern = '^\d{4}-\d{2}$' }
            day = { type = "date", default = 2013-01-31 }
            rate = { type = "float", default = 1 }
            depth = { type = "int", description = "how deep" }
        "#;
        crate::spec::parse(text).0.unwrap()
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn given_texts_win_over_defaults() {
        let params = resolve(&flow(), &given(&[("depth", "3"), ("month", "2014-02")])).unwrap();
        let json: BTreeMap<_, _> = params.iter().map(|(name, value)| (name.as_str(), value.json())).collect();
        assert_eq!(
            serde_json::json!(json),
            serde_json::json!({ "month": "2014-02", "day": "2013-01-31", "rate": 1.0, "depth": 3 })
        );
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems = resolve(&flow(), &given(&[("mont", "x"), ("month", "January"), ("day", "soon")])).unwrap_err();
        let said: Vec<_> =
            problems.iter().map(|p| format!("{} | {}", p.message, p.hint.as_deref().unwrap_or(""))).collect();
        assert_eq!(
            said,
            [
                "the flow has no parameter `mont` | did you mean `month`?",
                "parameter `day` cannot be `soon` | expected a date, such as `2013-01-31`",
                "parameter `depth` is missing | give it with `-p depth=…`: how deep",
                "parameter `month` cannot be `January` | expected a text that matches `^\\d{4}-\\d{2}$`",
            ]
        );
    }
}
