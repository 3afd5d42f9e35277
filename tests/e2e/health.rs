//! Servers that fail are left out, and come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kit::{Config, Gate, Origin, Port, Ringway, eventually, standard};

use crate::{OK, answering, start};

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";

/// An origin that answers 503 for as long as `fails` says so.
fn failing(fails: &Arc<AtomicBool>) -> Origin {
    let fails = fails.clone();
    Origin::start(move |peer, _| {
        while peer.read_request()?.is_some() {
            peer.send(if fails.load(Ordering::SeqCst) { UNAVAILABLE } else { OK }.as_bytes())?;
        }
        Ok(())
    })
}

fn before_both(first: &Origin, second: &Origin, health: &str) -> Ringway {
    let config = Config::new().upstream("app", &[first.address(), second.address()]).route(None, "/", "app");
    start(config.upstream_option("health", health))
}

fn statuses(ringway: &Ringway, count: usize) -> Vec<u16> {
    let mut client = ringway.connect();
    (0..count).map(|_| client.exchange("GET", &standard::get("/")).unwrap().status()).collect()
}

fn requests(origin: &Origin) -> usize {
    String::from_utf8(origin.received_all()).unwrap().matches("GET /").count()
}

#[test]
fn a_server_that_keeps_failing_is_ejected() {
    let (bad, good) = (answering(UNAVAILABLE), answering(OK));
    let ringway = before_both(&bad, &good, "{ failures = 3, ejection_base = '1h', ejection_max = '1h' }");
    let seen = statuses(&ringway, 40);
    assert_eq!(seen.iter().filter(|status| **status == 503).count(), 3, "{seen:?}");
    assert_eq!((requests(&bad), requests(&good)), (3, 37));
    eventually("the ejection is said", || ringway.process().stderr().contains("server ejected"));
    assert_eq!(ringway.stop_and_count()["upstream_ejections"], 1);
}

#[test]
fn statuses_that_are_not_configured_are_no_failures() {
    let (bad, good) = (answering(UNAVAILABLE), answering(OK));
    let ringway = before_both(&bad, &good, "{ failures = 1, failure_statuses = [500], ejection_base = '1h' }");
    statuses(&ringway, 20);
    assert_eq!((requests(&bad), requests(&good)), (10, 10));
}

#[test]
fn connections_that_are_refused_or_break_off_are_failures() {
    let dying = Origin::start(|peer, _| peer.read_request().map(drop));
    let (refused, good) = (Port::take(), answering(OK));
    let config = Config::new().upstream("app", &[&refused.address(), dying.address(), good.address(), good.address()]);
    let config = config.route(None, "/", "app").upstream_option("retry", "{ attempts = 1 }");
    let ringway =
        start(config.upstream_option("health", "{ failures = 2, ejection_base = '1h', ejection_max = '1h' }"));
    let seen = statuses(&ringway, 40);
    assert_eq!(seen.iter().filter(|status| **status == 502).count(), 2, "{seen:?}");
    assert_eq!(dying.accepted(), 2);
    eventually("both ejections are said", || ringway.process().stderr().matches("server ejected").count() == 2);
}

#[test]
fn answers_that_break_off_are_failures_though_they_began_well() {
    let breaking = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    });
    let good = answering(OK);
    let ringway = before_both(&breaking, &good, "{ failures = 2, ejection_base = '1h', ejection_max = '1h' }");
    let whole = (0..20).filter(|_| ringway.connect().exchange("GET", &standard::get("/")).is_ok()).count();
    assert_eq!((whole, breaking.accepted()), (18, 2));
}

#[test]
fn a_head_that_does_not_come_in_time_is_a_failure() {
    let gate = Gate::new();
    let silent = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            peer.read_request()?;
            gate.wait();
            Ok(())
        }
    });
    let good = answering(OK);
    let config = Config::new().upstream("app", &[silent.address(), good.address()]).route(None, "/", "app");
    let config = config.upstream_timeout("head_timeout", "1s");
    let ringway =
        start(config.upstream_option("health", "{ failures = 1, ejection_base = '1h', ejection_max = '1h' }"));
    let seen = statuses(&ringway, 10);
    assert_eq!(seen.iter().filter(|status| **status == 504).count(), 1, "{seen:?}");
    gate.open();
}

