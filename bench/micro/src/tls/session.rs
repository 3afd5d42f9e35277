//! Two ends of a connection in memory, and data that goes there and back: for `shards/tls/src/session.rs`, and for what it was
//! chosen over, rustls's own connections with and without buffers of theirs.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use tls::Session;
use tls::rustls::client::UnbufferedClientConnection;
use tls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tls::rustls::server::UnbufferedServerConnection;
use tls::rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use tls::rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection, version};

/// The three ways.
pub const WAYS: [(&str, Make); 3] = [
    ("session", || Box::new(Sessions::new())),
    ("buffered", || Box::new(Buffered::new())),
    ("unbuffered", || Box::new(Unbuffered::new())),
];

/// What makes a pair.
pub type Make = fn() -> Box<dyn Pair>;

/// A client and a server who have shaken hands, by TLS 1.3 and AES-128-GCM.
pub trait Pair {
    /// Sends `data` from the client to the server, and what came back again. Returns how much that was.
    fn echo(&mut self, data: &[u8]) -> usize;
}

struct Configs {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    name: ServerName<'static>,
}

impl Configs {
    fn new() -> Configs {
        let suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let provider = Arc::new(CryptoProvider { cipher_suites: suites, ..aws_lc_rs::default_provider() });
        let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate");
        let certificate = CertificateDer::from(made.cert.der().to_vec());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let client = client.with_protocol_versions(&[&version::TLS13]).expect("TLS 1.3");
        let mut client = client.with_root_certificates(roots).with_no_client_auth();
        client.enable_secret_extraction = true;
        let server = ServerConfig::builder_with_provider(provider);
        let server = server.with_protocol_versions(&[&version::TLS13]).expect("TLS 1.3");
        let mut server =
            server.with_no_client_auth().with_single_cert(vec![certificate], key).expect("a key that fits");
        server.enable_secret_extraction = true;
        server.send_tls13_tickets = 0;
        let name = ServerName::try_from("a.example").expect("a name");
        Configs { client: Arc::new(client), server: Arc::new(server), name }
    }
}

/// Those of `shards/tls`.
struct Sessions {
    ends: [Session; 2],
    /// When all records are sealed: on a connection that never rests.
    now: Duration,
    records: Vec<u8>,
    plaintext: Vec<u8>,
    aside: Vec<u8>,
}

impl Sessions {
    fn new() -> Sessions {
        let configs = Configs::new();
        let mut to_server = Vec::new();
        let mut client = Session::client(configs.client, configs.name, &mut to_server).expect("a client");
        let mut server = Session::server(configs.server).expect("a server");
        let (mut to_client, mut plaintext) = (Vec::new(), Vec::new());
        while !(to_server.is_empty() && to_client.is_empty()) {
            read_all(&mut server, &std::mem::take(&mut to_server), &mut plaintext, &mut to_client);
            read_all(&mut client, &std::mem::take(&mut to_client), &mut plaintext, &mut to_server);
        }
        let (records, aside) = (Vec::new(), Vec::new());
        Sessions { ends: [client, server], now: Duration::ZERO, records, plaintext, aside }
    }
}

fn read_all(session: &mut Session, mut records: &[u8], plaintext: &mut Vec<u8>, outgoing: &mut Vec<u8>) {
    while !records.is_empty() {
        let progress = session.handle_bytes(records, plaintext, outgoing).expect("records that are fine");
        records = &records[progress.consumed..];
    }
}

impl Pair for Sessions {
    fn echo(&mut self, data: &[u8]) -> usize {
        let [client, server] = &mut self.ends;
        self.records.clear();
        client.seal(data, self.now, &mut self.records).expect("a record");
        self.plaintext.clear();
        read_all(server, &self.records, &mut self.plaintext, &mut self.aside);
        self.records.clear();
        server.seal(&self.plaintext, self.now, &mut self.records).expect("a record");
        self.plaintext.clear();
        read_all(client, &self.records, &mut self.plaintext, &mut self.aside);
        self.plaintext.len()
    }
}

