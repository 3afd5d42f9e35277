//! When requests are due, in an open loop.
//!
//! The rate over time is a row of straight pieces. Its integral N(t) is how many requests are due by t, and the k-th request
//! is due where N(t) passes the k-th mark: marks one apart for constant arrivals, and exponentially distributed distances
//! with the mean of one for a Poisson process, also where its rate changes (Çinlar 1975, inversion of the integrated rate).

use std::time::Duration;

use crate::scenario::{Arrivals, Rate};

/// The due times of one thread, in order, in nanoseconds from the run's start.
#[derive(Debug, Clone)]
pub struct Schedule {
    pieces: Vec<Piece>,
    /// The piece in which the last mark was found.
    piece: usize,
    /// The last mark, from the start of that piece.
    mark: f64,
    distance: Distance,
}

/// A time over which the rate goes evenly from one value to another.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start_s: f64,
    /// Endless for the last.
    length_s: f64,
    from_per_s: f64,
    to_per_s: f64,
}

#[derive(Debug, Clone, Copy)]
enum Distance {
    One,
    Exponential(Random),
}

impl Schedule {
    /// The share of thread `thread` of `threads` in the rate, which grows from zero to its first value over `ramp_up`.
    /// The threads' constant arrivals interleave evenly.
    #[must_use]
    pub fn new(rate: &Rate, ramp_up: Duration, thread: usize, threads: usize) -> Self {
        let share = |per_second: f64| per_second / threads as f64;
        let first_per_s = rate.steps.first().map_or(0.0, |step| share(step.per_second));
        let mut pieces = Vec::new();
        let mut start_s = 0.0;
        if !ramp_up.is_zero() {
            let length_s = ramp_up.as_secs_f64();
            pieces.push(Piece { start_s, length_s, from_per_s: 0.0, to_per_s: first_per_s });
            start_s += length_s;
        }
        for (index, step) in rate.steps.iter().enumerate() {
            let is_last = index + 1 == rate.steps.len();
            let length_s = if is_last { f64::INFINITY } else { step.duration.as_secs_f64() };
            let per_s = share(step.per_second);
            pieces.push(Piece { start_s, length_s, from_per_s: per_s, to_per_s: per_s });
            start_s += length_s;
        }
        let (distance, mark) = match rate.arrivals {
            // The first request of the run is due at once, the other threads' in between the first thread's.
            Arrivals::Constant => (Distance::One, thread as f64 / threads as f64 - 1.0),
            Arrivals::Poisson => (Distance::Exponential(Random::new(rate.seed, thread as u64)), 0.0),
        };
        Self { pieces, piece: 0, mark, distance }
    }

    /// The next due time; `None` when the rate is zero for ever.
    pub fn next_due_ns(&mut self) -> Option<u64> {
        self.mark += match &mut self.distance {
            Distance::One => 1.0,
            Distance::Exponential(random) => -random.next_unit().ln(),
        };
        loop {
            let piece = self.pieces.get(self.piece)?;
            let marks = piece.marks();
            if self.mark < marks {
                return Some(((piece.start_s + piece.time_of(self.mark)) * 1e9) as u64);
            }
            self.mark -= marks;
            self.piece += 1;
        }
    }
}

impl Piece {
    /// How many requests are due in it.
    fn marks(&self) -> f64 {
        let per_s = (self.from_per_s + self.to_per_s) / 2.0;
        if per_s == 0.0 { 0.0 } else { per_s * self.length_s }
    }

    /// When the request at `mark` is due, from the piece's start.
    fn time_of(&self, mark: f64) -> f64 {
        let growth = self.to_per_s - self.from_per_s;
        if growth == 0.0 {
            return mark / self.from_per_s;
        }
        // from·t + growth·t²/(2·length) = mark, solved for t.
        let slope = growth / self.length_s;
        let root = (self.from_per_s * self.from_per_s + 2.0 * slope * mark).sqrt();
        (root - self.from_per_s) / slope
    }
}

