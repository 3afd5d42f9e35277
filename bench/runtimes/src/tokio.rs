//! The proxy on tokio's current-thread runtime.

use std::{cell::RefCell, io};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime,
};

use crate::proxy::{BUFFER_BYTES, Settings, bytes_left, is_request, response_bytes};

thread_local! {
    /// Idle upstream connections, the most recently used last. A thread-local rather than an `Rc`, because
    /// `tokio::spawn` wants a `Send` future even on one thread, and a `LocalSet` would add its own queue to the cost.
    static IDLE: RefCell<Vec<TcpStream>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn run(settings: Settings) -> io::Result<()> {
    runtime::Builder::new_current_thread().enable_io().build()?.block_on(accept(settings))
}

async fn accept(settings: Settings) -> io::Result<()> {
    let listener = TcpListener::bind(settings.listen).await?;
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(serve(client, settings));
    }
}

async fn serve(mut client: TcpStream, settings: Settings) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Some(request_bytes) = read_request(&mut client, &mut buffer).await? {
        let idle = IDLE.with_borrow_mut(Vec::pop);
        let mut upstream = match idle {
            Some(upstream) => upstream,
            None => connect(settings).await?,
        };
        upstream.write_all(&buffer[..request_bytes]).await?;
        relay_response(&mut upstream, &mut client, &mut buffer).await?;
        IDLE.with_borrow_mut(|idle| idle.push(upstream));
    }
    Ok(())
}

async fn connect(settings: Settings) -> io::Result<TcpStream> {
    let upstream = TcpStream::connect(settings.upstream).await?;
    upstream.set_nodelay(true)?;
    Ok(upstream)
}

/// Reads one request to the start of `buffer` and returns its length, or nothing once the client has gone.
async fn read_request(client: &mut TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let mut filled_bytes = 0;
    loop {
        let received_bytes = client.read(&mut buffer[filled_bytes..]).await?;
        if received_bytes == 0 {
            return Ok(None);
        }
        filled_bytes += received_bytes;
        if is_request(&buffer[..filled_bytes])? {
            return Ok(Some(filled_bytes));
        }
    }
}

async fn relay_response(upstream: &mut TcpStream, client: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled_bytes = 0;
    let response_bytes = loop {
        let received_bytes = upstream.read(&mut buffer[filled_bytes..]).await?;
        if received_bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled_bytes += received_bytes;
        if let Some(response_bytes) = response_bytes(&buffer[..filled_bytes])? {
            break response_bytes;
        }
    };
    let mut unread_bytes = bytes_left(response_bytes, filled_bytes)?;
    client.write_all(&buffer[..filled_bytes]).await?;
    while unread_bytes > 0 {
        let received_bytes = upstream.read(buffer).await?;
        unread_bytes = bytes_left(unread_bytes, received_bytes)?;
        client.write_all(&buffer[..received_bytes]).await?;
    }
    Ok(())
}
