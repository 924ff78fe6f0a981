//! The language of flowctl: what a flow is, what a plan is, what may happen to a run.
//!
//! Everything here is pure. There is no I/O, no clock, no async and no SQL; times are handed in as
//! [`Time`], files as text. That is what lets a seeded simulation replay thousands of worlds a second.

pub mod api;
pub mod catalogue;
pub mod check;
pub mod codes;
pub mod diagnostic;
pub mod duration;
pub mod graph;
pub mod human;
pub mod lineage;
pub mod name;
pub mod placeholders;
pub mod plan;
pub mod pools;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod schema;
pub mod spec;
pub mod trace;
pub mod value;
pub mod view;
pub mod wire;

/// Milliseconds since the Unix epoch. Always handed in, never read from a clock in this crate.
pub type Time = u64;
