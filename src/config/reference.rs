//! The page of all keys, docs/reference.md, written from the structs of `raw`.

use std::fmt::Write;

use serde_json::Value;

use super::schema::{Key, Keys, Kind};

const INTRODUCTION: &str = "# Reference of the configuration

Every key, in the order of the sections. This page is generated from the structs that read the configuration: change their comments in
`src/config/raw.rs`, then `UPDATE_GOLDEN=1 cargo test --test config`. [configuration.md](configuration.md) tells how files, variables and
environments come together, and what the balancers do.

A *duration* is a whole number and a unit, `250ms`, `10s`, `5m`, `1h`; a *size* likewise, `512B`, `16KiB`, `1MiB`, `1GiB`, `1TiB`. An
*address* is an IP address with a port, or `unix:` and a path; servers of upstreams may also be a name with a port. Where a whole number or
`true` or `false` belongs, a text that a variable stands in does as well: `count = \"${SHARDS}\"`.
";

/// The text of the page.
#[must_use]
pub fn reference() -> String {
    let keys = Keys::new();
    let mut page = INTRODUCTION.to_owned();
    let (values, tables): (Vec<_>, Vec<_>) = keys.of(keys.root()).into_iter().partition(|key| is_value(key));
    page.push_str("\n## At the top of a file\n");
    rows(&mut page, &keys, &values);
    for key in tables {
        section(&mut page, &keys, "", &key, 2);
    }
    page
}

fn is_value(key: &Key<'_>) -> bool {
    matches!(key.kind, Kind::Value)
}

/// A section, its keys, and the sections within it. `path` is where it stands, with a dot behind it.
fn section(page: &mut String, keys: &Keys, path: &str, key: &Key<'_>, level: usize) {
    let name = format!("{path}{}", key.name);
    let (title, path, table) = match key.kind {
        Kind::Value => return,
        Kind::Table(table) => (format!("[{name}]"), name, table),
        Kind::Tables(table) => (format!("[[{name}]]"), name, table),
        Kind::Named(table) => (format!("[{name}.NAME]"), format!("{name}.NAME"), table),
    };
    let _ = write!(page, "\n{} `{title}`\n", "#".repeat(level));
    // The comment of the struct says more than that of the field, unless it only repeats it or where it stands.
    let (field, about) = (text(key.schema, "description"), text(table, "description"));
    let told = match about {
        about if about.starts_with('`') || field.starts_with(about) => vec![field],
        about if about.starts_with(field) => vec![about],
        about => vec![field, about],
    };
    for paragraph in told.iter().filter(|paragraph| !paragraph.is_empty()) {
        let _ = write!(page, "\n{paragraph}\n");
    }
    let (values, tables): (Vec<_>, Vec<_>) = keys.of(table).into_iter().partition(|key| is_value(key));
    rows(page, keys, &values);
    for key in tables {
        section(page, keys, &format!("{path}."), &key, level + 1);
    }
}

fn rows(page: &mut String, keys: &Keys, values: &[Key<'_>]) {
    if values.is_empty() {
        return;
    }
    page.push_str("\n| key | type | default | range | meaning |\n|---|---|---|---|---|\n");
    for key in values {
        let cells = [
            format!("`{}`", key.name),
            kind(keys, key.schema),
            if key.required { "required".to_owned() } else { default(key.schema) },
            range(keys, key.schema),
            text(key.schema, "description").to_owned(),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

fn kind(keys: &Keys, schema: &Value) -> String {
    let target = keys.resolve(schema);
    if let Some(Value::Array(forms)) = target.get("anyOf") {
        return forms.iter().map(|form| kind(keys, form)).collect::<Vec<_>>().join(" or ");
    }
    let named = text(schema, "x-type");
    let reference = schema["$ref"].as_str().unwrap_or_default();
    match text(target, "type") {
        "array" if !named.is_empty() => format!("list: {named}"),
        "array" => format!("list: {}", kind(keys, &target["items"])),
        _ if !named.is_empty() => named.to_owned(),
        _ if reference.ends_with("/Duration") => "duration".to_owned(),
        _ if reference.ends_with("/Size") => "size".to_owned(),
        "integer" => "whole number".to_owned(),
        "number" => "number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "object" => "table".to_owned(),
        _ => "text".to_owned(),
    }
}

fn default(schema: &Value) -> String {
    match &schema["default"] {
        Value::Null => text(schema, "x-default").to_owned(),
        Value::String(text) => format!("`{text}`"),
        value => format!("`{value}`"),
    }
}

fn range(keys: &Keys, schema: &Value) -> String {
    let target = keys.resolve(schema);
    if let Some(Value::Array(words)) = target.get("enum") {
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    if let [least, most] = schema["x-range"].as_array().map(Vec::as_slice).unwrap_or_default() {
        return format!("{} to {}", least.as_str().unwrap_or_default(), most.as_str().unwrap_or_default());
    }
    match (&target["minimum"], &target["maximum"], &target["minItems"], &target["maxItems"]) {
        (Value::Number(least), Value::Number(most), _, _) => format!("{least} to {most}"),
        (_, _, Value::Number(least), _) => format!("at least {least}"),
        (_, _, _, Value::Number(most)) => format!("at most {most}"),
        _ if target["items"].is_object() => range(keys, &target["items"]),
        _ => String::new(),
    }
}

fn text<'s>(schema: &'s Value, key: &str) -> &'s str {
    schema[key].as_str().unwrap_or_default()
}
