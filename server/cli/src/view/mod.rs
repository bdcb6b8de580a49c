//! What a person sees: the hole condensing in place, the diff, the list of candidates.

pub mod diff;
pub mod live;
pub mod scene;
pub mod summary;
