//! Declarations of parameters.

use toml::Spanned;

use super::repeated;
use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::name;
use crate::spec::{Flow, Param};
use crate::value::{ParamType, TYPE_WORDS, Value, mismatch};

pub(super) fn check(flow: &Flow, found: &mut Vec<Diagnostic>) {
    for (name, param) in &flow.params {
        let complete = !flow.lost.touches(&["params", name.get_ref()]);
        let Some(kind) = kind(name, param, complete, found) else { continue };
        if flow.schedule.is_some() && param.get_ref().default.is_none() && complete {
            found.push(unfilled(name));
        }
        if pattern(param.get_ref(), &kind, found) {
            default(param.get_ref(), &kind, found);
        }
    }
}

fn unfilled(name: &Spanned<String>) -> Diagnostic {
    let message =
        format!("parameter `{}` has no default, and runs by the schedule are given no values", name.get_ref());
    Diagnostic::warning(codes::UNFILLED_PARAM, name.span(), message).hint("add `default = …` to it")
}

fn kind(
    name: &Spanned<String>,
    param: &Spanned<Param>,
    complete: bool,
    found: &mut Vec<Diagnostic>,
) -> Option<ParamType> {
    let error = |span: Span, message: String| Diagnostic::error(codes::PARAM_TYPE, span, message);
    let (name, declared) = (name.get_ref(), param.get_ref());
    match (&declared.kind, &declared.choices) {
        (Some(_), Some(choices)) => {
            let message = format!("parameter `{name}` has both a `type` and an `enum`");
            found.push(error(choices.span(), message).hint("keep one of the two"));
        }
        (None, None) if complete => {
            let message = format!("parameter `{name}` has no type");
            found.push(error(param.span(), message).hint("add `type = \"string\"`, or `enum = [\"…\", \"…\"]`"));
        }
        (None, None) => {}
        (Some(word), None) if ParamType::of(declared).is_none() => {
            let message = format!("`{}` is not a type of parameters", word.get_ref());
            let hint = match word.get_ref().as_str() {
                "enum" => Some("write `enum = [\"…\", \"…\"]` instead of `type`".to_owned()),
                word => name::suggest(word, TYPE_WORDS),
            };
            found.push(error(word.span(), message).maybe_hint(hint));
        }
        (None, Some(choices)) => {
            if choices.get_ref().is_empty() && complete {
                found.push(Diagnostic::error(
                    codes::BAD_ENUM,
                    choices.span(),
                    format!("parameter `{name}` has no choices"),
                ));
                return None;
            }
            repeated(choices.get_ref(), "choice", found);
            return ParamType::of(declared).filter(|_| complete);
        }
        (Some(_), None) => return ParamType::of(declared),
    }
    None
}

/// False if the pattern cannot be used.
fn pattern(param: &Param, kind: &ParamType, found: &mut Vec<Diagnostic>) -> bool {
    let Some(pattern) = &param.pattern else { return true };
    let message = match regex::Regex::new(pattern.get_ref()) {
        _ if *kind != ParamType::String => "only a parameter of type `string` can have a pattern".to_owned(),
        Ok(_) => return true,
        Err(regex::Error::CompiledTooBig(_)) => "the pattern is too large".to_owned(),
        Err(error) => {
            // The last line of the message says what is wrong, those before it draw the place.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("the pattern is not a regular expression: {reason}")
        }
    };
    found.push(Diagnostic::error(codes::BAD_PATTERN, pattern.span(), message));
    false
}

fn default(param: &Param, kind: &ParamType, found: &mut Vec<Diagnostic>) {
    let Some(default) = &param.default else { return };
    let problem = match Value::of_toml(default.get_ref(), kind) {
        Err(expected) => Some(format!("expected {expected}")),
        Ok(value) => mismatch(param, &value).map(|pattern| format!("expected a text that matches `{pattern}`")),
    };
    if let Some(hint) = problem {
        let message = format!("the default cannot be {}", default.get_ref());
        found.push(Diagnostic::error(codes::PARAM_DEFAULT, default.span(), message).hint(hint));
    }
}
