//! Addresses of sockets and networks: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/app.sock`; `10.0.0.0/8`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use plan::{Address, Network};

use super::diagnostic::{Problem, quoted};

/// Bytes of a Unix socket's path: `sun_path` holds 108, the last of which is a NUL.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// Bytes of a name of the DNS, and of each of its labels. RFC 1035 §2.3.4
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Where a server is.
pub(super) enum Endpoint {
    /// At a fixed address.
    Address(Address),
    /// At whatever addresses the name has.
    Name { host: String, port: u16 },
}

/// Reads the address of a listener. Port 0 asks the kernel for a free one.
pub(super) fn listen(text: &str) -> Result<Address, Problem> {
    let expected = "an IP address and a port (`127.0.0.1:8080`, `[::1]:8080`) or a path (`unix:/run/app.sock`)";
    let named = text.rsplit_once(':').is_some_and(|(host, _)| !["localhost", "unix"].contains(&host) && is_name(host));
    let note = |problem: Problem| problem.note("names are looked up for the servers of upstreams only");
    socket(text, expected).map_err(|problem| if named { note(problem) } else { problem })
}

/// Reads the address or the name of an upstream's server.
pub(super) fn server(text: &str) -> Result<Endpoint, Problem> {
    let expected = "an address or a name, with a port (`127.0.0.1:9000`, `app.internal:9000`), or a path \
                    (`unix:/run/app.sock`)";
    let named = text.rsplit_once(':').filter(|(host, _)| *host != "unix" && is_dns_name(host));
    let endpoint = match named.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => Endpoint::Name { host: host.to_ascii_lowercase(), port },
        None => Endpoint::Address(socket(text, expected)?),
    };
    let has_no_port = match &endpoint {
        Endpoint::Address(Address::Tcp(address)) => address.port() == 0,
        Endpoint::Address(Address::Unix(_)) => false,
        Endpoint::Name { port, .. } => *port == 0,
    };
    if has_no_port {
        return Err(
            Problem::new(format!("{} has port 0", quoted(text))).expected("the port that the server listens on")
        );
    }
    Ok(endpoint)
}

/// Reads the address of a server of the DNS; its port is 53 unless it is written.
pub(super) fn resolver(text: &str) -> Result<SocketAddr, Problem> {
    let bare = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let address = bare.map(|ip| SocketAddr::new(ip, 53)).or_else(|_| text.parse());
    address.map_err(|_| {
        let problem = Problem::new(format!("{} is not an address", quoted(text)));
        problem.expected("an IP address, with a port if it is not 53: `192.0.2.53`, `127.0.0.1:5353`")
    })
}

fn socket(text: &str, expected: &str) -> Result<Address, Problem> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path).map(Address::Unix);
    }
    text.parse().map(Address::Tcp).map_err(|_| socket_problem(text).expected(expected))
}

fn unix(path: &str) -> Result<PathBuf, Problem> {
    if path.len() > UNIX_PATH_BYTES_MAX {
        let message = format!("the path is {} bytes long", path.len());
        return Err(
            Problem::new(message).expected(format!("at most {UNIX_PATH_BYTES_MAX} bytes: the kernel takes no more"))
        );
    }
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        let message = format!("{} is not the absolute path of a socket", quoted(path));
        return Err(Problem::new(message).expected("an absolute path, for example `unix:/run/app.sock`"));
    }
    Ok(PathBuf::from(path))
}

