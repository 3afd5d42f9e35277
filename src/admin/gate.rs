//! Whose requests are answered.
//!
//! What may knock is decided before (the mode of the Unix socket, the interface of a TCP address). Here it is decided for
//! whom it speaks. A browser of somebody who may connect is the danger: a web page can have it send requests, and by DNS
//! rebinding (a name of the attacker's that suddenly points at this address) even read the answers. Such a request names the
//! attacker's host in `Host`, or his page in `Origin`, and has no token.

use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use plan::Address;

use super::answer::Refusal;
use super::{Admin, Token};

/// What a request must fulfil.
#[derive(Debug)]
pub(super) struct Gate {
    token: Option<Token>,
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Any IP address is a good `Host`, because this one listens on all of them. An address cannot be rebound.
    takes_any_address: bool,
}

impl Gate {
    /// The gate of an API that listens at `address`.
    pub(super) fn new(admin: &Admin, address: &Address, token: Option<Token>) -> Gate {
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
        let mut takes_any_address = false;
        if let Address::Tcp(address) = address {
            hosts.push(address.ip().to_string());
            takes_any_address = address.ip().is_unspecified();
        }
        hosts.extend(admin.hosts.iter().cloned());
        Gate { token, hosts, origins: admin.origins.clone(), takes_any_address }
    }

    /// Lets a request with this head through, or says why not. Probes need no token: what orchestrators ask tells nothing
    /// that a connection to a listener would not.
    pub(super) fn admit(&self, head: &Parts, is_probe: bool) -> Result<(), Refusal> {
        self.check_host(head)?;
        self.check_origin(&head.headers)?;
        match &self.token {
            Some(token) if !is_probe => check_token(token, &head.headers),
            _ => Ok(()),
        }
    }

    fn check_host(&self, head: &Parts) -> Result<(), Refusal> {
        let refused = |detail: &str| Refusal::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", detail);
        let field = single(&head.headers, &HOST).map_err(|()| refused("there is more than one Host"))?;
        let field = field.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "no_host", "there is no Host"))?;
        // RFC 9112 §3.2.2: an absolute target overrides Host; here both must be right.
        let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
        let is_allowed = std::iter::once(field.as_bytes()).chain(target).all(|host| self.allows_host(host));
        if is_allowed { Ok(()) } else { Err(refused("this Host is not one of `admin.hosts`")) }
    }

    fn allows_host(&self, authority: &[u8]) -> bool {
        let Ok(authority) = std::str::from_utf8(authority) else { return false };
        let host = without_port(authority);
        self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
            || (self.takes_any_address && host.parse::<IpAddr>().is_ok())
    }

    fn check_origin(&self, fields: &HeaderMap) -> Result<(), Refusal> {
        let refused = || {
            let detail = "a web page may not send this: its Origin is not one of `admin.origins`";
            Refusal::new(StatusCode::FORBIDDEN, "wrong_origin", detail)
        };
        let Some(origin) = single(fields, &ORIGIN).map_err(|()| refused())? else { return Ok(()) };
        let is_allowed = self.origins.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()));
        if is_allowed { Ok(()) } else { Err(refused()) }
    }
}

fn check_token(token: &Token, fields: &HeaderMap) -> Result<(), Refusal> {
    let field = single(fields, &AUTHORIZATION).map_err(|()| Refusal::unauthorized("there is more than one token"))?;
    let field = field.ok_or_else(|| Refusal::unauthorized("a token is needed: `Authorization: Bearer …`"))?;
    // RFC 9110 §11.1: the scheme is compared without case.
    let is_bearer = |scheme: &[u8]| scheme.eq_ignore_ascii_case(b"bearer ");
    let given = field.as_bytes().split_at_checked(7).filter(|(scheme, _)| is_bearer(scheme));
    match given {
        Some((_, given)) if token.is(given.trim_ascii()) => Ok(()),
        _ => Err(Refusal::unauthorized("this is not the token")),
    }
}

/// The one field of this name, if there is one.
fn single<'f>(fields: &'f HeaderMap, name: &HeaderName) -> Result<Option<&'f HeaderValue>, ()> {
    let mut values = fields.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

