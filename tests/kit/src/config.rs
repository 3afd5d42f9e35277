//! A configuration file, written by the test that needs it.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::path::Path;

/// The configuration of a proxy under test. Its defaults suit tests: one shard, since connections spread over shards by a
/// hash that no test can foresee, and not pinned, since other tests run beside it. `RINGWAY_IO=epoll` (or `io_uring`) has all
/// of them run on that; else the proxy chooses.
#[derive(Debug, Clone)]
pub struct Config {
    listeners: Vec<String>,
    /// Of every listener.
    listener_options: Vec<(String, String)>,
    upstreams: Vec<Upstream>,
    routes: Vec<Route>,
    /// Rules for TLS that is passed through, as TOML.
    passthroughs: Vec<String>,
    sections: BTreeMap<&'static str, Vec<(String, String)>>,
}

#[derive(Debug, Clone)]
struct Upstream {
    name: String,
    /// As TOML.
    servers: Vec<String>,
    options: Vec<(String, String)>,
}

#[derive(Debug, Clone)]
struct Route {
    host: Option<String>,
    /// `prefix` or `path`, and which.
    path: (&'static str, String),
    upstream: String,
    options: Vec<(String, String)>,
}

impl Config {
    /// Nothing but the sections that every configuration has.
    #[must_use]
    pub fn new() -> Config {
        let config = Config {
            listeners: vec![],
            listener_options: vec![],
            upstreams: vec![],
            routes: vec![],
            passthroughs: vec![],
            sections: BTreeMap::new(),
        };
        let config = config.shards(1).set("shards", "pin", "false").set("log", "access", "\"json\"");
        // All clients of a test have one address, and what they do to the proxy is no reason to refuse the next.
        let config = config.limit("glitches_per_client", 0);
        match std::env::var("RINGWAY_IO") {
            Ok(io) => config.set("shards", "io", format!("{io:?}")),
            Err(_) => config,
        }
    }

    /// All requests go to `server`, in the upstream `app`.
    #[must_use]
    pub fn to(server: impl Display) -> Config {
        Config::new().upstream("app", &[&server]).route(None, "/", "app")
    }

    /// Adds a listening address beside the one that the harness chooses: `127.0.0.1:80` or `unix:/path`.
    #[must_use]
    pub fn listen(mut self, address: impl Display) -> Config {
        self.listeners.push(address.to_string());
        self
    }

    /// Sets an option of all listeners, that of the harness too. `value` is a TOML value: text stands in quotes.
    #[must_use]
    pub fn listener_option(mut self, key: &str, value: impl Display) -> Config {
        self.listener_options.push((key.to_owned(), value.to_string()));
        self
    }

    /// Speaks TLS with clients, with these certificates, each for the names in it; those who ask for none of them get the first.
    #[must_use]
    pub fn tls(self, certificates: &[&Path]) -> Config {
        self.listener_option("tls", true).set("tls", "certificate", format!("{certificates:?}"))
    }

    /// Has TLS for these names passed through to `upstream`; for any name, and none, if there are none.
    #[must_use]
    pub fn passthrough(mut self, names: &[&str], upstream: &str) -> Config {
        let names = if names.is_empty() { String::new() } else { format!("names = {names:?}\n") };
        self.passthroughs.push(format!("{names}upstream = {upstream:?}"));
        self
    }

    /// Adds an upstream.
    #[must_use]
    pub fn upstream(mut self, name: &str, servers: &[&dyn Display]) -> Config {
        let servers = servers.iter().map(|server| format!("{:?}", server.to_string())).collect();
        self.upstreams.push(Upstream { name: name.to_owned(), servers, options: vec![] });
        self
    }

    /// Adds a server with a weight to the upstream added last.
    ///
    /// # Panics
    /// If there is no upstream.
    #[must_use]
    pub fn weighted_server(mut self, address: impl Display, weight: u16) -> Config {
        let upstream = self.upstreams.last_mut().expect("an upstream to add a server to");
        upstream.servers.push(format!("{{ address = {:?}, weight = {weight} }}", address.to_string()));
        self
    }

