//! A session of TLS: bytes of anybody, and the bytes of a peer that are cut, merged, lost, repeated and changed on their way.
//!
//! What a session gives out is what its peer has written, from the beginning and in that order, whatever happened in between;
//! and as long as nothing was damaged, it is all of that, and neither side complains. The other side is rustls's buffered
//! connection, which shares no line of what protects records, or a session again.
//!
//! Keys and randoms are new in each run, as rustls draws them; nothing that is checked depends on them.

mod configs;
mod end;

use configs::Configs;
use end::End;

/// Operations of one run.
const OPERATIONS_MAX: usize = 192;
/// What may be sent while only bytes are read: a flight of the handshake, tickets, answers to requests for new keys, alerts.
const ANSWER_BYTES_MAX: usize = 32 << 10;
/// On the wire, from where on nothing is repeated there.
const REPEATED_BYTES_MAX: usize = 64 << 10;
/// Below what a session bears of them in a row.
const KEY_UPDATES_MAX: usize = 12;

/// The first byte of the input chooses between the two parts, and the sides.
pub fn check(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    match choice >> 7 {
        0 => World::new(choice).run(rest),
        _ => bytes_of_anybody_agree_on_nothing(choice, rest),
    }
}

/// Nobody who does not take part in it gets through a handshake, and the pieces in which the bytes come change nothing.
fn bytes_of_anybody_agree_on_nothing(choice: u8, bytes: &[u8]) {
    let configs = Configs::chosen(choice);
    let fresh = || match choice & 0x40 {
        0 => End::server(configs),
        _ => End::our_client(configs.client.clone()),
    };
    let (mut whole, mut pieces) = (fresh(), fresh());
    whole.read(bytes, 0);
    let piece_bytes = 1 + usize::from(choice >> 3 & 7) * 5;
    for piece in bytes.chunks(piece_bytes) {
        pieces.read(piece, 0);
    }
    assert!(whole.is_handshaking() || whole.failure.is_some(), "an agreement with nobody");
    assert_eq!((&whole.failure, whole.unread()), (&pieces.failure, pieces.unread()), "pieces of {piece_bytes}");
}

/// A connection. What an end sends stands with it until it is delivered to the other.
struct World {
    client: End,
    server: End,
    key_updates: usize,
    /// Something was done to the bytes that no network does on its own.
    is_damaged: bool,
}

impl World {
    fn new(choice: u8) -> World {
        let configs = Configs::chosen(choice);
        let client = if choice & 0x20 == 0 { configs.client.clone() } else { configs.with_ticket() };
        let client = if choice & 0x08 == 0 { End::rustls_client(client) } else { End::our_client(client) };
        let mut world = World { client, server: End::server(configs), key_updates: 0, is_damaged: false };
        if choice & 0x10 == 0 {
            world.settle(usize::MAX);
            assert!(!world.client.is_handshaking() && !world.server.is_handshaking());
        }
        world
    }

    /// Three bytes of the input are an operation, on what the client sends or the server, and its arguments.
    fn run(&mut self, input: &[u8]) {
        for operation in input.chunks_exact(3).take(OPERATIONS_MAX) {
            self.operate(operation[0], operation[1], operation[2]);
            self.agree();
        }
        self.settle(usize::MAX);
        if !self.is_damaged {
            assert_eq!(self.server.read_bytes, self.client.written_bytes, "what the client has written");
            assert_eq!(self.client.read_bytes, self.server.written_bytes, "what the server has written");
            assert_eq!((self.server.unread(), self.client.unread()), (0, 0));
        }
    }

    fn operate(&mut self, operation: u8, first: u8, second: u8) {
        let (from, to) = match operation >> 7 {
            0 => (&mut self.client, &mut self.server),
            _ => (&mut self.server, &mut self.client),
        };
        let place = usize::from(u16::from_be_bytes([second, first]));
        match operation & 0x0f {
            0 | 1 => from.write(length(first), second),
            2..=4 => deliver(from, to, usize::from(first) * (1 + usize::from(second))),
            5 => self.settle(usize::MAX),
            6 => self.settle(1 + usize::from(first)),
            7 if self.key_updates < KEY_UPDATES_MAX => {
                self.key_updates += usize::from(from.update_keys());
            }
            // rustls holds, in builds like this one, that it never says more than the end: an alert behind it, on bytes that
            // were damaged, is for release builds.
            8 if !(self.is_damaged && from.is_rustls()) => from.close(),
            9.. if !(to.has_closed && to.is_rustls()) => {
                self.is_damaged = true;
                let other = (operation & 0x0f == 15).then(|| to.outgoing.clone());
                damage(&mut from.outgoing, other, operation, place);
            }
            _ => {}
        }
    }

    /// Delivers what stands there, and what is answered to it, in pieces.
    fn settle(&mut self, piece_bytes: usize) {
        while !(self.client.outgoing.is_empty() && self.server.outgoing.is_empty()) {
            deliver_all(&mut self.client, &mut self.server, piece_bytes);
            deliver_all(&mut self.server, &mut self.client, piece_bytes);
        }
    }

    /// What holds after each operation.
    fn agree(&self) {
        for (end, other) in [(&self.client, &self.server), (&self.server, &self.client)] {
            // Data itself is held against what was written where it is read.
            assert!(end.read_bytes <= other.written_bytes, "data that nobody has written");
            assert!(!end.has_ended() || other.has_closed, "an end that nobody has announced");
            assert!(self.is_damaged || end.failure.is_none(), "{:?}", end.failure);
        }
        if let (false, Some(ours), Some(theirs)) = (self.is_damaged, &self.client.negotiated, &self.server.negotiated) {
            assert_eq!((ours.version, ours.cipher, ours.group), (theirs.version, theirs.cipher, theirs.group));
            assert_eq!((ours.resumed, &ours.protocol), (theirs.resumed, &theirs.protocol));
        }
    }
}

/// Most writes are small; some take several records.
fn length(choice: u8) -> usize {
    let choice = usize::from(choice);
    if choice < 128 { choice } else { (choice - 127) * 199 }
}

fn deliver(from: &mut End, to: &mut End, count: usize) {
    let count = count.min(from.outgoing.len());
    let bytes: Vec<u8> = from.outgoing.drain(..count).collect();
    to.read(&bytes, from.written_bytes);
}

fn deliver_all(from: &mut End, to: &mut End, piece_bytes: usize) {
    for piece in std::mem::take(&mut from.outgoing).chunks(piece_bytes) {
        to.read(piece, from.written_bytes);
    }
}

/// Does something to what is on its way; `other` is what goes in the opposite direction.
fn damage(wire: &mut Vec<u8>, other: Option<Vec<u8>>, operation: u8, place: usize) {
    let at = place % (wire.len() + 1);
    let variant = operation >> 4 & 7;
    match operation & 0x0f {
        9 | 10 if at < wire.len() => wire[at] ^= 1 << variant,
        11 if variant % 2 == 0 => wire.truncate(at),
        11 => drop(wire.drain(at.saturating_sub(1)..at)),
        12 if wire.len() < REPEATED_BYTES_MAX => wire.extend_from_within(at..),
        13 => wire.rotate_left(at),
        // A record that anybody could put there, before keys are in force and after.
        14 => {
            let kind = 20 + variant % 5;
            let record = [kind, 3, 3, 0, 2, 1 + (place & 1) as u8, (place >> 1) as u8];
            wire.splice(at..at, record);
        }
        15 if wire.len() < REPEATED_BYTES_MAX => wire.extend(other.unwrap_or_default()),
        _ => {}
    }
}
