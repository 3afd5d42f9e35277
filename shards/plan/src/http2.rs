//! How much a client of HTTP/2 may have under way on one connection, and how much work it may make that brings it nothing.

/// Bounds on connections of HTTP/2. What holds for every request, the bytes of its head say, stands in [`crate::Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// Streams that a connection has at once; one more is refused. 1 to 1,000.
    pub streams_max: u32,
    /// Bytes of a request's body that a client may send on a stream before any of it has gone on, at first. 64 KiB to 16 MiB.
    pub window_bytes: u32,
    /// To what that grows where a long way and a fast client need it; not below `window_bytes`. 64 KiB to 16 MiB.
    pub window_bytes_max: u32,
    /// Bytes of all bodies of a connection that may wait to go on; then the client has to wait as well. Windows grow by what is more than
    /// all streams begin with. 64 KiB to 256 MiB.
    pub held_bytes_max: u32,
    /// Bytes of the largest frame that is taken. 16 KiB to 1 MiB.
    pub frame_bytes_max: u32,
    /// How often a client may make work for nothing.
    pub budgets: Http2Budgets,
}

impl Default for Http2 {
    fn default() -> Http2 {
        Http2 {
            streams_max: 128,
            window_bytes: 64 << 10,
            window_bytes_max: 1 << 20,
            held_bytes_max: 16 << 20,
            frame_bytes_max: 16 << 10,
            budgets: Http2Budgets::default(),
        }
    }
}

/// How many frames of each kind a client may send at once that make work and bring it nothing; a tenth as many are forgiven each second.
/// Beyond, it is told to go (GOAWAY with ENHANCE_YOUR_CALM); beyond twice as many, its connection is closed. 1 to 1,000,000 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say what is counted, and wire::h2::BudgetKind why")]
pub struct Http2Budgets {
    pub settings: u32,
    pub pings: u32,
    pub resets: u32,
    pub faults: u32,
    pub refusals: u32,
    pub empty_frames: u32,
    pub priorities: u32,
    pub window_updates: u32,
    pub continuations: u32,
    pub late_frames: u32,
    pub unknown_frames: u32,
}

impl Default for Http2Budgets {
    /// Numbers that browsers, curl, gRPC and load generators stay far below.
    fn default() -> Http2Budgets {
        Http2Budgets {
            settings: 64,
            pings: 1000,
            resets: 500,
            faults: 100,
            refusals: 500,
            empty_frames: 200,
            priorities: 500,
            window_updates: 4000,
            continuations: 128,
            late_frames: 2000,
            unknown_frames: 500,
        }
    }
}
