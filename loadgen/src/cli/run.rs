//! `loadgen run`: from flags and a scenario file to a report.

use std::{path::PathBuf, process::ExitCode, thread, time::Duration};

use clap::{Args, ValueEnum};
use loadgen::{
    load::{Load, Outcome, Plan},
    report::{About, Report, html, json, overlay, progress::Watch, table},
    scenario::{
        Arrivals, Body, Diagnostic, Extent, Request, Scenario, StatusRange, Step, TlsVersions, Url, header, read, units,
    },
};

use super::{interrupt, status};

/// How often the run is asked whether it is over.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Args)]
pub(super) struct RunArguments {
    /// What to ask for: http, https, ws or wss. Several are asked for in turn, at random
    #[arg(value_name = "URL")]
    urls: Vec<String>,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// How the load is made. A flag overrides what the scenario says.
#[derive(Debug, Clone, Args)]
pub(super) struct LoadArguments {
    /// Read a scenario from this TOML file
    #[arg(short = 's', long, value_name = "FILE")]
    pub(super) scenario: Option<PathBuf>,
    /// Connections held open at once [default: 64]
    #[arg(short, long, value_name = "N", value_parser = units::count)]
    connections: Option<u64>,
    /// Threads [default: one a core]
    #[arg(short, long, value_name = "N", value_parser = units::count)]
    threads: Option<u64>,
    /// How long to measure, such as 10s or 2m [default: 10s]
    #[arg(short, long, value_name = "TIME", value_parser = units::duration, conflicts_with = "requests")]
    pub(super) duration: Option<Duration>,
    /// End after so many requests
    #[arg(short = 'n', long, value_name = "N", value_parser = units::count)]
    pub(super) requests: Option<u64>,
    /// Open loop: so many requests a second, whether or not answers come
    #[arg(short, long, value_name = "N", value_parser = units::count, conflicts_with = "steps")]
    rate: Option<u64>,
    /// Open loop: rates one after the other, such as 1k:10s,2k:10s; the last holds until the end
    #[arg(long, value_name = "RATE:TIME", value_delimiter = ',', value_parser = step)]
    steps: Vec<Step>,
    /// The distances between requests of an open loop [default: constant]
    #[arg(long, value_enum)]
    arrivals: Option<ArrivalsArgument>,
    /// Open loop: requests due and unanswered beyond which further ones are dropped [default: 100k]
    #[arg(long, value_name = "N", value_parser = units::count)]
    outstanding_max: Option<u64>,
    /// Open loop: where random distances start from [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Speak HTTP/2: agreed on by TLS (ALPN), or with prior knowledge where the URL's scheme is http
    #[arg(long)]
    http2: bool,
    /// HTTP/2: requests under way on one connection at most [default: 1]
    #[arg(long, value_name = "N", value_parser = units::count)]
    streams: Option<u64>,
    /// HTTP/2: bytes of an answer, and of all answers of a connection, that may be under way [default: 16MiB]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    window: Option<u64>,
    /// HTTP/1.1, WebSocket: requests under way on one connection at most [default: 1]
    #[arg(short, long, value_name = "N", value_parser = units::count)]
    pipeline: Option<u64>,
    /// A new connection for each request
    #[arg(long, conflicts_with = "requests_per_connection")]
    connection_per_request: bool,
    /// Requests after which a connection is replaced
    #[arg(long, value_name = "N", value_parser = units::count)]
    requests_per_connection: Option<u64>,
    /// Time before the measurement under the same load, whose samples are dropped
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    warm_up: Option<Duration>,
    /// Time over which connections are opened, and a rate grows, evenly
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    ramp_up: Option<Duration>,
    /// The method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// A field of every request, as `Name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = field)]
    headers: Vec<(String, String)>,
    /// The body, or WebSocket's message
    #[arg(short, long, value_name = "TEXT", group = "content")]
    body: Option<String>,
    /// The file that holds it
    #[arg(long, value_name = "FILE", group = "content")]
    body_file: Option<PathBuf>,
    /// So many bytes of a pattern as the body or message, such as 64KiB
    #[arg(long, value_name = "SIZE", value_parser = units::bytes, group = "content")]
    body_size: Option<u64>,
    /// Statuses that are as expected, such as 200 or 2xx,404 [default: 200-399]
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    expect_status: Vec<StatusRange>,
    /// The length that every body has to have
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    expect_bytes: Option<u64>,
    /// Time for TCP's and TLS's handshake [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    connect_timeout: Option<Duration>,
    /// Time from when a request is due to the end of its answer [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    timeout: Option<Duration>,
    /// Time at the end for what is under way [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    drain: Option<Duration>,
    /// Accept any certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the certificates (PEM) of this file instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The server name to ask for and to verify, instead of the URL's host
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// The only version of TLS to offer [default: both]
    #[arg(long, value_name = "VERSION")]
    tls: Option<TlsArgument>,
    /// Make a full TLS handshake on every connection
    #[arg(long)]
    no_resumption: bool,
    /// Connect to this Unix socket, whatever host the URL names
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// Pin each thread to a core
    #[arg(long)]
    pin: bool,
}

/// Where the answer goes.
#[derive(Debug, Clone, Args)]
struct OutputArguments {
    /// Write the report as JSON to this file, or to standard output (-) instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write one page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What the report calls the target
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArrivalsArgument {
    Constant,
    Poisson,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TlsArgument {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

/// Makes the load, and tells of it.
pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let scenario = arguments.load.scenario(&arguments.urls)?;
    let plan = Plan::new(&scenario)?;
    let interrupt = interrupt::watch()?;
    let name = arguments.output.name.clone().unwrap_or_else(|| arguments.load.name(&scenario));
    let about = About::now(name, settings(&scenario, plan))?;
    let total = match scenario.extent {
        Extent::Duration(duration) => Some(scenario.warm_up + duration),
        Extent::Requests(_) => None,
    };
    let outcome = make(plan, total, (!arguments.output.quiet).then_some(""), &interrupt)?;
    let as_expected = outcome.recording.errors.total() == 0 && outcome.unsent == 0 && outcome.unanswered == 0;
    let notes = notes(&outcome, interrupt.is_raised());
    tell(&Report { about, recording: outcome.recording, notes }, &arguments.output)?;
    Ok(status(as_expected))
}

/// Makes the load of a plan until its end, or until the user wants the end. Progress is shown behind `label`, if there is one.
pub(super) fn make(
    plan: &'static Plan,
    total: Option<Duration>,
    label: Option<&str>,
    interrupt: &interrupt::Interrupt,
) -> anyhow::Result<Outcome> {
    let load = Load::start(plan)?;
    let watch = label.map(|label| Watch::start(label, total, load.live().to_vec()));
    while !load.is_finished() {
        if interrupt.is_raised() {
            load.stop();
        }
        thread::sleep(POLL_INTERVAL);
    }
    drop(watch);
    load.finish()
}

fn tell(report: &Report, output: &OutputArguments) -> anyhow::Result<()> {
    if let Some(file) = &output.html {
        overlay::write(file, &html::page(&report.about.name, std::slice::from_ref(report)))?;
    }
    match &output.json {
        Some(file) if file.as_os_str() == "-" => print!("{}", json::write(report)?),
        Some(file) => {
            overlay::write(file, &json::write(report)?)?;
            print!("{}", table::text(report));
        }
        None => print!("{}", table::text(report)),
    }
    Ok(())
}

/// What else a reader should know.
pub(super) fn notes(outcome: &Outcome, is_interrupted: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if is_interrupted {
        notes.push("The run was interrupted; this is what it had measured.".to_owned());
    }
    if outcome.unanswered > 0 {
        notes.push(format!("{} requests were under way when the time at the end was over.", outcome.unanswered));
    }
    if outcome.unsent > 0 {
        notes.push(format!(
            "{} requests were due and had not been sent when the time at the end was over: \
             the latencies leave out the worst.",
            outcome.unsent
        ));
    }
    notes.extend(outcome.examples.iter().map(|(kind, detail)| format!("The first of \"{kind}\": {detail}")));
    notes
}

/// How the load is made, for the report's reader.
pub(super) fn settings(scenario: &Scenario, plan: &Plan) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut add = |name: &str, value: String| settings.push((name.to_owned(), value));
    match scenario.requests.as_slice() {
        [request] => add("request", format!("{} {}", request.method, request.url)),
        requests => add("requests", format!("{} kinds", requests.len())),
    }
    add("protocol", protocol(scenario));
    add("connections", scenario.connections.to_string());
    if scenario.http2 {
        add("streams a connection", scenario.streams.to_string());
    }
    add("threads", plan.threads().to_string());
    match scenario.extent {
        Extent::Duration(duration) => add("duration", format!("{duration:?}")),
        Extent::Requests(requests) => add("requests in all", requests.to_string()),
    }
    match &scenario.rate {
        None => add("loop", "closed".to_owned()),
        Some(rate) => {
            let steps: Vec<String> = rate.steps.iter().map(|step| step.per_second.to_string()).collect();
            let arrivals = if rate.arrivals == Arrivals::Poisson { "Poisson" } else { "constant" };
            add("loop", format!("open, {arrivals}, {} a second", steps.join(", then ")));
        }
    }
    if scenario.pipeline > 1 {
        add("pipeline", scenario.pipeline.to_string());
    }
    if let Some(requests) = scenario.requests_per_connection {
        add("requests a connection", requests.to_string());
    }
    for (name, time) in [("warm-up", scenario.warm_up), ("ramp-up", scenario.ramp_up)] {
        if !time.is_zero() {
            add(name, format!("{time:?}"));
        }
    }
    settings
}

/// What is spoken, in words.
fn protocol(scenario: &Scenario) -> String {
    let origins = || scenario.requests.iter().map(|request| &request.url.origin);
    let name = match (scenario.http2, origins().any(|origin| origin.websocket)) {
        (true, _) => "HTTP/2",
        (false, true) => "WebSocket",
        (false, false) => "HTTP/1.1",
    };
    match (origins().any(|origin| origin.tls), origins().all(|origin| origin.tls)) {
        (_, true) => format!("{name} over TLS"),
        (true, false) => format!("{name}, with and without TLS"),
        (false, _) => name.to_owned(),
    }
}

impl LoadArguments {
    /// The scenario of the file, or an empty one, with what the flags say.
    pub(super) fn scenario(&self, urls: &[String]) -> Result<Scenario, Diagnostic> {
        let mut scenario = self.scenario.as_deref().map_or_else(|| Ok(Scenario::default()), read)?;
        self.override_load(&mut scenario);
        self.override_rate(&mut scenario)?;
        self.override_limits(&mut scenario);
        let mut requests = Vec::new();
        for url in urls {
            let url = Url::parse(url).map_err(|why| Diagnostic::plain(format!("{url}: {why}")))?;
            requests.push(Request::to(url));
        }
        if !requests.is_empty() {
            scenario.requests = requests;
        }
        scenario.requests.iter_mut().for_each(|request| self.override_request(request));
        scenario.headers.extend(self.headers.iter().cloned());
        scenario.check()?;
        Ok(scenario)
    }

