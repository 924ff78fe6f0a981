//! Graphs as pictures: tasks and what they need, coloured and labelled by their state. What has too many tasks to be
//! looked at is folded into groups.

mod fold;
mod layout;

use flow::plan::TaskId;
use flow::run::Run;
use maud::{Markup, html};

pub(super) use layout::{Layout, Shape, layout};

use super::address;
use super::words::{Mark, Tone, cut};

/// More tasks than that are folded.
const TASKS_MAX: usize = 200;
/// More edges than that, and they are folded, too.
const EDGES_MAX: usize = 400;
/// How many letters of a name are shown.
const LETTERS: usize = 26;
/// The height of a box with two lines.
const HEIGHT: u32 = 38;

/// A box of a picture.
pub(super) struct Node {
    pub label: String,
    pub note: String,
    /// What is said when it is pointed at, and read aloud.
    pub title: String,
    pub tone: Tone,
    pub href: Option<String>,
}

/// A picture before it is laid out.
#[derive(Default)]
pub(super) struct Picture {
    pub nodes: Vec<Node>,
    /// From, to, and whether data goes along.
    pub edges: Vec<(usize, usize, bool)>,
}

/// The tasks of a run.
pub(super) fn of_run(run: &Run) -> Markup {
    let tasks = &run.plan().tasks;
    let edges = tasks.iter().map(|task| task.needs.len()).sum::<usize>();
    if tasks.len() > TASKS_MAX || edges > EDGES_MAX {
        return html! {
            (drawn(&fold::groups(run)))
            p.legend { (tasks.len()) " tasks, folded into groups by depth and name; a group leads to its tasks' list." }
        };
    }
    let nodes = (0..tasks.len()).map(|id| node(run, id)).collect();
    let needs = |id: TaskId| tasks[id].needs.iter().map(move |need| (need.task, id, need.data));
    let picture = Picture { nodes, edges: (0..tasks.len()).flat_map(needs).collect() };
    let orders = picture.edges.iter().any(|(_, _, data)| !data);
    html! {
        (drawn(&picture))
        @if orders { p.legend { "Dashed lines only order: no data goes along them." } }
    }
}

fn node(run: &Run, id: TaskId) -> Node {
    let (task, standing) = (&run.plan().tasks[id], run.task(id));
    let mark = Mark::of_task(&standing);
    // A run that was never made has no pages.
    let href = run.created_at().map(|_| address::task(run.id(), &task.name));
    let note = match run.created_at() {
        Some(_) => format!("{} {}", mark.sign, mark.word),
        None => task.kind.clone(),
    };
    let title = format!("{}: {} {}", task.name, task.kind, note);
    Node { label: task.name.clone(), note, title, tone: mark.tone, href }
}

fn drawn(picture: &Picture) -> Markup {
    let labels: Vec<String> = picture.nodes.iter().map(|node| cut(&node.label, LETTERS)).collect();
    let width = |label: &String, node: &Node| {
        let letters = label.chars().count().max(node.note.chars().count());
        (letters as u32 * 7 + 22).clamp(70, 214)
    };
    let boxes: Vec<(u32, u32)> =
        labels.iter().zip(&picture.nodes).map(|(label, node)| (width(label, node), HEIGHT)).collect();
    let edges = picture.edges.iter().map(|(from, to, _)| (*from, *to)).collect();
    let layout = layout(Shape { boxes: boxes.clone(), edges });
    html! {
        div.picture tabindex="0" role="region" aria-label="Graph" {
            svg width=(layout.width) height=(layout.height) viewBox=(format!("0 0 {} {}", layout.width, layout.height)) aria-label="Graph of tasks" role="group" {
                (arrow())
                @for (route, (_, _, data)) in layout.routes.iter().zip(&picture.edges) {
                    path.edge.(if *data { "data" } else { "order" }) d=(line(route)) marker-end="url(#arrow)" {}
                }
                @for (at, node) in picture.nodes.iter().enumerate() { (drawn_box(node, &labels[at], layout.corners[at], boxes[at])) }
            }
        }
    }
}

/// The head of an arrow.
pub(super) fn arrow() -> Markup {
    html! {
        defs { marker #arrow viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
            path.head d="M0 0.8 L8 4 L0 7.2 z" {}
        } }
    }
}

/// A smooth line through points, from left to right.
pub(super) fn line(route: &[(i64, i64)]) -> String {
    let Some((x, y)) = route.first() else { return String::new() };
    let curve = |pair: &[(i64, i64)]| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let middle = (x0 + x1) / 2;
        if y0 == y1 { format!("H{x1}") } else { format!("C{middle} {y0} {middle} {y1} {x1} {y1}") }
    };
    let curves: String = route.windows(2).map(curve).collect();
    format!("M{x} {y}{curves}")
}

fn drawn_box(node: &Node, label: &str, (x, y): (i64, i64), (width, height): (u32, u32)) -> Markup {
    let inside = html! {
        title { (node.title) }
        rect.box x=(x) y=(y) width=(width) height=(height) rx="5" {}
        text x=(x + 10) y=(y + 16) { (label) " " }
        text.note x=(x + 10) y=(y + 31) { (node.note) }
    };
    html! {
        @match &node.href {
            Some(href) => a.(node.tone.class()) href=(href) { (inside) }
            None => g.(node.tone.class()) { (inside) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_escape_what_they_show() {
        let hostile = "\"><script>alert(1)</script>";
        let href = Some(address::task("r", hostile));
        let node = Node { label: hostile.into(), note: hostile.into(), title: hostile.into(), tone: Tone::Bad, href };
        let made = drawn(&Picture { nodes: vec![node], edges: vec![] }).into_string();
        assert!(!made.contains("<script") && made.contains("&lt;script"), "{made}");
    }

    #[test]
    fn lines_go_through_their_points() {
        assert_eq!(line(&[(0, 5), (10, 5), (20, 9)]), "M0 5H10C15 5 15 9 20 9");
        assert_eq!(line(&[]), "");
    }
}
