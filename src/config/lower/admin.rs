//! `[admin]`

use std::path::PathBuf;

use super::too_many;
use crate::admin::{Admin, AdminAddress};
use crate::config::address;
use crate::config::diagnostic::{Problem, Problems, quoted};
use crate::config::raw;
use crate::config::spanned::Spanned;
use plan::Address;

/// Names and origins are tried one by one, once a request.
const NAMES_MAX: usize = 64;

pub(super) fn lower(section: &raw::Admin, problems: &mut Problems) -> Admin {
    let address = address(section, problems);
    let token_file = section.token_file.as_ref().and_then(|written| token_file(written, problems));
    for (key, list) in [("hosts", &section.hosts), ("origins", &section.origins)] {
        if let Some(first_beyond) = list.get(NAMES_MAX) {
            too_many(key, list.len(), NAMES_MAX, first_beyond.span(), problems);
        }
    }
    let hosts = section.hosts.iter().filter_map(|written| host(written, problems)).collect();
    let origins = section.origins.iter().filter_map(|written| origin(written, problems)).collect();
    Admin { address, token_file, hosts, origins }
}

fn address(section: &raw::Admin, problems: &mut Problems) -> AdminAddress {
    let Some(written) = &section.address else { return AdminAddress::Default };
    if written.get_ref() == "off" {
        return AdminAddress::Off;
    }
    match address::listen(written.get_ref()) {
        Ok(address) => {
            let has_token = section.token_file.is_some() || problems.concern(&["admin", "token_file"]);
            if matches!(address, Address::Tcp(_)) && !has_token {
                let problem = Problem::new("over TCP, everyone who reaches this address could administer Ringway");
                let problem =
                    problem.expected("a `token_file` beside it, or a Unix socket, `unix:/run/ringway/admin.sock`");
                problems.at(written.span(), problem);
            }
            AdminAddress::At(address)
        }
        Err(problem) => {
            problems.at(written.span(), problem.note("`off` does without the admin API"));
            AdminAddress::Off
        }
    }
}

fn token_file(written: &Spanned<String>, problems: &mut Problems) -> Option<PathBuf> {
    let path = written.get_ref();
    if path.is_empty() || path.contains('\0') {
        problems.at(written.span(), Problem::new(format!("{} is not the path of a file", quoted(path))));
        return None;
    }
    Some(PathBuf::from(path))
}

fn host(written: &Spanned<String>, problems: &mut Problems) -> Option<String> {
    let text = written.get_ref();
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let is_address = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    if text.is_empty() || !(is_address || is_name(text)) {
        let problem = Problem::new(format!("{} is not a host", quoted(text)));
        problems.at(written.span(), problem.expected("a name or an IP address, without port: `ops.example.com`"));
        return None;
    }
    Some(text.trim_matches(['[', ']']).to_ascii_lowercase())
}

fn origin(written: &Spanned<String>, problems: &mut Problems) -> Option<String> {
    let text = written.get_ref();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    // RFC 6454 §7.1: scheme, host and port, nothing else.
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*']) && host.is_ascii();
    if !host.is_some_and(is_host) {
        let problem = Problem::new(format!("{} is not an origin", quoted(text)));
        problems
            .at(written.span(), problem.expected("scheme and host, as browsers send it: `https://ops.example.com`"));
        return None;
    }
    Some(text.to_ascii_lowercase())
}
