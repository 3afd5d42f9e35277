//! The other end of the API: what the commands of the command line ask it by.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use plan::Address;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};

use super::Token;
use super::listen::Connection;

/// Bytes of an answer. Ten thousand servers and as many routes are a few MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How to reach a running Ringway.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: Address,
    token: Option<Token>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens there.
    #[error("no Ringway is running at {address}: {reason}. --admin ADDRESS or --config FILE says where else to look")]
    NotRunning { address: Address, reason: &'static str },
    /// It is there, and cannot be spoken to.
    #[error("cannot speak to the Ringway at {address}: {reason}")]
    Unreachable { address: Address, reason: String },
    /// It said no.
    #[error("{detail}")]
    Refused { status: u16, error: String, detail: String },
}

impl Client {
    pub(crate) fn new(address: Address, token: Option<Token>) -> Client {
        Client { address, token }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request without a body and reads the answer's JSON, all within `within`.
    ///
    /// # Errors
    /// When nobody answers, or the answer is a refusal.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        within: Duration,
    ) -> Result<T, ClientError> {
        let asked = tokio::time::timeout(within, self.exchange(method, path)).await;
        let (status, body) =
            asked.map_err(|_| self.unreachable(format!("no answer within {} s", within.as_secs())))??;
        if !(200..300).contains(&status) {
            return Err(self.refusal(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| self.unreachable(format!("the answer makes no sense: {error}")))
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<(u16, Bytes), ClientError> {
        let connected = tokio::time::timeout(CONNECT_MAX, connect(&self.address)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = connected.map_err(|reason| self.refused_connection(reason))?;
        let failed = |error: hyper::Error| self.unreachable(error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.host());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.credentials());
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| self.unreachable(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        connection.abort();
        Ok((status, body.map_err(|error| self.unreachable(error.to_string()))?.to_bytes()))
    }

    fn host(&self) -> String {
        match &self.address {
            Address::Unix(_) => "localhost".to_owned(),
            Address::Tcp(address) => address.to_string(),
        }
    }

    fn refused_connection(&self, reason: io::Error) -> ClientError {
        let address = self.address.clone();
        match reason.kind() {
            io::ErrorKind::NotFound => ClientError::NotRunning { address, reason: "there is no such socket" },
            io::ErrorKind::ConnectionRefused => ClientError::NotRunning { address, reason: "nobody listens there" },
            io::ErrorKind::PermissionDenied => {
                let reason =
                    "permission denied: the socket is for the user that Ringway runs as, and for root".to_owned();
                ClientError::Unreachable { address, reason }
            }
            _ => ClientError::Unreachable { address, reason: reason.to_string() },
        }
    }

    fn refusal(&self, status: u16, body: &[u8]) -> ClientError {
        let told: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| told[key].as_str().map(str::to_owned);
        let address = &self.address;
        let detail = match (status, &self.token) {
            (401, None) => format!("the Ringway at {address} asks for a token: --token-file FILE has it"),
            (401, Some(_)) => format!("the Ringway at {address} has another token than that of the token file"),
            _ => text("detail").unwrap_or_else(|| format!("it answered with status {status}")),
        };
        ClientError::Refused { status, error: text("error").unwrap_or_default(), detail }
    }

    fn unreachable(&self, reason: String) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), reason }
    }
}

async fn connect(address: &Address) -> io::Result<Box<dyn Connection>> {
    Ok(match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Tcp(address) => Box::new(TcpStream::connect(address).await?),
    })
}
