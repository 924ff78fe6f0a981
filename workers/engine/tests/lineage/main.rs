//! What the engine reads off plans: lineage, fingerprints, and the places of mistakes.

mod fingerprints;
mod generator;
mod perturbation;
mod places;
mod shapes;
mod world;
