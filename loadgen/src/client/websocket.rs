//! WebSocket (RFC 6455) as a client that expects each of its messages back.

mod frame;
mod handshake;

use std::collections::VecDeque;

use frame::{Frames, Opcode, Part, write_frame};
use handshake::Handshake;

use super::{
    http1::Malformed,
    protocol::{Answered, Event, Failure, Key, Received},
};
use crate::{load::Target, record::ErrorKind};

/// One connection's conversation.
#[derive(Debug)]
pub struct Session {
    handshake: Handshake,
    is_open: bool,
    frames: Frames,
    masks: Masks,
    /// Messages that have not come back, the oldest first.
    outstanding: VecDeque<(Key, &'static Target)>,
    /// Of the message under way: whether there is one, how much of it has come, and whether that is as it was sent.
    within_message: bool,
    message_bytes: usize,
    differs: bool,
    /// The payload of a control frame under way.
    control: Vec<u8>,
    /// Control frames to be sent.
    replies: Vec<u8>,
    closed: bool,
}

impl Session {
    /// A connection to the target's origin, before the handshake. `seed` makes its masks and its key.
    #[must_use]
    pub fn new(handshake_head: &'static [u8], seed: u64) -> Self {
        let mut masks = Masks(seed | 1);
        Self {
            handshake: Handshake::new(handshake_head, [masks.next_u64(), masks.next_u64()]),
            is_open: false,
            frames: Frames::default(),
            masks,
            outstanding: VecDeque::new(),
            within_message: false,
            message_bytes: 0,
            differs: false,
            control: Vec::new(),
            replies: Vec::new(),
            closed: false,
        }
    }

    /// Writes the opening handshake.
    pub fn open(&mut self, output: &mut Vec<u8>) {
        self.handshake.write(output);
    }

    /// Writes a message in one frame.
    pub fn request(&mut self, target: &'static Target, key: Key, output: &mut Vec<u8>) {
        self.outstanding.push_back((key, target));
        write_frame(output, Opcode::Binary, target.body, self.masks.next_mask());
    }

    /// Writes the answers to control frames; returns whether there were any.
    pub fn reply(&mut self, output: &mut Vec<u8>) -> bool {
        output.append(&mut self.replies);
        !output.is_empty()
    }

    /// Begins the closing handshake with the status 1000. RFC 6455 §7.1.2
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            write_frame(&mut self.replies, Opcode::Close, &1000_u16.to_be_bytes(), self.masks.next_mask());
        }
    }

    /// Reads until the handshake or a message is complete, or the input is used up.
    ///
    /// # Errors
    /// The connection is of no use afterwards.
    pub fn receive(&mut self, input: &[u8]) -> Result<Received, Failure> {
        let mut consumed = 0;
        if !self.is_open {
            consumed = self.handshake.read(input)?;
            self.is_open = self.handshake.is_complete();
            let event = self.is_open.then_some(Event::Opened);
            return Ok(Received { consumed, event });
        }
        while consumed < input.len() || self.frames.is_complete() {
            let (used, part) = self.frames.read(&input[consumed..])?;
            consumed += used;
            if let Some(answered) = self.handle_part(part)? {
                return Ok(Received { consumed, event: Some(Event::Answered(answered)) });
            }
        }
        Ok(Received { consumed, event: None })
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// If a message has not come back.
    pub fn end(&mut self) -> Result<(), Failure> {
        if self.is_open && self.outstanding.is_empty() && !self.within_message {
            return Ok(());
        }
        Err(Failure::new(ErrorKind::ClosedEarly, if self.is_open { "before the echo" } else { "within the handshake" }))
    }

    fn handle_part(&mut self, part: Part<'_>) -> Result<Option<Answered>, Failure> {
        match part {
            Part::More => Ok(None),
            Part::Header(opcode) => {
                match opcode {
                    Opcode::Continuation if !self.within_message => return Err(malformed("a continuation of nothing")),
                    Opcode::Text | Opcode::Binary if self.within_message => {
                        return Err(malformed("a message within another"));
                    }
                    Opcode::Text | Opcode::Binary => {
                        if self.outstanding.is_empty() {
                            return Err(Malformed::Unsolicited.into());
                        }
                        self.within_message = true;
                        self.message_bytes = 0;
                        // A message comes back as what it was: binary.
                        self.differs = opcode == Opcode::Text;
                    }
                    Opcode::Continuation => {}
                    Opcode::Close | Opcode::Ping | Opcode::Pong => self.control.clear(),
                }
                Ok(None)
            }
            Part::Payload(opcode, bytes) if opcode.is_control() => {
                self.control.extend_from_slice(bytes);
                Ok(None)
            }
            Part::Payload(_, bytes) => {
                let message = self.outstanding.front().map_or(&[][..], |(_, target)| target.body);
                let expected = message.get(self.message_bytes..).and_then(|rest| rest.get(..bytes.len()));
                self.differs |= expected != Some(bytes);
                self.message_bytes = self.message_bytes.saturating_add(bytes.len());
                Ok(None)
            }
            Part::End { opcode, last } => Ok(self.end_frame(opcode, last)),
        }
    }

    fn end_frame(&mut self, opcode: Opcode, last: bool) -> Option<Answered> {
        match opcode {
            Opcode::Ping => {
                let mask = self.masks.next_mask();
                write_frame(&mut self.replies, Opcode::Pong, &self.control, mask);
                None
            }
            Opcode::Close => {
                self.close();
                None
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary if last => {
                self.within_message = false;
                let (key, target) = self.outstanding.pop_front()?;
                let unexpected = if self.message_bytes != target.body.len() {
                    Some(ErrorKind::UnexpectedLength)
                } else {
                    self.differs.then_some(ErrorKind::UnexpectedHash)
                };
                Some(Answered { key, status: None, unexpected, last: false })
            }
            _ => None,
        }
    }
}

fn malformed(detail: &'static str) -> Failure {
    Failure::new(ErrorKind::Malformed, detail)
}

/// Masks of frames, from a generator of the xorshift family (Marsaglia 2003): new for every frame as RFC 6455 §5.3 wants,
/// and not meant to withstand anybody.
#[derive(Debug)]
struct Masks(u64);

impl Masks {
    fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn next_mask(&mut self) -> [u8; 4] {
        ((self.next_u64() >> 16) as u32).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests;
