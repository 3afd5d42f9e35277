//! One direction of a WebSocket, held to the rules while it passes.

use super::control::{CODE_BYTES, CONTROL_PAYLOAD_BYTES_MAX, CloseCode};
use super::frame::{HEAD_BYTES_MAX, Head, Opcode, Sender};
use super::text::{Text, unmask};
use super::violation::Violation;

/// The longest that is held back: a control frame. Its head is two bytes and a masking key.
const HELD_BYTES_MAX: usize = 2 + 4 + CONTROL_PAYLOAD_BYTES_MAX;
const _: () = assert!(HEAD_BYTES_MAX <= HELD_BYTES_MAX);

/// How large things may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a data frame's payload.
    pub frame_bytes_max: u64,
    /// Bytes of a message's payload, all its frames together; of a compressed message, as they pass.
    pub message_bytes_max: u64,
}

/// Follows the frames of one sender. It holds back the head of a frame and a control frame until they are whole, and nothing else.
///
/// ```text
///            Text, Binary (FIN 0)
///         ┌────────────────────────┐
///         │                        ▼
///  ┌─────────────┐          ┌────────────┐
///  │ no message  │          │  message   │◄─┐ Continuation (FIN 0)
///  └─────────────┘          └────────────┘──┘
///    │  ▲ ▲               Continuation (FIN 1)
///    └──┘ └────────────────────────┘
///  Text, Binary (FIN 1)
///                    In both: Ping, Pong; Close, after which nothing counts
/// ```
#[derive(Debug)]
pub struct Reader {
    sender: Sender,
    limits: Limits,
    /// Whether RSV1 has a meaning.
    deflate: bool,
    /// Bytes of a frame whose head or, if it is a control frame, whose rest has not come yet.
    held: [u8; HELD_BYTES_MAX],
    held_len: usize,
    /// The message that has begun and not ended.
    message: Option<Message>,
    /// The data frame that is passing.
    frame: Frame,
    /// What was found behind what was still good to pass.
    found: Option<Violation>,
    /// The sender has closed.
    is_closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    bytes: u64,
    /// What is to be UTF-8.
    text: Option<Text>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    /// Bytes of the payload that have not passed.
    left: u64,
    is_final: bool,
    /// The masking key, turned so that the next byte's comes first.
    mask: Option<[u8; 4]>,
}

/// What became of bytes that were read.
#[derive(Debug)]
pub struct Read<'a> {
    /// How many of them it is about: more than none, unless none were there.
    pub taken: usize,
    /// What they are.
    pub piece: Piece<'a>,
}

/// What bytes of a WebSocket are.
#[derive(Debug)]
pub enum Piece<'a> {
    /// Of data frames: they pass as they lie.
    Data,
    /// With those that were held back, the head of a data frame, which passes.
    Head(&'a [u8]),
    /// With those that were held back, a control frame.
    Control(Control<'a>),
    /// They are held back.
    Held,
    /// They came after a close frame, and mean nothing. RFC 6455 §1.4
    Meaningless,
}

/// A control frame.
#[derive(Debug)]
pub struct Control<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// The whole frame, as it came.
    pub bytes: &'a [u8],
    /// The code of a close frame that has one.
    pub code: Option<CloseCode>,
    payload: [u8; CONTROL_PAYLOAD_BYTES_MAX],
    payload_len: usize,
}

impl Control<'_> {
    /// What it carries, unmasked.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload[..self.payload_len]
    }
}

impl Reader {
    /// A reader of what `sender` sends once the handshake is over. `deflate` tells whether the two ends have agreed on
    /// permessage-deflate.
    #[must_use]
    pub fn new(sender: Sender, limits: Limits, deflate: bool) -> Reader {
        Reader {
            sender,
            limits,
            deflate,
            held: [0; HELD_BYTES_MAX],
            held_len: 0,
            message: None,
            frame: Frame::default(),
            found: None,
            is_closed: false,
        }
    }

    /// Bytes that are missing of the data frame whose beginning has passed. Where it is 0, a control frame may be put in: behind
    /// what has passed, before what is held back.
    #[must_use]
    pub fn frame_left(&self) -> u64 {
        self.frame.left
    }

