//! What can be seen of runs from outside: metrics for Prometheus, traces and logs for whoever speaks OTLP. The only crate
//! that names OpenTelemetry.
//!
//! What is told of a run follows from its journal ([`Watch`]); what an attempt does inside comes as spans and events of
//! `tracing`, which [`otlp`] turns into those of its run's trace. Nothing here holds anybody up: what finds no room in a
//! buffer is dropped, and who did not ask for it pays nothing.

mod collect;
mod exemplars;
pub mod exposition;
mod json;
mod layer;
mod metrics;
pub mod otlp;
mod process;
mod spans;
mod watch;

use exposition::{Family, Format};

pub use json::Json;
pub use layer::Layer;
pub use metrics::{Holder, dispatched, lease_lost, scheduled, start, stored};
pub use spans::compiled;
pub use watch::Watch;

/// Everything that was counted in this process, with what is known otherwise, as text.
pub fn expose(mut families: Vec<Family>, format: Format) -> String {
    families.extend(metrics::families());
    families.extend(process::families());
    exposition::write(families, format)
}
