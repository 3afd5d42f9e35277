//! Several files become one document.
//!
//! Sections (`[limits]`, `[log]`) are merged key by key, and lists of tables (`[[listeners]]`, `[[routes]]`) are appended
//! to each other in the order of the files. A key with a value, and an upstream with all that belongs to it, stands in one
//! file only: a second one is an error, since no order of files should decide silently which of them holds.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problem, Problems, Span, quoted};
use super::shape;
use super::source::Sources;

/// Parses all texts of `sources` and merges them. Files with errors of syntax are left out: what follows such an error is a
/// guess of the parser, and not worth judging.
pub(super) fn document<'s>(sources: &'s Sources, problems: &mut Problems) -> DeTable<'s> {
    let mut document = DeTable::new();
    for (start, text) in sources.texts() {
        let Some(table) = shape::parse(text, start, problems) else {
            problems.omitted.add_file();
            continue;
        };
        let mut table = moved_table(table, start);
        // The files that it names follow; a wrong one is kept, and found when the keys are read.
        if table.get("include").is_some_and(|include| is_list_of_texts(include.get_ref())) {
            table.remove("include");
        }
        add(&mut document, table, &[], problems);
    }
    document
}

/// Adds what stands in the table `path` of one file to what stood there before.
fn add<'s>(document: &mut DeTable<'s>, table: DeTable<'s>, path: &[String], problems: &mut Problems) {
    for (key, value) in table {
        let path = [path, &[key.get_ref().to_string()]].concat();
        let Some((first_key, first)) = document.get_key_value(&key).map(|(key, value)| (key.span(), value.span()))
        else {
            document.insert(key, value);
            continue;
        };
        let before = document.get_mut(&key).expect("it was just found").get_mut();
        match (before, value.into_inner()) {
            (DeValue::Table(before), DeValue::Table(table)) if !is_indivisible(&path) => {
                add(before, table, &path, problems);
            }
            (DeValue::Array(before), DeValue::Array(items))
                if is_list_of_tables(before) && is_list_of_tables(&items) =>
            {
                items.into_iter().for_each(|item| before.push(item));
            }
            _ => {
                let first = if first_key.is_empty() { first } else { first_key };
                repeated(key.span(), first, &path, problems);
            }
        }
    }
}

fn repeated(span: Span, first: Span, path: &[String], problems: &mut Problems) {
    let name = quoted(&path.join("."));
    let problem = if is_indivisible(path) {
        Problem::new(format!("{name} is defined a second time")).note("all of an upstream stands in one file")
    } else {
        Problem::new(format!("{name} is set a second time"))
    };
    problems.repeated(span, first, problem);
}

/// Whether the table at `path` belongs to one file as a whole: that of an upstream, in an environment too.
fn is_indivisible(path: &[String]) -> bool {
    let within = match path {
        [first, _, rest @ ..] if first == "environments" => rest,
        path => path,
    };
    matches!(within, [section, _] if section == "upstreams")
}

fn is_list_of_tables(items: &[Spanned<DeValue<'_>>]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.get_ref().is_table())
}

fn is_list_of_texts(value: &DeValue<'_>) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(|item| item.get_ref().is_str()))
}

/// The same table, with places counted from the beginning of all texts.
fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table
        .into_iter()
        .map(|(key, value)| (moved(key, by, |key| key), moved(value, by, |value| moved_value(value, by))))
        .collect()
}

fn moved_value(value: DeValue<'_>, by: usize) -> DeValue<'_> {
    match value {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| moved(item, by, |value| moved_value(value, by))).collect())
        }
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        value => value,
    }
}

fn moved<T>(value: Spanned<T>, by: usize, inner: impl Fn(T) -> T) -> Spanned<T> {
    let span = value.span();
    Spanned::new(span.start + by..span.end + by, inner(value.into_inner()))
}
