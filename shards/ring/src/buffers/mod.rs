//! Memory for bytes that come and go.
//!
//! Two kinds, and one way to hold either:
//! - [`Group`]: equal buffers of which the *kernel* picks one when bytes arrive, so that an idle connection owns none. What
//!   it filled is a lease; it goes back when the last [`Chunk`] over it is dropped.
//! - [`pool`]: buffers that *we* fill (heads that are written, bytes that must wait), kept for reuse by size.
//! - [`Chunk`]: an immutable run of bytes in one of these, cheap to slice and to clone.
//!
//! A lease never outlives its use. When fewer than a quarter of a group's buffers are free, bytes that have to wait are
//! copied to pooled memory ([`Chunk::settle`]), so that slow peers cannot take the buffers from the others.

mod chunk;
mod group;
pub(crate) mod pool;

pub use chunk::Chunk;
pub(crate) use group::{FreeList, Group, Mapping};
pub use pool::Buffer;
