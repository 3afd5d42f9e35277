//! `request_headers` and `response_headers` of a route.

use std::collections::HashMap;

use crate::config::spanned::Spanned;
use plan::HeaderEdits;
use plan::filter::HeaderError;
use plan::filter::headers::Direction;

use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::raw::{self, Values};

/// Lines that one route adds to a head, and names that it leaves out.
const EDITS_MAX: usize = 64;
/// Bytes of a name. Those of RFC 9110 have at most 27.
const NAME_BYTES_MAX: usize = 128;
/// Bytes of a value: what servers commonly take of one field.
const VALUE_BYTES_MAX: usize = 8 << 10;

/// `None` where nothing is changed.
pub(super) fn lower(section: &raw::HeaderEdits, direction: Direction, problems: &mut Problems) -> Option<HeaderEdits> {
    let mut edits = HeaderEdits::new(direction);
    let mut removed: HashMap<String, Span> = HashMap::new();
    let mut count = 0;
    let mut counted = |span: Span, problems: &mut Problems| {
        count += 1;
        if count == EDITS_MAX + 1 {
            let problem = Problem::new("these are too many changes to the header of one message");
            problems.at(span, problem.expected(format!("at most {EDITS_MAX}")));
        }
        count <= EDITS_MAX
    };
    for (name, value) in &section.set {
        is_first(name, &mut removed, problems);
        if counted(name.span(), problems) && fits(name, value.get_ref(), value.span(), problems) {
            let result = edits.set(name.get_ref(), value.get_ref());
            report(result, direction, name, Some((value.get_ref(), value.span())), problems);
        }
    }
    for (name, values) in &section.add {
        let values: Vec<(&str, Span)> = match values.get_ref() {
            Values::One(value) => vec![(value, values.span())],
            Values::Many(list) => list.iter().map(|value| (value.get_ref().as_str(), value.span())).collect(),
        };
        for (value, span) in values {
            if counted(name.span(), problems) && fits(name, value, span.clone(), problems) {
                report(edits.add(name.get_ref(), value), direction, name, Some((value, span)), problems);
            }
        }
    }
    for name in &section.remove {
        is_first(name, &mut removed, problems);
        if counted(name.span(), problems) && fits(name, "", name.span(), problems) {
            report(edits.remove(name.get_ref()), direction, name, None, problems);
        }
    }
    (!edits.is_empty()).then_some(edits)
}

/// Records a name that is set or removed twice: the second time it would undo the first, or do nothing.
fn is_first(name: &Spanned<String>, removed: &mut HashMap<String, Span>, problems: &mut Problems) {
    if let Some(first) = removed.get(&name.get_ref().to_ascii_lowercase()) {
        let problem = Problem::new(format!("{} is set or removed twice", quoted(name.get_ref())));
        return problems.repeated(
            name.span(),
            first.clone(),
            problem.note("to send several lines of one name, `add` them"),
        );
    }
    removed.insert(name.get_ref().to_ascii_lowercase(), name.span());
}

fn fits(name: &Spanned<String>, value: &str, at: Span, problems: &mut Problems) -> bool {
    for (what, span, bytes, bytes_max) in
        [("field name", name.span(), name.get_ref().len(), NAME_BYTES_MAX), ("value", at, value.len(), VALUE_BYTES_MAX)]
    {
        if bytes > bytes_max {
            problems.at(span, Problem::new(format!("this {what} is {bytes} bytes long, more than {bytes_max}")));
            return false;
        }
    }
    true
}

fn report(
    result: Result<(), HeaderError>,
    direction: Direction,
    name: &Spanned<String>,
    value: Option<(&str, Span)>,
    problems: &mut Problems,
) {
    let Err(error) = result else { return };
    let shown = quoted(name.get_ref());
    let problem = match error {
        HeaderError::NameInvalid => Problem::new(format!("{shown} is not a field name"))
            .expected("a token: letters, digits and !#$%&'*+-.^_`|~"),
        HeaderError::OfConnection => Problem::new(format!("{shown} is not for routes to change"))
            .note("it frames or routes the message, or concerns one connection only"),
        HeaderError::Ours => Problem::new(format!("{shown} is not for routes to change")).note(match direction {
            Direction::Requests => "Ringway writes it from what it knows of the client: see [trust] and [forwarding]",
            Direction::Responses => "Ringway writes it",
        }),
        HeaderError::ValueEmpty => Problem::new("the value is empty")
            .note(format!("to leave the field out: remove = [\"{}\"]", name.get_ref())),
        HeaderError::ValueInvalid => {
            Problem::new("this value has a character that stands in no field, or a blank at an end")
                .expected("visible ASCII, with blanks and tabs inside")
        }
    };
    let of_value = matches!(error, HeaderError::ValueEmpty | HeaderError::ValueInvalid);
    let span = value.filter(|_| of_value).map_or_else(|| name.span(), |(_, span)| span);
    problems.at(span, problem);
}
