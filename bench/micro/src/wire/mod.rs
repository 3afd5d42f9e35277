//! `shards/wire`.

pub mod h1;
