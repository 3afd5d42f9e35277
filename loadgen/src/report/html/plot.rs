//! Plots as SVG: two axes, and what is drawn between them.
//!
//! Colours are classes of the page's style sheet, so that one drawing serves light, dark and paper.

use std::fmt::Write;

use super::super::words;
use super::escape;

/// Width of a plot in its own units; the page scales it.
const WIDTH: f64 = 920.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 26.0;

/// Points closer than this to the one before them are not drawn.
const RESOLUTION: f64 = 0.6;

/// How values become places.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

/// One axis: its range, and what stands beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
    title: &'static str,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Solid.
    Plain,
    /// Thin and dashed.
    Dashed,
    /// Dotted.
    Dotted,
}

/// A drawing under way.
#[derive(Debug)]
pub struct Plot {
    svg: String,
    left: f64,
    height: f64,
    x: Axis,
    y: Axis,
}

impl Axis {
    /// From zero to `high`, with ticks at 1, 2 or 5 times a power of ten.
    pub fn linear(title: &'static str, high: f64, words: impl Fn(f64) -> String) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = nice_step(high / 5.0);
        // The axis ends with a tick, so that the highest value has a figure beside it.
        let steps = (high / step - 1e-9).ceil().max(1.0) as u32;
        let ticks =
            (0..=steps).map(|tick| f64::from(tick) * step).map(|value| (value, trimmed(words(value)))).collect();
        Self { scale: Scale::Linear, low: 0.0, high: f64::from(steps) * step, ticks, title }
    }

    /// The seconds of a run.
    pub fn seconds(high: f64) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = nice_step(high / 8.0).max(1.0);
        let ticks = (0..=(high / step + 1e-9) as u32)
            .map(|tick| f64::from(tick) * step)
            .map(|value| (value, format!("{value} s")))
            .collect();
        Self { scale: Scale::Linear, low: 0.0, high, ticks, title: "" }
    }

    /// From `low` to `high` nanoseconds, by powers of ten.
    pub fn times(title: &'static str, low: f64, high: f64) -> Self {
        let (low, high) = (low.max(1.0), high.max(low.max(1.0)) * 1.0001);
        let decades = (high / low).log10();
        const FINE: [f64; 12] = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let marked: &[f64] = match decades {
            decades if decades > 4.0 => &[1.0],
            decades if decades > 2.2 => &[1.0, 3.0],
            decades if decades > 0.6 => &[1.0, 2.0, 5.0],
            _ => &FINE,
        };
        // The range is widened to the next round values.
        let values = || (0..13).flat_map(|power| FINE.map(|factor| (factor, factor * 10_f64.powi(power))));
        let low = values().map(|(_, value)| value).take_while(|&value| value <= low).last().unwrap_or(low);
        let high = values().map(|(_, value)| value).find(|&value| value >= high).unwrap_or(high);
        let ticks = values()
            .filter(|(factor, value)| marked.contains(factor) && (low..=high).contains(value))
            .map(|(_, ns)| (ns, trimmed(words::time(ns))))
            .collect();
        Self { scale: Scale::Logarithmic, low, high, ticks, title }
    }

    /// Percentiles by how many of the samples lie beyond: a tenth, a hundredth, and so on, up to one in `samples`. Values are
    /// `1 / (1 - quantile)`.
    pub fn percentiles(samples: f64) -> Self {
        let high = samples.clamp(10.0, 1e9);
        let tick = |power: i32| {
            let nines = "9".repeat(usize::try_from(power - 2).unwrap_or(0));
            let text = match power {
                0 => "0 %".to_owned(),
                1 => "90 %".to_owned(),
                2 => "99 %".to_owned(),
                _ => format!("99.{nines} %"),
            };
            (10_f64.powi(power), text)
        };
        let ticks = (0..=high.log10() as i32).map(tick).chain([(2.0, "50 %".to_owned())]).collect();
        Self { scale: Scale::Logarithmic, low: 1.0, high, ticks, title: "" }
    }

    /// Ratios around one; by powers of ten if they differ much.
    pub fn ratios(low: f64, high: f64) -> Self {
        let (low, high) = (low.min(1.0), high.max(1.0));
        if low > 0.0 && high / low > 4.0 {
            let values = || (-9..9).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(power)));
            let low = values().take_while(|&value| value <= low).last().unwrap_or(low);
            let high = values().find(|&value| value >= high).unwrap_or(high);
            let ticks = values().filter(|value| (low..=high).contains(value));
            let ticks = ticks.map(|ratio| (ratio, format!("{}", (ratio * 1e9).round() / 1e9))).collect();
            return Self { scale: Scale::Logarithmic, low, high, ticks, title: "" };
        }
        let step = nice_step(((high - low) / 6.0).max(0.01));
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks = (first as i64..=last as i64).map(|tick| tick as f64 * step);
        let ticks = ticks.map(|ratio| (ratio, format!("{}", (ratio * 1000.0).round() / 1000.0))).collect();
        Self { scale: Scale::Linear, low: first * step, high: last * step, ticks, title: "" }
    }

    /// Without figures: places are counted from 0 to `high`, and named by who draws.
    pub fn places(high: f64) -> Self {
        Self { scale: Scale::Linear, low: 0.0, high, ticks: Vec::new(), title: "" }
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        share.clamp(0.0, 1.0)
    }

    /// The range.
    pub fn range(&self) -> (f64, f64) {
        (self.low, self.high)
    }
}