/// `rustls::Connection`, whose buffers are written to and read from.
struct Buffered {
    ends: [Connection; 2],
    records: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Buffered {
    fn new() -> Buffered {
        let configs = Configs::new();
        let client: Connection = ClientConnection::new(configs.client, configs.name).expect("a client").into();
        let server: Connection = ServerConnection::new(configs.server).expect("a server").into();
        let mut pair = Buffered { ends: [client, server], records: Vec::new(), plaintext: Vec::new() };
        while pair.ends.iter().any(|end| end.is_handshaking()) {
            pair.pass(0, 1);
            pair.pass(1, 0);
        }
        pair
    }

    /// What `from` has to send is received by `to`.
    fn pass(&mut self, from: usize, to: usize) {
        self.records.clear();
        while self.ends[from].wants_write() {
            self.ends[from].write_tls(&mut self.records).expect("memory takes everything");
        }
        let mut records = &self.records[..];
        self.plaintext.clear();
        while !records.is_empty() {
            self.ends[to].read_tls(&mut records).expect("memory gives everything");
            let state = self.ends[to].process_new_packets().expect("records that are fine");
            let start = self.plaintext.len();
            self.plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
            self.ends[to].reader().read_exact(&mut self.plaintext[start..]).expect("what was announced");
        }
    }
}

impl Pair for Buffered {
    fn echo(&mut self, data: &[u8]) -> usize {
        self.ends[0].writer().write_all(data).expect("room");
        self.pass(0, 1);
        self.ends[1].writer().write_all(&self.plaintext).expect("room");
        self.pass(1, 0);
        self.plaintext.len()
    }
}

/// Those without buffers.
struct Unbuffered {
    client: UnbufferedClientConnection,
    server: UnbufferedServerConnection,
    /// On their way to the server, and to the client.
    records: [Vec<u8>; 2],
    plaintext: Vec<u8>,
}

impl Unbuffered {
    fn new() -> Unbuffered {
        let configs = Configs::new();
        let client = UnbufferedClientConnection::new(configs.client, configs.name).expect("a client");
        let server = UnbufferedServerConnection::new(configs.server).expect("a server");
        let mut pair = Unbuffered { client, server, records: Default::default(), plaintext: Vec::new() };
        while pair.client.is_handshaking() || pair.server.is_handshaking() {
            pair.run(true, None);
            pair.run(false, None);
        }
        pair
    }

    /// Has one end read what has come to it, and then send `data`.
    fn run(&mut self, is_client: bool, data: Option<&[u8]>) {
        let [to_server, to_client] = &mut self.records;
        let (incoming, outgoing) = if is_client { (to_client, to_server) } else { (to_server, to_client) };
        loop {
            let (discard, goes_on) = match is_client {
                true => step(self.client.process_tls_records(incoming), outgoing, &mut self.plaintext, data),
                false => step(self.server.process_tls_records(incoming), outgoing, &mut self.plaintext, data),
            };
            incoming.drain(..discard);
            if !goes_on {
                return;
            }
        }
    }
}

fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    plaintext: &mut Vec<u8>,
    data: Option<&[u8]>,
) -> (usize, bool) {
    let (mut discard, start) = (status.discard, outgoing.len());
    match status.state.expect("records that are fine") {
        ConnectionState::EncodeTlsData(mut message) => {
            if let Err(EncodeError::InsufficientSize(needed)) = message.encode(&mut []) {
                outgoing.resize(start + needed.required_size, 0);
                message.encode(&mut outgoing[start..]).expect("room");
            }
        }
        ConnectionState::TransmitTlsData(sent) => sent.done(),
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record.expect("a record that is fine");
                discard += record.discard;
                plaintext.extend_from_slice(record.payload);
            }
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            if let Some(data) = data {
                outgoing.resize(start + data.len() + 64, 0);
                let len = traffic.encrypt(data, &mut outgoing[start..]).expect("room");
                outgoing.truncate(start + len);
            }
            return (discard, false);
        }
        _ => return (discard, false),
    }
    (discard, true)
}

impl Pair for Unbuffered {
    fn echo(&mut self, data: &[u8]) -> usize {
        self.run(true, Some(data));
        self.plaintext.clear();
        self.run(false, None);
        let back = std::mem::take(&mut self.plaintext);
        self.run(false, Some(&back));
        self.plaintext = back;
        self.plaintext.clear();
        self.run(true, None);
        self.plaintext.len()
    }
}
