//! Places in a TOML document.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::diagnostic::Span;

/// The keys from the root to a value. Elements of lists go by their number.
pub(super) type Path = Vec<String>;

/// A value with its place.
pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// Where the value, or else the key, is that has exactly this span. A list of tables shares its span with its first
/// table: the innermost counts, unless `list` says that the list is wanted.
pub(super) fn find(root: &Node<'_>, span: &Span, list: bool) -> Option<Path> {
    let (mut by_value, mut by_key) = (None, None);
    visit(root, &mut vec![], &mut |path, key, node| {
        if node.span() == *span && (!list || node.get_ref().is_array()) {
            by_value = Some(path.to_vec());
        }
        if key == Some(span) {
            by_key = Some(path.to_vec());
        }
    });
    by_value.or(by_key)
}

/// Where the key is that has exactly this span.
pub(super) fn find_key(root: &Node<'_>, span: &Span) -> Option<Path> {
    let mut found = None;
    visit(root, &mut vec![], &mut |path, key, _| {
        if key == Some(span) {
            found = Some(path.to_vec());
        }
    });
    found
}

/// Calls `see` with the path, the span of the key and the value of everything below `node`, outer ones first.
/// TOML's own limit on nesting bounds the depth.
fn visit(node: &Node<'_>, path: &mut Path, see: &mut impl FnMut(&[String], Option<&Span>, &Node<'_>)) {
    let mut below = |step: String, key: Option<&Span>, child: &Node<'_>| {
        path.push(step);
        see(path, key, child);
        visit(child, path, see);
        path.pop();
    };
    match node.get_ref() {
        DeValue::Table(table) => {
            table.iter().for_each(|(key, child)| below(key.get_ref().to_string(), Some(&key.span()), child));
        }
        DeValue::Array(list) => {
            list.iter().enumerate().for_each(|(index, child)| below(index.to_string(), None, child));
        }
        _ => {}
    }
}

/// The value at `path`.
pub(super) fn get<'n, 'i>(root: &'n Node<'i>, path: &[String]) -> Option<&'n Node<'i>> {
    path.iter().try_fold(root, |node, step| match node.get_ref() {
        DeValue::Table(table) => table.get(step.as_str()),
        DeValue::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The path with `*` for the numbers of items, which change when items are taken out.
pub(super) fn unnumbered(root: &Node<'_>, path: &[String]) -> Path {
    let step = |at: usize| match get(root, &path[..at]).map(Spanned::get_ref) {
        Some(DeValue::Array(_)) => "*".to_owned(),
        _ => path[at].clone(),
    };
    (0..path.len()).map(step).collect()
}

/// The value at `path`, to be changed.
pub(super) fn get_mut<'n, 'i>(root: &'n mut Node<'i>, path: &[String]) -> Option<&'n mut Node<'i>> {
    path.iter().try_fold(root, |node, step| match node.get_mut() {
        DeValue::Table(table) => table.get_mut(step.as_str()),
        DeValue::Array(list) => list.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The table at `path`, to be changed.
pub(super) fn table_mut<'n, 'i>(root: &'n mut Node<'i>, path: &[String]) -> Option<&'n mut DeTable<'i>> {
    match get_mut(root, path)?.get_mut() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

/// Takes the value at `path` out. False if there is none.
pub(super) fn remove(root: &mut Node<'_>, path: &[String]) -> bool {
    let Some((last, parent)) = path.split_last() else { return false };
    match get_mut(root, parent).map(Spanned::get_mut) {
        Some(DeValue::Table(table)) => table.remove(last.as_str()).is_some(),
        Some(DeValue::Array(list)) => {
            let Some(index) = last.parse::<usize>().ok().filter(|&index| index < list.len()) else { return false };
            let items = std::mem::replace(list, DeArray::new()).into_iter().enumerate();
            *list = items.filter(|(at, _)| *at != index).map(|(_, item)| item).collect::<DeArray<'_>>();
            true
        }
        _ => false,
    }
}

/// Where one of `patterns` leads to a list. `*` in a pattern is any key or item.
pub(super) fn lists_at(root: &Node<'_>, patterns: &[&[&str]]) -> Vec<Path> {
    let mut found = vec![];
    for pattern in patterns {
        follow(root, pattern, &mut vec![], &mut found);
    }
    found
}

fn follow<'n>(node: &'n Node<'_>, pattern: &[&'n str], path: &mut Vec<Cow<'n, str>>, found: &mut Vec<Path>) {
    let Some((&step, rest)) = pattern.split_first() else {
        if node.get_ref().is_array() {
            found.push(path.iter().map(|step| step.clone().into_owned()).collect());
        }
        return;
    };
    let mut into = |step: Cow<'n, str>, child: &'n Node<'_>| {
        path.push(step);
        follow(child, rest, path, found);
        path.pop();
    };
    match node.get_ref() {
        DeValue::Table(table) if step == "*" => {
            table.iter().for_each(|(key, child)| into(Cow::Borrowed(key.get_ref().as_ref()), child));
        }
        DeValue::Table(table) => table.get(step).into_iter().for_each(|child| into(Cow::Borrowed(step), child)),
        DeValue::Array(list) if step == "*" => {
            list.iter().enumerate().for_each(|(index, child)| into(Cow::Owned(index.to_string()), child));
        }
        _ => {}
    }
}
