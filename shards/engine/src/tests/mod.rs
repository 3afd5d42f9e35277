//! Tests of the engine from inside: what no client of HTTP/1 could show.

mod multiplexed;
mod pipelined;
