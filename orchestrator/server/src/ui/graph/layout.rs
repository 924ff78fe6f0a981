//! Where boxes stand and lines go, left to right. The same graph is laid out once.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, RankDir};

/// How many layouts are remembered.
const KEPT: usize = 128;

/// What is to be laid out: the sizes of boxes, and which lead to which.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::ui) struct Shape {
    pub boxes: Vec<(u32, u32)>,
    pub edges: Vec<(usize, usize)>,
}

/// Everything in whole pixels.
#[derive(Clone, Debug, Default)]
pub(in crate::ui) struct Layout {
    /// The upper left corner of each box.
    pub corners: Vec<(i64, i64)>,
    /// The points that each edge goes through.
    pub routes: Vec<Vec<(i64, i64)>>,
    pub width: i64,
    pub height: i64,
}

/// The space around everything.
const MARGIN: f64 = 8.0;

pub(in crate::ui) fn layout(shape: Shape) -> Arc<Layout> {
    static KNOWN: LazyLock<Mutex<HashMap<Shape, Arc<Layout>>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known().get(&shape) {
        return found.clone();
    }
    let made = Arc::new(make(&shape));
    let mut known = known();
    if known.len() >= KEPT {
        known.clear();
    }
    known.insert(shape, made.clone());
    made
}

fn make(shape: &Shape) -> Layout {
    let mut graph = Graph::with_options(GraphOptions { directed: true, multigraph: false, compound: false });
    for (id, (width, height)) in shape.boxes.iter().enumerate() {
        let label = NodeLabel { width: f64::from(*width), height: f64::from(*height), ..NodeLabel::default() };
        graph.set_node(id.to_string(), Some(label));
    }
    for (from, to) in &shape.edges {
        graph.set_edge(from.to_string(), to.to_string(), Some(EdgeLabel::default()), None);
    }
    let options = LayoutOptions {
        rankdir: RankDir::LR,
        nodesep: 14.0,
        ranksep: 44.0,
        edgesep: 8.0,
        marginx: MARGIN,
        marginy: MARGIN,
        ..LayoutOptions::default()
    };
    dagre::layout(&mut graph, Some(options));
    let corner = |(id, (width, height)): (usize, &(u32, u32))| {
        let label = graph.node(&id.to_string());
        let (x, y) = label.map_or((0.0, 0.0), |it| (it.x.unwrap_or_default(), it.y.unwrap_or_default()));
        (whole(x - f64::from(*width) / 2.0), whole(y - f64::from(*height) / 2.0))
    };
    let corners: Vec<(i64, i64)> = shape.boxes.iter().enumerate().map(corner).collect();
    let route = |(from, to): &(usize, usize)| {
        let label = graph.edge(&from.to_string(), &to.to_string(), None);
        let bends = label.map_or(&[][..], |label| &label.points);
        // From the middle of one side to the middle of the other; what lies between keeps clear of boxes.
        let between = bends.get(1..bends.len().saturating_sub(1)).unwrap_or_default();
        let middle = |id: usize| corners[id].1 + i64::from(shape.boxes[id].1) / 2;
        let start = (corners[*from].0 + i64::from(shape.boxes[*from].0), middle(*from));
        let end = (corners[*to].0, middle(*to));
        let between = between.iter().map(|it| (whole(it.x), whole(it.y))).filter(|(x, _)| (start.0..end.0).contains(x));
        [start].into_iter().chain(between).chain([end]).collect::<Vec<(i64, i64)>>()
    };
    let ends = corners.iter().zip(&shape.boxes).map(|((x, y), (w, h))| (x + i64::from(*w), y + i64::from(*h)));
    let (width, height) = ends.fold((0, 0), |(right, below), (x, y)| (right.max(x), below.max(y)));
    let routes = shape.edges.iter().map(route).collect();
    Layout { corners, routes, width: width + whole(MARGIN), height: height + whole(MARGIN) }
}

fn whole(number: f64) -> i64 {
    number.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_something_stands_to_its_right() {
        let shape = Shape { boxes: vec![(80, 30); 4], edges: vec![(0, 1), (1, 2), (0, 2), (0, 3)] };
        let layout = layout(shape.clone());
        assert!(shape.edges.iter().all(|&(from, to)| layout.corners[from].0 + 80 < layout.corners[to].0));
        assert!(layout.routes.iter().all(|route| route.len() >= 2));
        assert!(
            layout.corners.iter().all(|&(x, y)| x >= 0 && y >= 0 && x + 80 <= layout.width && y + 30 <= layout.height)
        );
        assert_ne!(layout.corners[1], layout.corners[3], "no two boxes cover each other");
    }

    #[test]
    fn nothing_is_laid_out_as_nothing() {
        assert!(layout(Shape { boxes: vec![], edges: vec![] }).corners.is_empty());
    }
}
