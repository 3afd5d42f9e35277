//! Wall-clock time as text, from the shard's monotonic time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::Instant;

use super::text::padded;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The clock of one shard. The day and second are formatted once a second, and the wall clock is read then; all in UTC.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The monotonic instant at which the second that is formatted began.
    second: Option<Instant>,
    unix_s: u64,
    /// RFC 3339, with zeros for the microseconds.
    text: [u8; 27],
    /// As in the Common Log Format.
    common: String,
}

impl Clock {
    /// `2026-11-20T07:21:34.043012Z`
    pub(super) fn write(&mut self, out: &mut Vec<u8>, now: Instant) {
        let within = self.within(now);
        let mut text = self.text;
        text[20..26].copy_from_slice(&padded::<6>(within.subsec_micros().into()));
        out.extend_from_slice(&text);
    }

    /// `20/Nov/2026:07:21:34 +0000`
    pub(super) fn write_common(&mut self, out: &mut Vec<u8>, now: Instant) {
        self.within(now);
        out.extend_from_slice(self.common.as_bytes());
    }

    pub(super) fn unix_ms(&mut self, now: Instant) -> u64 {
        let within = self.within(now);
        self.unix_s * 1000 + u64::from(within.subsec_millis())
    }

    /// How far `now` lies within the second that is formatted, which is made so first.
    fn within(&mut self, now: Instant) -> Duration {
        let within = self.second.map(|second| now.saturating_duration_since(second));
        match within {
            Some(within) if within < Duration::from_secs(1) => within,
            _ => self.read(now),
        }
    }

    fn read(&mut self, now: Instant) -> Duration {
        let time = Utc::now();
        let Utc { year, month, day, hour, minute, second, .. } = time;
        let within = Duration::from_micros(time.micros.into());
        self.second = now.checked_sub(within);
        self.unix_s = time.unix_s;
        self.common.clear();
        // Writing to memory does not fail.
        let _ =
            write!(self.text.as_mut_slice(), "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000000Z");
        let month = time.month_name();
        let _ = write!(self.common, "{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
        within
    }
}

/// A moment by the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc {
    /// The year of our era.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59.
    pub second: u64,
    /// Microseconds within the second.
    pub micros: u32,
    unix_s: u64,
}

impl Utc {
    /// What the wall clock says; 1970 where it says less.
    #[must_use]
    pub fn now() -> Utc {
        Utc::of(SystemTime::now())
    }

    fn of(time: SystemTime) -> Utc {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, days) = (since.as_secs() % 86_400, since.as_secs() / 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        Utc { year, month, day, hour, minute, second, micros: since.subsec_micros(), unix_s: since.as_secs() }
    }

    /// `Jan` to `Dec`.
    #[must_use]
    pub fn month_name(&self) -> &'static str {
        MONTHS[self.month as usize - 1]
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

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_777), (2026, 11, 20));
    }

    #[test]
    fn all_forms_tell_the_same_time_and_go_on() {
        let (mut clock, now) = (Clock::default(), Instant::now());
        let mut text = |now: Instant| {
            let (mut time, mut common) = (Vec::new(), Vec::new());
            clock.write(&mut time, now);
            clock.write_common(&mut common, now);
            (String::from_utf8(time).unwrap(), String::from_utf8(common).unwrap(), clock.unix_ms(now))
        };
        let (time, common, ms) = text(now);
        assert_eq!(
            (time.len(), common.len()),
            ("2026-11-20T07:21:34.043012Z".len(), "20/Nov/2026:07:21:34 +0000".len())
        );
        assert_eq!((&time[11..19], &time[..4]), (&common[12..20], &common[7..11]));
        assert_eq!(time[20..23].parse::<u64>().unwrap(), ms % 1000);
        let later = text(now + Duration::from_micros(1)).0;
        assert!(later > time, "{later} after {time}");
    }
}
