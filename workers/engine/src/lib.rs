//! Everything that needs DataFusion or Delta.

pub mod lineage;
