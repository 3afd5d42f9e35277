//! A direction of a WebSocket: for `shards/wire/src/ws`.

use std::hint::black_box;

use wire::ws::{Limits, Piece, Reader, Sender};

/// The payload of a message of a chat, or of a stream of prices.
const SMALL_BYTES: usize = 64;
/// That of a large one: a piece of it as it is received at once.
const LARGE_BYTES: usize = 16 << 10;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Messages of one frame, as they come in one receive, without end.
pub struct Frames {
    reader: Reader,
    bytes: Vec<u8>,
}

impl Frames {
    /// A small text of a client: masked, and held to UTF-8.
    #[must_use]
    pub fn small_text() -> Frames {
        Frames::new(Sender::Client, 0x81, SMALL_BYTES)
    }

    /// A small message of a server that is no text.
    #[must_use]
    pub fn small_binary() -> Frames {
        Frames::new(Sender::Server, 0x82, SMALL_BYTES)
    }

    /// A large text of a client.
    #[must_use]
    pub fn large_text() -> Frames {
        Frames::new(Sender::Client, 0x81, LARGE_BYTES)
    }

    /// A large message of a client that is no text: its payload is not touched.
    #[must_use]
    pub fn large_binary() -> Frames {
        Frames::new(Sender::Client, 0x82, LARGE_BYTES)
    }

    fn new(sender: Sender, first: u8, len: usize) -> Frames {
        let limits = Limits { frame_bytes_max: 16 << 20, message_bytes_max: 16 << 20 };
        let mask = if sender == Sender::Client { 0x80 } else { 0 };
        let mut bytes = vec![first, mask | if len < 126 { len as u8 } else { 126 }];
        if len >= 126 {
            bytes.extend((len as u16).to_be_bytes());
        }
        if sender == Sender::Client {
            bytes.extend(KEY);
        }
        bytes.extend(
            b"to be or not"
                .iter()
                .cycle()
                .zip(KEY.iter().cycle())
                .take(len)
                .map(|(byte, key)| if sender == Sender::Client { byte ^ key } else { *byte }),
        );
        Frames { reader: Reader::new(sender, limits, false), bytes }
    }

    /// Bytes of a message with its head.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Reads the next message.
    pub fn read(&mut self) {
        let read = self.reader.read(black_box(&self.bytes)).expect("a frame as it should be");
        assert!(matches!(read.piece, Piece::Data) && read.taken == self.bytes.len());
    }
}
