//! Everything that needs DataFusion or Delta Lake: typing, sources, publishing, checks, queries.
//!
//! No other crate names either library. A [`Session`] is a set of named tables; SQL is planned against it,
//! typed by it when a flow is compiled, and executed by it when an attempt runs.

mod ascending;
mod audit;
pub mod canonical;
mod catalogue;
mod condition;
mod depth;
mod digest;
mod durable;
mod encoding;
mod engine;
mod error;
mod exact;
mod export;
mod files;
mod fingerprint;
mod fsck;
mod header;
mod joins;
mod lake;
pub mod lineage;
mod litter;
mod log;
mod memory;
mod objects;
mod pin;
mod place;
mod publish;
mod query;
mod rejected;
mod relay;
mod replace;
mod retention;
mod rowcounts;
mod session;
mod source;
pub mod spans;
mod sql;
mod stage;
mod stages;
mod tables;
mod textfile;
mod timestamps;
mod types;
mod typing;
mod upload;
mod walk;
mod windows;
mod yields;

pub use audit::Audit;
pub use catalogue::Dataset;
pub use condition::Condition;
pub use depth::DEPTH_MAX;
pub use engine::{Engine, Settings};
pub use error::Error;
pub use fsck::Finding;
pub use publish::Predicate;
pub use publish::{Identity, Publish};
pub use query::{At, OutputFormat};
pub use retention::{Keep, Pruned};
pub use session::Session;
pub use source::SourceProblem;
pub use sql::{Bound, Query, Reference};
pub use typing::{Problem, Typed};
