//! The kinds of task, a folder each, and the compiler that asks each kind for its plan.

pub mod command;
pub mod compile;
mod data;
mod executor;
mod inputs;
mod lanes;
mod preview;
mod select;
mod sql;

pub use compile::{Compiled, Options, compile, sql_files};
pub use executor::Executor;
pub use inputs::add_view;
pub use lanes::Lanes;
pub use preview::{Action, Preview, preview};
