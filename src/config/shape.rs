//! From text to the structs of [`raw`]: syntax, unknown keys, and wrong types.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::{Problem, Problems, Span, quoted};
use super::raw;

/// Errors of shape found in one go. Each costs another pass over the file.
const FOUND_MAX: usize = 20;

/// Reads `text` into the structs that mirror it.
///
/// serde stops at the first entry that it does not understand. That entry is then taken out of the document and the rest
/// is asked again, so that one run tells all of them.
pub(super) fn read(text: &str) -> Result<raw::File, Problems> {
    let mut problems = Problems::default();
    let (mut document, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(FOUND_MAX) {
        let span = error.span().unwrap_or_default();
        problems.at(span.clone(), syntax_problem(error.message(), text.get(span).unwrap_or_default()));
    }
    // What follows a syntax error is a guess of the parser, and not worth judging.
    while errors.is_empty() {
        let error = match serde::Deserialize::deserialize(toml::Deserializer::from(document.clone())) {
            Ok(file) if problems.is_empty() => return Ok(file),
            Ok(_) => break,
            Err(error) => error,
        };
        let error: toml::de::Error = error;
        let span = error.span().unwrap_or_default();
        problems.at(span.clone(), shape_problem(error.message(), text.get(span.clone()).unwrap_or_default()));
        if problems.len() == FOUND_MAX || !remove(document.get_mut(), &span) {
            break;
        }
    }
    Err(problems)
}

/// Takes the entry whose key or value stands at `span` out of `table`, at any depth; an item of an array takes the whole
/// array with it. Tells whether there was one.
fn remove(table: &mut DeTable<'_>, span: &Span) -> bool {
    let wrong = table.iter().find(|(key, value)| key.span() == *span || is_or_lists(value, span));
    if let Some(key) = wrong.map(|(key, _)| key.clone()) {
        return table.remove(&key).is_some();
    }
    table.iter_mut().any(|(_, value)| remove_within(value, span))
}

fn remove_within(value: &mut Spanned<DeValue<'_>>, span: &Span) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, span),
        DeValue::Array(items) => items.iter_mut().any(|item| remove_within(item, span)),
        _ => false,
    }
}

/// Whether `value` stands at `span`, or is an array with an item that does.
fn is_or_lists(value: &Spanned<DeValue<'_>>, span: &Span) -> bool {
    let lists = |items: &DeArray<'_>| items.iter().any(|item| item.span() == *span);
    value.span() == *span || matches!(value.get_ref(), DeValue::Array(items) if lists(items))
}

/// A syntax error in our words. The parser's message is `what is wrong, expected this or that`; `found` is the text that
/// it is about.
fn syntax_problem(message: &str, found: &str) -> Problem {
    match message.split_once(", expected ") {
        // What the parser says of nothing at all, where a value belongs.
        Some(("string values must be quoted", _)) if found.trim().is_empty() => Problem::new("the value is missing"),
        Some((message, expected)) => Problem::new(message).expected(expected),
        None if message == "duplicate key" => Problem::new(format!("duplicate key {}", quoted(found))),
        None => Problem::new(message),
    }
}

/// An error of serde's in our words. `found` is the text that it is about. The wording that is taken apart here is
/// serde's own and stable (`serde::de::Error`); should it change, messages get plainer, and the golden tests tell.
fn shape_problem(message: &str, found: &str) -> Problem {
    let Some((what, expected)) = message.split_once(", expected ") else { return Problem::new(message) };
    if let Some(key) = what.strip_prefix("unknown field ") {
        let key = key.trim_matches('`');
        // The names stand between pairs of backticks: every second piece.
        let known = expected.split('`').skip(1).step_by(2);
        return Problem::new(format!("unknown key {}", quoted(key))).expected_one_of(key, known);
    }
    let what = what.replace("invalid type: map", "invalid type: table").replace("type: sequence", "type: list");
    let problem = Problem::new(what);
    match expected {
        "a sequence" if found.starts_with('[') => {
            let section = found.trim_matches(['[', ']']);
            problem.expected("a list of tables").note(format!("write [[{section}]], once for each"))
        }
        "a sequence" => problem.expected("a list: [ … ]"),
        "a map" => problem.expected("a table"),
        "i64" => problem.expected("a whole number"),
        "a boolean" => problem.expected("`true` or `false`"),
        other => problem.expected(other),
    }
}
