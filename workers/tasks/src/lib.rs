//! The kinds of task, a folder each, and the compiler that asks each kind for its plan.

pub mod command;
