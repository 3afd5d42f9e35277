//! Asking an issuer whether its certificates are revoked: OCSP over HTTP (RFC 6960 Appendix A.1).
//!
//! What is answered is signed, so that it travels as plain HTTP, and so that nobody is believed here for who he is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tls::ocsp::ANSWER_BYTES_MAX;
use tokio::net::TcpStream;

use crate::discovery::{self, Discovery};

/// How long a question may take, looking its name up included.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// What the responder at `address` (`http://…`) answers to `question`. The servers of the DNS are those of `discovery`.
///
/// # Errors
/// When there is no answer. What an answer is worth is not looked at.
pub(crate) async fn ask(address: &str, question: Vec<u8>, discovery: &Discovery) -> anyhow::Result<Bytes> {
    let asked = tokio::time::timeout(ANSWER_MAX, exchange(address, question, discovery)).await;
    asked.unwrap_or_else(|_| bail!("no answer within {} s", ANSWER_MAX.as_secs()))
}

async fn exchange(address: &str, question: Vec<u8>, discovery: &Discovery) -> anyhow::Result<Bytes> {
    let uri: Uri = address.parse().context("its address is none")?;
    let authority = uri.authority().context("its address has no host")?;
    let stream = connect(authority.host(), authority.port_u16().unwrap_or(80), discovery).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDrop(tokio::spawn(connection));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::builder().method(Method::POST).uri(path).header(HOST, authority.as_str());
    let request = request.header(CONTENT_TYPE, "application/ocsp-request").body(Full::<Bytes>::from(question))?;
    let answer = sender.send_request(request).await?;
    ensure!(answer.status() == 200, "it answers with status {}", answer.status().as_u16());
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    drop(connection);
    Ok(body.map_err(|error| anyhow::anyhow!("its answer cannot be read: {error}"))?.to_bytes())
}

/// A connection to the first address of `host` that accepts one.
async fn connect(host: &str, port: u16, discovery: &Discovery) -> anyhow::Result<TcpStream> {
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let addresses = match literal {
        Ok(address) => vec![address],
        Err(_) => discovery::addresses(discovery, host).await.with_context(|| format!("{host} is not found"))?,
    };
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.map_or_else(|| anyhow::anyhow!("{host} has no address"), Into::into))
}

/// A task that ends with whoever wants it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
