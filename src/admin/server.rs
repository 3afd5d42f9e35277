//! The server: bounds on what callers may take of the control thread.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use plan::Address;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::gate::Gate;
use super::listen::{Connection, Listening, Taken, default_place};
use super::{Admin, AdminAddress, Token, api};
use crate::control::Handle;

/// Connections that are open at once. More wait in the kernel's queue until one has ended, which takes no longer than
/// [`CONNECTION_MAX`].
const CONNECTIONS_MAX: usize = 64;
/// How long a head may take, and how long a connection may wait for the next.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// How long a connection lives, however busy it is. An upgrade takes the longest: as long as a new generation to get ready.
const CONNECTION_MAX: Duration = Duration::from_secs(90);
/// Bytes of a connection that wait to be taken for a head. More is 431.
const BUFFER_BYTES_MAX: usize = 16 << 10;
/// How long accepting rests when descriptors have run out.
const REST: Duration = Duration::from_millis(100);

/// The admin API of this process. When it is dropped, nobody new is listened to; requests under way still get their answers.
#[derive(Debug)]
pub(crate) struct Server {
    gate: Arc<RwLock<Gate>>,
    address: Address,
    accepting: JoinHandle<()>,
    /// Ends with this, which tells the connections to end when they have answered.
    _open: watch::Sender<()>,
}

/// The answers that are still to be given.
#[derive(Debug)]
pub(crate) struct Answers(mpsc::Receiver<Infallible>);

impl Answers {
    /// Waits until the last connection of a server that was dropped has ended.
    pub(crate) async fn given(&mut self) {
        // Nothing is ever sent: each connection holds a sender until it ends.
        self.0.recv().await;
    }
}

/// What all connections have in common.
#[derive(Clone)]
struct Shared {
    gate: Arc<RwLock<Gate>>,
    handle: Handle,
    open: watch::Receiver<()>,
    _answers: mpsc::Sender<Infallible>,
}

impl Server {
    /// Starts to answer, by way of `handle`; none if it is off, or if there is no place for a socket by default. `takes_over`
    /// says that a Ringway which listens at the same address is the one that this one replaces. To be called within the
    /// runtime of the control thread.
    pub(crate) fn start(admin: &Admin, handle: Handle, takes_over: bool) -> anyhow::Result<Option<(Server, Answers)>> {
        let Some(address) = place(&admin.address) else { return Ok(None) };
        // Before the socket is there: nobody shall find it without its token.
        let token = admin.token_file.as_deref().map(Token::read).transpose()?;
        let listening = match Listening::open(&address, takes_over) {
            Ok(listening) => listening,
            Err(error) if admin.address == AdminAddress::Default && error.is::<Taken>() => {
                tracing::warn!("no admin API: {error:#}. `[admin] address` gives this Ringway a place of its own");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let address = listening.address().clone();
        let gate = Arc::new(RwLock::new(Gate::new(admin, &address, token)));
        let (open, closing) = watch::channel(());
        let (sender, answers) = mpsc::channel(1);
        let shared = Shared { gate: Arc::clone(&gate), handle, open: closing, _answers: sender };
        let accepting = tokio::spawn(accept(listening, shared));
        Ok(Some((Server { gate, address, accepting, _open: open }, Answers(answers))))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Takes a new configuration's word for the token, the hosts and the origins. Another address takes another generation.
    ///
    /// # Errors
    /// When there is no token to be had; what was in force stays.
    pub(crate) fn reconfigure(&mut self, admin: &Admin) -> anyhow::Result<()> {
        let token = admin.token_file.as_deref().map(Token::read).transpose()?;
        let gate = Gate::new(admin, &self.address, token);
        *self.gate.write().unwrap_or_else(std::sync::PoisonError::into_inner) = gate;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Where to listen, if anywhere.
fn place(address: &AdminAddress) -> Option<Address> {
    match address {
        AdminAddress::Off => None,
        AdminAddress::At(address) => Some(address.clone()),
        AdminAddress::Default => {
            let path = default_place();
            if path.is_none() {
                tracing::info!("no admin API: this user has no folder for sockets; `[admin] address` names a place");
            }
            path.map(Address::Unix)
        }
    }
}

async fn accept(listening: Listening, shared: Shared) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        match listening.accept().await {
            Ok(connection) => {
                let serving = serve(connection, shared.clone());
                tokio::spawn(async move {
                    // Who is cut off by it has been slow for a long time.
                    let _ = tokio::time::timeout(CONNECTION_MAX, serving).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("the admin API cannot accept: {error}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn serve(connection: Box<dyn Connection>, shared: Shared) {
    let answer = service_fn(|request| {
        let (gate, handle) = (Arc::clone(&shared.gate), shared.handle.clone());
        async move { Ok::<_, Infallible>(api::answer(request, &gate, &handle).await) }
    });
    let mut open = shared.open.clone();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(connection), answer);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        // Nothing is ever sent: that there is no change to wait for any more means that the server is gone.
        _ = open.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!("a connection of the admin API ended: {error}");
    }
}
