//! What the engine reads off plans: lineage, fingerprints, and the places of mistakes.

mod fingerprints;
mod shapes;
mod world;
