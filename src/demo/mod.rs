//! The demo upstream: what answers behind the proxy where no configuration names another server.
//!
//! It shows a request as it arrived, and has a few paths to play with. It lives on a thread and a loopback port of its
//! own, so that what is seen is a real proxied exchange. It ends with the process.

mod page;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

/// Connections held at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// What `/bytes/N` gives at most.
const BYTES_MAX: u64 = 1 << 30;
/// How long `/slow` waits at most.
const SLOW_MS_MAX: u64 = 60_000;

type AnyBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// Starts the demo upstream and gives its address.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("demo".to_owned()).spawn(move || match runtime.block_on(accept(listener)) {
        Ok(never) => match never {},
        Err(error) => tracing::error!("the demo upstream ended: {error}"),
    })?;
    Ok(address)
}

async fn accept(listener: TcpListener) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&free).acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely. They come back when other connections close.
                tracing::warn!("the demo upstream cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(
                TokioIo::new(stream),
                service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) }),
            );
            if let Err(error) = connection.await {
                tracing::debug!("a connection of the demo upstream ended: {error}");
            }
            drop(permit);
        });
    }
}

async fn answer(request: Request<Incoming>) -> Response<AnyBody> {
    let path = request.uri().path().to_owned();
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next(), segments.next()) {
        (Some(""), None, _) => page::page(&request, StatusCode::OK),
        (Some("echo"), None, _) => echo(request),
        (Some("slow"), None, _) => slow(request.uri().query().unwrap_or_default()).await,
        (Some("bytes"), Some(count), None) => match count.parse() {
            Ok(count) if count <= BYTES_MAX => bytes(count),
            _ => text(StatusCode::BAD_REQUEST, format!("expected /bytes/N, N from 0 to {BYTES_MAX}\n")),
        },
        (Some("status"), Some(code), None) => match code.parse() {
            Ok(code @ 200..=599) => status(code),
            _ => text(StatusCode::BAD_REQUEST, "expected /status/CODE, CODE from 200 to 599\n"),
        },
        _ => page::page(&request, StatusCode::NOT_FOUND),
    }
}

/// Gives the request's body back while it arrives.
fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = Response::new(request.into_body().boxed_unsync());
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

async fn slow(query: &str) -> Response<AnyBody> {
    let ms = query.split('&').find_map(|pair| pair.strip_prefix("ms=")).unwrap_or("1000");
    match ms.parse() {
        Ok(ms) if ms <= SLOW_MS_MAX => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            text(StatusCode::OK, format!("{ms} ms later\n"))
        }
        _ => text(StatusCode::BAD_REQUEST, format!("expected /slow?ms=N, N from 0 to {SLOW_MS_MAX}\n")),
    }
}

fn bytes(count: u64) -> Response<AnyBody> {
    let mut response = Response::new(Digits { left: count }.map_err(|never| match never {}).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn status(code: u16) -> Response<AnyBody> {
    let code = StatusCode::from_u16(code).unwrap_or_default();
    // These have no content. RFC 9110 §15.3.5, §15.3.6, §15.4.5
    let empty = matches!(code, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED);
    text(code, if empty { String::new() } else { format!("{code}\n") })
}

/// A response with a body of plain text.
fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<AnyBody> {
    content(status, "text/plain; charset=utf-8", body)
}

/// A response with a body that is known whole.
fn content(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<AnyBody> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A body of digits in lines of 64 bytes, made while it is sent.
struct Digits {
    left: u64,
}

impl Digits {
    const LINE: &'static [u8; 64] = b"012345678901234567890123456789012345678901234567890123456789012\n";
    const CHUNK: [u8; 64 * 256] = {
        let mut chunk = [0; 64 * 256];
        let mut at = 0;
        while at < chunk.len() {
            chunk[at] = Self::LINE[at % 64];
            at += 1;
        }
        chunk
    };
}

impl Body for Digits {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static CHUNK: [u8; 64 * 256] = Digits::CHUNK;
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK.len());
        self.left -= length as u64;
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from_static(&CHUNK[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests;