    /// What a report calls the run that nobody named.
    pub(super) fn name(&self, scenario: &Scenario) -> String {
        match (&self.scenario, scenario.requests.as_slice()) {
            (_, [request]) => request.url.to_string(),
            (Some(file), _) => file.display().to_string(),
            (None, requests) => format!("{} and others", requests[0].url),
        }
    }

    fn override_load(&self, scenario: &mut Scenario) {
        scenario.connections = self.connections.unwrap_or(scenario.connections);
        scenario.threads = self.threads.or(scenario.threads);
        scenario.extent = match (self.duration, self.requests) {
            (Some(duration), _) => Extent::Duration(duration),
            (None, Some(requests)) => Extent::Requests(requests),
            (None, None) => scenario.extent,
        };
        scenario.http2 |= self.http2;
        scenario.streams = self.streams.unwrap_or(scenario.streams);
        scenario.window_bytes = self.window.unwrap_or(scenario.window_bytes);
        scenario.pipeline = self.pipeline.unwrap_or(scenario.pipeline);
        scenario.requests_per_connection = if self.connection_per_request {
            Some(1)
        } else {
            self.requests_per_connection.or(scenario.requests_per_connection)
        };
        scenario.warm_up = self.warm_up.unwrap_or(scenario.warm_up);
        scenario.ramp_up = self.ramp_up.unwrap_or(scenario.ramp_up);
        scenario.pin |= self.pin;
        if let Some(path) = &self.unix_socket {
            scenario.unix_socket = Some(path.clone());
        }
    }

