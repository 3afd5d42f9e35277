//! A response's head, field by field. RFC 9113 §8.3.2

use super::{Asked, HeadError, MalformedHead, Reader, lines};
use crate::h1::gate;
use crate::h1::write::reason_phrase;
use crate::hpack::{HeaderField, Name, Pseudo};
use crate::{BodyLength, FieldName, Limits, ResponseError, ResponseHead, Span, Version};

pub(super) struct ResponseReader<'a> {
    head: &'a mut ResponseHead,
    bytes: &'a mut Vec<u8>,
    asked: Asked<'a>,
    limits: &'a Limits,
}

impl Reader for ResponseReader<'_> {
    #[inline]
    fn take(&mut self, field: &HeaderField<'_>) -> Result<(), HeadError> {
        let name = match field.key {
            Name::Field(name) => name,
            Name::Pseudo(Pseudo::Status) => return self.take_status(field),
            Name::Pseudo(pseudo) => return Err(MalformedHead::PseudoMisplaced(pseudo).into()),
            Name::Invalid => return Err(lines::invalid_name(field)),
        };
        self.require_status()?;
        lines::check(name, field)?;
        lines::push(self.bytes, &mut self.head.fields, self.limits, name, field)
    }
}

impl<'a> ResponseReader<'a> {
    pub(super) fn new(
        head: &'a mut ResponseHead,
        bytes: &'a mut Vec<u8>,
        asked: Asked<'a>,
        limits: &'a Limits,
    ) -> ResponseReader<'a> {
        head.clear();
        head.version = Version::Http2;
        bytes.clear();
        ResponseReader { head, bytes, asked, limits }
    }

    /// The block has ended.
    pub(super) fn finish(self, end_stream: bool) -> Result<(), HeadError> {
        self.require_status()?;
        let ResponseReader { head, bytes, asked, .. } = self;
        bytes.extend_from_slice(b"\r\n");
        head.len = bytes.len() as u32;
        if head.is_informational() && head.status != 101 && end_stream {
            return Err(MalformedHead::InformationalLast.into());
        }
        // Where the length is that of what a GET would have got, the end of the stream says nothing about it.
        head.framing = BodyLength::Chunked;
        let is_empty = end_stream && head.body_for(asked.method) != BodyLength::None;
        gate::admit_response(bytes, head, if is_empty { BodyLength::Exact(0) } else { BodyLength::Chunked })?;
        if is_empty && head.framing != BodyLength::Exact(0) {
            return Err(MalformedHead::LengthUnkept.into());
        }
        Ok(())
    }

    /// `:status` is the only pseudo-header field, and comes first. RFC 9113 §8.3.2
    fn take_status(&mut self, field: &HeaderField<'_>) -> Result<(), HeadError> {
        if !self.head.fields.lines.is_empty() {
            return Err(MalformedHead::PseudoLate(Pseudo::Status).into());
        }
        if self.head.status != 0 {
            return Err(MalformedHead::PseudoRepeated(Pseudo::Status).into());
        }
        let status = match *field.value {
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
            }
            _ => return Err(MalformedHead::PseudoInvalid(Pseudo::Status).into()),
        };
        match status {
            // RFC 9113 §8.6: there is nothing to switch to.
            101 => Err(ResponseError::SwitchUnasked.into()),
            // RFC 8441 §5: what HTTP/1 says with 101 to the same request.
            200..300 if !self.asked.protocol.is_empty() => self.begin_switch(),
            _ => {
                self.begin(status);
                Ok(())
            }
        }
    }

    fn begin(&mut self, status: u16) {
        let reason = reason_phrase(status).as_bytes();
        let digits = crate::h1::write::status_digits(status);
        for part in [b"HTTP/1.1 ", &digits[..], b" ", reason, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
        let reason_start = "HTTP/1.1 200 ".len();
        self.head.status = status;
        self.head.reason = Span::new(reason_start, reason_start + reason.len());
    }

    fn begin_switch(&mut self) -> Result<(), HeadError> {
        self.begin(101);
        let ResponseReader { head, bytes, asked, limits } = self;
        lines::push_known(bytes, &mut head.fields, limits, FieldName::Connection, b"upgrade", false)?;
        lines::push_known(bytes, &mut head.fields, limits, FieldName::Upgrade, asked.protocol, false)
    }

    fn require_status(&self) -> Result<(), HeadError> {
        match self.head.status {
            0 => Err(MalformedHead::PseudoMissing(Pseudo::Status).into()),
            _ => Ok(()),
        }
    }
}
