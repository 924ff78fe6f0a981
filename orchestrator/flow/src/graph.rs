//! The order of a flow's tasks.
