//! How the runs of a flow went and how long they took, at a glance.

use flow::{Time, human};
use maud::{Markup, html};
use store::Head;

use super::address;
use super::words::{Mark, instant};

/// In pixels.
const BAR: usize = 10;
const STEP: usize = 13;
const HEIGHT: u64 = 64;

/// The runs, oldest first, a sign each.
pub(super) fn strip(heads: &[Head]) -> Markup {
    html! {
        ol.strip aria-label="Runs, oldest first" {
            @for head in heads.iter().rev() {
                @let mark = Mark::of_run(head.state);
                li { a.badge.(mark.tone.class()) href=(address::run(&head.run_id)) title=(format!("{} {}", instant(head.created_at), mark.word)) {
                    i aria-hidden="true" { (mark.sign) } span.unseen { (mark.word) " " (instant(head.created_at)) }
                } }
            }
        }
    }
}

/// How long they took, oldest first, as bars.
pub(super) fn durations(heads: &[Head]) -> Markup {
    let took = |head: &Head| Some(head.finished_at?.saturating_sub(head.started_at?));
    let all: Vec<(Time, &Head)> = heads.iter().rev().filter_map(|head| Some((took(head)?, head))).collect();
    let Some(longest) = all.iter().map(|(took, _)| *took).max() else { return html! {} };
    let mut sorted: Vec<Time> = all.iter().map(|(took, _)| *took).collect();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    let label = format!(
        "Durations of {}: median {}, longest {}",
        human::plural(all.len() as u64, "run"),
        human::duration(median),
        human::duration(longest)
    );
    let height = |took: Time| (took * HEIGHT / longest.max(1)).max(2);
    let width = all.len() * STEP + 2;
    html! {
        div.wide tabindex="0" role="region" aria-label="Durations" {
            svg.trend width=(width) height=(HEIGHT + 4) viewBox=(format!("0 0 {width} {}", HEIGHT + 4)) role="img" aria-label=(label) {
                line x1="0" x2=(width) y1=(HEIGHT + 2 - height(median)) y2=(HEIGHT + 2 - height(median)) {}
                @for (at, (took, head)) in all.iter().enumerate() {
                    @let mark = Mark::of_run(head.state);
                    rect.bar.(mark.tone.class()) x=(at * STEP) y=(HEIGHT + 2 - height(*took)) width=(BAR) height=(height(*took)) rx="1" {
                        title { (instant(head.created_at)) ": " (human::duration(*took)) ", " (mark.word) }
                    }
                }
            }
        }
        p.legend { (label) ". The line is the median." }
    }
}
