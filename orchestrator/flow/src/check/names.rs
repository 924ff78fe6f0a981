//! Names of the flow, its tasks, sources and parameters.

use std::collections::HashMap;

use toml::Spanned;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::name::{self, REJECTED};
use crate::spec::Flow;

pub(super) fn check(flow: &Flow, found: &mut Vec<Diagnostic>) {
    match &flow.name {
        Some(name) => one(name, true, found),
        None if flow.lost.covers(&["name"]) => {}
        None => {
            found.push(Diagnostic::error(codes::MISSING_KEY, 0..0, "the flow has no `name`").hint("add `name = \"…\"`"))
        }
    }
    if flow.tasks.is_empty() && !flow.lost.touches(&["tasks"]) && !flow.lost.has_top_level() {
        let hint = "add one, such as `[tasks.first]` with `sql = \"select 1 as one\"`";
        found.push(Diagnostic::error(codes::NO_TASKS, 0..0, "the flow has no tasks").hint(hint));
    }
    params(flow, found);
    datasets(flow, found);
}

fn one(name: &Spanned<String>, dash: bool, found: &mut Vec<Diagnostic>) {
    let text = name.get_ref();
    if let Some(problem) = name::problem(text, dash) {
        let rule = if dash { "letters, digits, `_` and `-`" } else { "letters, digits and `_`" };
        let hint = format!("a letter or `_`, then {rule}; at most {} characters", name::LENGTH_MAX);
        found.push(Diagnostic::error(codes::BAD_NAME, name.span(), problem).hint(hint));
    } else if dash && text.to_ascii_lowercase().ends_with(REJECTED) {
        let message = format!("the name `{text}` ends with `{REJECTED}`");
        found.push(
            Diagnostic::error(codes::RESERVED_NAME, name.span(), message)
                .hint("it is kept for the rows that checks reject"),
        );
    }
}

/// What a run knows of its time, and so no parameter may be called.
const RUN_TIMES: [&str; 3] = ["logical_time", "interval_start", "interval_end"];

/// Parameters become `FLOWCTL_PARAM_NAME`.
fn params(flow: &Flow, found: &mut Vec<Diagnostic>) {
    let mut names: Vec<_> = flow.params.keys().collect();
    names.sort_by_key(|name| name.span().start);
    let mut variables = HashMap::new();
    for name in names {
        one(name, false, found);
        if RUN_TIMES.contains(&name.get_ref().as_str()) {
            let hint = "in SQL `$logical_time` is the nominal time of the run, and the interval ends there";
            let message = format!("the name `{}` is kept for the run's own", name.get_ref());
            found.push(Diagnostic::error(codes::RESERVED_NAME, name.span(), message).hint(hint));
        }
        same_variable("PARAM", name, &mut variables, found);
    }
}

/// Tasks and sources share one space of names, and become `FLOWCTL_INPUT_NAME`.
fn datasets(flow: &Flow, found: &mut Vec<Diagnostic>) {
    let tasks = flow.tasks.keys().map(|name| ("task", name));
    let sources = flow.sources.keys().map(|name| ("source", name));
    let mut names: Vec<_> = tasks.chain(sources).collect();
    names.sort_by_key(|(_, name)| name.span().start);
    let (mut taken, mut variables) = (HashMap::new(), HashMap::new());
    for (what, name) in names {
        let from = found.len();
        one(name, true, found);
        match taken.insert(name.get_ref().to_lowercase(), (what, name.get_ref())) {
            Some((other_what, other)) => {
                let message = format!("the {what} `{}` has the name of the {other_what} `{other}`", name.get_ref());
                let hint = "tasks and sources share their names; upper and lower case are alike";
                found.push(Diagnostic::error(codes::NAME_TWICE, name.span(), message).hint(hint));
            }
            None => same_variable("INPUT", name, &mut variables, found),
        }
        for diagnostic in &mut found[from..] {
            let owner = if what == "task" { &mut diagnostic.task } else { &mut diagnostic.source };
            *owner = Some(name.get_ref().clone());
        }
    }
}

fn same_variable<'f>(
    prefix: &str,
    name: &'f Spanned<String>,
    taken: &mut HashMap<String, &'f str>,
    found: &mut Vec<Diagnostic>,
) {
    let variable = format!("FLOWCTL_{prefix}_{}", name::variable(name.get_ref()));
    if let Some(other) = taken.get(&variable) {
        let message = format!("`{}` and `{other}` both become the environment variable `{variable}`", name.get_ref());
        found.push(Diagnostic::error(codes::SAME_VARIABLE, name.span(), message).hint("rename one of the two"));
    } else {
        taken.insert(variable, name.get_ref());
    }
}

/// The flows of a project, each with the name of its file, whose name an earlier one has: the place in the list
/// and the diagnostic.
pub fn flow_names(flows: &[(&str, &Flow)]) -> Vec<(usize, Diagnostic)> {
    let mut taken: HashMap<String, &str> = HashMap::new();
    let mut found = vec![];
    for (at, (file, flow)) in flows.iter().enumerate() {
        let Some(name) = &flow.name else { continue };
        if let Some(other) = taken.get(&name.get_ref().to_lowercase()) {
            let message = format!("the flow of `{other}` is called `{}`, too", name.get_ref());
            let hint = "the names of a project's flows must differ, upper and lower case are alike";
            found.push((at, Diagnostic::error(codes::FLOW_NAME_TWICE, name.span(), message).hint(hint)));
        } else {
            taken.insert(name.get_ref().to_lowercase(), file);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_flow_of_a_name_is_told() {
        let flows = ["name = 'a'", "name = 'b'", "name = 'A'"].map(|text| crate::spec::parse(text).0.unwrap());
        let found = flow_names(&[("x.toml", &flows[0]), ("y.toml", &flows[1]), ("z.toml", &flows[2])]);
        let said: Vec<_> = found.iter().map(|(at, diagnostic)| (*at, diagnostic.message.as_str())).collect();
        assert_eq!(said, [(2, "the flow of `x.toml` is called `A`, too")]);
    }
}
