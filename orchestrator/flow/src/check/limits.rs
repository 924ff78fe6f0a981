//! Limits, and the pools that tasks take slots of.

use toml::Spanned;

use crate::diagnostic::Diagnostic;
use crate::spec::Flow;
use crate::{codes, name};

/// The most that a limit may say.
const LIMIT_MAX: i64 = 100_000;

pub(super) fn check(flow: &Flow, found: &mut Vec<Diagnostic>) {
    for (key, limit) in [("runs", &flow.limits.runs), ("tasks", &flow.limits.tasks)] {
        if let Some(limit) = limit.as_ref().filter(|limit| !(1..=LIMIT_MAX).contains(limit.get_ref())) {
            let message = format!("`{key}` must be between 1 and {LIMIT_MAX}, not {}", limit.get_ref());
            let hint = format!("leave `{key}` out for no limit");
            found.push(Diagnostic::error(codes::OUT_OF_RANGE, limit.span(), message).hint(hint));
        }
    }
}

/// Tells about pools that the project does not declare.
pub fn pools<'p>(flow: &Flow, declared: impl IntoIterator<Item = &'p str> + Clone) -> Vec<Diagnostic> {
    let by_default = flow.defaults.pool.iter().map(|pool| (None, pool));
    let by_task =
        flow.tasks_in_order().into_iter().filter_map(|(name, task)| Some((Some(name), task.get_ref().pool.as_ref()?)));
    let unknown = |(_, pool): &(_, &Spanned<String>)| declared.clone().into_iter().all(|known| known != pool.get_ref());
    let told = |(task, pool): (Option<&str>, &Spanned<String>)| {
        let hint = name::suggest(pool.get_ref(), declared.clone());
        let hint =
            hint.unwrap_or_else(|| format!("declare it in flowctl.toml: `[pools]` with `{} = 4`", pool.get_ref()));
        let found =
            Diagnostic::error(codes::UNKNOWN_POOL, pool.span(), format!("there is no pool `{}`", pool.get_ref()));
        let found = found.hint(hint);
        match task {
            Some(task) => found.task(task),
            None => found,
        }
    };
    by_default.chain(by_task).filter(unknown).map(told).collect()
}
