//! What is wrong with a configuration, and how it is shown.

use std::fmt::{self, Display, Write};
use std::ops::Range;

use serde_json::json;

use super::omitted::Omitted;
use super::source::{Place, Sources};

/// Bytes of all texts of a configuration that an error is about.
pub(super) type Span = Range<usize>;

/// Errors shown. Who has more will not read them in one go.
pub(super) const SHOWN_MAX: usize = 50;
/// Names listed as the expected ones, before the rest is only counted.
const NAMES_MAX: usize = 10;
/// Characters of a line that are shown around the error.
const EXCERPT_CHARS_MAX: usize = 100;
/// Characters of a user's value that are repeated in a message.
const QUOTED_CHARS_MAX: usize = 60;

/// What is wrong with one value, wherever it stands: the message, then what was expected and what may help.
#[derive(Debug)]
pub(super) struct Problem {
    message: String,
    /// What stands above the notes, however late it was added.
    expected: Option<String>,
    notes: Vec<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Problem {
        Problem { message: message.into(), expected: None, notes: Vec::new() }
    }

    pub(super) fn expected(mut self, what: impl Display) -> Problem {
        self.expected = Some(format!("expected {what}"));
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Problem {
        self.notes.push(note.into());
        self
    }

    /// Lists the names that would have been right, and suggests the one nearest to what was `written`.
    pub(super) fn expected_one_of<'n>(self, written: &str, names: impl IntoIterator<Item = &'n str>) -> Problem {
        let names: Vec<&str> = names.into_iter().collect();
        if names.is_empty() {
            return self;
        }
        let listed: Vec<String> = names.iter().take(NAMES_MAX).map(|name| quoted(name)).collect();
        let mut list = listed.join(", ");
        if names.len() > NAMES_MAX {
            let _ = write!(list, " and {} more", names.len() - NAMES_MAX);
        }
        let problem = self.expected(if names.len() == 1 { list } else { format!("one of {list}") });
        match nearest(written, &names) {
            Some(name) => problem.note(format!("did you mean {}?", quoted(name))),
            None => problem,
        }
    }

    /// The whole of it in one line, for a value that came from the command line.
    pub(super) fn in_one_line(&self) -> String {
        let mut line = self.message.clone();
        for note in self.expected.iter().chain(&self.notes) {
            let _ = write!(line, "; {note}");
        }
        printable(&line)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Diagnostic>,
    /// What takes no further part because of them.
    pub(super) omitted: Omitted,
}

#[derive(Debug)]
struct Diagnostic {
    /// `None` where the configuration lacks something as a whole.
    span: Option<Span>,
    problem: Problem,
    /// Where the thing stood first, if this one repeats it.
    first: Option<Span>,
}

impl Problems {
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// Whether what stands at the path `keys` may lack something only because it was complained about.
    pub(super) fn concern(&self, keys: &[&str]) -> bool {
        self.omitted.concerns(keys)
    }

    /// Records a problem with what stands at `span`.
    pub(super) fn at(&mut self, span: Span, problem: Problem) {
        self.found.push(Diagnostic { span: Some(span), problem, first: None });
    }

    /// Records that what stands at `span` repeats what stands at `first`.
    pub(super) fn repeated(&mut self, span: Span, first: Span, problem: Problem) {
        self.found.push(Diagnostic { span: Some(span), problem, first: Some(first) });
    }

    /// Records that the configuration as a whole lacks something.
    pub(super) fn in_file(&mut self, problem: Problem) {
        self.found.push(Diagnostic { span: None, problem, first: None });
    }

    /// Closes the list. Errors are told in the order of the files and of their lines, those about the whole of it last.
    pub(super) fn into_report(mut self, sources: Sources) -> Report {
        self.found.sort_by_key(|diagnostic| diagnostic.span.as_ref().map_or(usize::MAX, |span| span.start));
        Report { sources, found: self.found }
    }
}

/// Everything that is wrong with a configuration. Its `Display` is what the user reads.
#[derive(Debug)]
pub struct Report {
    sources: Sources,
    found: Vec<Diagnostic>,
}

impl Report {
    /// Number of errors.
    #[must_use]
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// All errors for a program: for each an object with `file`, `line`, `column`, `message`, `expected`, `notes`, and
    /// `first`, the place of what it repeats. What there is nothing to say for is `null`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let place = |span: &Span| {
            let place = self.sources.place(span);
            let line = Line::of(place);
            json!({ "file": place.file, "line": line.number, "column": line.column })
        };
        let one = |diagnostic: &Diagnostic| {
            let mut error = match &diagnostic.span {
                Some(span) => place(span),
                None => json!({ "file": self.sources.name(), "line": null, "column": null }),
            };
            error["message"] = diagnostic.problem.message.as_str().into();
            let expected = diagnostic.problem.expected.as_deref();
            error["expected"] = expected.map(|text| text.trim_start_matches("expected ")).into();
            error["notes"] = diagnostic.problem.notes.as_slice().into();
            error["first"] = diagnostic.first.as_ref().map(place).into();
            error
        };
        self.found.iter().map(one).collect()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count();
        write!(f, "{count} {} in {}", if count == 1 { "error" } else { "errors" }, self.sources.name())?;
        for diagnostic in self.found.iter().take(SHOWN_MAX) {
            write!(f, "\n\n{}", self.rendered(diagnostic))?;
        }
        if count > SHOWN_MAX {
            write!(f, "\n\nand {} more", count - SHOWN_MAX)?;
        }
        Ok(())
    }
}

