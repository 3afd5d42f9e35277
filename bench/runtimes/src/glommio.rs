//! The proxy on a glommio executor.
//!
//! glommio sets up its three rings by itself; nothing of that can be chosen from outside.

use std::{cell::RefCell, io, rc::Rc};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::{
    LocalExecutorBuilder, Placement,
    net::{TcpListener, TcpStream},
};

use crate::proxy::{BUFFER_BYTES, Settings, bytes_left, is_request, response_bytes};

/// Idle upstream connections, the most recently used last.
type Pool = Rc<RefCell<Vec<TcpStream>>>;

pub(crate) fn run(settings: Settings) -> io::Result<()> {
    // The thread was pinned before; `Unbound` leaves it where it is.
    let executor =
        LocalExecutorBuilder::new(Placement::Unbound).make().map_err(|error| io::Error::other(error.to_string()))?;
    executor.run(accept(settings))
}

async fn accept(settings: Settings) -> io::Result<()> {
    let pool = Pool::default();
    let listener = TcpListener::bind(settings.listen)?;
    loop {
        let client = listener.accept().await?;
        glommio::spawn_local(serve(client, settings, Rc::clone(&pool))).detach();
    }
}

async fn serve(mut client: TcpStream, settings: Settings, pool: Pool) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Some(request_bytes) = read_request(&mut client, &mut buffer).await? {
        let idle = pool.borrow_mut().pop();
        let mut upstream = match idle {
            Some(upstream) => upstream,
            None => connect(settings).await?,
        };
        upstream.write_all(&buffer[..request_bytes]).await?;
        relay_response(&mut upstream, &mut client, &mut buffer).await?;
        pool.borrow_mut().push(upstream);
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