/// Random numbers of the kind SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Debug, Clone, Copy)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each pair.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        random.next_u64();
        random
    }

    /// 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Above 0, at most 1.
    pub fn next_unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Below `end`, which is not zero.
    pub fn next_below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Step;

    fn rate(arrivals: Arrivals, steps: &[(f64, u64)]) -> Rate {
        let steps =
            steps.iter().map(|(per_second, s)| Step { per_second: *per_second, duration: Duration::from_secs(*s) });
        Rate { arrivals, steps: steps.collect(), ..Rate::default() }
    }

    fn dues(schedule: &mut Schedule, until_s: u64) -> Vec<u64> {
        std::iter::from_fn(|| schedule.next_due_ns()).take_while(|due| *due < until_s * 1_000_000_000).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_apart_and_threads_interleave() {
        let rate = rate(Arrivals::Constant, &[(1000.0, 1)]);
        let mut all: Vec<u64> =
            (0..4).flat_map(|thread| dues(&mut Schedule::new(&rate, Duration::ZERO, thread, 4), 2)).collect();
        all.sort_unstable();
        assert_eq!(all.len(), 2000);
        for (index, due_ns) in all.iter().enumerate() {
            assert!(due_ns.abs_diff(index as u64 * 1_000_000) <= 1, "request {index} at {due_ns}");
        }
    }

    #[test]
    fn steps_follow_each_other_and_the_last_one_lasts() {
        let rate = rate(Arrivals::Constant, &[(100.0, 2), (0.0, 1), (300.0, 1)]);
        let dues = dues(&mut Schedule::new(&rate, Duration::ZERO, 0, 1), 6);
        let within =
            |from: u64, to: u64| dues.iter().filter(|due| (from..to).contains(&(**due / 1_000_000_000))).count();
        assert_eq!((within(0, 2), within(2, 3), within(3, 6)), (200, 0, 900));
    }

    #[test]
    fn a_ramp_has_half_the_requests_and_grows_evenly() {
        let rate = rate(Arrivals::Constant, &[(1000.0, 1)]);
        let dues = dues(&mut Schedule::new(&rate, Duration::from_secs(4), 0, 1), 5);
        let within = |s: u64| dues.iter().filter(|due| **due / 1_000_000_000 == s).count();
        assert_eq!([within(0), within(1), within(2), within(3), within(4)], [125, 375, 625, 875, 1000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_exponential_distances() {
        let rate = rate(Arrivals::Poisson, &[(10_000.0, 1)]);
        let dues = dues(&mut Schedule::new(&rate, Duration::ZERO, 0, 1), 10);
        // 100,000 arrivals with a standard deviation of 316.
        assert!(dues.len().abs_diff(100_000) < 1600, "{}", dues.len());
        let distances: Vec<f64> = dues.windows(2).map(|two| (two[1] - two[0]) as f64 / 1e5).collect();
        for mark in [0.1_f64, 0.5, 1.0, 2.0, 4.0] {
            let longer = distances.iter().filter(|distance| **distance > mark).count() as f64 / distances.len() as f64;
            assert!((longer - (-mark).exp()).abs() < 0.01, "{longer} are longer than {mark} means");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_each_thread_another() {
        let rate = rate(Arrivals::Poisson, &[(100.0, 1)]);
        let dues = |thread| dues(&mut Schedule::new(&rate, Duration::ZERO, thread, 2), 5);
        assert_eq!(dues(0), dues(0));
        assert_ne!(dues(0), dues(1));
    }

    #[test]
    fn a_rate_of_nothing_ends() {
        let rate = rate(Arrivals::Constant, &[(10.0, 1), (0.0, 1)]);
        assert_eq!(
            std::iter::from_fn({
                let mut schedule = Schedule::new(&rate, Duration::ZERO, 0, 1);
                move || schedule.next_due_ns()
            })
            .count(),
            10
        );
    }
}
