//! Syslog as a target: each line is a message, each message a datagram.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use engine::Utc;
use plan::access_log::{Syslog, SyslogAddress, SyslogProtocol};

use super::Sink;

/// Bytes of a message; the rest of a longer line is cut off. RFC 5424 §6.1 asks receivers for 2,048.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// How long to wait until a daemon that was not there is looked for again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The way to the daemon. One that is not there, or has gone, is looked for again and again.
pub(super) struct SyslogSocket {
    syslog: Syslog,
    hostname: String,
    socket: Option<Socket>,
    tried_at: Option<Instant>,
    message: Vec<u8>,
}

enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl SyslogSocket {
    pub(super) fn open(syslog: Syslog) -> SyslogSocket {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname: String = hostname.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
        // RFC 5424 §6.2.4: what is not known is a hyphen.
        let hostname = if hostname.is_empty() { "-".to_owned() } else { hostname };
        SyslogSocket { syslog, hostname, socket: None, tried_at: None, message: Vec::with_capacity(MESSAGE_BYTES_MAX) }
    }

    fn connected(&mut self) -> io::Result<&Socket> {
        if self.socket.is_none() {
            let now = Instant::now();
            if self.tried_at.is_some_and(|at| now.saturating_duration_since(at) < RETRY_INTERVAL) {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.tried_at = Some(now);
            self.socket = Some(Socket::connect(&self.syslog.address)?);
        }
        self.socket.as_ref().ok_or(io::ErrorKind::NotConnected.into())
    }

    /// Makes a message of a line, without its newline.
    fn compose(&mut self, line: &[u8]) {
        let Utc { year, month, day, hour, minute, second, micros, .. } = Utc::now();
        let Syslog { priority, tag, protocol, address } = &self.syslog;
        let (message, hostname, pid) = (&mut self.message, &self.hostname, std::process::id());
        let month_name = Utc::now().month_name();
        message.clear();
        // Writing to memory does not fail.
        let _ = match (protocol, address) {
            // What libc's syslog(3) sends to the daemon of the same machine has no host name.
            (SyslogProtocol::Rfc3164, SyslogAddress::Unix(_)) => {
                write!(message, "<{priority}>{month_name} {day:>2} {hour:02}:{minute:02}:{second:02} {tag}[{pid}]: ")
            }
            (SyslogProtocol::Rfc3164, SyslogAddress::Udp(_)) => write!(
                message,
                "<{priority}>{month_name} {day:>2} {hour:02}:{minute:02}:{second:02} {hostname} {tag}[{pid}]: "
            ),
            // RFC 5424 §6: header, no structured data, message.
            (SyslogProtocol::Rfc5424, _) => write!(
                message,
                "<{priority}>1 {year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z {hostname} {tag} {pid} access - "
            ),
        };
        let room = MESSAGE_BYTES_MAX.saturating_sub(message.len());
        message.extend_from_slice(&line[..line.len().min(room)]);
    }

    fn send(&mut self) -> io::Result<()> {
        self.connected()?;
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        let sent = match socket.send(&self.message) {
            // What an earlier datagram met with; this one has not been sent yet.
            Err(error) if matches!(socket, Socket::Udp(_)) && error.kind() == io::ErrorKind::ConnectionRefused => {
                socket.send(&self.message)
            }
            sent => sent,
        };
        if sent.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.socket = None;
        }
        sent
    }
}

impl Sink for SyslogSocket {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.compose(line.strip_suffix(b"\n").unwrap_or(line));
            match self.send() {
                Ok(()) => written += line.len(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What was sent is told first; the error comes again with the next.
                Err(_) if written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn reopen(&mut self) -> io::Result<()> {
        (self.socket, self.tried_at) = (None, None);
        Ok(())
    }
}

impl Socket {
    fn connect(address: &SyslogAddress) -> io::Result<Socket> {
        match address {
            SyslogAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket))
            }
            SyslogAddress::Udp(address) => {
                let any = match address {
                    SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                    SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Udp(socket))
            }
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Socket::Unix(socket) => socket.send(message).map(drop),
            Socket::Udp(socket) => socket.send(message).map(drop),
        }
    }
}
