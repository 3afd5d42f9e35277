//! What `ringway serve` says when it is ready: where it listens, what to try, and what to do next. It fits a terminal of
//! 80 columns and 24 lines.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use plan::{Address, HostPattern, Plan, Route, Upstream};

use super::serve::request_command;
use super::version::VERSION;
use crate::config::{Discovery, Name, ShowDuration};
use crate::control::{Ready, io_name};

/// A first configuration. It is shown to be copied, so it has to work as it stands.
const FIRST_CONFIGURATION: &str = r#"[[listeners]]
address = "127.0.0.1:8080"

[upstreams.app]
servers = ["127.0.0.1:9000"]

[[routes]]
prefix = "/"
upstream = "app"
"#;

/// Listeners, upstreams and routes that are named each; of the rest only the number is told.
const LISTED_MAX: usize = 4;
/// Servers of one upstream that are named.
const SERVERS_MAX: usize = 2;

/// What is known when every shard accepts connections.
pub(super) struct Banner<'a> {
    pub(super) plan: &'a Plan,
    pub(super) discovery: &'a Discovery,
    pub(super) ready: &'a Ready,
    /// The configuration file, or `None` for the embedded default.
    pub(super) config: Option<&'a Path>,
    /// How this program was called, for commands that can be copied.
    pub(super) program: &'a str,
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.config {
            None => writeln!(f, "Ringway {VERSION}, with its embedded default: no configuration was given.\n")?,
            Some(path) => writeln!(f, "Ringway {VERSION}, configured by {}\n", path.display())?,
        }
        list(f, "listening", self.ready.listening.iter().cloned())?;
        list(
            f,
            "shards",
            std::iter::once(format!("{}, on {}", layout(&self.ready.cores), io_name(self.ready.backend))),
        )?;
        let embedded = if self.config.is_none() { " (inside this process)" } else { "" };
        list(
            f,
            "upstreams",
            self.plan.upstreams.iter().enumerate().map(|(index, upstream)| {
                let names = self.discovery.names.iter().filter(|name| usize::from(name.upstream.0) == index);
                format!("{}{embedded}", servers(upstream, names))
            }),
        )?;
        list(f, "routes", self.plan.routes.routes().iter().map(|route| self.route(route)))?;
        list(f, "admin", self.ready.admin.iter().map(ToString::to_string))?;
        let drain = ShowDuration(self.plan.timeouts.drain);
        writeln!(f)?;
        if let Some(command) = self.request() {
            list(f, "try", std::iter::once(command))?;
        }
        list(f, "stop", std::iter::once(format!("Ctrl-C or SIGTERM; exchanges under way get {drain} to finish")))?;
        if self.config.is_none() {
            writeln!(f, "\nTo proxy to a server of your own, write this into ringway.toml and run")?;
            writeln!(f, "{} serve --config ringway.toml\n", self.program)?;
            for line in FIRST_CONFIGURATION.lines() {
                writeln!(f, "{}{line}", if line.is_empty() { "" } else { "  " })?;
            }
        }
        Ok(())
    }
}

impl Banner<'_> {
    fn route(&self, route: &Route) -> String {
        let upstream = self.plan.upstreams.get(usize::from(route.upstream.0));
        let upstream = upstream.map_or("?", |upstream| &upstream.name);
        let hosts = match &route.hosts[..] {
            [] => String::new(),
            [host] => host.to_string(),
            [first, rest @ ..] => format!("{first} and {} more, ", rest.len()),
        };
        format!("{hosts}{} to {upstream}", route.path)
    }

    /// A command that gets an answer: by a route that any host takes, if there is one.
    fn request(&self) -> Option<String> {
        let routes = self.plan.routes.routes();
        let route = routes.iter().find(|route| route.hosts.is_empty()).or(routes.first())?;
        let listener = self.plan.listeners.first()?;
        let tls = self.plan.tls.as_ref().filter(|_| listener.tls.is_some());
        // Where any host will do, one that there is a certificate for.
        let certified = || tls?.hosts.iter().find_map(|host| host.names.first());
        let host = route.hosts.first().or_else(certified).map(|host| match host {
            HostPattern::Exact(host) => host.clone(),
            HostPattern::Suffix(suffix) => format!("www.{suffix}"),
            HostPattern::Prefix(prefix) => format!("{prefix}.example"),
        });
        let address = match listener.address.clone() {
            // It may be another than was asked for: the kernel chooses where the port is 0.
            Address::Tcp(_) => Address::Tcp(self.ready.listening.first()?.parse().ok()?),
            unix @ Address::Unix(_) => unix,
        };
        Some(request_command(&address, tls.is_some(), host.as_deref(), route.path.text()))
    }
}

/// Writes `values` below each other, beside `name`.
fn list(f: &mut Formatter<'_>, name: &str, values: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let count = values.len();
    // A list that is one too long is shown whole: the line that says so would take the same room.
    let shown = if count == LISTED_MAX + 1 { count } else { LISTED_MAX };
    for (index, value) in values.take(shown).enumerate() {
        writeln!(f, "  {:<10}  {value}", if index == 0 { name } else { "" })?;
    }
    if count > shown {
        writeln!(f, "  {:<10}  and {} more", "", count - shown)?;
    }
    Ok(())
}

fn servers<'a>(upstream: &Upstream, names: impl Iterator<Item = &'a Name>) -> String {
    let addresses = upstream.servers.iter().map(|server| server.address.to_string());
    let mut shown: Vec<String> = addresses.chain(names.map(|name| format!("{}:{}", name.host, name.port))).collect();
    if shown.len() > SERVERS_MAX {
        let more = shown.split_off(SERVERS_MAX).len();
        shown.push(format!("and {more} more"));
    }
    format!("{} at {}", upstream.name, shown.join(", "))
}

