//! Where decisions meet the world: the driver of a run, its clock, and the hall where drivers find workers.
//!
//! The driver owns the pure [`flow::run::Run`] and a [`Journal`]. Every turn it makes facts of what it heard
//! and of what the core proposes, records them in one append, and only then lets anything outside know.

/// Whether a bug is planted here. Costs nothing outside the tests of this crate: there are none.
#[cfg(test)]
macro_rules! planted {
    ($bug:ident) => {
        $crate::sim::planted($crate::sim::Bug::$bug)
    };
}
#[cfg(not(test))]
macro_rules! planted {
    ($bug:ident) => {
        $crate::PLANTED
    };
}
#[cfg(not(test))]
const PLANTED: bool = false;

pub mod abandoned;
mod api;
pub mod clock;
mod doors;
pub mod driver;
mod error;
mod gate;
mod gauges;
pub mod hall;
mod journal;
pub mod look;
mod remotes;
pub mod retention;
pub mod service;
mod shelf;
#[cfg(test)]
mod sim;
mod site;
mod tls;
mod ui;

pub use api::document;
pub use clock::Clock;
pub use driver::{NewRun, OpenRun, Seat, drive, resume};
pub use error::Error;
pub use hall::Hall;
pub use journal::Journal;
pub use tls::Tls;
