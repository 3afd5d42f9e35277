//! `[[listeners]]`

use std::collections::HashMap;

use plan::{Address, Listener, ListenerTls, PlainHttp};

use super::{integer, too_many, word};
use crate::config::address;
use crate::config::diagnostic::{Problem, Problems, Span};
use crate::config::omitted::item;
use crate::config::raw;

/// Every shard opens every listener: 1024 shards and 256 listeners are as many sockets as a process may want.
const LISTENERS_MAX: usize = 256;

pub(super) fn lower(file: &raw::File, problems: &mut Problems) -> Vec<Listener> {
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
                listeners.push(Listener { address, backlog, tls });
            }
        }
    }
    listeners
}
