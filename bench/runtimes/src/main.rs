//! The same minimal proxy on ring, monoio, glommio, tokio and epoll.

fn main() {}
