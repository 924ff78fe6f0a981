//! What could not be read of a file, so that no later stage complains about its absence.

/// Paths of keys whose values were not understood. Items of lists go by `*`.
#[derive(Clone, Debug, Default)]
pub struct Lost(Vec<Vec<String>>);

impl Lost {
    pub(super) fn add(&mut self, path: Vec<String>) {
        self.0.push(path);
    }

    /// Whether `path`, or something that it is inside of, was lost: its absence means nothing.
    pub fn covers(&self, path: &[&str]) -> bool {
        self.0.iter().any(|lost| lost.len() <= path.len() && lost.iter().zip(path).all(|(a, b)| a == b))
    }

    /// Whether a whole part of the flow was lost, such as one with an unknown name.
    pub(crate) fn has_top_level(&self) -> bool {
        self.0.iter().any(|lost| lost.len() == 1 && lost[0] != "name")
    }

    /// Whether `path`, something around it or something inside it was lost: what is left of it may be incomplete.
    pub fn touches(&self, path: &[&str]) -> bool {
        self.0.iter().any(|lost| lost.iter().zip(path).all(|(a, b)| a == b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_and_around_are_told_apart() {
        let mut lost = Lost::default();
        lost.add(vec!["tasks".to_owned(), "a".to_owned(), "sql".to_owned()]);
        assert!(lost.covers(&["tasks", "a", "sql"]) && lost.covers(&["tasks", "a", "sql", "x"]));
        assert!(!lost.covers(&["tasks", "a"]) && lost.touches(&["tasks", "a"]));
        assert!(!lost.touches(&["tasks", "b"]));
    }
}