/// Says why `text` is no address and port: people write them in a small number of other ways.
fn socket_problem(text: &str) -> Problem {
    let shown = quoted(text);
    if text.starts_with('/') || text.starts_with("./") {
        return Problem::new(format!("{shown} looks like a path")).note(format!("did you mean `unix:{text}`?"));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let bare = rest.split('/').next().unwrap_or_default();
        let problem = Problem::new(format!("{shown} is a URL, and an address has no `{scheme}://`"));
        return if bare.parse::<SocketAddr>().is_ok() {
            problem.note(format!("did you mean `{bare}`?"))
        } else {
            problem
        };
    }
    // `::1:8080` is also an address without a port, and not what anyone means by it.
    let parts = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    if let Some((host, port)) = parts.filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok()) {
        return Problem::new(format!("{shown} lacks brackets")).note(format!("did you mean `[{host}]:{port}`?"));
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let example = SocketAddr::new(address, 8080);
        return Problem::new(format!("{shown} has no port")).note(format!("for example `{example}`"));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let problem = Problem::new(format!("{shown} is a port without an address"));
        return problem.note(format!("`127.0.0.1:{text}` is this machine only, `0.0.0.0:{text}` every interface"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Problem::new(format!("{shown} is not an address"));
    };
    if port.parse::<u16>().is_err() {
        return Problem::new(format!("{} is not a port", quoted(port))).note("a port is a number from 1 to 65535");
    }
    if host.is_empty() || host == "*" {
        let problem = Problem::new(format!("{shown} has no IP address"));
        return problem
            .note(format!("`0.0.0.0{}` listens on every IPv4 interface, `[::]{0}` on IPv6", &text[host.len()..]));
    }
    let problem = Problem::new(format!("{} is not an IP address", quoted(host)));
    match host {
        "localhost" => problem.note(format!("did you mean `127.0.0.1:{port}`?")),
        _ => problem,
    }
}

/// Whether `host` could be a name of the DNS: letters, and no last label of digits only (that is a mistyped IPv4 address).
fn is_name(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    host.chars().all(|char| char.is_alphanumeric() || "-_.".contains(char)) && last.contains(char::is_alphabetic)
}

/// Whether `host` is a name that can be looked up.
fn is_dns_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    is_name(host) && name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

/// Reads a block of addresses in CIDR notation.
pub(super) fn network(text: &str) -> Result<Network, Problem> {
    let expected = "a network in CIDR notation: `10.0.0.0/8`, `2001:db8::/32`";
    let refused = |message: String| Problem::new(message).expected(expected);
    let Some((base, bits)) = text.split_once('/') else {
        let problem = refused(format!("{} is not a network", quoted(text)));
        return Err(match text.parse::<IpAddr>() {
            Ok(address) => problem.note(format!("did you mean `{address}/{}`?", bits_of(address))),
            Err(_) => problem,
        });
    };
    let Ok(base) = base.parse::<IpAddr>() else {
        return Err(refused(format!("{} is not an IP address", quoted(base))));
    };
    let bits_max = bits_of(base);
    let Some(bits) = bits.parse::<u8>().ok().filter(|bits| *bits <= bits_max) else {
        return Err(refused(format!("{} is not the length of a prefix, 0 to {bits_max}", quoted(bits))));
    };
    if base.to_canonical() != base {
        let problem = Problem::new(format!("{base} is an IPv4 address in IPv6 clothing"));
        // The last 32 of the 128 bits are the IPv4 address.
        let problem = problem.expected("the IPv4 network, which covers both");
        return Err(match bits.checked_sub(96) {
            Some(bits) => problem.note(format!("did you mean `{}/{bits}`?", base.to_canonical())),
            None => problem,
        });
    }
    let first = first_address(base, bits);
    if first != base {
        let problem = Problem::new(format!("{base} has bits set beyond its first {bits}"));
        return Err(problem.note(format!("did you mean `{first}/{bits}`?")));
    }
    Network::new(base, bits).ok_or_else(|| refused(format!("{} is not a network", quoted(text))))
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `address` with all but its first `bits` bits cleared.
fn first_address(address: IpAddr, bits: u8) -> IpAddr {
    let cleared = u32::from(bits_of(address) - bits);
    match address {
        IpAddr::V4(address) => {
            IpAddr::from((address.to_bits() & u32::MAX.checked_shl(cleared).unwrap_or(0)).to_be_bytes())
        }
        IpAddr::V6(address) => {
            IpAddr::from((address.to_bits() & u128::MAX.checked_shl(cleared).unwrap_or(0)).to_be_bytes())
        }
    }
}