/// The host of `host:port`, `host`, `[::1]:port`, `[::1]`.
fn without_port(authority: &str) -> &str {
    if let Some(bracketed) = authority.strip_prefix('[') {
        return match bracketed.split_once(']') {
            Some((host, rest)) if rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port) => host,
            _ => "",
        };
    }
    match authority.split_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) => "",
        None => authority,
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    const SECRET: &str = "correct-horse-battery";

    fn gate(address: &str) -> Gate {
        let admin = Admin {
            hosts: vec!["ops.example".to_owned()],
            origins: vec!["https://ops.example".to_owned()],
            ..Admin::default()
        };
        match address.strip_prefix("unix:") {
            Some(path) => Gate::new(&admin, &Address::Unix(path.into()), None),
            None => Gate::new(&admin, &Address::Tcp(address.parse().unwrap()), Some(Token::parse(SECRET).unwrap())),
        }
    }

    /// The word of the refusal, or `admitted`.
    fn outcome(gate: &Gate, target: &str, fields: &[(&str, &str)], is_probe: bool) -> &'static str {
        let request = fields.iter().fold(Request::get(target), |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        gate.admit(&head, is_probe).map_or_else(|refusal| refusal.error, |()| "admitted")
    }

    #[test]
    fn a_host_is_a_loopback_name_the_address_or_a_listed_name() {
        let gate = gate("unix:/run/admin.sock");
        let of_host = |host| outcome(&gate, "/", &[("host", host)], false);
        for host in
            ["localhost", "LOCALHOST:80", "127.0.0.1:9901", "[::1]:9901", "[::1]", "ops.example", "ops.example:1"]
        {
            assert_eq!(of_host(host), "admitted", "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "localhost:80:80", "localhost:x", "192.0.2.1", "[::1]x", ""]
        {
            assert_eq!(of_host(host), "wrong_host", "{host}");
        }
        assert_eq!(outcome(&gate, "/", &[], false), "no_host");
        assert_eq!(outcome(&gate, "/", &[("host", "localhost"), ("host", "localhost")], false), "wrong_host");
        assert_eq!(outcome(&gate, "http://evil.example/", &[("host", "localhost")], false), "wrong_host");
        assert_eq!(outcome(&gate, "http://localhost/", &[("host", "evil.example")], false), "wrong_host");
    }

    #[test]
    fn where_all_addresses_are_listened_on_any_address_is_a_host_but_no_name() {
        let everywhere = gate("0.0.0.0:9901");
        let of_host = |gate: &Gate, host| outcome(gate, "/", &[("host", host)], true);
        assert_eq!(of_host(&everywhere, "192.0.2.1:9901"), "admitted");
        assert_eq!(of_host(&everywhere, "rebound.example:9901"), "wrong_host");
        let here = gate("192.0.2.1:9901");
        assert_eq!(of_host(&here, "192.0.2.1:9901"), "admitted");
        assert_eq!(of_host(&here, "192.0.2.2:9901"), "wrong_host");
    }

    #[test]
    fn a_web_page_is_refused_unless_its_origin_is_listed() {
        let gate = gate("unix:/run/admin.sock");
        let of_origin = |origin| outcome(&gate, "/", &[("host", "localhost"), ("origin", origin)], true);
        assert_eq!(of_origin("https://ops.example"), "admitted");
        for origin in ["http://ops.example", "https://ops.example.evil", "null", ""] {
            assert_eq!(of_origin(origin), "wrong_origin", "{origin}");
        }
    }

    #[test]
    fn over_tcp_all_but_probes_need_the_token() {
        let gate = gate("127.0.0.1:9901");
        let of_token = |token: &str| outcome(&gate, "/", &[("host", "localhost"), ("authorization", token)], false);
        assert_eq!(of_token(&format!("Bearer {SECRET}")), "admitted");
        assert_eq!(of_token(&format!("bearer {SECRET}")), "admitted");
        for wrong in ["Bearer wrong-horse-battery", "Bearer", "Bearer ", SECRET, "Basic correct-horse-battery"] {
            assert_eq!(of_token(wrong), "unauthorized", "{wrong}");
        }
        let twice = [("host", "localhost"), ("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(outcome(&gate, "/", &twice, false), "unauthorized");
        assert_eq!(outcome(&gate, "/", &[("host", "localhost")], false), "unauthorized");
        assert_eq!(outcome(&gate, "/", &[("host", "localhost")], true), "admitted");
    }
}
