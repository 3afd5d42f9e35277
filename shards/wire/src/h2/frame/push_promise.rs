//! PUSH_PROMISE: refused. RFC 9113 §6.6
//!
//! A server never gets one. A client's first SETTINGS disable push, and no server knows anything of a client before it
//! has read those.

use super::{FrameError, FrameHeader};

/// Never.
pub(super) fn check(_: FrameHeader) -> Result<(), FrameError> {
    Err(FrameError::Push)
}