/// The shards and their cores. Neighbouring cores are drawn together, for machines that have many.
fn layout(cores: &[Option<usize>]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for core in cores.iter().flatten().copied() {
        match runs.last_mut() {
            Some((_, last)) if core == *last + 1 => *last = core,
            _ => runs.push((core, core)),
        }
    }
    let count = cores.len();
    if runs.is_empty() {
        return format!("{count}, not pinned");
    }
    let shown = |(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        1 => format!("{first} {last}"),
        _ => format!("{first}-{last}"),
    };
    let listed: Vec<String> = runs.iter().map(shown).collect();
    let pinned = cores.iter().flatten().count();
    let noun = if pinned == 1 { "core" } else { "cores" };
    let loose = if pinned < count { format!(", {} not pinned", count - pinned) } else { String::new() };
    format!("{count}, pinned to {noun} {}{loose}", listed.join(" "))
}

#[cfg(test)]
mod tests {
    use engine::Backend;

    use super::*;
    use crate::config;

    fn banner(plan: &Plan, cores: &[Option<usize>], config: Option<&str>) -> String {
        let listening = plan.listeners.iter().map(|listener| listener.address.to_string()).collect();
        let backend = if config.is_some() { Backend::Epoll } else { Backend::IoUring };
        let ready = Ready { listening, cores: cores.to_vec(), backend, admin: None };
        let discovery = &Discovery::default();
        let config = config.map(Path::new);
        Banner { plan, discovery, ready: &ready, config, program: "target/release/ringway" }.to_string()
    }

    #[test]
    fn the_embedded_default_tells_how_to_go_on() {
        let plan = config::embedded("127.0.0.1:40123".parse().unwrap());
        let shown = banner(&plan, &[Some(0), Some(1)], None);
        let expected = format!(
            r#"Ringway {VERSION}, with its embedded default: no configuration was given.

  listening   127.0.0.1:8080
  shards      2, pinned to cores 0 1, on io_uring
  upstreams   demo at 127.0.0.1:40123 (inside this process)
  routes      / to demo

  try         curl http://127.0.0.1:8080/
  stop        Ctrl-C or SIGTERM; exchanges under way get 30s to finish

To proxy to a server of your own, write this into ringway.toml and run
target/release/ringway serve --config ringway.toml

  [[listeners]]
  address = "127.0.0.1:8080"

  [upstreams.app]
  servers = ["127.0.0.1:9000"]

  [[routes]]
  prefix = "/"
  upstream = "app"
"#
        );
        assert_eq!(shown, expected);
        assert!(shown.lines().count() <= 23 && shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    }

    #[test]
    fn the_first_configuration_works_as_it_stands() {
        let loaded = config::parse("ringway.toml", FIRST_CONFIGURATION, 2).expect("valid");
        assert_eq!(loaded.plan.routes.routes().len(), 1);
        assert_eq!(loaded.plan.listeners[0].address.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn long_lists_are_cut_and_the_command_fits_the_first_route() {
        let mut text = "listeners = [{ address = '0.0.0.0:80' }, { address = 'unix:/run/r.sock' }]\n".to_owned();
        text += "upstreams.app.servers = ['127.0.0.1:1', '127.0.0.1:2', '[::1]:3', 'unix:/run/app.sock']\n";
        for index in 0..10 {
            text += &format!("[[routes]]\nhost = 'h{index}.example'\nupstream = 'app'\n");
        }
        let plan = config::parse("x", &text, 2).expect("valid").plan;
        let shown = banner(&plan, &[None, None], Some("conf/x.toml"));
        let expected = format!(
            "Ringway {VERSION}, configured by conf/x.toml

  listening   0.0.0.0:80
              unix:/run/r.sock
  shards      2, not pinned, on epoll
  upstreams   app at 127.0.0.1:1, 127.0.0.1:2, and 2 more
  routes      h0.example/ to app
              h1.example/ to app
              h2.example/ to app
              h3.example/ to app
              and 6 more

  try         curl -H 'Host: h0.example' http://127.0.0.1:80/
  stop        Ctrl-C or SIGTERM; exchanges under way get 30s to finish
"
        );
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_unix_socket_is_tried_by_its_path() {
        let command = request_command(&Address::Unix("/run/r.sock".into()), false, None, "/api");
        assert_eq!(command, "curl --unix-socket /run/r.sock http://localhost/api");
    }

    #[test]
    fn tls_is_tried_by_a_name_that_has_a_certificate() {
        let address: Address = Address::Tcp("0.0.0.0:443".parse().unwrap());
        let command = request_command(&address, true, Some("a.example"), "/");
        assert_eq!(command, "curl --insecure --connect-to ::127.0.0.1:443 https://a.example/");
        assert_eq!(request_command(&address, true, None, "/"), "curl --insecure https://127.0.0.1:443/");
        let command = request_command(&Address::Unix("/run/r.sock".into()), true, Some("a.example"), "/");
        assert_eq!(command, "curl --insecure --unix-socket /run/r.sock https://a.example/");
    }

    #[test]
    fn cores_are_drawn_together() {
        let many: Vec<Option<usize>> = (0..64).chain([70, 71, 80]).map(Some).collect();
        assert_eq!(layout(&many), "67, pinned to cores 0-63 70 71 80");
        assert_eq!(layout(&[Some(3)]), "1, pinned to core 3");
        assert_eq!(layout(&[Some(0), None]), "2, pinned to core 0, 1 not pinned");
        assert_eq!(layout(&[None]), "1, not pinned");
    }
}
