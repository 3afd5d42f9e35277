//! `shards/plan`.

pub mod route;
