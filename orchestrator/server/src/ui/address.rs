//! Where pages are.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What may not stand in a part of a path or a query.
const REST: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

fn part(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, REST)
}

pub(super) fn run(run_id: &str) -> String {
    format!("/runs/{}", part(run_id))
}

pub(super) fn task(run_id: &str, task: &str) -> String {
    format!("/runs/{}/tasks/{}", part(run_id), part(task))
}

pub(super) fn flow(flow: &str) -> String {
    format!("/flows/{}", part(flow))
}

pub(super) fn dataset(dataset: &str) -> String {
    format!("/datasets/{}", part(dataset))
}

pub(super) fn lineage(dataset: &str, column: Option<&str>) -> String {
    with(&format!("/lineage/{}", part(dataset)), &[("column", column.unwrap_or_default())])
}

/// A path with a query; what is empty is left out.
pub(super) fn with(path: &str, query: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        let mark = if address.contains('?') { '&' } else { '?' };
        // Writing to a text never fails.
        let _ = write!(address, "{mark}{name}={}", part(value));
    }
    address
}

/// The address if it is one of ours, else the first page.
pub(super) fn own(address: &str) -> &str {
    let ours = address.starts_with('/') && !address.starts_with("//") && !address.contains(['\\', '\r', '\n']);
    if ours { address } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        assert_eq!(task("r", "a/../b?c#d"), "/runs/r/tasks/a%2F..%2Fb%3Fc%23d");
        assert_eq!(lineage("a.b", Some("x&y=\"<")), "/lineage/a.b?column=x%26y%3D%22%3C");
        assert_eq!(with("/runs", &[("flow", ""), ("state", "failed")]), "/runs?state=failed");
    }

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(own("/runs?flow=a"), "/runs?flow=a");
        for elsewhere in
            ["https://evil.example", "//evil.example", "/\\evil.example", "", "evil", "/a\r\nSet-Cookie: x"]
        {
            assert_eq!(own(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
