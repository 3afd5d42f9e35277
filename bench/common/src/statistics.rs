//! What a handful of rounds says: medians, spreads, and how sure a median is.

use serde::{Deserialize, Serialize};

/// How often the rounds are drawn again for an [`Estimate`].
const RESAMPLES: usize = 10_000;

/// Where the draws begin: the same rounds give the same interval.
const SEED: u64 = 0x5EED;

/// The fewest values of which an [`Estimate`]'s interval can keep its promise: of five, even their whole range misses the true
/// median in one case of 16.
pub const VALUES_MIN: usize = 6;

/// A set of values, told by its middle and its ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The value in the middle; between the two in the middle of an even number.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

/// The median of a sample, and where the median of what it was drawn from lies in 95 of 100 cases.
///
/// The interval is the percentile bootstrap's (Efron, 1979): the values are drawn again with replacement, as many as there
/// are, ten thousand times; between the 2.5th and the 97.5th percentile of the medians that these draws have lies the interval.
/// It assumes nothing of the distribution but that the values are independent. Of fewer than [`VALUES_MIN`] values it is about
/// their whole range, and covers less than 95 of 100 cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The sample's median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Spread {
    /// The spread of `values`.
    ///
    /// # Panics
    /// When there are no values, or one is not a number.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values = sorted(values);
        Self { median: median_of_sorted(&values), min: values[0], max: values[values.len() - 1] }
    }
}

impl Estimate {
    /// The median of `values` and its interval.
    ///
    /// # Panics
    /// When there are no values, or one is not a number.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values = sorted(values);
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut draw = vec![0.0; values.len()];
        let medians = (0..RESAMPLES).map(|_| {
            draw.fill_with(|| values[random.usize(..values.len())]);
            draw.sort_by(f64::total_cmp);
            median_of_sorted(&draw)
        });
        let medians = sorted(medians);
        let percentile = |per_mille: usize| medians[(RESAMPLES - 1) * per_mille / 1000];
        Self { median: median_of_sorted(&values), low: percentile(25), high: percentile(975) }
    }

    /// Whether `value` lies in the interval, its ends included.
    #[must_use]
    pub fn covers(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    assert!(!values.is_empty() && values.iter().all(|value| !value.is_nan()));
    values.sort_by(f64::total_cmp);
    values
}

fn median_of_sorted(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
    }

    #[test]
    fn few_values_are_no_surer_than_their_range() {
        assert_eq!(Estimate::of([5.0]), Estimate { median: 5.0, low: 5.0, high: 5.0 });
        assert_eq!(Estimate::of([1.0, 9.0, 2.0]), Estimate { median: 2.0, low: 1.0, high: 9.0 });
    }

    #[test]
    fn the_interval_misses_the_true_median_in_about_one_case_of_twenty() {
        let mut random = fastrand::Rng::with_seed(7);
        let cases = 120;
        // Skewed, as times are: the median of an exponential distribution is ln 2.
        let missed = (0..cases)
            .filter(|_| {
                let estimate = Estimate::of((0..25).map(|_| -(1.0 - random.f64()).ln()));
                !estimate.covers(std::f64::consts::LN_2)
            })
            .count();
        assert!((1..=cases / 10).contains(&missed), "{missed} of {cases}");
    }

    #[test]
    fn more_values_are_surer() {
        let width = |values: u32| {
            let estimate = Estimate::of((0..values).map(|value| f64::from(value) / f64::from(values)));
            estimate.high - estimate.low
        };
        assert!(width(1000) < width(100) / 2.5 && width(100) < width(10) / 2.0);
    }
}
