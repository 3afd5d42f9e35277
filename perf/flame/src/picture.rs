//! The drawing.

use std::io;

use inferno::differential;
use inferno::flamegraph::color::PaletteMap;
use inferno::flamegraph::{self, Options};

use crate::{Place, Stacks};

/// What the colours say, in every picture of one profile.
const LEGEND: &str = "blue: Ringway, green: other user code, orange: kernel, grey: unknown";
/// What they say in the picture of a difference.
const DIFFERENCE_LEGEND: &str = "red: more than before, blue: less";

/// A flame graph, to be drawn: what stands on it.
#[derive(Debug, Clone)]
pub struct Picture<'a> {
    /// The headline.
    pub title: &'a str,
    /// What it was taken of and how, below the headline.
    pub subtitle: &'a str,
    /// What the weights are: `samples`, `µs`.
    pub unit: &'a str,
}

impl Picture<'_> {
    /// Draws `stacks` as an SVG that can be searched and zoomed in a browser.
    ///
    /// # Errors
    /// When there are no stacks.
    pub fn draw(&self, stacks: &Stacks) -> io::Result<String> {
        let mut palette = PaletteMap::default();
        let frames = stacks.iter().flat_map(|(stack, _)| stack.split(';'));
        for frame in frames {
            palette.insert(frame, Place::of(frame).colour(frame).into());
        }
        let mut options = self.options(LEGEND);
        options.palette_map = Some(&mut palette);
        render(&mut options, &stacks.lines())
    }

    /// Draws `after`, coloured by what is more and what is less in it than in `before`; that is scaled to the same total, so
    /// that the length of a profile has no part in it.
    ///
    /// # Errors
    /// When one of them is empty.
    pub fn draw_difference(&self, before: &Stacks, after: &Stacks) -> io::Result<String> {
        if before.is_empty() || after.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a difference takes two profiles with stacks in them",
            ));
        }
        let options = differential::Options { normalize: true, strip_hex: false };
        let mut lines = Vec::new();
        differential::from_readers(options, before.to_string().as_bytes(), after.to_string().as_bytes(), &mut lines)?;
        let text = String::from_utf8_lossy(&lines);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        render(&mut self.options(DIFFERENCE_LEGEND), &lines)
    }

    fn options<'o>(&self, legend: &str) -> Options<'o> {
        let mut options = Options::default();
        self.title.clone_into(&mut options.title);
        options.subtitle = Some(format!("{} ({legend})", self.subtitle));
        self.unit.clone_into(&mut options.count_name);
        // The same profile gives the same file.
        options.deterministic = true;
        options
    }
}

fn render(options: &mut Options<'_>, lines: &[String]) -> io::Result<String> {
    let mut svg = Vec::new();
    flamegraph::from_lines(options, lines.iter().map(String::as_str), &mut svg)?;
    String::from_utf8(svg).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: Picture<'static> = Picture { title: "small@64", subtitle: "a test", unit: "samples" };

    fn stacks(text: &str) -> Stacks {
        text.parse().unwrap()
    }

    /// The colour of the frame whose label begins so.
    fn fill(svg: &str, label: &str) -> String {
        let (_, after) = svg.split_once(&format!("<title>{label} (")).expect("a frame of that name");
        let (_, after) = after.split_once("fill=\"").expect("a colour");
        after.split('"').next().unwrap_or_default().to_owned()
    }

    fn rgb(svg: &str, label: &str) -> (u8, u8, u8) {
        let fill = fill(svg, label);
        let parts = fill.trim_start_matches("rgb(").trim_end_matches(')').split(',');
        let [red, green, blue] = parts.map(|part| part.parse().unwrap()).collect::<Vec<u8>>()[..] else {
            panic!("{fill}")
        };
        (red, green, blue)
    }

    #[test]
    fn kernel_and_user_are_told_apart() {
        let svg =
            PICTURE.draw(&stacks("shard-0;ringway_ring::core::turn;tcp_sendmsg_[k] 9\nshard-0;malloc 1\n")).unwrap();
        let (red, _, blue) = rgb(&svg, "tcp_sendmsg");
        assert!(red > blue, "the kernel's is orange, and its mark is not shown");
        let (red, _, blue) = rgb(&svg, "ringway_ring::core::turn");
        assert!(blue > red, "Ringway's is blue");
        let (red, green, blue) = rgb(&svg, "malloc");
        assert!(green > red && green > blue, "other user code is green");
        assert!(svg.contains("small@64") && svg.contains("a test") && svg.contains("9 samples"));
    }

    #[test]
    fn the_same_profile_gives_the_same_file() {
        let stacks = stacks("a;b 1\na;c 2\n");
        assert_eq!(PICTURE.draw(&stacks).unwrap(), PICTURE.draw(&stacks).unwrap());
    }

    #[test]
    fn a_difference_is_red_where_there_is_more_and_blue_where_there_is_less() {
        // Twice as long, and a quarter of `kept` went over to `grown`.
        let svg =
            PICTURE.draw_difference(&stacks("a;kept 40\na;grown 10\n"), &stacks("a;kept 60\na;grown 40\n")).unwrap();
        let ((red, _, blue), (kept_red, _, kept_blue)) = (rgb(&svg, "grown"), rgb(&svg, "kept"));
        assert!(red > blue && kept_blue > kept_red, "{svg}");
        assert!(svg.contains("+20.00%"), "40 of 100 now, 20 of 100 before");
    }

    #[test]
    fn nothing_cannot_be_drawn() {
        assert!(PICTURE.draw(&Stacks::new()).is_err());
        assert!(PICTURE.draw_difference(&Stacks::new(), &stacks("a 1")).is_err());
        assert!(PICTURE.draw_difference(&stacks("a 1"), &Stacks::new()).is_err());
    }
}
