//! The kernel floor: executor, sockets, buffers, timers and mailboxes of one shard on io_uring.
