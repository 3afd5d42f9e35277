//! Ringway beside its peers, interleaved, by CPU time a request.

fn main() {}
