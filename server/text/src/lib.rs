//! Lacuna's text side: documents, positions, edits, syntax trees, regions, plans, splices and rebased proposals.
//!
//! Invariants: this crate never knows a model, an engine, a protocol or an async runtime. Every index is a **byte
//! offset** into UTF-8 text; the other encodings live in [`position`] alone. Everything that leaves it is plain data.

pub mod context;
pub mod document;
pub mod earlier;
pub mod edit;
pub mod language;
mod lazy_tree;
pub mod near;
pub mod plan;
pub mod position;
pub mod rebase;
pub mod region;
pub mod splice;
pub mod syntax;
pub mod trigger;

pub use context::{Neighbour, Query, Snippet};
pub use document::{Document, DocumentError, LineEnding, Snapshot, TreeState};
pub use earlier::earlier;
pub use edit::{Bias, Change, Edit, EditError};
pub use language::Language;
pub use near::near;
pub use plan::{Measure, Plan, PlanError, PlanSettings, plan};
pub use position::{Encoding, Position};
pub use rebase::Proposal;
pub use region::{Marker, Reason, Region, RegionError, RegionKind};
pub use ropey::Rope;
pub use splice::{Rejected, Spliced, Splicer, splice, splice_whole};
pub use trigger::{Quiet, quiet};
