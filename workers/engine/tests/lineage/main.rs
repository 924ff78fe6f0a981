//! What the engine reads off plans: lineage, fingerprints, and the places of mistakes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, as in tests themselves")]

mod fingerprints;
mod generator;
mod perturbation;
mod places;
mod shapes;
mod world;
