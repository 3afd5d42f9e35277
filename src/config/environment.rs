//! What the surroundings add to a configuration: `${VARIABLES}` in its texts, and `[environments.NAME]` over it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problem, Problems, Span, quoted};
use super::source::Sources;

/// Bytes of a text once its variables stand in it.
const EXPANDED_BYTES_MAX: usize = 64 << 10;

/// Where variables have their values from.
pub(super) struct Variables<'v> {
    /// The value of the variable of this name, if it is set.
    pub(super) value: &'v dyn Fn(&str) -> Option<OsString>,
}

/// A variable that a value was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) name: String,
    /// Whether its default stands for it.
    pub(super) unset: bool,
}

/// Where the values of a configuration come from, beside the place at which they stand. A value is known by where its span
/// begins, which no two values share.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// The variables of a text.
    pub(super) variables: HashMap<usize, Vec<Used>>,
    /// The texts of other environments than the chosen one: their variables need not be set here.
    pub(super) unexpanded: HashSet<usize>,
    /// What stands in the chosen environment.
    pub(super) overlaid: HashSet<usize>,
}

/// One piece of a text.
enum Piece<'t> {
    Literal(&'t str),
    Variable {
        name: &'t str,
        default: Option<&'t str>,
    },
    /// Text that begins like a variable and is none.
    Broken {
        rest: &'t str,
        why: &'static str,
    },
}

impl Variables<'_> {
    /// The text with its variables replaced. What is wrong with it is recorded at the very variable.
    pub(super) fn expand(
        &self,
        text: &Spanned<String>,
        sources: &Sources,
        problems: &mut Problems,
    ) -> Result<String, ()> {
        self.expand_text(text.get_ref(), text.span(), sources, problems).map(|(text, _)| text)
    }

    fn expand_text(
        &self,
        text: &str,
        span: Span,
        sources: &Sources,
        problems: &mut Problems,
    ) -> Result<(String, Vec<Used>), ()> {
        let (mut expanded, mut used, mut sound) = (String::new(), Vec::new(), true);
        for (number, piece) in pieces(text).into_iter().enumerate() {
            let problem = match piece {
                Piece::Literal(text) => {
                    expanded.push_str(text);
                    continue;
                }
                Piece::Broken { rest, why } => Problem::new(format!("{} is not a variable: {why}", quoted(rest)))
                    .expected("`${NAME}` or `${NAME:-default}`")
                    .note("write `$${` for the two characters themselves"),
                Piece::Variable { name, default } => match self.value_of(name, default) {
                    Ok((value, unset)) => {
                        expanded.push_str(&value);
                        used.push(Used { name: name.to_owned(), unset });
                        continue;
                    }
                    Err(problem) => problem,
                },
            };
            sound = false;
            problems.at(piece_span(number, text, span.clone(), sources), problem);
        }
        if expanded.len() > EXPANDED_BYTES_MAX && !used.is_empty() {
            let problem = Problem::new(format!("with its variables this is {} bytes long", expanded.len()));
            problems.at(span, problem.expected(format!("at most {EXPANDED_BYTES_MAX}")));
            sound = false;
        }
        if sound { Ok((expanded, used)) } else { Err(()) }
    }

    /// The value, and whether it is the default. As in the shell, an empty variable is as good as none where there is a
    /// default.
    fn value_of(&self, name: &str, default: Option<&str>) -> Result<(String, bool), Problem> {
        match ((self.value)(name), default) {
            (Some(value), Some(default)) if value.is_empty() => Ok((default.to_owned(), true)),
            (Some(value), _) => match value.into_string() {
                Ok(value) => Ok((value, false)),
                Err(_) => Err(Problem::new(format!("the variable {} is not UTF-8 text", quoted(name)))),
            },
            (None, Some(default)) => Ok((default.to_owned(), true)),
            (None, None) => Err(Problem::new(format!("the variable {} is not set", quoted(name)))
                .note(format!("`${{{name}:-default}}` would do without it"))),
        }
    }

    /// Replaces the variables in all texts of `table`, but for those of other environments than the chosen one.
    pub(super) fn expand_all(
        &self,
        table: &mut DeTable<'_>,
        chosen: Option<&str>,
        sources: &Sources,
        origins: &mut Origins,
        problems: &mut Problems,
    ) {
        for (key, value) in table.iter_mut() {
            match (key.get_ref().as_ref(), value.get_mut()) {
                // The files that it names were read with their variables.
                ("include", _) => {}
                ("environments", DeValue::Table(environments)) => {
                    for (name, environment) in environments.iter_mut() {
                        if chosen == Some(name.get_ref()) {
                            self.expand_value(environment, sources, origins, problems);
                        } else {
                            leave(environment, origins);
                        }
                    }
                }
                _ => self.expand_value(value, sources, origins, problems),
            }
        }
    }

    fn expand_value(
        &self,
        value: &mut Spanned<DeValue<'_>>,
        sources: &Sources,
        origins: &mut Origins,
        problems: &mut Problems,
    ) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains("${") => {
                if let Ok((expanded, used)) = self.expand_text(text, span.clone(), sources, problems) {
                    *text = expanded.into();
                    if !used.is_empty() {
                        origins.variables.insert(span.start, used);
                    }
                } else {
                    // It was complained about: what stands there is not judged again.
                    origins.unexpanded.insert(span.start);
                }
            }
            DeValue::Array(items) => {
                items.iter_mut().for_each(|item| self.expand_value(item, sources, origins, problems));
            }
            DeValue::Table(table) => {
                table.iter_mut().for_each(|(_, value)| self.expand_value(value, sources, origins, problems));
            }
            _ => {}
        }
    }
}

