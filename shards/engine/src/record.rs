//! Access records: one line an exchange, from the shard to a writer on another thread.
//!
//! The shard formats the line as its log says and copies it into a ring of bytes that only it writes and only the writer of
//! the log's target reads. When the writer falls behind, whole records are dropped and counted; the shard never waits.
//! Nobody is woken: the writer looks by itself, and a request would pay more for a wake-up than for its record.

mod clock;
mod kept;
mod outlet;
mod text;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use plan::access_log::{Escape, Field, Format, Piece, Share};
use plan::{AccessLog, LogTargetId};
use ring::Instant;
use tls::Negotiated;
use wire::{RequestHead, Version};

use crate::outcome::{Error, Outcome};
use crate::random::Random;
use clock::Clock;
pub use clock::Utc;
pub use kept::KeptFields;
pub use outlet::{NextOutlet, Outlet, Records, outlet};
use text::{write_apache, write_decimals, write_json, write_number};

/// Bytes of a value that a record shows; the rest is cut off.
const TEXT_BYTES_MAX: usize = 2048;

/// What one exchange is remembered by. Nothing is computed for it but what its log shows.
#[derive(Debug)]
pub struct Record<'a> {
    /// The address of the client's connection.
    pub client: &'a str,
    /// The request's head and the bytes that it refers to; `None` if it did not pass the gate.
    pub request: Option<(&'a RequestHead, &'a [u8])>,
    /// The name that the client's TLS asked for (SNI), if it did.
    pub server_name: Option<&'a str>,
    /// What was agreed on with the client, if it speaks TLS.
    pub tls: Option<&'a Negotiated>,
    /// The fields of the response that the log asks for.
    pub response: &'a KeptFields,
    /// The status that the client got.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// The name of the route, if one was found.
    pub route: Option<&'a str>,
    /// The name of the upstream.
    pub upstream: Option<&'a str>,
    /// The request's name; empty for none.
    pub request_id: &'a [u8],
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What a shard formats its lines with.
#[derive(Debug)]
pub struct Recorder {
    line: Vec<u8>,
    clock: Clock,
    random: Random,
}

/// The ways to the targets of a Plan, by [`LogTargetId`].
#[derive(Debug, Default)]
pub struct Outlets(Vec<Rc<RefCell<Outlet>>>);

impl Outlets {
    /// The outlets of the next Plan; those that stay are shared with the `present` ones.
    ///
    /// # Panics
    /// If an outlet is to be kept that is not there.
    #[must_use]
    pub fn next(present: &Outlets, next: Vec<NextOutlet>) -> Outlets {
        let outlet = |next| match next {
            NextOutlet::New(outlet) => Rc::new(RefCell::new(outlet)),
            NextOutlet::Kept(id) => Rc::clone(present.of(id)),
        };
        Outlets(next.into_iter().map(outlet).collect())
    }

    fn of(&self, id: LogTargetId) -> &Rc<RefCell<Outlet>> {
        &self.0[usize::from(id.0)]
    }
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { line: Vec::with_capacity(1024), clock: Clock::default(), random: Random::new() }
    }
}

impl Recorder {
    /// Writes a record down, if `log` wants it; `false` if there was no room for it.
    pub fn write(&mut self, log: &AccessLog, outlets: &Outlets, record: &Record<'_>, now: Instant) -> bool {
        if !self.picks(log, record) {
            return true;
        }
        self.line.clear();
        write_line(&mut self.line, &mut self.clock, &log.format, record, now);
        outlets.of(log.target).borrow_mut().push(&self.line)
    }

    fn picks(&mut self, log: &AccessLog, record: &Record<'_>) -> bool {
        let met = |condition: &plan::access_log::Condition| {
            condition.is_met(record.status, record.outcome.index(), record.duration)
        };
        if log.always.as_ref().is_some_and(met) {
            return true;
        }
        let is_drawn = |random: &mut Random| random.below(u64::from(Share::ALL.0)) < u64::from(log.share.0);
        log.only.as_ref().is_none_or(met) && (log.share == Share::ALL || is_drawn(&mut self.random))
    }
}

fn write_line(line: &mut Vec<u8>, clock: &mut Clock, format: &Format, record: &Record<'_>, now: Instant) {
    for piece in &format.pieces {
        match piece {
            Piece::Text(text) => line.extend_from_slice(text.as_bytes()),
            Piece::Value(field) => {
                let before = line.len();
                write_value(line, clock, field, format.escape, record, now);
                if line.len() == before && format.escape == Escape::Apache {
                    line.push(b'-');
                }
            }
            Piece::Member(name, field) => {
                let before = line.len();
                // Right behind the brace no comma is due.
                let is_first = before == 1;
                line.extend_from_slice(&name.as_bytes()[usize::from(is_first)..]);
                if !write_value(line, clock, field, format.escape, record, now) {
                    line.truncate(before);
                } else if !field.is_number() {
                    line.push(b'"');
                }
            }
        }
    }
    line.push(b'\n');
}

