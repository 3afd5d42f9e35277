//! The shard against a scripted kernel: what users of the crate do ([`scenario`]), driven by seeds ([`scripted`]).

mod scenario;
mod scripted;
