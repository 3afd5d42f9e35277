//! Commands that speak to a running Ringway: how it is found, and how it is asked.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hyper::Method;
use plan::Address;
use serde::de::DeserializeOwned;

use super::EnvironmentArgs;
use crate::admin::client::{Client, ClientError};
use crate::admin::{Admin, AdminAddress, Token, default_paths};
use crate::config;

/// How long an answer may take that needs no work.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Which Ringway is meant.
#[derive(Debug, Args)]
pub(super) struct RemoteArgs {
    /// Where the admin API of the running Ringway listens: the path of its socket, or ADDRESS:PORT
    #[arg(long, value_name = "ADDRESS", env = "RINGWAY_ADMIN", value_parser = parse_address)]
    admin: Option<Address>,
    /// The file with the token that it asks for over TCP
    #[arg(long, value_name = "FILE", env = "RINGWAY_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The configuration that it runs by, which says both
    #[arg(short, long, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

impl RemoteArgs {
    /// Who is to be asked: by the command line, else by the configuration, else at the places where a Ringway listens by
    /// default.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let configured = match &self.config {
            Some(path) => config::load(path, self.environment.chosen())?.admin,
            None => Admin::default(),
        };
        let address = match (self.admin.clone(), configured.address) {
            (Some(address), _) | (None, AdminAddress::At(address)) => address,
            (None, AdminAddress::Off) => anyhow::bail!("this configuration has the admin API off"),
            (None, AdminAddress::Default) => default_address(),
        };
        let token_file = self.token_file.as_ref().or(configured.token_file.as_ref());
        let token = token_file.map(|path| Token::read(path)).transpose()?;
        Ok(Client::new(address, token))
    }

    /// Asks for one thing.
    pub(super) fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, within: Duration) -> anyhow::Result<T> {
        let client = self.client()?;
        Ok(runtime()?.block_on(client.ask(method, path, within))?)
    }
}

pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The exit status that tells how speaking to a running Ringway failed.
pub(super) fn exit_status(error: &ClientError) -> u8 {
    match error {
        ClientError::NotRunning { .. } => super::NOT_RUNNING,
        ClientError::Refused { .. } => super::REFUSED,
        ClientError::Unreachable { .. } => super::FAILED,
    }
}

/// The first default place where there is a socket; where there is none, the first there could be one.
fn default_address() -> Address {
    let places = default_paths();
    let found = places.iter().find(|path| path.exists()).or(places.first());
    Address::Unix(found.cloned().unwrap_or_default())
}

fn parse_address(text: &str) -> Result<Address, String> {
    if text.starts_with('/') {
        config::parse_listen_address(&format!("unix:{text}"))
    } else {
        config::parse_listen_address(text)
    }
}
