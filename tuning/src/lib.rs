//! The tuning kit: what of a host matters to Ringway, how it stands, what it ought to be, and the way there and back.
//!
//! It knows nothing of Ringway's code and does not talk to a running one; a host is files below a root, and the ethtool
//! program. The path through it: [`knobs`] (the table, a file an area) of [`knob::Knob`] → [`host`] (what is there) →
//! [`survey`] (each knob at each place, beside its [`goal`]) → [`report`] (for people and programs), or [`change`] (set
//! and set back, with the old values in the [`ledger`]) → [`persist`] (files for the next start). [`generate`] makes the
//! files of the repository from the same table, and [`cli`] is the command.
#![forbid(unsafe_code)]

pub mod change;
pub mod cli;
pub mod generate;
pub mod goal;
pub mod host;
pub mod knob;
pub mod knobs;
pub mod ledger;
pub mod persist;
pub mod report;
pub mod survey;
pub mod unit;
