use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use kit::Authority;
use plan::tls::{Der, UpstreamTls, Version};
use tls::rustls::pki_types::pem::PemObject;
use tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tls::rustls::{ServerConfig, ServerConnection};

use super::*;

#[test]
fn what_this_process_lacks_is_no_fault_of_the_server() {
    let outcome = |number| {
        let error = classify(&io::Error::from_raw_os_error(number));
        assert!(error.retry_safe, "no server has seen the request");
        (error.side, error.status, error.limit)
    };
    // EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL
    for number in [24, 23, 12, 105, 99] {
        assert_eq!(outcome(number), (Side::Ringway, 503, Some(Limit::System)), "{number}");
    }
    // ETIMEDOUT
    assert_eq!(outcome(110), (Side::Upstream, 504, Some(Limit::UpstreamConnect)));
    // ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ENOENT, EACCES
    for number in [111, 101, 113, 2, 13] {
        assert_eq!(outcome(number), (Side::Upstream, 502, None), "{number}");
    }
}

const HANDSHAKES: usize = 8;

/// A server that reads the first messages of all clients and says so, waits until it is to go on, answers all of them, and says
/// so again.
fn serve_at_once(authority: &Authority, tell: mpsc::Sender<()>, go_on: mpsc::Receiver<()>) -> Address {
    let path = authority.sign(&["app.internal"]);
    let provider = Arc::new(tls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_file(&path).unwrap()];
    let config = builder.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(&path).unwrap());
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let answer = |stream: &mut TcpStream| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut answer = Vec::new();
            while answer.is_empty() {
                connection.read_tls(stream).unwrap();
                connection.process_new_packets().unwrap();
                while connection.wants_write() {
                    connection.write_tls(&mut answer).unwrap();
                }
            }
            answer
        };
        let mut streams: Vec<TcpStream> = (0..HANDSHAKES).map(|_| listener.accept().unwrap().0).collect();
        let answers: Vec<Vec<u8>> = streams.iter_mut().map(answer).collect();
        tell.send(()).unwrap();
        go_on.recv().unwrap();
        for (stream, answer) in streams.iter_mut().zip(&answers) {
            stream.write_all(answer).unwrap();
        }
        tell.send(()).unwrap();
        // Until the clients have gone.
        streams.iter_mut().for_each(|stream| drop(stream.read_to_end(&mut Vec::new())));
    });
    address
}

#[test]
fn of_handshakes_whose_servers_answer_at_once_one_goes_on_in_a_tick() {
    let authority = Authority::new();
    let root = CertificateDer::from_pem_file(authority.path()).unwrap();
    let policy = UpstreamTls {
        server_name: Some("app.internal".to_owned()),
        roots: vec![Arc::new(Der(root.to_vec().into()))],
        pins: Vec::new(),
        certificate: None,
        version_min: Version::Tls13,
        alpn: Vec::new(),
        resumes: true,
    };
    let connector = Connector::new(&policy).unwrap();
    let ((tell, told), (order, go_on)) = (mpsc::channel(), mpsc::channel());
    let address = serve_at_once(&authority, tell, go_on);
    ring::run(&ring::Config::default(), Arc::default(), |_| async move {
        let server = plan::Server::new(address);
        let upstream =
            Upstream { connect_timeout: Duration::from_secs(20), ..Upstream::new("app", vec![server.clone()]) };
        let tally = Arc::new(UpstreamTally::default());
        let secure = Rc::new(Secure::new(&connector, &Rc::default(), Some(&tally)));
        let done = Rc::<RefCell<Vec<Instant>>>::default();
        for _ in 0..HANDSHAKES {
            let (upstream, secure, done) = (upstream.clone(), Rc::clone(&secure), Rc::clone(&done));
            let server = Server::new(0, &server, None);
            ring::spawn(async move {
                let connected = connect(&upstream, Some(&secure), &server, None).await;
                assert!(connected.is_ok());
                done.borrow_mut().push(ring::now());
            });
        }
        while told.try_recv().is_err() {
            ring::next_tick().await;
        }
        // The shard stands still meanwhile, and finds all answers when it looks again.
        order.send(()).unwrap();
        told.recv().unwrap();
        while done.borrow().len() < HANDSHAKES {
            ring::next_tick().await;
        }
        let done = done.borrow();
        assert!(done.is_sorted_by(|one, next| one < next), "{done:?}");
        assert_eq!(tally.tls_handshakes[0].value(), HANDSHAKES as u64);
        assert_eq!(tally.tls_latency.counts().sum::<u64>(), HANDSHAKES as u64);
    })
    .unwrap();
}