#[test]
fn a_server_that_has_recovered_comes_back() {
    let fails = Arc::new(AtomicBool::new(true));
    let (flaky, good) = (failing(&fails), answering(OK));
    let ringway = before_both(&flaky, &good, "{ failures = 2, ejection_base = '100ms' }");
    statuses(&ringway, 4);
    fails.store(false, Ordering::SeqCst);
    eventually("the server is back", || {
        assert_eq!(statuses(&ringway, 2), [200, 200]);
        ringway.process().stderr().contains("server is back")
    });
    let before = requests(&flaky);
    statuses(&ringway, 20);
    assert_eq!(requests(&flaky) - before, 10, "it takes its turns again");
}

#[test]
fn one_request_at_a_time_finds_out_whether_a_server_is_back() {
    let gate = Gate::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let flaky = Origin::start({
        let (gate, seen) = (gate.clone(), seen.clone());
        move |peer, _| {
            while peer.read_request()?.is_some() {
                match seen.fetch_add(1, Ordering::SeqCst) {
                    0 => peer.send(UNAVAILABLE.as_bytes())?,
                    _ => {
                        gate.wait();
                        peer.send(OK.as_bytes())?;
                    }
                }
            }
            Ok(())
        }
    });
    let good = answering(OK);
    let ringway = before_both(&flaky, &good, "{ failures = 1, ejection_base = '50ms' }");
    statuses(&ringway, 2);
    // Clients that do not wait for their answers, until one of them is the trial.
    let mut clients = Vec::new();
    eventually("a trial is under way", || {
        let mut client = ringway.connect();
        client.send(&standard::get("/")).unwrap();
        clients.push(client);
        seen.load(Ordering::SeqCst) == 2
    });
    assert_eq!(statuses(&ringway, 20), [200; 20]);
    assert_eq!(seen.load(Ordering::SeqCst), 2, "a second request went to the server on trial");
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.read_response("GET").unwrap().status(), 200));
    eventually("the server is back", || ringway.process().stderr().contains("server is back"));
}

#[test]
fn a_client_that_leaves_a_trial_does_not_lock_the_server_out() {
    let gate = Gate::new();
    let seen = Arc::new(AtomicUsize::new(0));
    let flaky = Origin::start({
        let (gate, seen) = (gate.clone(), seen.clone());
        move |peer, _| {
            while peer.read_request()?.is_some() {
                match seen.fetch_add(1, Ordering::SeqCst) {
                    0 => peer.send(UNAVAILABLE.as_bytes())?,
                    1 => gate.wait(),
                    _ => peer.send(OK.as_bytes())?,
                }
            }
            Ok(())
        }
    });
    let good = answering(OK);
    let ringway = before_both(&flaky, &good, "{ failures = 1, ejection_base = '50ms' }");
    statuses(&ringway, 2);
    let mut clients = Vec::new();
    eventually("a trial is under way", || {
        let mut client = ringway.connect();
        client.send(&standard::get("/")).unwrap();
        clients.push(client);
        seen.load(Ordering::SeqCst) == 2
    });
    clients.into_iter().for_each(|client| client.reset().unwrap());
    eventually("another request is the trial", || {
        assert_eq!(statuses(&ringway, 2), [200, 200]);
        ringway.process().stderr().contains("server is back")
    });
    gate.open();
}

#[test]
fn no_more_than_the_share_is_ejected_and_without_any_left_all_are_used() {
    for (share, ejections) in [(50, 1), (100, 2)] {
        let (one, other) = (answering(UNAVAILABLE), answering(UNAVAILABLE));
        let health =
            format!("{{ failures = 1, eject_share_max = {share}, ejection_base = '1h', ejection_max = '1h' }}");
        let ringway = before_both(&one, &other, &health);
        // The origin's own answer, not ours.
        let mut client = ringway.connect();
        for _ in 0..20 {
            assert_eq!(client.exchange("GET", &standard::get("/")).unwrap().text(), "no");
        }
        assert_eq!(requests(&one) + requests(&other), 20);
        let said = || ringway.process().stderr().matches("server ejected").count();
        eventually("the ejections are said", || said() >= ejections);
        assert_eq!(said(), ejections);
    }
}
