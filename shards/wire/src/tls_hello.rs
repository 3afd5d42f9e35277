//! The first message of a TLS client, as far as it tells where a connection is to go: the name that it asks for (SNI) and the
//! protocols that it offers (ALPN).
//!
//! Nothing of it is decrypted and nothing verified; whoever terminates the handshake reads the same bytes again. Therefore the
//! reader refuses what two readers could understand differently: lengths that do not add up, two names, an extension that is
//! there twice, a message that ends inside a record. The message may be spread over records (RFC 8446 §5.1), and these over as
//! many segments as the sender likes; [`HelloReader`] looks at each record's head once, however the bytes arrive.

use thiserror::Error;

/// Bytes of the records that a ClientHello takes at most, their heads included. Keys of post-quantum exchanges make it 2 KiB, and
/// tickets a little more.
pub const HELLO_BYTES_MAX: usize = 16 << 10;
/// Bytes of a record's head.
const RECORD_HEAD_BYTES: usize = 5;
/// Bytes of a handshake message's head.
const MESSAGE_HEAD_BYTES: usize = 4;
/// A record of the handshake. RFC 8446 §5.1
const CONTENT_HANDSHAKE: u8 = 22;
/// RFC 8446 §4
const MESSAGE_CLIENT_HELLO: u8 = 1;
/// RFC 6066 §3
const EXTENSION_SERVER_NAME: u16 = 0;
/// RFC 7301 §3.1
const EXTENSION_ALPN: u16 = 16;
/// RFC 6066 §3
const NAME_TYPE_HOST: u8 = 0;
/// A name of the DNS. RFC 1035 §2.3.4
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// What a beginning of a connection has told so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Partial,
    /// It does not begin with a handshake of TLS.
    NotTls,
    /// The whole message has come.
    Complete(ClientHello),
}

/// What a client has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientHello {
    server_name: Option<Box<str>>,
    /// The list of ALPN as it came: each name behind its length.
    alpn: Option<Box<[u8]>>,
    len: usize,
}

impl ClientHello {
    /// The name of the server that is asked for, in lower case; `None` if the client names none.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocols that the client offers, in the order of its preference; none if it does not take part in ALPN.
    pub fn protocols(&self) -> impl Iterator<Item = &[u8]> {
        let mut list = Input(self.alpn.as_deref().unwrap_or_default());
        std::iter::from_fn(move || list.vector8().ok())
    }

    /// Bytes of the records that hold the message. What follows them belongs to the handshake as well.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HelloError {
    /// A record without data, larger than TLS allows, or of another kind, where the message is not over.
    #[error("a malformed record")]
    Record,
    /// The first message is another one.
    #[error("not a ClientHello")]
    Message,
    /// It takes more than [`HELLO_BYTES_MAX`].
    #[error("more than {HELLO_BYTES_MAX} bytes")]
    TooLong,
    /// The lengths inside of it do not add up.
    #[error("lengths that do not add up")]
    Lengths,
    /// An extension that is read here is there twice. RFC 8446 §4.2
    #[error("a repeated extension")]
    Repeated,
    /// The extension about the server's name does not hold exactly one name of the DNS. RFC 6066 §3
    #[error("a malformed server name")]
    ServerName,
    /// The list of protocols is empty or has an empty name. RFC 7301 §3.1
    #[error("a malformed list of protocols")]
    Alpn,
}

impl HelloError {
    /// The alert that tells the client. RFC 8446 §6
    #[must_use]
    pub fn alert(self) -> Alert {
        match self {
            HelloError::Message | HelloError::Record => Alert::UnexpectedMessage,
            HelloError::TooLong | HelloError::Lengths => Alert::DecodeError,
            HelloError::Repeated | HelloError::ServerName | HelloError::Alpn => Alert::IllegalParameter,
        }
    }
}

/// Alerts that end a handshake which nobody has begun to answer. RFC 8446 §6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Alert {
    /// A message that is out of place.
    UnexpectedMessage = 10,
    /// A field that contradicts others.
    IllegalParameter = 47,
    /// A message that cannot be decoded.
    DecodeError = 50,
    /// No cause that TLS has a word for.
    InternalError = 80,
    /// Nobody of this name is here.
    UnrecognizedName = 112,
}

impl Alert {
    /// The record that tells it, as fatal.
    #[must_use]
    pub fn record(self) -> [u8; 7] {
        // In the version that everybody understands before one is agreed on.
        [21, 3, 1, 0, 2, 2, self as u8]
    }
}

/// Reads a ClientHello that arrives in pieces.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// Where the first record begins that has not been seen whole.
    next: usize,
    /// Bytes of the message in the records before that.
    gathered: usize,
    /// Bytes of the whole message, once its head has been read.
    message: Option<usize>,
}

