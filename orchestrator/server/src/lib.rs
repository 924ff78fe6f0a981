//! Where decisions meet the world: the driver of a run, its clock, and slots for workers in this process.
//!
//! The driver owns the pure [`flow::run::Run`] and a [`Journal`]. Every turn it makes facts of what it heard
//! and of what the core proposes, records them in one append, and only then lets anything outside know.

pub mod abandoned;
pub mod clock;
pub mod driver;
mod error;
mod journal;
pub mod local;

pub use clock::Clock;
pub use driver::{NewRun, Seat, drive};
pub use error::Error;
pub use journal::Journal;
