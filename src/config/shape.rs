//! From text to the structs of [`raw`]: syntax, unknown keys, and wrong types.

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::{Problem, Problems, SHOWN_MAX, Span, nearest, quoted};
use super::environment::Origins;
use super::omitted::item;
use super::raw;
use super::source::Sources;

/// Errors of shape found in one go: more would not be shown. Each costs another pass over the document.
const FOUND_MAX: usize = SHOWN_MAX;

/// Parses the text of one file, which begins at `start` of all texts; `None` where its syntax is wrong.
pub(super) fn parse<'t>(text: &'t str, start: usize, problems: &mut Problems) -> Option<DeTable<'t>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<_> = errors.iter().map(|error| (error.span().unwrap_or_default(), error.message())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let is_sound = errors.is_empty();
    // The rest of a line is guessed at by the parser, and what it says of that is no help.
    errors.dedup_by(|(next, _), (first, _)| text.get(first.start..next.start).is_some_and(|text| !text.contains('\n')));
    for (span, message) in errors.into_iter().take(FOUND_MAX) {
        let problem = syntax_problem(message, text.get(span.clone()).unwrap_or_default());
        problems.at(start + span.start..start + span.end, problem);
    }
    is_sound.then(|| document.into_inner())
}

/// Reads `document` into the structs that mirror it; `None` where it has so many errors of shape that no more are looked for.
///
/// serde stops at the first entry that it does not understand. That entry is then taken out of the document and the rest
/// is asked again, so that one run tells all of them, and what is left can be judged for its meaning. Where it is a text that
/// variables stood in, and what they made of it is the number or the switch that was expected, that takes its place instead:
/// `count = "${SHARDS}"`. `chosen` is the environment that will be laid over it.
pub(super) fn read<'s>(
    document: &mut DeTable<'s>,
    chosen: Option<&str>,
    sources: &'s Sources,
    origins: &Origins,
    problems: &mut Problems,
) -> Option<raw::File> {
    refuse_nested(document, problems);
    let mut found = 0;
    loop {
        let whole = Spanned::new(0..0, document.clone());
        let error: toml::de::Error = match serde::Deserialize::deserialize(toml::Deserializer::from(whole)) {
            Ok(file) => return Some(file),
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
        let removed = remove(document, &[], &|here| here == span);
        if found == FOUND_MAX || removed.is_empty() {
            return None;
        }
        let meant = unknown_key(error.message()).map(|key| key.meant().map(str::to_owned));
        removed.into_iter().for_each(|removed| removed.omit(meant.as_ref(), chosen, problems));
    }
}

/// Takes out what variables were to make and did not: it was complained about.
pub(super) fn omit_unexpanded(document: &mut DeTable<'_>, origins: &Origins, problems: &mut Problems) {
    if !origins.unexpanded.is_empty() {
        let removed = remove(document, &[], &|span| origins.unexpanded.contains(&span.start));
        removed.into_iter().for_each(|removed| problems.omitted.add(removed.path));
    }
}

/// What was taken out of a document.
struct Removed<'s> {
    /// Where it was; of an item, where its list is, of which it is said only that it lacks something.
    path: Vec<String>,
    value: DeValue<'s>,
}

impl Removed<'_> {
    /// Records that it is not there, as its path will be once the `chosen` environment is laid over the rest. `meant` is what
    /// an unknown key was probably meant to be: it was meant for another, or else nobody misses it.
    fn omit(mut self, meant: Option<&Option<String>>, chosen: Option<&str>, problems: &mut Problems) {
        match meant {
            None => {}
            Some(None) => return,
            Some(Some(meant)) => {
                self.path.pop();
                self.path.push(meant.clone());
            }
        }
        if self.path.len() > 2 && self.path[0] == "environments" {
            if chosen != Some(&self.path[1]) {
                return;
            }
            self.path.drain(..2);
        }
        match self.value {
            // What it has not would not be there either.
            DeValue::Table(table) if meant.is_some() && !table.is_empty() => {
                let keys = table.keys().map(|key| key.get_ref().to_string());
                keys.for_each(|key| problems.omitted.add([self.path.as_slice(), &[key]].concat()));
            }
            _ => problems.omitted.add(self.path),
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

/// Takes the entries and items out of `table`, which stands at `path`, whose keys or values stand at places that are meant, at any
/// depth.
fn remove<'s>(table: &mut DeTable<'s>, path: &[String], is_meant: &impl Fn(Span) -> bool) -> Vec<Removed<'s>> {
    let mut removed = Vec::new();
    let is_here = |key: &Spanned<_>, value: &Spanned<_>| is_meant(key.span()) || is_meant(value.span());
    let keys: Vec<_> = table.iter().filter(|(key, value)| is_here(key, value)).map(|(key, _)| key.clone()).collect();
    for key in keys {
        let path = [path, &[key.get_ref().to_string()]].concat();
        removed.extend(table.remove(&key).map(|value| Removed { path, value: value.into_inner() }));
    }
    for (key, value) in table.iter_mut() {
        remove_within(value, path, key.get_ref(), is_meant, &mut removed);
    }
    removed
}

fn remove_within<'s>(
    value: &mut Spanned<DeValue<'s>>,
    path: &[String],
    name: &str,
    is_meant: &impl Fn(Span) -> bool,
    removed: &mut Vec<Removed<'s>>,
) {
    match value.get_mut() {
        DeValue::Table(table) => removed.extend(remove(table, &[path, &[name.to_owned()]].concat(), is_meant)),
        DeValue::Array(items) => {
            let path = [path, &[name.to_owned()]].concat();
            if items.iter().any(|item| is_meant(item.span())) {
                let (wrong, right): (Vec<_>, Vec<_>) =
                    std::mem::replace(items, DeArray::new()).into_iter().partition(|item| is_meant(item.span()));
                *items = right.into_iter().collect();
                let wrong = wrong.into_iter().map(|item| Removed { path: path.clone(), value: item.into_inner() });
                removed.extend(wrong);
            }
            for value in items.iter_mut() {
                let name = item(&value.span());
                remove_within(value, &path, &name, is_meant, removed);
            }
        }
        _ => {}
    }
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

/// A key that there is none of, and those that there are.
struct UnknownKey<'m> {
    key: &'m str,
    known: Vec<&'m str>,
}

impl<'m> UnknownKey<'m> {
    /// The key that it was probably meant to be.
    fn meant(&self) -> Option<&'m str> {
        nearest(self.key, &self.known)
    }
}

fn unknown_key(message: &str) -> Option<UnknownKey<'_>> {
    let (what, expected) = message.split_once(", expected ")?;
    let key = what.strip_prefix("unknown field ")?.trim_matches('`');
    // The names stand between pairs of backticks: every second piece.
    Some(UnknownKey { key, known: expected.split('`').skip(1).step_by(2).collect() })
}

/// An error of serde's in our words. `found` is the text that it is about. The wording that is taken apart here is
/// serde's own and stable (`serde::de::Error`); should it change, messages get plainer, and the golden tests tell.
fn shape_problem(message: &str, found: &str) -> Problem {
    let Some((what, expected)) = message.split_once(", expected ") else { return Problem::new(message) };
    if let Some(UnknownKey { key, known }) = unknown_key(message) {
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
