//! A reverse proxy, web server and API gateway: one shard per core, one io_uring per shard.

fn main() {}
