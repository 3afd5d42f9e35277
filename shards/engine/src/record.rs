//! Access records: one JSON object a line, from the shard to a writer on another thread.
//!
//! The shard formats the line and copies it into a ring of bytes that only it writes and only the writer reads. When the writer
//! falls behind, whole records are dropped and counted; the shard never waits.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::outcome::{Error, Outcome};

/// Bytes of a path or host that a record shows; the rest is cut off.
const TEXT_BYTES_MAX: usize = 2048;

/// What one exchange is remembered by.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) client: &'a str,
    pub(crate) method: &'a [u8],
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    /// The route's name, if one was found.
    pub(crate) route: Option<&'a str>,
    pub(crate) upstream: Option<&'a str>,
    /// The request's name; empty for none.
    pub(crate) request_id: &'a [u8],
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) duration: Duration,
}

/// The shard's end.
#[derive(Debug)]
pub struct Recorder {
    ring: rtrb::Producer<u8>,
    line: Vec<u8>,
    clock: Clock,
}

/// The writer's end: bytes of whole lines.
pub type Records = rtrb::Consumer<u8>;

/// A recorder and what reads from it, with room for `bytes` bytes of lines.
#[must_use]
pub fn recorder(bytes: usize) -> (Recorder, Records) {
    let (ring, records) = rtrb::RingBuffer::new(bytes);
    (Recorder { ring, line: Vec::with_capacity(1024), clock: Clock::default() }, records)
}

impl Recorder {
    /// Writes a record down; `false` if there is no room for it.
    pub(crate) fn write(&mut self, record: &Record<'_>, now: Instant) -> bool {
        let line = &mut self.line;
        line.clear();
        line.extend_from_slice(b"{\"time\":\"");
        self.clock.write(line, now);
        line.extend_from_slice(b"\",\"client\":\"");
        write_escaped(line, record.client.as_bytes());
        line.extend_from_slice(b"\",\"method\":\"");
        write_escaped(line, record.method);
        line.extend_from_slice(b"\",\"host\":\"");
        write_escaped(line, record.host);
        line.extend_from_slice(b"\",\"path\":\"");
        write_escaped(line, record.path);
        // Writing to memory does not fail.
        let _ = write!(line, "\",\"status\":{},\"outcome\":\"{}\"", record.status, record.outcome.as_str());
        if let Outcome::Failed(Error { limit: Some(limit), .. }) = record.outcome {
            let _ = write!(line, ",\"limit\":\"{}\"", limit.as_str());
        }
        if let Some(route) = record.route {
            line.extend_from_slice(b",\"route\":\"");
            write_escaped(line, route.as_bytes());
            line.push(b'"');
        }
        if let Some(upstream) = record.upstream {
            line.extend_from_slice(b",\"upstream\":\"");
            write_escaped(line, upstream.as_bytes());
            line.push(b'"');
        }
        if !record.request_id.is_empty() {
            line.extend_from_slice(b",\"request_id\":\"");
            write_escaped(line, record.request_id);
            line.push(b'"');
        }
        let _ = writeln!(
            line,
            ",\"bytes_in\":{},\"bytes_out\":{},\"duration_us\":{}}}",
            record.bytes_in,
            record.bytes_out,
            record.duration.as_micros()
        );
        let Ok(mut room) = self.ring.write_chunk(line.len()) else { return false };
        let (first, second) = room.as_mut_slices();
        let (head, tail) = line.split_at(first.len());
        first.copy_from_slice(head);
        second.copy_from_slice(tail);
        room.commit_all();
        true
    }
}

/// Writes bytes of a peer as the inside of a JSON string: what is not printable ASCII becomes `\u00XX`, byte by byte, so
/// that a log reader sees exactly which bytes came.
fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    if bytes.iter().all(|byte| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\') {
        return out.extend_from_slice(bytes);
    }
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x20..0x7f => out.push(*byte),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
}

/// Wall-clock time as RFC 3339 text in UTC, from the shard's monotonic time. The day and second are formatted once a
/// second, and the wall clock is read then.
#[derive(Debug, Default)]
struct Clock {
    /// The monotonic instant at which `text`'s second began.
    second: Option<Instant>,
    text: String,
}

impl Clock {
    fn write(&mut self, out: &mut Vec<u8>, now: Instant) {
        let within = self.second.map(|second| now.saturating_duration_since(second));
        let within = match within {
            Some(within) if within < Duration::from_secs(1) => within,
            _ => self.read(now),
        };
        out.extend_from_slice(self.text.as_bytes());
        let _ = write!(out, ".{:06}Z", within.as_micros());
    }

    fn read(&mut self, now: Instant) -> Duration {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let within = Duration::from_nanos(u64::from(since.subsec_nanos()));
        self.second = now.checked_sub(within);
        let (seconds, days) = (since.as_secs() % 86_400, since.as_secs() / 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        self.text.clear();
        let _ = std::fmt::Write::write_fmt(
            &mut self.text,
            format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"),
        );
        within
    }
}

/// Year, month and day of the `days`-th day after 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", civil_from_days).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &[u8]) -> String {
        let (mut recorder, mut records) = recorder(4096);
        let record = Record {
            client: "192.0.2.1",
            method: b"GET",
            host: b"a.example",
            path,
            status: 200,
            outcome: Outcome::Completed,
            route: Some("a.example/"),
            upstream: Some("app"),
            request_id: b"",
            bytes_in: 0,
            bytes_out: 5,
            duration: Duration::from_micros(42),
        };
        assert!(recorder.write(&record, Instant::now()));
        let chunk = records.read_chunk(records.slots()).unwrap();
        String::from_utf8(chunk.into_iter().collect()).unwrap()
    }

    #[test]
    fn a_record_is_one_line_whatever_the_peer_sent() {
        let line = line(b"/\"a\\\n\x00\xff");
        assert!(line.contains(r#""path":"/\"a\\\u000a\u0000\u00ff""#), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.ends_with("\"bytes_in\":0,\"bytes_out\":5,\"duration_us\":42}\n"), "{line}");
    }

    #[test]
    fn what_does_not_fit_is_dropped_whole() {
        let (mut recorder, records) = recorder(64);
        let record = Record {
            client: "192.0.2.1",
            method: b"GET",
            host: b"",
            path: b"/",
            status: 200,
            outcome: Outcome::Completed,
            route: None,
            upstream: None,
            request_id: b"",
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
        };
        assert!(!recorder.write(&record, Instant::now()));
        assert_eq!(records.slots(), 0);
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_777), (2026, 11, 20));
    }
}
