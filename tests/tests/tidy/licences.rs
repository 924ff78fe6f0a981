//! Whose code may be linked, and on which terms.

use std::collections::{BTreeMap, BTreeSet};

use tests::root;

use crate::{metadata, none, toml_of};

/// Whether an SPDX expression can be met with what `allowed` names. `/` is an old way to write OR.
fn permitted(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "~");
    let tokens: Vec<String> = spaced.split_whitespace().map(|token| token.replace('~', " WITH ")).collect();
    let mut rest = tokens.as_slice();
    alternatives(&mut rest, allowed)
}

fn alternatives(rest: &mut &[String], allowed: &BTreeSet<&str>) -> bool {
    let mut met = false;
    loop {
        let mut all = true;
        loop {
            all &= single(rest, allowed);
            match rest.split_first() {
                Some((word, after)) if word == "AND" => *rest = after,
                _ => break,
            }
        }
        met |= all;
        match rest.split_first() {
            Some((word, after)) if word == "OR" => *rest = after,
            _ => return met,
        }
    }
}

fn single(rest: &mut &[String], allowed: &BTreeSet<&str>) -> bool {
    let Some((word, after)) = rest.split_first() else { return false };
    *rest = after;
    if word != "(" {
        return allowed.contains(word.as_str());
    }
    let met = alternatives(rest, allowed);
    *rest = rest.split_first().map_or(&[], |(_, after)| after);
    met
}

#[test]
fn licences_are_those_of_deny_toml() {
    let deny = toml_of(&root().join("deny.toml"));
    let words = |value: &toml::Value| {
        value.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let allowed = words(&deny["licenses"]["allow"]);
    let exceptions: BTreeMap<&str, Vec<String>> = deny["licenses"]["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["crate"].as_str().unwrap(), words(&it["allow"])))
        .collect();
    let metadata = metadata();
    let used: BTreeSet<&str> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    let mut problems = vec![];
    for package in
        metadata["packages"].as_array().unwrap().iter().filter(|it| used.contains(it["id"].as_str().unwrap()))
    {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        let extra = exceptions.get(name).into_iter().flatten();
        if !permitted(licence, &allowed.iter().chain(extra).map(String::as_str).collect()) {
            problems.push(format!("{name}: {licence}"));
        }
    }
    none(problems);
}

#[test]
fn licence_expressions_are_read_rightly() {
    let allowed = BTreeSet::from(["MIT", "ISC", "A WITH B"]);
    for yes in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "ISC AND (GPL-3.0 OR MIT)", "A WITH B OR X"] {
        assert!(permitted(yes, &allowed), "{yes}");
    }
    for no in ["GPL-3.0", "MIT AND GPL-3.0", "ISC AND (GPL-3.0 OR X)", "A", ""] {
        assert!(!permitted(no, &allowed), "{no}");
    }
}