    /// Sets an option of the upstream added last. `value` is a TOML value: text stands in quotes.
    ///
    /// # Panics
    /// If there is no upstream.
    #[must_use]
    pub fn upstream_option(mut self, key: &str, value: impl Display) -> Config {
        let upstream = self.upstreams.last_mut().expect("an upstream to set an option of");
        upstream.options.push((key.to_owned(), value.to_string()));
        self
    }

    /// Adds a route for everything below `prefix`.
    #[must_use]
    pub fn route(self, host: Option<&str>, prefix: &str, upstream: &str) -> Config {
        self.with_route(host, ("prefix", prefix.to_owned()), upstream)
    }

    /// Adds a route for one path.
    #[must_use]
    pub fn exact_route(self, host: Option<&str>, path: &str, upstream: &str) -> Config {
        self.with_route(host, ("path", path.to_owned()), upstream)
    }

    fn with_route(mut self, host: Option<&str>, path: (&'static str, String), upstream: &str) -> Config {
        let (host, upstream) = (host.map(str::to_owned), upstream.to_owned());
        self.routes.push(Route { host, path, upstream, options: vec![] });
        self
    }

    /// Sets an option of the route added last. `value` is a TOML value: text stands in quotes.
    ///
    /// # Panics
    /// If there is no route.
    #[must_use]
    pub fn route_option(mut self, key: &str, value: impl Display) -> Config {
        let route = self.routes.last_mut().expect("a route to set an option of");
        route.options.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets the number of shards.
    #[must_use]
    pub fn shards(self, count: u16) -> Config {
        self.set("shards", "count", count)
    }

    /// Sets one of `[limits]`. `value` is a TOML value.
    #[must_use]
    pub fn limit(self, key: &str, value: impl Display) -> Config {
        self.set("limits", key, value)
    }

    /// Sets one of `[timeouts]`, such as `200ms`.
    #[must_use]
    pub fn timeout(self, key: &str, value: &str) -> Config {
        self.set("timeouts", key, format!("{value:?}"))
    }

    /// Sets a time-out of the upstream added last, such as `200ms`.
    #[must_use]
    pub fn upstream_timeout(self, key: &str, value: &str) -> Config {
        self.upstream_option(key, format!("{value:?}"))
    }

    /// Sets `key` of `[section]`. `value` is a TOML value; a later one replaces an earlier one.
    #[must_use]
    pub fn set(mut self, section: &'static str, key: &str, value: impl Display) -> Config {
        let entries = self.sections.entry(section).or_default();
        entries.retain(|(k, _)| k != key);
        entries.push((key.to_owned(), value.to_string()));
        self
    }

    /// Whether `key` of `[section]` is set.
    #[must_use]
    pub fn sets(&self, section: &str, key: &str) -> bool {
        self.sections.get(section).is_some_and(|entries| entries.iter().any(|(k, _)| k == key))
    }

    /// The file's text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for address in &self.listeners {
            line(&mut text, format_args!("[[listeners]]\naddress = {address:?}"));
            self.listener_options.iter().for_each(|(key, value)| line(&mut text, format_args!("{key} = {value}")));
            text.push('\n');
        }
        for upstream in &self.upstreams {
            line(&mut text, format_args!("[upstreams.{}]\nservers = [{}]", upstream.name, upstream.servers.join(", ")));
            upstream.options.iter().for_each(|(key, value)| line(&mut text, format_args!("{key} = {value}")));
            text.push('\n');
        }
        for Route { host, path: (key, path), upstream, options } in &self.routes {
            line(&mut text, format_args!("[[routes]]"));
            options.iter().for_each(|(key, value)| line(&mut text, format_args!("{key} = {value}")));
            host.iter().for_each(|host| line(&mut text, format_args!("host = {host:?}")));
            line(&mut text, format_args!("{key} = {path:?}\nupstream = {upstream:?}\n"));
        }
        for rule in &self.passthroughs {
            line(&mut text, format_args!("[[passthrough]]\n{rule}\n"));
        }
        // A test that says more about the access log says it in a section of its own.
        let is_said = self.sections.contains_key("access_log");
        for (section, entries) in &self.sections {
            line(&mut text, format_args!("[{section}]"));
            let entries = entries.iter().filter(|(key, _)| !(is_said && *section == "log" && key == "access"));
            entries.for_each(|(key, value)| line(&mut text, format_args!("{key} = {value}")));
            text.push('\n');
        }
        text
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a string");
}
