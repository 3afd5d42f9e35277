//! The shard: accept, session, exchange, route, upstream, record.
