//! What a configuration comes to: every key, its value, and where that has it from.

use std::fmt::{self, Display};

use plan::Plan;
use serde_json::{Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Understood;
use super::diagnostic::{Span, printable};
use super::environment::{Origins, Used};
use super::schema::{Key, Keys, Kind};
use super::source::Sources;

/// Characters of a line before its origin, unless a value is longer.
const ORIGIN_COLUMN: usize = 40;

/// Whether the values of variables are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableValues {
    /// They are.
    Shown,
    /// A value that was made of variables is shown as it was written: they are where secrets come from.
    Hidden,
}

/// A configuration with everything that was left to defaults. Its `Display` is a file that comes to the same, in which a
/// comment behind each line tells where the value has it from.
#[derive(Debug)]
pub struct Effective {
    files: Vec<String>,
    environment: Option<String>,
    sections: Vec<Section>,
}

#[derive(Debug, Default)]
struct Section {
    /// As it stands in the file: `[limits]`; empty for what stands before all sections.
    header: String,
    /// Where it stands: `routes[0]`.
    path: String,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    key: String,
    /// `None` where a key is left out and means something that is no value.
    value: Option<toml::Value>,
    /// Whether its texts are those of the file, variables and all.
    as_written: bool,
    /// What it means then.
    instead: String,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    Default,
    Written { file: String, line: usize, overlaid: bool, variables: Vec<Used> },
}

/// Goes through `understood` and all keys that there are.
pub(super) fn effective(understood: &Understood<'_>, environment: Option<&str>, values: VariableValues) -> Effective {
    let Understood { sources, document, origins, loaded } = understood;
    let keys = Keys::new();
    let lines = LineStarts::of(sources);
    let mut walk = Walk { keys: &keys, sources, lines, origins, values, plan: &loaded.plan, sections: Vec::new() };
    walk.table("", "", String::new(), keys.root(), Some(document));
    let sections = walk.sections.into_iter().filter(|section| !section.lines.is_empty()).collect();
    let files = sources.names().map(str::to_owned).collect();
    Effective { files, environment: environment.map(str::to_owned), sections }
}

struct Walk<'w> {
    keys: &'w Keys,
    sources: &'w Sources,
    lines: LineStarts,
    origins: &'w Origins,
    values: VariableValues,
    plan: &'w Plan,
    sections: Vec<Section>,
}

