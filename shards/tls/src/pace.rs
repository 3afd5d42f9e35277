//! How large records are.
//!
//! A record can be read only when its last byte has come. Where a connection has just begun, or has rested so long that the
//! kernel probes the path anew, a record of 16 KiB takes more than one round trip, and a browser sees nothing of a page that
//! has nearly arrived. So the first flight goes in records that fit one segment each, and what follows in full ones, which
//! cost least.

use std::time::Duration;

use crate::record::DATA_BYTES_MAX;

/// Data of a record that fits one segment: 1,460 bytes less what IPv6, timestamps and the record itself take.
const SEGMENT_BYTES: usize = 1_400;
/// What a sender may have under way at first: ten segments. RFC 6928 §2
const FLIGHT_BYTES: usize = 10 * SEGMENT_BYTES;
/// After a pause of this length a connection begins anew.
const PAUSE: Duration = Duration::from_secs(1);

/// Decides on the size of the next record.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Of the first flight, what has been sent.
    flown_bytes: usize,
    /// When data was last sent.
    last: Option<Duration>,
}

impl Pace {
    /// Takes note that data is sent at `now`, counted from any moment that stays the same.
    pub(crate) fn begin(&mut self, now: Duration) {
        if self.last.replace(now).is_none_or(|last| now.saturating_sub(last) >= PAUSE) {
            self.flown_bytes = 0;
        }
    }

    /// Bytes of the next record of data, of which `left` are to be sent; never none unless none are left.
    pub(crate) fn next(&mut self, left: usize) -> usize {
        let is_flying = self.flown_bytes < FLIGHT_BYTES;
        let len = left.min(if is_flying { SEGMENT_BYTES } else { DATA_BYTES_MAX });
        self.flown_bytes = self.flown_bytes.saturating_add(len);
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_records_at_first_and_after_a_pause() {
        let (mut pace, start) = (Pace::default(), Duration::from_secs(1_000));
        let sizes = |pace: &mut Pace, now| {
            pace.begin(now);
            let mut left = 100_000;
            let sizes = std::iter::from_fn(|| {
                let len = pace.next(left);
                left -= len;
                (len > 0).then_some(len)
            });
            sizes.collect::<Vec<_>>()
        };
        let first = sizes(&mut pace, start);
        assert_eq!((&first[..10], first[10]), (&[SEGMENT_BYTES; 10][..], DATA_BYTES_MAX));
        assert_eq!(first.iter().sum::<usize>(), 100_000);
        assert_eq!(sizes(&mut pace, start + PAUSE / 2)[0], DATA_BYTES_MAX);
        assert_eq!(sizes(&mut pace, start + PAUSE * 2)[0], SEGMENT_BYTES);
    }
}