impl Report {
    fn rendered(&self, diagnostic: &Diagnostic) -> String {
        let message = printable(&diagnostic.problem.message);
        let mut shown = String::new();
        let mut gutter = 1;
        let mut file = None;
        match &diagnostic.span {
            None => {
                let _ = write!(shown, "{}: {message}", self.sources.name());
            }
            Some(span) => {
                let place = self.sources.place(span);
                let line = Line::of(place);
                let (excerpt, caret_at) = line.excerpt();
                let carets = "^".repeat(line.chars.min(excerpt.chars().count().saturating_sub(caret_at)).max(1));
                let number = line.number.to_string();
                gutter = number.len();
                file = Some(place.file);
                let _ = write!(shown, "{}:{}:{}: {message}", place.file, line.number, line.column);
                let _ = write!(shown, "\n{:gutter$} |\n{number} | {excerpt}", "");
                let _ = write!(shown, "\n{:gutter$} | {:caret_at$}{carets}", "", "");
            }
        }
        let first = diagnostic.first.as_ref().map(|span| {
            let place = self.sources.place(span);
            let line = Line::of(place);
            match file {
                Some(file) if file == place.file => format!("it stands first at line {}", line.number),
                _ => format!("it stands first at {}:{}:{}", place.file, line.number, line.column),
            }
        });
        let problem = &diagnostic.problem;
        for note in problem.expected.iter().chain(&problem.notes).chain(&first) {
            let _ = write!(shown, "\n{:gutter$} = {}", "", printable(note));
        }
        shown
    }
}

/// The line on which something begins, as people count: from 1, in characters.
pub(super) struct Line<'t> {
    pub(super) number: usize,
    pub(super) column: usize,
    /// The line's text, without its end.
    text: &'t str,
    /// Characters of the place that lie on this line.
    chars: usize,
}

impl<'t> Line<'t> {
    pub(super) fn of(place: Place<'t>) -> Line<'t> {
        let text = place.text;
        let (start, end) = (floor_of_char(text, place.start), floor_of_char(text, place.end));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let chars = text[start..end.clamp(start, line_end)].trim_end_matches('\r').chars().count();
        Line {
            number: 1 + text[..start].matches('\n').count(),
            column: 1 + text[line_start..start].chars().count(),
            text: text[line_start..line_end].trim_end_matches('\r'),
            chars,
        }
    }

    /// The line as it is shown, and the character of it under which the caret goes. A long line is cut around the error,
    /// and what would move a terminal's cursor becomes a space, so that the caret stands where it should.
    fn excerpt(&self) -> (String, usize) {
        let caret_at = self.column - 1;
        let skipped = if caret_at < EXCERPT_CHARS_MAX * 3 / 4 { 0 } else { caret_at - EXCERPT_CHARS_MAX / 4 };
        let mut shown = String::new();
        if skipped > 0 {
            shown.push('…');
        }
        let mut rest = self.text.chars().skip(skipped);
        shown.extend(rest.by_ref().take(EXCERPT_CHARS_MAX).map(|char| if char.is_control() { ' ' } else { char }));
        if rest.next().is_some() {
            shown.push('…');
        }
        (shown, caret_at - skipped + usize::from(skipped > 0))
    }
}

/// A user's value, in quotes and cut to a length that fits a message.
pub(super) fn quoted(value: &str) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    let mut chars = value.chars();
    let mut shown: String = chars.by_ref().take(QUOTED_CHARS_MAX).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// `text` with its control characters escaped: a file must not be able to drive the terminal of who checks it.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() { shown.extend(char.escape_debug()) } else { shown.push(char) }
    }
    shown
}

/// The name that `written` was probably meant to be, if one is near: a third of its letters may be wrong, or it may be
/// cut short or drawn out.
pub(super) fn nearest<'n>(written: &str, names: &[&'n str]) -> Option<&'n str> {
    let written: String = written.chars().take(QUOTED_CHARS_MAX).collect();
    let extends = |long: &str, short: &str| short.len() >= 3 && long.starts_with(short);
    if let Some(name) = names.iter().find(|name| extends(&written, name) || extends(name, &written)) {
        return Some(name);
    }
    let distance = |name: &&'n str| (strsim::damerau_levenshtein(&written, name), *name);
    let (distance, name) = names.iter().map(distance).min_by_key(|(distance, _)| *distance)?;
    let length = name.chars().count();
    (distance <= (length / 3).max(1) && distance < length).then_some(name)
}

/// The last place at or before `at` at which a character of `text` begins, or the end of `text`.
fn floor_of_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
