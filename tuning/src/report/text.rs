//! Lines and colours.

use std::fmt::Write as _;

/// Whether colours are used.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

/// What a colour says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Colour {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Magenta,
}

impl Paint {
    /// `text` in that colour, if there are any.
    pub(super) fn with(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Bold => 1,
            Colour::Dim => 2,
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Magenta => 35,
        };
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `text` in lines of at most `width` characters, a word that is longer on a line of its own.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_ascii_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A term, and beside it what it is, in as many lines as that takes.
pub(super) fn described(out: &mut String, term: &str, text: &str) {
    for (number, line) in wrapped(text, 71).into_iter().enumerate() {
        let term = if number == 0 { term } else { "" };
        writeln!(out, "  {term:<6} {line}").expect("a string grows");
    }
}
