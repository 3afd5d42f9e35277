//! The proxy on Ringway's own ring: the bare cost under everything that the engine adds.

use std::{cell::RefCell, future::poll_fn, io, rc::Rc, sync::Arc, time::Duration};

use ::ring::{Buffer, Chunk, Listener, ReadMode, Stream};

use crate::proxy::{BACKLOG_CONNECTIONS, BUFFER_BYTES, Settings, bytes_left, is_request, response_bytes};

/// Bytes of a response that may wait to be sent before no more are read from the upstream.
const WAITING_BYTES_MAX: usize = 256 * 1024;

type Idle = Rc<RefCell<Vec<Stream>>>;

pub(crate) fn run(settings: Settings) -> io::Result<()> {
    let main = move |_| async move {
        let fd = ::ring::listen_tcp(settings.listen, BACKLOG_CONNECTIONS.unsigned_abs(), true)?;
        let mut listener = Listener::from_descriptor(fd);
        let idle = Idle::default();
        loop {
            let client = listener.accept().await?;
            let idle = Rc::clone(&idle);
            // What goes wrong with one connection ends it; the load generator counts it.
            ::ring::spawn(async move {
                let _ = serve(client, settings, idle).await;
            });
        }
    };
    ::ring::run(&::ring::Config::default(), Arc::default(), main).map_err(io::Error::other)?
}

async fn serve(mut client: Stream, settings: Settings, idle: Idle) -> io::Result<()> {
    while let Some(request) = read_until(&mut client, |bytes| Ok(is_request(bytes)?.then_some(()))).await? {
        let kept = idle.borrow_mut().pop();
        let mut upstream = match kept {
            Some(upstream) => upstream,
            None => ::ring::connect_tcp(settings.upstream, Duration::from_secs(5)).await?,
        };
        upstream.write(request.0);
        relay_response(&mut upstream, &mut client).await?;
        idle.borrow_mut().push(upstream);
    }
    Ok(())
}

/// Reads until `parse` finds what it looks for; nothing once the peer has gone. What lies in one chunk is not copied.
async fn read_until<T>(
    stream: &mut Stream,
    parse: impl Fn(&[u8]) -> io::Result<Option<T>>,
) -> io::Result<Option<(Chunk, T)>> {
    let Some(first) = stream.recv(ReadMode::Head).await? else { return Ok(None) };
    if let Some(found) = parse(&first)? {
        return Ok(Some((first, found)));
    }
    let mut gathered = Buffer::with_room(BUFFER_BYTES);
    gathered.extend_from_slice(&first);
    drop(first);
    while let Some(more) = stream.recv(ReadMode::Head).await? {
        gathered.extend_from_slice(&more);
        if let Some(found) = parse(&gathered)? {
            return Ok(Some((gathered.freeze(), found)));
        }
    }
    Ok(None)
}

async fn relay_response(upstream: &mut Stream, client: &mut Stream) -> io::Result<()> {
    let Some((first, response_bytes)) = read_until(upstream, response_bytes).await? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut unread_bytes = bytes_left(response_bytes, first.len())?;
    client.write(first);
    while unread_bytes > 0 {
        let chunk = upstream.recv(ReadMode::Body).await?.unwrap_or_default();
        unread_bytes = bytes_left(unread_bytes, chunk.len())?;
        client.write(chunk);
        poll_fn(|cx| client.poll_below(cx, WAITING_BYTES_MAX)).await?;
    }
    Ok(())
}
