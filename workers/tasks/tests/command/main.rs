//! Commands as real processes.

mod artifacts;
mod data;
mod ending;
mod leftovers;
mod output;
mod stopping;
mod world;
