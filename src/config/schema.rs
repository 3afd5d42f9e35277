//! The keys of the configuration as data: a JSON Schema made from the structs of [`raw`].
//!
//! [`schema`] is what editors read. [`Keys`] is the same before it is published, for the parts of this program that go
//! through all keys: the reference page, and `ringway config show`.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::raw;

/// Any text with a variable in it.
const VARIABLE: &str = r"\$\{";

/// The JSON Schema of a configuration file (draft 2020-12), for editors and for checks by other programs.
///
/// It knows the keys, their types, words, ranges and patterns; what only the whole of a configuration can tell (that an
/// upstream of this name exists) is left to `ringway check`. Where a number or a switch belongs, a text with a variable
/// is let through.
#[must_use]
pub fn schema() -> Value {
    let mut schema = Keys::new().root;
    each(&mut schema, &publish);
    let overlay = overlay(&schema);
    schema["$defs"]["Environment"] = overlay;
    schema["properties"]["environments"]["additionalProperties"] = json!({ "$ref": "#/$defs/Environment" });
    schema
}

/// What `[environments.NAME]` may hold: the same as a file, but for `include` and `environments`; and of an upstream only
/// what is different.
fn overlay(root: &Value) -> Value {
    let mut overlay = json!({ "type": "object", "additionalProperties": false, "properties": root["properties"] });
    if let Some(properties) = overlay["properties"].as_object_mut() {
        properties.shift_remove("include");
        properties.shift_remove("environments");
    }
    overlay["description"] =
        "What is different in this environment: tables are merged, anything else is replaced.".into();
    let mut upstream = root["$defs"]["Upstream"].clone();
    if let Some(upstream) = upstream.as_object_mut() {
        upstream.shift_remove("required");
    }
    overlay["properties"]["upstreams"]["additionalProperties"] = upstream;
    overlay
}

/// All keys, as the raw structs describe them.
pub(super) struct Keys {
    root: Value,
}

/// One key of a table.
pub(super) struct Key<'k> {
    pub(super) name: &'k str,
    /// What is said of it.
    pub(super) schema: &'k Value,
    pub(super) kind: Kind<'k>,
    pub(super) required: bool,
}

/// What a key holds.
#[derive(Clone, Copy)]
pub(super) enum Kind<'k> {
    /// A value, written in one line.
    Value,
    /// A table of its own: `[limits]`.
    Table(&'k Value),
    /// A list of tables: `[[routes]]`.
    Tables(&'k Value),
    /// A table of tables by name: `[upstreams.NAME]`.
    Named(&'k Value),
}

impl Keys {
    pub(super) fn new() -> Keys {
        let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
        let mut root = generator.into_root_schema_for::<raw::File>().to_value();
        root["title"] = "Ringway configuration".into();
        each(&mut root, &tidy);
        Keys { root }
    }

    /// The table that a file is.
    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    /// The keys of `table`, in the order of its struct.
    pub(super) fn of<'k>(&'k self, table: &'k Value) -> Vec<Key<'k>> {
        let required =
            |name: &str| table["required"].as_array().is_some_and(|list| list.iter().any(|item| item == name));
        let properties = table["properties"].as_object().into_iter().flatten();
        let key = |(name, schema): (&'k String, &'k Value)| Key {
            name,
            schema,
            kind: self.kind(schema),
            required: required(name),
        };
        properties.map(key).collect()
    }

    fn kind<'k>(&'k self, schema: &'k Value) -> Kind<'k> {
        let target = self.resolve(schema);
        let holds_keys = |schema: &Value| schema["properties"].is_object();
        let (items, named) = (self.resolve(&target["items"]), self.resolve(&target["additionalProperties"]));
        if holds_keys(target) {
            Kind::Table(target)
        } else if holds_keys(items) {
            Kind::Tables(items)
        } else if holds_keys(named) {
            Kind::Named(named)
        } else {
            Kind::Value
        }
    }

    /// The table that a value of this key may be, beside simpler forms.
    pub(super) fn table_form<'k>(&'k self, schema: &'k Value) -> Option<&'k Value> {
        let forms = self.resolve(schema)["anyOf"].as_array()?;
        forms.iter().map(|form| self.resolve(form)).find(|form| form["properties"].is_object())
    }

    /// Follows a reference to a definition.
    pub(super) fn resolve<'k>(&'k self, schema: &'k Value) -> &'k Value {
        let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| &self.root["$defs"][name])
    }
}

/// Has `change` on every schema within `schema`, from the innermost out.
fn each(schema: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, change)),
        Value::Object(object) => {
            for (_, value) in object.iter_mut().filter(|(key, _)| *key != "default") {
                each(value, change);
            }
            change(object);
        }
        _ => {}
    }
}

/// Takes out what is true of the structs and not of the file: TOML has no null, and lines are broken for those who read
/// the source.
fn tidy(schema: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(forms)) = schema.get_mut("anyOf") {
        forms.retain(|form| form["type"] != "null");
        if let [only] = forms.as_mut_slice() {
            let only = only.take();
            schema.shift_remove("anyOf");
            if let Value::Object(only) = only {
                only.into_iter().for_each(|(key, value)| {
                    schema.entry(key).or_insert(value);
                });
            }
        }
    }
    if schema.get("enum").is_some() {
        schema["enum"].as_array_mut().into_iter().for_each(|words| words.retain(|word| !word.is_null()));
    }
    // `int64` is how it is held here; a table may have a key of that name.
    if schema.get("format").is_some_and(Value::is_string) {
        schema.shift_remove("format");
    }
}

/// Makes of a description of ours what others understand: ranges of durations and sizes become words, and everything lets
/// variables through.
fn publish(schema: &mut Map<String, Value>) {
    if let (Some(Value::Array(range)), Some(Value::String(text))) =
        (schema.get("x-range").cloned(), schema.get_mut("description"))
        && let [Value::String(least), Value::String(most)] = range.as_slice()
    {
        text.push_str(&format!(" From {least} to {most}."));
    }
    if let (Some(Value::String(default)), Some(Value::String(text))) =
        (schema.get("x-default").cloned(), schema.get_mut("description"))
    {
        text.push_str(&format!(" Default: {default}."));
    }
    schema.retain(|key, _| !key.starts_with("x-"));
    match schema.get("type").and_then(Value::as_str) {
        Some(kind @ ("integer" | "boolean")) => {
            // A pattern judges texts only, and bounds judge numbers only.
            schema["type"] = json!([kind, "string"]);
            schema.insert("pattern".to_owned(), VARIABLE.into());
        }
        Some("string") => {
            if let Some(words) = schema.shift_remove("enum") {
                schema.insert("anyOf".to_owned(), json!([{ "enum": words }, { "pattern": VARIABLE }]));
            } else if let Some(Value::String(pattern)) = schema.get_mut("pattern") {
                *pattern = format!("{pattern}|{VARIABLE}");
            }
        }
        _ => {}
    }
}

impl JsonSchema for raw::Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A whole number and a unit of time: 250ms, 10s, 5m, 1h.",
            "pattern": "^[0-9]+(ms|s|m|h)$",
        })
    }
}

impl JsonSchema for raw::Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A whole number and a unit of size: 512B, 16KiB, 1MiB, 2GiB, 1TiB.",
            "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)$",
        })
    }
}

impl JsonSchema for raw::Overlay {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Environment".into()
    }

    /// Anything: [`schema`] puts the description of a file here, which is not known before this is.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}
