//! Names: which are allowed, which are alike, which was probably meant.

/// The longest name, in characters.
pub const LENGTH_MAX: usize = 64;

/// The ending of the datasets that hold rejected rows.
pub const REJECTED: &str = "__rejected";

/// A name that means nothing here, or several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    pub message: String,
    pub hint: Option<String>,
    /// Whether it could mean several things.
    pub ambiguous: bool,
}

impl Miss {
    /// Nothing has the name.
    pub fn none(message: String, hint: Option<String>) -> Self {
        Miss { message, hint, ambiguous: false }
    }

    /// Several things have the name.
    pub fn several(message: String, hint: String) -> Self {
        Miss { message, hint: Some(hint), ambiguous: true }
    }
}

/// What is wrong with the name of a flow, task or source (`dash`) or of a parameter (no `dash`), as a lowercase
/// fragment. `None`: nothing.
pub fn problem(name: &str, dash: bool) -> Option<String> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    let inner = |c: char| letter(c) || c.is_ascii_digit() || (dash && c == '-');
    if name.is_empty() {
        return Some("a name must not be empty".to_owned());
    }
    if let Some(wrong) = name.chars().find(|&c| !inner(c)) {
        return Some(format!("the name `{name}` must not contain `{}`", wrong.escape_debug()));
    }
    if !name.starts_with(letter) {
        return Some(format!("the name `{name}` must begin with a letter or `_`"));
    }
    (name.len() > LENGTH_MAX)
        .then(|| format!("the name `{name}` has {} characters, {LENGTH_MAX} are allowed", name.len()))
}

/// The part of an environment variable that stands for `name`: `raw-flights` is `RAW_FLIGHTS`.
pub fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

/// The candidate that was probably meant by `given`, if one is near enough: a slip or two away, or longer or shorter
/// at its end.
pub fn nearest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let wanted = given.to_lowercase();
    let near = candidates.into_iter().filter_map(|candidate| {
        let known = candidate.to_lowercase();
        let shortest = wanted.len().min(known.len());
        let extended = shortest >= 3 && (wanted.starts_with(&known) || known.starts_with(&wanted));
        // Far more names are too long or too short than are worth a closer look.
        if !extended && shortest * 2 < wanted.len().max(known.len()) {
            return None;
        }
        let distance = strsim::osa_distance(&wanted, &known);
        let longest = wanted.chars().count().max(known.chars().count());
        let slip = distance < longest && distance <= (longest / 3).max(1);
        (slip || extended).then_some((distance, candidate))
    });
    near.min().map(|(_, candidate)| candidate)
}

/// The hint for `given` among `candidates`: the near miss, or else the list, or `None` when there is nothing to choose.
pub fn suggest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str> + Clone) -> Option<String> {
    if let Some(near) = nearest(given, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let one_of = if candidates.clone().into_iter().nth(1).is_some() { "one of " } else { "" };
    list(candidates).map(|names| format!("expected {one_of}{names}"))
}

/// The names in backticks, at most twelve of them. `None` when there are none.
pub fn list<'c>(names: impl IntoIterator<Item = &'c str>) -> Option<String> {
    const SHOWN: usize = 12;
    let mut names = names.into_iter();
    let mut shown: Vec<_> = names.by_ref().take(SHOWN + 1).map(|name| format!("`{name}`")).collect();
    match names.count() {
        0 if shown.is_empty() => None,
        0 => Some(shown.join(", ")),
        more => {
            shown.truncate(SHOWN);
            Some(format!("{} and {} more", shown.join(", "), more + 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for good in ["a", "_", "A1", "raw-flights", "a_b-c", &"x".repeat(64)] {
            assert_eq!(problem(good, true), None, "{good}");
        }
        for bad in ["", "1a", "-a", "a b", "a.b", "é", "a\n", &"x".repeat(65)] {
            assert!(problem(bad, true).is_some(), "{bad:?}");
        }
        assert!(problem("a-b", false).is_some());
        assert_eq!(problem("a_b", false), None);
    }

    #[test]
    fn near_misses_are_found_and_far_ones_are_not() {
        let keys = ["sql", "sql_file", "command", "output", "outputs", "after"];
        assert_eq!(nearest("sqll", keys), Some("sql"));
        assert_eq!(nearest("comand", keys), Some("command"));
        assert_eq!(nearest("OUTPUT", keys), Some("output"));
        assert_eq!(nearest("ouptut", keys), Some("output"));
        assert_eq!(nearest("commands_to_run", keys), Some("command"));
        assert_eq!(nearest("query", keys), None);
        assert_eq!(nearest("x", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<_> = (0..20).map(|n| format!("t{n}")).collect();
        let text = list(names.iter().map(String::as_str)).unwrap();
        assert!(text.ends_with("`t11` and 8 more"), "{text}");
        assert_eq!(list([]), None);
    }
}
