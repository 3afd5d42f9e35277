//! `[[listeners]]`

use std::collections::HashMap;

use plan::{Address, Listener, ListenerTls, PlainHttp, Protocols, ProxyProtocol, TrustPolicy};

use super::{integer, too_many, trust, word};
use crate::config::address;
use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::omitted::item;
use crate::config::raw;
use crate::config::spanned::Spanned;

/// Every shard opens every listener: 1024 shards and 256 listeners are as many sockets as a process may want.
const LISTENERS_MAX: usize = 256;

pub(super) fn lower(file: &raw::File, trust: &TrustPolicy, problems: &mut Problems) -> Vec<Listener> {
    if file.listeners.is_empty() && !problems.concern(&["listeners"]) {
        let problem = Problem::new("no listener is configured, so nothing would be served");
        problems.in_file(problem.expected("at least one: [[listeners]] with address = \"127.0.0.1:8080\""));
    }
    if let Some(first_beyond) = file.listeners.get(LISTENERS_MAX) {
        too_many("listeners", file.listeners.len(), LISTENERS_MAX, first_beyond.span(), problems);
    }
    let mut seen: HashMap<Address, Span> = HashMap::new();
    let mut listeners = Vec::new();
    for section in &file.listeners {
        let listener = section.get_ref();
        let backlog = integer(listener.backlog.as_ref(), 1..=65_535, 4096, problems);
        let answers = [("refuse", PlainHttp::Refuse), ("redirect", PlainHttp::Redirect)];
        let plain_http =
            word(listener.plain_http.as_ref(), "an answer to plain HTTP", &answers, PlainHttp::default(), problems);
        let tls = listener.tls.then_some(ListenerTls { plain_http });
        let protocols = protocols(file, section, problems);
        let Some(written) = &listener.address else {
            if !problems.concern(&["listeners", &item(&section.span()), "address"]) {
                let problem = Problem::new("this listener has no address");
                problems.at(section.span(), problem.expected("one, for example address = \"127.0.0.1:8080\""));
            }
            continue;
        };
        match address::listen(written.get_ref()) {
            Err(problem) => problems.at(written.span(), problem),
            Ok(address) => {
                let asks_for_any_port = matches!(address, Address::Tcp(address) if address.port() == 0);
                match seen.get(&address) {
                    Some(first) if !asks_for_any_port => {
                        let problem = Problem::new(format!("a second listener at {address}"));
                        problems.repeated(written.span(), first.clone(), problem);
                    }
                    _ => {
                        seen.insert(address.clone(), written.span());
                    }
                }
                let proxy_protocol = proxy_protocol(section, &address, trust, problems);
                listeners.push(Listener { address, backlog, proxy_protocol, protocols, tls });
            }
        }
    }
    listeners
}

/// What clients may speak.
fn protocols(file: &raw::File, listener: &Spanned<raw::Listener>, problems: &mut Problems) -> Protocols {
    let terminates = listener.get_ref().tls;
    let Some(written) = &listener.get_ref().protocols else {
        return Protocols { http1: !terminates, http2: !terminates, tls: terminates };
    };
    if written.get_ref().is_empty() && !problems.concern(&["listeners", &item(&listener.span()), "protocols"]) {
        let problem = Problem::new("a listener without protocols would serve nobody");
        problems.at(written.span(), problem.expected("at least one of `http1`, `http2` and `tls`"));
    }
    let mut protocols = Protocols { http1: false, http2: false, tls: false };
    let known = ["http1", "http2", "tls"].map(|name| (name, name));
    for written in written.get_ref() {
        match word(Some(written), "a protocol that is served", &known, "", problems) {
            "http1" => protocols.http1 = true,
            "http2" => protocols.http2 = true,
            "tls" => protocols.tls = true,
            _ => continue,
        }
        if written.get_ref() == "tls"
            && !terminates
            && file.passthrough.is_empty()
            && !problems.concern(&["passthrough"])
        {
            let problem = Problem::new("TLS would be taken here, and there is nowhere to send it");
            let problem = problem.expected("`tls = true` beside it, or a [[passthrough]] with an upstream");
            problems.at(written.span(), problem);
        }
    }
    if terminates && !protocols.tls && !written.get_ref().is_empty() {
        let problem = Problem::new("`tls` is on, and its clients are not taken");
        problems.at(written.span(), problem.expected("`tls` among the protocols"));
    }
    protocols
}

/// Whether connections begin with a header of the PROXY protocol, and whose is believed.
fn proxy_protocol(
    listener: &Spanned<raw::Listener>,
    address: &Address,
    trust: &TrustPolicy,
    problems: &mut Problems,
) -> ProxyProtocol {
    type Mode = Option<fn(TrustPolicy) -> ProxyProtocol>;
    let (place, listener) = (item(&listener.span()), listener.get_ref());
    let known: [(&str, Mode); 3] =
        [("off", None), ("optional", Some(ProxyProtocol::Optional)), ("required", Some(ProxyProtocol::Required))];
    let before = problems.count();
    let mode = word(listener.proxy_protocol.as_ref(), "a way to take the PROXY protocol", &known, None, problems);
    let is_understood = problems.count() == before
        && !["proxy_protocol", "proxy_networks"].iter().any(|key| problems.concern(&["listeners", &place, key]));
    let networks = listener.proxy_networks.as_ref();
    let Some(mode) = mode else {
        if let Some(written) = networks.filter(|_| is_understood) {
            let problem = Problem::new("`proxy_networks` has a meaning only where headers are taken");
            problems
                .at(written.span(), problem.expected("`proxy_protocol = \"required\"` or `\"optional\"` beside it"));
        }
        return ProxyProtocol::Off;
    };
    let networks = networks.map(|written| trust::networks(written.get_ref(), problems));
    let trust = TrustPolicy { networks: networks.unwrap_or_else(|| trust.networks.clone()), unix: trust.unix };
    let (trusts_any, remedy) = match address {
        Address::Tcp(_) => (!trust.networks.is_empty(), "the proxy's network in `proxy_networks` or `trust.networks`"),
        Address::Unix(_) => (trust.unix, "`trust.unix = true`: here, every peer is on a Unix socket"),
    };
    let is_known = problems.count() == before && !problems.concern(&["trust"]);
    if let Some(written) = listener.proxy_protocol.as_ref().filter(|_| !trusts_any && is_understood && is_known) {
        let problem = Problem::new(format!(
            "no peer is trusted with a header, so {} would refuse all",
            quoted(written.get_ref())
        ));
        problems.at(written.span(), problem.expected(remedy));
    }
    mode(trust)
}