impl Plot {
    /// An empty plot with its grid. `label` says what it shows, for who cannot see it.
    pub fn new(label: &str, height: f64, x: Axis, y: Axis) -> Self {
        Self::with_names(label, LEFT, height, x, y)
    }

    /// An empty plot with so much room at the left, for names.
    pub fn with_names(label: &str, left: f64, height: f64, x: Axis, y: Axis) -> Self {
        let mut svg = String::new();
        svg.push_str(&format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">\n",
            escape(label)
        ));
        let mut plot = Self { svg, left, height, x, y };
        plot.grid();
        plot
    }

    fn grid(&mut self) {
        let (left, right, bottom) = (self.left, WIDTH - RIGHT, self.height - BOTTOM);
        let mut lines = String::new();
        let mut texts = String::new();
        for (value, text) in &self.x.ticks {
            let x = self.x_of(*value);
            lines.push_str(&format!("M{x:.1} {TOP}V{bottom:.1}"));
            texts.push_str(&format!("<text x=\"{x:.1}\" y=\"{:.1}\" class=\"mid\">{text}</text>", bottom + 18.0));
        }
        for (value, text) in &self.y.ticks {
            let y = self.y_of(*value);
            lines.push_str(&format!("M{left} {y:.1}H{right}"));
            texts.push_str(&format!("<text x=\"{}\" y=\"{:.1}\" class=\"end\">{text}</text>", left - 8.0, y + 4.0));
        }
        self.put(format_args!(
            "<path class=\"grid\" d=\"{lines}\"/><path class=\"axis\" d=\"M{left} {TOP}V{bottom:.1}H{right}\"/>{texts}"
        ));
        let title = self.y.title;
        if !title.is_empty() {
            self.put(format_args!("<text x=\"{left}\" y=\"{}\" class=\"title\">{title}</text>", TOP - 10.0));
        }
    }

    /// A line through the points, in the colour of the series. What lies beyond the axes is drawn at their ends.
    pub fn line(&mut self, series: usize, stroke: Stroke, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let mut last: Option<(f64, f64)> = None;
        let mut skipped = None;
        let mut push = |(x, y): (f64, f64), command: char| path.push_str(&format!("{command}{x:.1} {y:.1}"));
        for (x, y) in points {
            let place = (self.x_of(x), self.y_of(y));
            match last {
                Some((x, y)) if (place.0 - x).abs() < RESOLUTION && (place.1 - y).abs() < RESOLUTION => {
                    skipped = Some(place);
                    continue;
                }
                _ => push(place, if last.is_none() { 'M' } else { 'L' }),
            }
            last = Some(place);
            skipped = None;
        }
        if let Some(place) = skipped {
            push(place, 'L');
        }
        let class = match stroke {
            Stroke::Plain => "line",
            Stroke::Dashed => "line dash",
            Stroke::Dotted => "line dot",
        };
        self.put(format_args!("<path class=\"{class} s{series}\" d=\"{path}\"/>"));
    }

    /// Rectangles of one class, each from the lower to the higher of both axes' values.
    pub fn rectangles(&mut self, class: &str, rectangles: impl Iterator<Item = [(f64, f64); 2]>, label: &str) {
        let mut path = String::new();
        for [(x0, y0), (x1, y1)] in rectangles {
            // The edges are rounded and not the lengths, so that neighbours meet.
            let tenths = |place: f64| (place * 10.0).round() / 10.0;
            let (left, top) = (tenths(self.x_of(x0)), tenths(self.y_of(y1)));
            let (width, height) = (tenths(self.x_of(x1)) - left, tenths(self.y_of(y0)) - top);
            path.push_str(&format!("M{left:.1} {top:.1}h{width:.1}v{height:.1}h-{width:.1}z"));
        }
        let title = if label.is_empty() { String::new() } else { format!("<title>{}</title>", escape(label)) };
        self.put(format_args!("<path class=\"{class}\" d=\"{path}\">{title}</path>"));
    }

    /// A value with its interval, on a level of the other axis.
    pub fn interval(&mut self, class: &str, y: f64, low: f64, high: f64) {
        let (y, low, high) = (self.y_of(y), self.x_of(low), self.x_of(high));
        let (above, below) = (y - 5.0, y + 5.0);
        self.put(format_args!(
            "<path class=\"{class}\" d=\"M{low:.1} {y:.1}H{high:.1}M{low:.1} {above:.1}V{below:.1}M{high:.1} {above:.1}V{below:.1}\"/>"
        ));
    }

    /// A dot.
    pub fn dot(&mut self, series: usize, x: f64, y: f64, label: &str) {
        let (x, y) = (self.x_of(x), self.y_of(y));
        self.put(format_args!(
            "<circle class=\"point s{series}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{}</title></circle>",
            escape(label)
        ));
    }

    /// A line across the plot at a value of the x axis.
    pub fn mark(&mut self, x: f64) {
        let (x, bottom) = (self.x_of(x), self.height - BOTTOM);
        self.put(format_args!("<path class=\"mark\" d=\"M{x:.1} {TOP}V{bottom:.1}\"/>"));
    }

    /// The title of a plot whose y axis has none.
    pub fn title(&mut self, title: &str) {
        let x = self.left;
        self.put(format_args!("<text x=\"{x}\" y=\"{}\" class=\"name\">{}</text>", TOP - 10.0, escape(title)));
    }

    /// Words at a place; `class` says on which side of it.
    pub fn words(&mut self, class: &str, x: f64, y: f64, shift: f64, words: &str) {
        let (x, y) = (self.x_of(x) + shift, self.y_of(y) + 4.0);
        self.put(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escape(words)));
    }

    /// The drawing.
    pub fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.svg.write_fmt(arguments).expect("a String takes whatever is written");
        self.svg.push('\n');
    }

    fn x_of(&self, value: f64) -> f64 {
        self.left + self.x.share(value) * (WIDTH - self.left - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        let bottom = self.height - BOTTOM;
        bottom - self.y.share(value) * (bottom - TOP)
    }
}