/// Remembers the texts with variables that are left as they are.
fn leave(value: &Spanned<DeValue<'_>>, origins: &mut Origins) {
    match value.get_ref() {
        DeValue::String(text) if text.contains("${") => {
            origins.unexpanded.insert(value.span().start);
        }
        DeValue::Array(items) => items.iter().for_each(|item| leave(item, origins)),
        DeValue::Table(table) => table.iter().for_each(|(_, value)| leave(value, origins)),
        _ => {}
    }
}

/// Takes a text apart.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, variable) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            // `$${` stands for `${`: one of the dollars goes.
            pieces.push(Piece::Literal(before));
            pieces.push(Piece::Literal("${"));
            rest = &variable[2..];
            continue;
        }
        pieces.push(Piece::Literal(before));
        let Some((inside, after)) = variable[2..].split_once('}') else {
            pieces.push(Piece::Broken { rest: variable, why: "it is not closed" });
            return pieces;
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let begins_well = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
        pieces.push(if begins_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            Piece::Variable { name, default }
        } else {
            let why = "a name has letters of ASCII, digits and `_`, and does not begin with a digit";
            Piece::Broken { rest: &variable[..inside.len() + 3], why }
        });
        rest = after;
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

/// Where piece `number` of `text` stands in the file; all of `span` where the text is written with escapes, so that it
/// cannot be found.
fn piece_span(number: usize, text: &str, span: Span, sources: &Sources) -> Span {
    // Each of them is found by the `${` that it has.
    let has_mark = |piece: &Piece<'_>| !matches!(piece, Piece::Literal(text) if *text != "${");
    let before = pieces(text).iter().take(number).filter(|piece| has_mark(piece)).count();
    let written = sources.written_at(span.clone());
    let Some((at, _)) = written.match_indices("${").nth(before) else { return span };
    let length = written[at..].find('}').map_or(written.len() - at, |end| end + 1);
    span.start + at..span.start + at + length
}

/// Lays the environment of this name over `document`, and takes all environments out of it: tables are merged key by key,
/// and anything else takes the place of what stood there. Remembers what came of it in `origins`.
pub(super) fn overlay(
    document: &mut DeTable<'_>,
    chosen: Option<&str>,
    origins: &mut Origins,
    problems: &mut Problems,
) {
    let mut environments = match document.remove("environments").map(Spanned::into_inner) {
        Some(DeValue::Table(environments)) => environments,
        _ => DeTable::new(),
    };
    let Some(chosen) = chosen else { return };
    match environments.remove(chosen).map(Spanned::into_inner) {
        Some(DeValue::Table(overlay)) => {
            overlay.iter().for_each(|(_, value)| mark(value, &mut origins.overlaid));
            lay_over(document, overlay);
        }
        _ => {
            // Whatever it would have set is not there now.
            let is_known = problems.concern(&["environments", chosen]);
            problems.omitted.add_file();
            if is_known {
                return;
            }
            let names: Vec<String> = environments.keys().map(|name| name.get_ref().to_string()).collect();
            let problem = Problem::new(format!("no environment is named {}", quoted(chosen)));
            problems.in_file(if names.is_empty() {
                problem.expected(format!("[environments.{chosen}], since it was asked for"))
            } else {
                problem.expected_one_of(chosen, names.iter().map(String::as_str))
            });
        }
    }
}

fn lay_over<'t>(below: &mut DeTable<'t>, above: DeTable<'t>) {
    for (key, value) in above {
        match (below.get_mut(&key).map(Spanned::get_mut), value) {
            (Some(DeValue::Table(below)), value) if value.get_ref().is_table() => {
                if let DeValue::Table(above) = value.into_inner() {
                    lay_over(below, above);
                }
            }
            (_, value) => {
                below.remove(&key);
                below.insert(key, value);
            }
        }
    }
}

fn mark(value: &Spanned<DeValue<'_>>, marked: &mut HashSet<usize>) {
    marked.insert(value.span().start);
    match value.get_ref() {
        DeValue::Array(items) => items.iter().for_each(|item| mark(item, marked)),
        DeValue::Table(table) => table.iter().for_each(|(_, value)| mark(value, marked)),
        _ => {}
    }
}