impl Walk<'_> {
    /// A table: its values, then the tables within it. `header` and `path` are how it is called in the file and in
    /// messages; `written` is what the file has of it.
    fn table(&mut self, name: &str, path: &str, header: String, schema: &Value, written: Option<&DeTable<'_>>) {
        let keys = self.keys;
        let all = keys.of(schema);
        let mut section = Section { header, path: path.to_owned(), lines: Vec::new() };
        for key in all.iter().filter(|key| self.is_value(key, written)) {
            // These two are what has been done, and not what came of it.
            if !(path.is_empty() && ["include", "environments"].contains(&key.name)) {
                section.lines.push(self.line(path, key, written));
            }
        }
        self.sections.push(section);
        for key in &all {
            if self.is_value(key, written) {
                continue;
            }
            let value = written.and_then(|table| table.get(key.name)).map(Spanned::get_ref);
            let join = |before: &str, last: &str| {
                if before.is_empty() { last.to_owned() } else { format!("{before}.{last}") }
            };
            let (name, path) = (join(name, key.name), join(path, key.name));
            match key.kind {
                Kind::Table(schema) => {
                    self.table(&name, &path, format!("[{name}]"), schema, value.and_then(DeValue::as_table))
                }
                Kind::Tables(schema) => {
                    for (index, item) in value.and_then(DeValue::as_array).into_iter().flatten().enumerate() {
                        let path = format!("{path}[{index}]");
                        self.table(&name, &path, format!("[[{name}]]"), schema, item.get_ref().as_table());
                    }
                }
                Kind::Named(schema) => {
                    let mut entries: Vec<_> = value.and_then(DeValue::as_table).into_iter().flatten().collect();
                    entries.sort_by_key(|(key, value)| (key.span().start, value.span().start));
                    for (key, item) in entries {
                        let (name, path) = (join(&name, &bare(key.get_ref())), join(&path, key.get_ref()));
                        self.table(&name, &path, format!("[{name}]"), schema, item.get_ref().as_table());
                    }
                }
                Kind::Value => {
                    let schema = keys.table_form(key.schema).unwrap_or(key.schema);
                    self.table(&name, &path, format!("[{name}]"), schema, value.and_then(DeValue::as_table));
                }
            }
        }
    }

    /// Whether a key stands in one line: not where a table was written for it.
    fn is_value(&self, key: &Key<'_>, written: Option<&DeTable<'_>>) -> bool {
        let is_table = || written.and_then(|table| table.get(key.name)).is_some_and(|value| value.get_ref().is_table());
        matches!(key.kind, Kind::Value) && !(is_table() && self.keys.table_form(key.schema).is_some())
    }

    fn line(&self, path: &str, key: &Key<'_>, written: Option<&DeTable<'_>>) -> Line {
        let name = key.name.to_owned();
        if let Some(value) = written.and_then(|table| table.get(key.name)) {
            let mut variables = Vec::new();
            self.variables(value, &mut variables);
            let as_written = self.values == VariableValues::Hidden && !variables.is_empty();
            let shown = if as_written { self.written(value) } else { plain(value.get_ref()) };
            let origin = self.origin(value.span(), variables);
            return Line { key: name, value: Some(shown), as_written, instead: String::new(), origin };
        }
        let value = computed(path, key.name, self.plan).or_else(|| toml::Value::try_from(&key.schema["default"]).ok());
        let instead = key.schema["x-default"].as_str().unwrap_or("not set").to_owned();
        Line { key: name, value, as_written: false, instead, origin: Origin::Default }
    }

    fn origin(&self, span: Span, variables: Vec<Used>) -> Origin {
        Origin::Written {
            file: self.sources.place(&span).file.to_owned(),
            line: self.lines.number(self.sources, span.start),
            overlaid: self.origins.overlaid.contains(&span.start),
            variables,
        }
    }

    /// A value as the file has it, whatever variables have made of it.
    fn written(&self, value: &Spanned<DeValue<'_>>) -> toml::Value {
        match value.get_ref() {
            DeValue::Array(items) => toml::Value::Array(items.iter().map(|item| self.written(item)).collect()),
            DeValue::Table(table) => table_of(table, |value| self.written(value)),
            read => {
                let text = DeValue::parse(self.sources.written_at(value.span()));
                plain(text.as_ref().map_or(read, Spanned::get_ref))
            }
        }
    }

    /// The variables of a text, or of the texts of a list.
    fn variables(&self, value: &Spanned<DeValue<'_>>, found: &mut Vec<Used>) {
        for used in self.origins.variables.get(&value.span().start).into_iter().flatten() {
            if !found.contains(used) {
                found.push(used.clone());
            }
        }
        match value.get_ref() {
            DeValue::Array(items) => items.iter().for_each(|item| self.variables(item, found)),
            DeValue::Table(table) => table.iter().for_each(|(_, item)| self.variables(item, found)),
            _ => {}
        }
    }
}

/// Defaults that depend on the machine, or on another key.
fn computed(path: &str, key: &str, plan: &Plan) -> Option<toml::Value> {
    let number = match (path, path.strip_prefix("upstreams."), key) {
        ("shards", _, "count") => i64::from(plan.shards.count),
        (_, Some(name), "idle_connections") => {
            i64::from(plan.upstreams.iter().find(|upstream| upstream.name == name)?.idle_connections_max)
        }
        _ => return None,
    };
    Some(toml::Value::Integer(number))
}

/// The value without its places.
fn plain(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).unwrap_or_default().into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or_default().into(),
        DeValue::Boolean(switch) => toml::Value::Boolean(*switch),
        DeValue::Datetime(time) => toml::Value::Datetime(*time),
        DeValue::Array(items) => toml::Value::Array(items.iter().map(|item| plain(item.get_ref())).collect()),
        DeValue::Table(table) => table_of(table, |value| plain(value.get_ref())),
    }
}

