//! From text to the structs of [`raw`]: syntax, unknown keys, and wrong types.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::{Problem, Problems, Span, quoted};
use super::environment::Origins;
use super::raw;
use super::source::Sources;

/// Errors of shape found in one go. Each costs another pass over the document.
const FOUND_MAX: usize = 20;
/// Parses the text of one file, which begins at `start` of all texts; `None` where its syntax is wrong.
pub(super) fn parse<'t>(text: &'t str, start: usize, problems: &mut Problems) -> Option<DeTable<'t>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(FOUND_MAX) {
        let span = error.span().unwrap_or_default();
        let problem = syntax_problem(error.message(), text.get(span.clone()).unwrap_or_default());
        problems.at(start + span.start..start + span.end, problem);
    }
    errors.is_empty().then(|| document.into_inner())
}

/// Reads `document` into the structs that mirror it.
///
/// serde stops at the first entry that it does not understand. That entry is then taken out of the document and the rest
/// is asked again, so that one run tells all of them. Where it is a text that variables stood in, and what they made of it
/// is the number or the switch that was expected, that takes its place instead: `count = "${SHARDS}"`.
pub(super) fn read<'s>(
    document: &mut DeTable<'s>,
    sources: &'s Sources,
    origins: &Origins,
    problems: &mut Problems,
) -> Option<raw::File> {
    refuse_nested(document, problems);
    let mut found = 0;
    loop {
        let whole = Spanned::new(0..0, document.clone());
        let error: toml::de::Error = match serde::Deserialize::deserialize(toml::Deserializer::from(whole)) {
            Ok(file) => return (found == 0).then_some(file),
            Err(error) => error,
        };
        let span = error.span().unwrap_or_default();
        if origins.variables.contains_key(&span.start) && convert(document, &span, sources) {
            continue;
        }
        // What stands for an unknown value is neither right nor wrong.
        if !origins.unexpanded.contains(&span.start) {
            problems.at(span.clone(), shape_problem(error.message(), sources.written_at(span.clone())));
            found += 1;
        }
        if found == FOUND_MAX || !remove(document, &span) {
            return None;
        }
    }
}

/// An environment is not a whole configuration: it neither includes files nor holds environments.
fn refuse_nested(document: &mut DeTable<'_>, problems: &mut Problems) {
    let environments = document.get_mut("environments").map(Spanned::get_mut);
    let Some(DeValue::Table(environments)) = environments else { return };
    for (_, environment) in environments.iter_mut() {
        let DeValue::Table(environment) = environment.get_mut() else { continue };
        for name in ["include", "environments"] {
            let Some(span) = environment
                .get_key_value(name)
                .map(|(key, value)| if key.span().is_empty() { value.span() } else { key.span() })
            else {
                continue;
            };
            environment.remove(name);
            let problem = Problem::new(format!("unknown key {}", quoted(name)));
            problems.at(span, problem.note("it belongs at the top of a file, and not into an environment"));
        }
    }
}

/// Makes a number or a switch of the text at `span`, if it reads as one. Tells whether it did.
fn convert<'s>(table: &mut DeTable<'s>, span: &Span, sources: &'s Sources) -> bool {
    table.iter_mut().any(|(_, value)| convert_value(value, span, sources))
}

fn convert_value<'s>(value: &mut Spanned<DeValue<'s>>, span: &Span, sources: &'s Sources) -> bool {
    let here = value.span() == *span;
    match value.get_mut() {
        DeValue::Table(table) => convert(table, span, sources),
        DeValue::Array(items) => items.iter_mut().any(|item| convert_value(item, span, sources)),
        DeValue::String(text) if here => {
            let read = sources.keep(text).and_then(|text| DeValue::parse(text).ok()).map(Spanned::into_inner);
            match read {
                Some(read @ (DeValue::Integer(_) | DeValue::Boolean(_))) => {
                    *value.get_mut() = read;
                    true
                }
                _ => false,
            }
        }
        _ => false,
    }
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
