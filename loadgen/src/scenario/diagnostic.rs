//! What is wrong with a scenario, and where.

use std::{fmt, ops::Range, path::Path};

/// An error of a scenario file, with its file, line and column, and the line itself; or of the command line, without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    place: Option<Place>,
    message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    file: String,
    line: usize,
    column: usize,
    text: String,
    width: usize,
}

impl Diagnostic {
    /// An error that stands in no file.
    #[must_use]
    pub fn plain(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into() }
    }

    /// An error at the bytes `span` of `source`, which was read from `file`.
    pub(crate) fn at(file: &Path, source: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor(source, span.start);
        let end = floor(source, span.end.max(start));
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
        let place = Place {
            file: file.display().to_string(),
            line: source[..start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
            text: source[line_start..line_end].to_owned(),
            width: source[start..end.min(line_end).max(start)].chars().count().max(1),
        };
        Self { place: Some(place), message: message.into() }
    }
}

/// The nearest place at or before `at` where a character starts.
fn floor(source: &str, at: usize) -> usize {
    (0..=at.min(source.len())).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0)
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Place { file, line, column, text, width }) = &self.place else { return f.write_str(&self.message) };
        let gutter = " ".repeat(line.to_string().len());
        let indent: String = text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{file}:{line}:{column}: {}", self.message)?;
        writeln!(f, "{gutter} |\n{line} | {text}")?;
        write!(f, "{gutter} | {indent}{}", "^".repeat(*width))
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_told_in_lines_and_characters() {
        let source = "a = 1\nß = \"x\"\n";
        let span = source.find("\"x\"").map(|at| at..at + 3).unwrap();
        let shown = Diagnostic::at(Path::new("s.toml"), source, span, "no").to_string();
        assert_eq!(shown, "s.toml:2:5: no\n  |\n2 | ß = \"x\"\n  |     ^^^");
    }

    #[test]
    fn a_span_at_the_end_or_beyond_is_still_a_place() {
        for span in [0..0, 5..9, 6..6, 100..200] {
            let shown = Diagnostic::at(Path::new("s.toml"), "a = ß", span, "no").to_string();
            assert!(shown.starts_with("s.toml:1:"), "{shown}");
        }
    }
}