    /// Whether the sender has sent a close frame.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Reads on. `input` begins where the last call's bytes ended.
    ///
    /// # Errors
    /// What the sender has done wrong. Nothing more can be read then, and what has passed is all that shall.
    pub fn read(&mut self, input: &[u8]) -> Result<Read<'_>, Violation> {
        if let Some(violation) = self.found {
            return Err(violation);
        }
        if self.is_closed {
            return Ok(Read { taken: input.len(), piece: Piece::Meaningless });
        }
        if self.held_len > 0 {
            return self.hold(input);
        }
        let mut at = 0;
        // Where the frame begins that is being read; `None` if a part of it has passed.
        let mut began = (self.frame.left == 0).then_some(0);
        loop {
            if let Err(violation) = self.pass(&input[at..]).map(|passed| at += passed) {
                return self.stop(violation, began);
            }
            if self.frame.left > 0 || at == input.len() {
                return Ok(Read { taken: at, piece: Piece::Data });
            }
            began = Some(at);
            match Head::parse(&input[at..], self.sender) {
                Ok(Some(head)) if !head.opcode.is_control() => match self.begin(&head) {
                    Ok(()) => at += head.len,
                    Err(violation) => return self.stop(violation, began),
                },
                // Read again, and found again, once what is good has passed.
                _ if at > 0 => return Ok(Read { taken: at, piece: Piece::Data }),
                Ok(_) => return self.hold(input),
                Err(violation) => return self.stop(violation, began),
            }
        }
    }

    /// Takes note of a violation in the frame that began at `began`: what lies before may still pass.
    fn stop(&mut self, violation: Violation, began: Option<usize>) -> Result<Read<'_>, Violation> {
        self.found = Some(violation);
        let Some(began) = began else {
            // Of a frame that has passed in part, the end will not come.
            self.frame.left = self.frame.left.max(1);
            return Err(violation);
        };
        self.frame.left = 0;
        if began == 0 { Err(violation) } else { Ok(Read { taken: began, piece: Piece::Data }) }
    }

    /// Takes a data frame up.
    #[inline]
    fn begin(&mut self, head: &Head) -> Result<(), Violation> {
        let is_first = head.opcode != Opcode::Continuation;
        let mut message = match (is_first, self.message) {
            (true, None) => {
                let is_text = head.opcode == Opcode::Text && !head.rsv1;
                Message { bytes: 0, text: is_text.then(Text::default) }
            }
            (false, Some(message)) => message,
            // RFC 6455 §5.4
            (true, Some(_)) => return Err(Violation::MessageInterrupted),
            (false, None) => return Err(Violation::ContinuationUnexpected),
        };
        // RFC 7692 §6: on the first frame of a message, if it was agreed on.
        if head.rsv1 && !(self.deflate && is_first) {
            return Err(Violation::ReservedBits);
        }
        if head.length > self.limits.frame_bytes_max {
            return Err(Violation::FrameTooLarge { max: self.limits.frame_bytes_max });
        }
        message.bytes = message.bytes.saturating_add(head.length);
        if message.bytes > self.limits.message_bytes_max {
            return Err(Violation::MessageTooLarge { max: self.limits.message_bytes_max });
        }
        self.message = Some(message);
        self.frame = Frame { left: head.length, is_final: head.is_final, mask: head.mask };
        if head.length == 0 { self.end() } else { Ok(()) }
    }

    /// Passes as much of the frame's payload as there is. Tells how much that was.
    #[inline]
    fn pass(&mut self, input: &[u8]) -> Result<usize, Violation> {
        let frame = &mut self.frame;
        let len = usize::try_from(frame.left).map_or(input.len(), |left| left.min(input.len()));
        if len == 0 {
            return Ok(0);
        }
        if let Some(Message { text: Some(text), .. }) = &mut self.message {
            if !text.take(&input[..len], frame.mask) {
                return Err(Violation::TextInvalid);
            }
            if let Some(key) = &mut frame.mask {
                key.rotate_left(len % 4);
            }
        }
        frame.left -= len as u64;
        if frame.left == 0 {
            self.end()?;
        }
        Ok(len)
    }

    /// The frame has passed.
    fn end(&mut self) -> Result<(), Violation> {
        if self.frame.is_final {
            let message = self.message.take();
            // RFC 6455 §5.6: a message is UTF-8 as a whole, whatever its frames are.
            if message.and_then(|message| message.text).is_some_and(|text| !text.is_whole()) {
                return Err(Violation::TextInvalid);
            }
        }
        Ok(())
    }

    /// Holds bytes back until they are a head, or a control frame.
    fn hold(&mut self, input: &[u8]) -> Result<Read<'_>, Violation> {
        let mut taken = 0;
        let head = loop {
            match Head::parse(&self.held[..self.held_len], self.sender) {
                Ok(Some(head)) => break head,
                Ok(None) if taken == input.len() => return Ok(Read { taken, piece: Piece::Held }),
                Ok(None) => {
                    self.held[self.held_len] = input[taken];
                    self.held_len += 1;
                    taken += 1;
                }
                Err(violation) => return self.stop(violation, Some(0)),
            }
        };
        if !head.opcode.is_control() {
            if let Err(violation) = self.begin(&head) {
                return self.stop(violation, Some(0));
            }
            self.held_len = 0;
            return Ok(Read { taken, piece: Piece::Head(&self.held[..head.len]) });
        }
        let whole = head.len + head.length as usize;
        let more = (whole - self.held_len).min(input.len() - taken);
        self.held[self.held_len..self.held_len + more].copy_from_slice(&input[taken..taken + more]);
        self.held_len += more;
        taken += more;
        if self.held_len < whole {
            return Ok(Read { taken, piece: Piece::Held });
        }
        self.held_len = 0;
        match control(&self.held[..whole], &head) {
            Ok(control) => {
                self.is_closed = control.opcode == Opcode::Close;
                Ok(Read { taken, piece: Piece::Control(control) })
            }
            Err(violation) => {
                self.found = Some(violation);
                Err(violation)
            }
        }
    }
}

/// The control frame that `bytes` are.
fn control<'a>(bytes: &'a [u8], head: &Head) -> Result<Control<'a>, Violation> {
    let mut payload = [0; CONTROL_PAYLOAD_BYTES_MAX];
    let payload_len = bytes.len() - head.len;
    payload[..payload_len].copy_from_slice(&bytes[head.len..]);
    if let Some(key) = head.mask {
        unmask(&mut payload[..payload_len], key);
    }
    let code = if head.opcode == Opcode::Close { close_code(&payload[..payload_len])? } else { None };
    Ok(Control { opcode: head.opcode, bytes, code, payload, payload_len })
}

/// RFC 6455 §5.5.1, §7.1.5
fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<CODE_BYTES>() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::CloseTruncated) };
    };
    let code = u16::from_be_bytes(*code);
    let known = CloseCode::parse(code).ok_or(Violation::CloseCodeInvalid { code })?;
    if std::str::from_utf8(reason).is_err() {
        return Err(Violation::TextInvalid);
    }
    Ok(Some(known))
}