/// Writes one value; `false` if the exchange has none.
fn write_value(
    line: &mut Vec<u8>,
    clock: &mut Clock,
    field: &Field,
    escape: Escape,
    record: &Record<'_>,
    now: Instant,
) -> bool {
    let mut text = |value: &[u8]| write_text(line, escape, value);
    match field {
        Field::Time => clock.write(line, now),
        Field::TimeCommon => clock.write_common(line, now),
        Field::TimeUnixMs => write_number(line, clock.unix_ms(now)),
        // Words of ours, and tokens (RFC 9110 §5.6.2), have nothing to escape.
        Field::Client => line.extend_from_slice(record.client.as_bytes()),
        Field::Method => line.extend_from_slice(record.request.map_or(b"", |(head, bytes)| head.method_name(bytes))),
        Field::Host => text(match record.request {
            Some((head, bytes)) => head.host(bytes),
            // TLS that was passed through asked for nothing else.
            None => record.server_name.filter(|_| record.tls.is_none()).unwrap_or_default().as_bytes(),
        }),
        Field::Path => text(record.request.map_or(b"", |(head, bytes)| head.path_and_query(bytes))),
        Field::PathOnly => text(record.request.map_or(b"", |(head, bytes)| head.path(bytes))),
        Field::Query => {
            let query = record.request.and_then(|(head, bytes)| head.query().map(|query| query.of(bytes)));
            return query.map(text).is_some();
        }
        Field::Protocol => line.extend_from_slice(record.request.map_or(b"", |(head, _)| protocol(head))),
        Field::RequestLine => {
            let Some((head, bytes)) = record.request else { return false };
            line.extend_from_slice(head.method_name(bytes));
            line.push(b' ');
            write_text(line, escape, head.path_and_query(bytes));
            line.push(b' ');
            line.extend_from_slice(protocol(head));
        }
        Field::Status => write_number(line, record.status.into()),
        Field::Outcome => line.extend_from_slice(record.outcome.as_str().as_bytes()),
        Field::Limit => {
            let Outcome::Failed(Error { limit: Some(limit), .. }) = record.outcome else { return false };
            line.extend_from_slice(limit.as_str().as_bytes());
        }
        Field::Route => return record.route.map(|route| text(route.as_bytes())).is_some(),
        Field::Upstream => return record.upstream.map(|upstream| text(upstream.as_bytes())).is_some(),
        Field::RequestId if record.request_id.is_empty() => return false,
        Field::RequestId => text(record.request_id),
        Field::ServerName => return record.server_name.map(|name| text(name.as_bytes())).is_some(),
        Field::TlsVersion => return record.tls.map(|tls| text(tls.version.as_str().as_bytes())).is_some(),
        Field::TlsCipher => return record.tls.map(|tls| text(tls.cipher.as_bytes())).is_some(),
        Field::TlsGroup => return record.tls.map(|tls| text(tls.group.as_str().as_bytes())).is_some(),
        Field::TlsResumed => return record.tls.map(|tls| text(if tls.resumed { b"yes" } else { b"no" })).is_some(),
        Field::BytesIn => write_number(line, record.bytes_in),
        Field::BytesOutCommon if record.bytes_out == 0 => return false,
        Field::BytesOut | Field::BytesOutCommon => write_number(line, record.bytes_out),
        Field::DurationUs => write_number(line, micros(record)),
        Field::DurationMs => write_decimals::<3>(line, micros(record)),
        Field::DurationS => write_decimals::<6>(line, micros(record)),
        Field::RequestHeader(name) => {
            let value = record
                .request
                .and_then(|(head, bytes)| head.field_named(name.as_bytes(), bytes).map(|field| field.value.of(bytes)));
            return value.map(text).is_some();
        }
        Field::ResponseHeader(place) => return record.response.value(*place).map(text).is_some(),
    }
    true
}

fn write_text(line: &mut Vec<u8>, escape: Escape, value: &[u8]) {
    let value = &value[..value.len().min(TEXT_BYTES_MAX)];
    match escape {
        Escape::Json => write_json(line, value),
        Escape::Apache => write_apache(line, value),
    }
}

fn protocol(head: &RequestHead) -> &'static [u8] {
    match head.version() {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
        Version::Http2 => b"HTTP/2.0",
    }
}

fn micros(record: &Record<'_>) -> u64 {
    u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
