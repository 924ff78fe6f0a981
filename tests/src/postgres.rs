//! A schema of its own for a test, in the PostgreSQL that `tests/with-postgres` starts.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::succeed;

/// The URL of a new, empty schema. `None` where no PostgreSQL was started, which CI does not accept.
pub fn schema() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Ok(url) = std::env::var("FLOWCTL_TEST_POSTGRES") else {
        assert!(std::env::var_os("CI").is_none(), "FLOWCTL_TEST_POSTGRES is not set; run tests/with-postgres");
        eprintln!("NOT RUN on PostgreSQL: run the tests through tests/with-postgres");
        return None;
    };
    let schema = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    psql(&url, &format!("create schema {schema}"));
    let mark = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{mark}options[search_path]={schema}"))
}

/// Runs a statement.
pub fn psql(url: &str, sql: &str) {
    let mut psql = Command::new("psql");
    psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url.trim_end_matches(['?', '&']), "-c", sql]);
    succeed(psql);
}
