//! HTTP/2 on the wire. RFC 9113
//!
//! A [`Connection`] is one end of a connection, of either role. Below it, each of use without those above:
//!
//! - [`frame`]: one file for each kind of frame, with what it says and the rules that it keeps by itself;
//! - [`gate`]: blocks of compressed fields become heads that are trusted, in the one form that all versions share;
//!   [`mod@write`]: heads become blocks;
//! - `stream`, `streams`, [`settings`], `flow`: what is kept of streams, of the peer's settings and of windows;
//! - [`priority`] and `scheduler`: what clients say of the order in which they want things, and whose turn it is;
//! - [`budget`]: how much of each kind of work a peer may ask for that brings it nothing.

pub mod budget;
pub mod config;
pub mod connection;
pub mod error;
mod flow;
pub mod frame;
pub mod gate;
pub mod priority;
mod scheduler;
pub mod settings;
mod stream;
mod streams;
pub mod write;

pub use budget::{Budget, BudgetKind, Budgets};
pub use config::{Config, Role};
pub use connection::Culprit;
pub use connection::{Connection, Event, Handled, Incoming, Output, PREFACE, ResetBy, SendError};
pub use error::{ConnectionError, ErrorCode};
pub use gate::{Asked, Excess, HeadDecoder, HeadError, MalformedHead};
pub use priority::Priority;
pub use settings::PeerSettings;
pub use stream::StreamKey;
pub use write::HeadEncoder;
