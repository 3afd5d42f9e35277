//! What the comments and attributes of `raw` say of the keys is what the lowering does.

use super::super::{Loaded, parse};
use super::*;

/// The least that is served. Tests add keys to it.
const BASE: &str = "listeners = [{ address = '127.0.0.1:8080' }]\nroutes = [{ upstream = 'app' }]\n\
    upstreams.app.servers = ['127.0.0.1:9000']\naccess_logs.app.fields = ['time']\n";

/// A key with the place at which a test writes it.
struct Written<'k> {
    path: String,
    key: Key<'k>,
}

/// Every key that holds a value, but for those at the top of a file.
fn all(keys: &Keys) -> Vec<Written<'_>> {
    fn walk<'k>(keys: &'k Keys, path: &str, table: &'k Value, found: &mut Vec<Written<'k>>) {
        for key in keys.of(table) {
            let path = format!("{path}{}{}", if path.is_empty() { "" } else { "." }, key.name);
            match key.kind {
                Kind::Value => found.push(Written { path, key }),
                Kind::Table(table) | Kind::Tables(table) => walk(keys, &path, table, found),
                Kind::Named(table) => walk(keys, &format!("{path}.app"), table, found),
            }
        }
    }
    let mut found = Vec::new();
    for key in keys.of(keys.root()) {
        match key.kind {
            Kind::Value => {}
            Kind::Table(table) | Kind::Tables(table) => walk(keys, key.name, table, &mut found),
            Kind::Named(table) => walk(keys, &format!("{}.app", key.name), table, &mut found),
        }
    }
    assert!(found.len() > 40, "{}", found.len());
    found
}

/// The base with `value` for the key at `path`.
fn with(path: &str, value: &str) -> String {
    let last = path.rsplit('.').next().unwrap_or_default();
    // Who is asked for a certificate is to be judged by something.
    let beside =
        |prefix: &str| if last == "mode" { format!("{prefix}client_auth.ca = 'ca.pem'") } else { String::new() };
    if let Some(path) = path.strip_prefix("tls.hosts.") {
        let beside = beside(", ");
        return format!("{BASE}tls.hosts = [{{ host = 'a.example', {path} = {value}{beside} }}]\n");
    }
    match path.split('.').next() {
        Some("listeners") => BASE.replace("8080' }", &format!("8080', {last} = {value} }}")),
        Some("routes") => BASE.replace("upstream = 'app' }", &format!("upstream = 'app', {} = {value} }}", &path[7..])),
        Some("tls") => format!("{BASE}{path} = {value}\n{}\n", beside("tls.")),
        _ => format!("{BASE}{path} = {value}\n"),
    }
}

fn toml(value: &Value) -> String {
    toml::Value::try_from(value).expect("a value of TOML").to_string()
}

fn lowered(text: &str) -> Result<String, String> {
    let loaded: Result<Loaded, _> = parse("test.toml", text, 2);
    loaded.map(|loaded| format!("{loaded:?}")).map_err(|errors| errors.to_string())
}

#[test]
fn every_key_is_described() {
    let keys = Keys::new();
    for Written { path, key } in all(&keys) {
        assert!(key.schema["description"].is_string(), "{path} has no comment");
        let has_default = !key.schema["default"].is_null() || key.schema["x-default"].is_string();
        assert!(has_default || key.required, "{path} has neither default nor x-default, and is not required");
        assert!(!(has_default && key.required), "{path} is required, and has a default");
    }
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    let keys = Keys::new();
    let plain = lowered(BASE).expect("valid");
    for Written { path, key } in all(&keys) {
        let Some(default) = Some(&key.schema["default"]).filter(|default| !default.is_null()) else { continue };
        assert_eq!(lowered(&with(&path, &toml(default))).as_ref(), Ok(&plain), "{path}");
    }
}

#[test]
fn both_ends_of_a_range_are_taken_and_nothing_beyond() {
    let keys = Keys::new();
    let mut count = 0;
    for Written { path, key } in all(&keys) {
        let target = keys.resolve(key.schema);
        let (is_list, bounded) = match target["items"].is_object() {
            true => (true, keys.resolve(&target["items"])),
            false => (false, target),
        };
        let (Some(least), Some(most)) = (bounded["minimum"].as_i64(), bounded["maximum"].as_i64()) else { continue };
        let write = |number: i64| if is_list { format!("[{number}]") } else { number.to_string() };
        for (number, fits) in [(least, true), (most, true), (least - 1, false), (most + 1, false)] {
            // An upstream keeps no more idle connections than it may have.
            let room = if path.ends_with(".idle_connections") { "upstreams.app.connections = 1000000\n" } else { "" };
            let text = with(&path, &write(number)) + room;
            assert_eq!(lowered(&text).is_ok(), fits, "{path} = {number}: {:?}", lowered(&text));
        }
        count += 1;
    }
    assert!(count > 10, "{count} ranges");
}

#[test]
fn both_ends_of_a_duration_or_size_are_taken_and_nothing_beyond() {
    let keys = Keys::new();
    let mut count = 0;
    for Written { path, key } in all(&keys) {
        let Some([least, most]) = key.schema["x-range"].as_array().map(Vec::as_slice) else { continue };
        let (least, most) = (least.as_str().unwrap(), most.as_str().unwrap());
        let unit_at = most.find(|char: char| !char.is_ascii_digit()).unwrap();
        let beyond = format!("{}{}", most[..unit_at].parse::<u64>().unwrap() + 1, &most[unit_at..]);
        for (text, fits) in [(least, true), (most, true), (beyond.as_str(), false)] {
            let outcome = lowered(&with(&path, &format!("'{text}'")));
            assert_eq!(outcome.is_ok(), fits, "{path} = {text}: {outcome:?}");
        }
        if !least.starts_with('0') {
            let zero = if least.ends_with('B') { "0B" } else { "0s" };
            assert!(lowered(&with(&path, &format!("'{zero}'"))).is_err(), "{path} = {zero}");
        }
        count += 1;
    }
    assert!(count > 15, "{count} ranges");
}

#[test]
fn each_word_is_taken_and_no_other() {
    let keys = Keys::new();
    let mut count = 0;
    for Written { path, key } in all(&keys) {
        let Some(words) = keys.resolve(key.schema)["enum"].as_array() else { continue };
        for word in words {
            // Headers are believed of somebody.
            let room = if path.ends_with(".proxy_protocol") { "trust.networks = ['192.0.2.0/24']\n" } else { "" };
            let outcome = lowered(&(with(&path, &toml(word)) + room));
            assert!(outcome.is_ok(), "{path} = {word}: {outcome:?}");
        }
        assert!(lowered(&with(&path, "'no-such-word'")).is_err(), "{path}");
        count += 1;
    }
    assert!(count > 2, "{count} sets of words");
}

#[test]
fn what_is_published_has_no_words_of_our_own() {
    let schema = schema();
    assert!(!schema.to_string().contains("\"x-"), "{schema:#}");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    let overlay = &schema["$defs"]["Environment"]["properties"];
    assert!(overlay["limits"].is_object() && overlay["include"].is_null() && overlay["environments"].is_null());
}