/// A figure without zeros at the end of its fraction: a tick is round.
fn trimmed(text: String) -> String {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.contains('.') { format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.')) } else { text }
}

/// The next of 1, 2 and 5 times a power of ten.
fn nice_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|nice| *nice >= step * 0.999).unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn percentiles_stand_a_power_of_ten_apart() {
        let axis = Axis::percentiles(250_000.0);
        assert_eq!(texts(&axis), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "50 %"]);
        assert!((axis.share(100.0) - 2.0 * axis.share(10.0)).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(texts(&Axis::linear("", 61_728.0, words::short)), ["0", "20k", "40k", "60k", "80k"]);
        assert_eq!(texts(&Axis::times("", 130e3, 4.2e6)), ["200 µs", "500 µs", "1 ms", "2 ms", "5 ms"]);
        assert_eq!(texts(&Axis::ratios(0.83, 1.02)), ["0.8", "0.85", "0.9", "0.95", "1", "1.05"]);
        assert_eq!(texts(&Axis::ratios(0.16, 6.4)), ["0.1", "0.2", "0.5", "1", "2", "5", "10"]);
        assert_eq!(texts(&Axis::linear("", 1_400.0, words::short)), ["0", "500", "1k", "1.5k"]);
        assert_eq!(Axis::linear("", 0.0, words::short).range(), (0.0, 1.0));
    }

    #[test]
    fn points_that_nobody_could_tell_apart_are_left_out() {
        let mut plot = Plot::new("a < b", 300.0, Axis::seconds(10.0), Axis::linear("", 1.0, words::short));
        let empty = plot.svg.len();
        plot.line(0, Stroke::Plain, (0..=100_000).map(|step| (f64::from(step) / 1e4, 0.5)));
        assert!(plot.svg.len() - empty < 20_000, "{}", plot.svg.len() - empty);
        assert!(plot.finish().contains("aria-label=\"a &lt; b\""));
    }
}