/// A table in the order in which it was written.
fn table_of(table: &DeTable<'_>, value_of: impl Fn(&Spanned<DeValue<'_>>) -> toml::Value) -> toml::Value {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries.into_iter().map(|(key, value)| (key.get_ref().to_string(), value_of(value)));
    toml::Value::Table(entries.collect())
}

/// A key as it is written: in quotes where it has to be.
fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { key.to_owned() } else { toml::Value::String(key.to_owned()).to_string() }
}

/// Where lines begin, so that many places are found without reading the text for each.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(sources: &Sources) -> LineStarts {
        let mut starts = Vec::new();
        for (start, text) in sources.texts() {
            starts.push(start);
            starts.extend(text.match_indices('\n').map(|(at, _)| start + at + 1));
        }
        LineStarts(starts)
    }

    /// The number, from 1, of the line in its file.
    fn number(&self, sources: &Sources, at: usize) -> usize {
        let before = |at: usize| self.0.partition_point(|start| *start <= at);
        let first = at - sources.place(&(at..at)).start;
        before(at) - before(first) + 1
    }
}

impl Origin {
    /// In a few words; `environment` is the one that was chosen.
    fn told(&self, environment: Option<&str>) -> String {
        let Origin::Written { file, line, overlaid, variables } = self else { return "default".to_owned() };
        let mut told = format!("{}:{line}", printable(file));
        if let Some(environment) = environment.filter(|_| *overlaid) {
            told.push_str(&format!(", environment {}", printable(environment)));
        }
        for Used { name, unset } in variables {
            told.push_str(&format!(", variable {name}{}", if *unset { " (its default)" } else { "" }));
        }
        told
    }
}

impl Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<String> = self.files.iter().map(|file| printable(file)).collect();
        writeln!(f, "# {}", files.join(", "))?;
        if let Some(environment) = &self.environment {
            writeln!(f, "# environment {}", printable(environment))?;
        }
        for section in &self.sections {
            if !section.header.is_empty() {
                writeln!(f, "\n{}", section.header)?;
            }
            for Line { key, value, as_written, instead, origin } in &section.lines {
                let line = match value {
                    Some(value) => format!("{key} = {}", one_line(value, *as_written)),
                    None => format!("# {key}: {instead}"),
                };
                writeln!(f, "{line:<ORIGIN_COLUMN$}  # {}", origin.told(self.environment.as_deref()))?;
            }
        }
        Ok(())
    }
}

/// A value as it is written in one line.
fn one_line(value: &toml::Value, as_written: bool) -> String {
    match value {
        // As JSON writes it: over several lines it could have no comment behind it. What is no variable is not to be one.
        toml::Value::String(text) if as_written => Value::String(text.clone()).to_string(),
        toml::Value::String(text) => Value::String(text.replace("${", "$${")).to_string(),
        toml::Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| one_line(item, as_written)).collect::<Vec<_>>().join(", "))
        }
        toml::Value::Table(table) => {
            let entries: Vec<String> =
                table.iter().map(|(key, value)| format!("{} = {}", bare(key), one_line(value, as_written))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        value => value.to_string(),
    }
}

impl Effective {
    /// The same for a program: `files`, `environment`, and `values`, a list of `key`, `value` and `origin`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let values = self.sections.iter().flat_map(|section| {
            section.lines.iter().map(|line| {
                let key =
                    if section.path.is_empty() { line.key.clone() } else { format!("{}.{}", section.path, line.key) };
                let value = line.value.as_ref().and_then(|value| serde_json::to_value(value).ok());
                json!({ "key": key, "value": value, "origin": self.origin_json(&line.origin) })
            })
        });
        json!({ "files": self.files, "environment": self.environment, "values": values.collect::<Vec<_>>() })
    }

    fn origin_json(&self, origin: &Origin) -> Value {
        match origin {
            Origin::Default => json!({ "kind": "default" }),
            Origin::Written { file, line, overlaid, variables } => {
                let environment = overlaid.then_some(self.environment.as_deref()).flatten();
                let variables: Vec<Value> =
                    variables.iter().map(|used| json!({ "name": used.name, "unset": used.unset })).collect();
                json!({ "kind": "file", "file": file, "line": line, "environment": environment, "variables": variables })
            }
        }
    }
}
