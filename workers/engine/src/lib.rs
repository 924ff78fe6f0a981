//! Everything that needs DataFusion or Delta.

pub mod canonical;
pub mod lineage;
