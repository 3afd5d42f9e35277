//! `shards/engine`.

pub mod tally;