impl HelloReader {
    /// Reads on in `bytes`: all that has come since the connection's beginning, of which it has seen a part before.
    ///
    /// # Errors
    /// What is wrong with the handshake that was begun. The reader is not to be used any further.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Progress, HelloError> {
        match bytes {
            [CONTENT_HANDSHAKE, 3, ..] | [CONTENT_HANDSHAKE] | [] => {}
            _ => return Ok(Progress::NotTls),
        }
        loop {
            let Some(data) = self.next_record(bytes)? else { return Ok(Progress::Partial) };
            self.next += RECORD_HEAD_BYTES + data;
            self.gathered += data;
            if self.message.is_none() && self.gathered >= MESSAGE_HEAD_BYTES {
                self.message = Some(self.message_len(bytes)?);
            }
            match self.message {
                // What comes next is for another record. RFC 8446 §5.1
                Some(len) if self.gathered > len => return Err(HelloError::Lengths),
                Some(len) if self.gathered == len => break,
                _ => {}
            }
        }
        let records = &bytes[..self.next];
        let mut hello = match Records(records).next() {
            Some(data) if data.len() == self.gathered => parse(data)?,
            _ => parse(&Records(records).flatten().copied().collect::<Vec<_>>())?,
        };
        hello.len = self.next;
        Ok(Progress::Complete(hello))
    }

    /// Bytes of data in the next record, once it is there whole.
    fn next_record(&self, bytes: &[u8]) -> Result<Option<usize>, HelloError> {
        let rest = &bytes[self.next..];
        if rest.first().is_some_and(|kind| *kind != CONTENT_HANDSHAKE) || rest.get(1).is_some_and(|major| *major != 3) {
            return Err(HelloError::Record);
        }
        let Some([high, low]) = rest.get(3..RECORD_HEAD_BYTES) else {
            return if self.next + RECORD_HEAD_BYTES > HELLO_BYTES_MAX { Err(HelloError::TooLong) } else { Ok(None) };
        };
        let data = usize::from(u16::from_be_bytes([*high, *low]));
        // RFC 8446 §5.1: none is empty, and none has more than 2^14 bytes.
        if data == 0 || data > 1 << 14 {
            return Err(HelloError::Record);
        }
        if self.next + RECORD_HEAD_BYTES + data > HELLO_BYTES_MAX {
            return Err(HelloError::TooLong);
        }
        Ok((rest.len() >= RECORD_HEAD_BYTES + data).then_some(data))
    }

    /// Bytes of the message, its head included, of which four are there.
    fn message_len(&self, bytes: &[u8]) -> Result<usize, HelloError> {
        let mut head = [0; MESSAGE_HEAD_BYTES];
        for (place, byte) in head.iter_mut().zip(Records(&bytes[..self.next]).flatten()) {
            *place = *byte;
        }
        let [kind, high, middle, low] = head;
        if kind != MESSAGE_CLIENT_HELLO {
            return Err(HelloError::Message);
        }
        let len = MESSAGE_HEAD_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize;
        if len > HELLO_BYTES_MAX { Err(HelloError::TooLong) } else { Ok(len) }
    }
}

/// The data of records that are known to be whole.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let [_, _, _, high, low, rest @ ..] = self.0 else { return None };
        let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        self.0 = rest;
        Some(data)
    }
}

/// Reads a message that is there whole, its head included. RFC 8446 §4.1.2, RFC 5246 §7.4.1.2
fn parse(message: &[u8]) -> Result<ClientHello, HelloError> {
    let mut body = Input(&message[MESSAGE_HEAD_BYTES..]);
    let [major, _] = *body.take(2)? else { return Err(HelloError::Lengths) };
    if major != 3 {
        return Err(HelloError::Message);
    }
    let _random = body.take(32)?;
    let (session, suites, compression) = (body.vector8()?, body.vector16()?, body.vector8()?);
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compression.is_empty() {
        return Err(HelloError::Lengths);
    }
    let mut hello = ClientHello::default();
    // TLS 1.2 lets a client leave them out altogether. RFC 5246 §7.4.1.2
    if body.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Input(body.vector16()?);
    if !body.0.is_empty() {
        return Err(HelloError::Lengths);
    }
    while !extensions.0.is_empty() {
        let (kind, value) = (extensions.number16()?, extensions.vector16()?);
        let is_repeated = match kind {
            EXTENSION_SERVER_NAME => hello.server_name.replace(server_name(value)?).is_some(),
            EXTENSION_ALPN => hello.alpn.replace(alpn(value)?).is_some(),
            _ => false,
        };
        if is_repeated {
            return Err(HelloError::Repeated);
        }
    }
    Ok(hello)
}

/// The one name of the extension. RFC 6066 §3
fn server_name(value: &[u8]) -> Result<Box<str>, HelloError> {
    let read = || {
        let mut value = Input(value);
        let mut list = Input(value.vector16()?);
        let (kind, name) = (list.take(1)?, list.vector16()?);
        let is_alone = list.0.is_empty() && value.0.is_empty();
        if is_alone && kind == [NAME_TYPE_HOST] && is_host(name) { Ok(name) } else { Err(HelloError::ServerName) }
    };
    let name = read().map_err(|_| HelloError::ServerName)?;
    Ok(String::from_utf8_lossy(name).to_ascii_lowercase().into())
}

/// Whether `name` can be looked up: labels of letters, digits, `-` and `_`, without a dot at the end.
fn is_host(name: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= NAME_BYTES_MAX && name.split(|byte| *byte == b'.').all(is_label)
}

/// The list of the extension, whose names are not empty. RFC 7301 §3.1
fn alpn(value: &[u8]) -> Result<Box<[u8]>, HelloError> {
    let mut value = Input(value);
    let list = value.vector16().map_err(|_| HelloError::Alpn)?;
    let mut names = Input(list);
    let mut is_whole = !list.is_empty() && value.0.is_empty();
    while is_whole && !names.0.is_empty() {
        is_whole = names.vector8().is_ok_and(|name| !name.is_empty());
    }
    if is_whole { Ok(list.into()) } else { Err(HelloError::Alpn) }
}

/// What is left to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(HelloError::Lengths)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number16(&mut self) -> Result<u16, HelloError> {
        let [high, low] = *self.take(2)? else { return Err(HelloError::Lengths) };
        Ok(u16::from_be_bytes([high, low]))
    }

    /// A vector behind a length of one byte.
    fn vector8(&mut self) -> Result<&'a [u8], HelloError> {
        let [len] = *self.take(1)? else { return Err(HelloError::Lengths) };
        self.take(len.into())
    }

    /// A vector behind a length of two bytes.
    fn vector16(&mut self) -> Result<&'a [u8], HelloError> {
        let len = self.number16()?;
        self.take(len.into())
    }
}