    fn override_rate(&self, scenario: &mut Scenario) -> Result<(), Diagnostic> {
        let steps = match self.rate {
            Some(rate) => vec![Step { per_second: rate as f64, duration: Duration::ZERO }],
            None => self.steps.clone(),
        };
        if !steps.is_empty() {
            scenario.rate.get_or_insert_default().steps = steps;
        }
        let Some(rate) = &mut scenario.rate else {
            let given = [self.arrivals.is_some(), self.outstanding_max.is_some(), self.seed.is_some()];
            if given.contains(&true) {
                return Err(Diagnostic::plain("--arrivals, --outstanding-max and --seed need a --rate or --steps"));
            }
            return Ok(());
        };
        match self.arrivals {
            Some(ArrivalsArgument::Constant) => rate.arrivals = Arrivals::Constant,
            Some(ArrivalsArgument::Poisson) => rate.arrivals = Arrivals::Poisson,
            None => {}
        }
        rate.outstanding_max = self.outstanding_max.unwrap_or(rate.outstanding_max);
        rate.seed = self.seed.unwrap_or(rate.seed);
        Ok(())
    }

    fn override_limits(&self, scenario: &mut Scenario) {
        let timeouts = &mut scenario.timeouts;
        timeouts.connect = self.connect_timeout.unwrap_or(timeouts.connect);
        timeouts.request = self.timeout.unwrap_or(timeouts.request);
        timeouts.drain = self.drain.unwrap_or(timeouts.drain);
        let tls = &mut scenario.tls;
        tls.insecure |= self.insecure;
        tls.resumption &= !self.no_resumption;
        tls.ca_file = self.ca_file.clone().or_else(|| tls.ca_file.take());
        tls.server_name = self.sni.clone().or_else(|| tls.server_name.take());
        match self.tls {
            Some(TlsArgument::Tls12) => tls.versions = TlsVersions::Tls12,
            Some(TlsArgument::Tls13) => tls.versions = TlsVersions::Tls13,
            None => {}
        }
    }

    fn override_request(&self, request: &mut Request) {
        let body = match (&self.body, &self.body_file, self.body_size) {
            (Some(text), _, _) => Some(Body::Bytes(text.clone().into_bytes())),
            (_, Some(file), _) => Some(Body::File(file.clone())),
            (_, _, Some(size)) => Some(Body::Size(size)),
            (None, None, None) => None,
        };
        if body.is_some() {
            request.body = body;
            if request.method == "GET" {
                "POST".clone_into(&mut request.method);
            }
        }
        if let Some(method) = &self.method {
            request.method.clone_from(method);
        }
        if !self.expect_status.is_empty() {
            request.expect.statuses.clone_from(&self.expect_status);
        }
        request.expect.body_bytes = self.expect_bytes.or(request.expect.body_bytes);
    }
}

/// `1k:10s`.
fn step(text: &str) -> Result<Step, String> {
    let (rate, duration) = text.split_once(':').ok_or("expected a rate and a time, such as 1k:10s")?;
    Ok(Step { per_second: units::count(rate)? as f64, duration: units::duration(duration)? })
}

/// `Name: value`.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected a field such as `Accept: text/html`")?;
    header(name, value.trim())?;
    Ok((name.to_owned(), value.trim().to_owned()))
}
