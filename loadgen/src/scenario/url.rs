//! URLs of the schemes that loadgen speaks.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
};

/// Where requests go, and how: scheme, host, port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether TLS protects it: `https` and `wss`.
    pub tls: bool,
    /// Whether it is spoken to in WebSocket: `ws` and `wss`.
    pub websocket: bool,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, by the scheme where the URL names none.
    pub port: u16,
}

/// A URL in parts: an origin, and the target as the request line carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Path and query, `/` at least. A fragment is left out. RFC 9112 §3.2.1
    pub target: String,
}

/// Bytes of a URL at most.
const URL_BYTES_MAX: usize = 16 << 10;

impl Url {
    /// Reads a URL with one of the schemes `http`, `https`, `ws`, `wss`. RFC 9110 §4.2, RFC 6455 §3
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > URL_BYTES_MAX {
            return Err(format!("a URL may have {URL_BYTES_MAX} bytes at most"));
        }
        if let Some(byte) = text.bytes().find(|byte| !byte.is_ascii_graphic()) {
            return Err(format!("a URL may not contain the byte {byte:#04x}: percent-encode it"));
        }
        let (scheme, rest) = text.split_once("://").ok_or("expected a URL such as http://127.0.0.1:8080/")?;
        let (tls, websocket) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, false),
            "https" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            other => return Err(format!("the scheme `{other}` is not spoken: expected http, https, ws or wss")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = authority_parts(authority)?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { origin: Origin { tls, websocket, host: host.to_owned(), port }, target })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.origin.websocket, self.origin.tls) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        write!(f, "{scheme}://{}{}", self.origin.authority(), self.target)
    }
}

fn authority_parts(authority: &str) -> Result<(&str, Option<u16>), String> {
    if authority.contains('@') {
        return Err("a URL with a user name is not supported: set an Authorization header".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the bracket of the IPv6 address is not closed")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("`{host}` is no IPv6 address"))?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or("expected a port after the brackets")?)),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("the URL names no host".to_owned());
    }
    let port = match port {
        None | Some("") => None,
        Some(port) => match port.parse::<u16>() {
            Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(number),
            _ => return Err(format!("`{port}` is no port: expected 1 to 65535")),
        },
    };
    Ok((host, port))
}

impl Origin {
    /// The value of the Host field: the port only where it is not the scheme's. RFC 9110 §7.2
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }

    /// Its addresses, each once, in the order in which the system, which resolves names, prefers them. Never none.
    ///
    /// # Errors
    /// Says that the name has none.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found.map_err(|error| format!("resolving {}: {error}", self.host))? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(format!("the name {} has no address", self.host));
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_origin_and_a_target() {
        let url = Url::parse("http://127.0.0.1:8080/a/b?c=d#e").unwrap();
        assert_eq!((url.origin.host.as_str(), url.origin.port, url.target.as_str()), ("127.0.0.1", 8080, "/a/b?c=d"));
        assert_eq!(url.origin.authority(), "127.0.0.1:8080");
        let url = Url::parse("wss://[::1]?q").unwrap();
        assert_eq!((url.origin.tls, url.origin.websocket, url.origin.port), (true, true, 443));
        assert_eq!((url.origin.authority().as_str(), url.target.as_str()), ("[::1]", "/?q"));
        assert_eq!(Url::parse("HTTPS://example.com").unwrap().origin.authority(), "example.com");
        assert_eq!(Url::parse("http://example.com:").unwrap().origin.port, 80);
    }

    #[test]
    fn what_is_no_url_says_why() {
        for (text, why) in [
            ("127.0.0.1:80", "expected a URL"),
            ("ftp://x/", "ftp"),
            ("http:///x", "no host"),
            ("http://:80/", "no host"),
            ("http://x:0/", "no port"),
            ("http://x:+1/", "no port"),
            ("http://x:65536/", "no port"),
            ("http://[::1/", "bracket"),
            ("http://[::1]80/", "port"),
            ("http://[x]/", "IPv6"),
            ("http://u:p@x/", "user name"),
            ("http://x/a b", "0x20"),
            ("http://x/ä", "0xc3"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
