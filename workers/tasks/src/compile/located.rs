//! Where a path of the flow file leads.

use std::path::{Component, Path, PathBuf};

/// `path` below `dir`, without `.` and `..`: object stores know neither. A link is followed before a `..` leaves it,
/// as the system would.
pub fn located(dir: &Path, path: &str) -> PathBuf {
    let mut found = PathBuf::new();
    for component in dir.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                found = found.canonicalize().unwrap_or(found);
                found.pop();
            }
            other => found.push(other),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_left_as_the_system_leaves_them() {
        let dir = Path::new("/nowhere/flows");
        assert_eq!(located(dir, "../data/./x*.csv"), Path::new("/nowhere/data/x*.csv"));
        assert_eq!(located(dir, "/other/x.csv"), Path::new("/other/x.csv"));
        assert_eq!(located(dir, "../../../x.csv"), Path::new("/x.csv"));
    }
}
