//! What is around every page.

use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::guard::Visitor;

/// A page without what is around it.
#[derive(Default)]
pub(super) struct Frame<'a> {
    pub title: &'a str,
    /// The address of the part of the navigation that it belongs to.
    pub part: &'a str,
    /// The pages above it: name and address.
    pub path: Vec<(String, String)>,
    /// Where server-sent events tell that it has changed.
    pub live: Option<String>,
    /// Else it is asked for again after so many seconds.
    pub every: Option<u32>,
}

const PARTS: [(&str, &str); 7] = [
    ("/", "Home"),
    ("/flows", "Flows"),
    ("/runs", "Runs"),
    ("/datasets", "Datasets"),
    ("/workers", "Workers"),
    ("/limits", "Limits"),
    ("/events", "Events"),
];

/// The events after which a run looks different.
const EVENTS: &str = "run_started cancel_requested task_started task_succeeded task_failed task_lost task_skipped \
    task_cancelled run_closed";

impl Frame<'_> {
    /// The whole page. Nobody's, if there is no visitor.
    pub fn around(&self, visitor: Option<&Visitor>, body: Markup) -> Markup {
        let live = self.live.as_ref();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " · flowctl" }
                    link rel="icon" type="image/svg+xml" href=(*ICON.address);
                    link rel="stylesheet" href=(*STYLE.address);
                    script src=(*SCRIPT.address) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    header { div {
                        a.brand href="/" { "flowctl" }
                        (navigation(self.part))
                        span #link role="status" {}
                        @if let Some(visitor) = visitor { (sign_out(visitor)) }
                    } }
                    main #main tabindex="-1" data-live=[live] data-events=[live.map(|_| EVENTS)]
                        data-every=[self.every.map(|s| s * 1_000)] {
                        (crumbs(&self.path))
                        (body)
                    }
                    footer {
                        "flowctl " (env!("CARGO_PKG_VERSION")) " · times in UTC"
                        // It takes tokens from headers alone.
                        @if visitor.is_none_or(|it| it.name().is_none()) { " · " a href="/v1/openapi.json" { "API" } }
                    }
                }
            }
        }
    }
}

fn navigation(current: &str) -> Markup {
    html! {
        nav.main aria-label="Main" { ul {
            @for (address, name) in PARTS {
                li { a href=(address) aria-current=[(address == current).then_some("page")] { (name) } }
            }
        } }
    }
}

fn crumbs(path: &[(String, String)]) -> Markup {
    html! {
        @if !path.is_empty() {
            nav.path aria-label="Path" { ul {
                @for (name, address) in path {
                    li { a href=(address) { (super::words::name(name)) } }
                }
            } }
        }
    }
}

fn sign_out(visitor: &Visitor) -> Markup {
    html! {
        @if let Some(name) = visitor.name() {
            form method="post" action="/logout" {
                (visitor.seal())
                span.dim { (super::words::name(name)) " " }
                button.text type="submit" { "Sign out" }
            }
        }
    }
}
