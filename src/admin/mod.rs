//! The admin API: HTTP on a Unix socket, by which a running Ringway is looked at and told what to do.
//!
//! It lives on the control thread and never touches a request: what it shows are the shards' counters and what the shards
//! tell when asked, what it orders goes through the control loop like a signal. The way of a request here: [`listen`] (the
//! socket, and who can reach it at all), [`server`] (bounds on connections, time and bytes), [`gate`] (whose requests are
//! answered: token, Host, Origin), [`api`] (the paths), [`answer`] (JSON, errors too). [`client`] is the other end, which
//! the commands of the command line use. [`plan_view`] shows a Plan as JSON, because the plan crate knows no formats.
//!
//! Whoever may connect to the Unix socket may do everything: its mode, 0600, is the permission. Over TCP a token is, and
//! Host and Origin are checked so that a web page that the operator looks at cannot speak in his name.

mod answer;
mod api;
pub(crate) mod client;
mod gate;
mod listen;
mod plan_view;
mod server;
mod token;

use std::path::PathBuf;

use plan::Address;

pub(crate) use listen::{default_paths, give_default_folder};
pub(crate) use server::{Answers, Server};
pub(crate) use token::Token;

/// Where and by whom Ringway may be administered: `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admin {
    /// Where the API listens.
    pub address: AdminAddress,
    /// The file with the token that requests must carry. Required over TCP.
    pub token_file: Option<PathBuf>,
    /// Names that requests may be addressed to, in lower case, beside loopback names and the address itself.
    pub hosts: Vec<String>,
    /// Origins of web pages that may send requests, in lower case.
    pub origins: Vec<String>,
}

/// Where the admin API listens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdminAddress {
    /// On a Unix socket in the folder that this user or service has for them.
    #[default]
    Default,
    /// Nowhere.
    Off,
    /// Here.
    At(Address),
}
