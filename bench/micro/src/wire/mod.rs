//! `shards/wire`.

pub mod h1;
pub mod h2;
pub mod h2_heads;
pub mod hpack;
pub mod ws;
