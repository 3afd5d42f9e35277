//! From what is written to what it means.

use std::{fs, ops::Range, path::Path, time::Duration};

use toml::Spanned;

use super::{
    Arrivals, BODY_BYTES_MAX, Body, CONNECTIONS_MAX, Diagnostic, Expect, Extent, PIPELINE_MAX, RATE_MAX, Rate, Request,
    STREAMS_MAX, Scenario, StatusRange, Step, THREADS_MAX, Timeouts, Tls, TlsVersions, Url, WINDOW_BYTES, raw, units,
};

/// Reads a scenario from a TOML file. Files that it names are sought from its folder.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn read(path: &Path) -> Result<Scenario, Diagnostic> {
    let source = fs::read_to_string(path).map_err(|error| Diagnostic::plain(format!("{}: {error}", path.display())))?;
    Lowering { file: path, source: &source }.scenario()
}

/// Whether `name: value` may be a field of a request. RFC 9110 §5.1, §5.5
///
/// # Errors
/// Says why not.
pub fn header(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return Err(format!("`{name}` is no field name"));
    }
    if value.bytes().any(|byte| byte < 0x20 && byte != b'\t' || byte == 0x7f) || value.trim() != value {
        return Err(format!("the value of {name} has a control character or blanks around it"));
    }
    let own = ["content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade"];
    if own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(format!("loadgen writes the field {name} itself"));
    }
    Ok(())
}

struct Lowering<'a> {
    file: &'a Path,
    source: &'a str,
}

type Lowered<T> = Result<T, Diagnostic>;

impl Lowering<'_> {
    fn scenario(&self) -> Lowered<Scenario> {
        let raw: raw::Scenario = toml::from_str(self.source).map_err(|error| {
            let message = error.message().to_owned();
            self.error(error.span().unwrap_or_default(), message)
        })?;
        let mut scenario = Scenario {
            rate: raw.rate.map(|rate| self.rate(rate)).transpose()?,
            timeouts: self.timeouts(&raw.timeouts)?,
            tls: self.tls(&raw.tls)?,
            headers: self.headers(raw.headers)?,
            ..Scenario::default()
        };
        self.load(raw.load, &mut scenario)?;
        for request in raw.requests {
            scenario.requests.push(self.request(request.into_inner())?);
        }
        Ok(scenario)
    }

    fn load(&self, raw: raw::Load, scenario: &mut Scenario) -> Lowered<()> {
        let defaults = Scenario::default();
        scenario.connections = self.number(raw.connections, 1..=CONNECTIONS_MAX, defaults.connections)?;
        scenario.threads = raw.threads.map(|threads| self.number(Some(threads), 1..=THREADS_MAX, 1)).transpose()?;
        scenario.extent = match (raw.duration, raw.requests) {
            (Some(_), Some(requests)) => {
                return Err(self.error(requests.span(), "a run has either a `duration` or a number of `requests`"));
            }
            (Some(duration), None) => Extent::Duration(self.positive(&duration)?),
            (None, Some(requests)) => Extent::Requests(self.number(Some(requests), 1..=u64::MAX, 1)?),
            (None, None) => defaults.extent,
        };
        scenario.warm_up = self.duration(raw.warm_up.as_ref(), defaults.warm_up)?;
        scenario.ramp_up = self.duration(raw.ramp_up.as_ref(), defaults.ramp_up)?;
        scenario.http2 = raw.http2.unwrap_or(defaults.http2);
        scenario.streams = self.number(raw.streams, 1..=STREAMS_MAX, defaults.streams)?;
        scenario.window_bytes = match &raw.window {
            None => defaults.window_bytes,
            Some(text) => {
                let bytes = units::bytes(text.get_ref()).map_err(|why| self.error(text.span(), why))?;
                self.number(Some(Spanned::new(text.span(), bytes)), WINDOW_BYTES, defaults.window_bytes)?
            }
        };
        scenario.pipeline = self.number(raw.pipeline, 1..=PIPELINE_MAX, defaults.pipeline)?;
        let requests = raw.requests_per_connection;
        scenario.requests_per_connection =
            requests.map(|requests| self.number(Some(requests), 1..=u64::MAX, 1)).transpose()?;
        scenario.pin = raw.pin.unwrap_or(defaults.pin);
        scenario.unix_socket = raw.unix_socket.map(Into::into);
        Ok(())
    }

    fn rate(&self, raw: raw::Rate) -> Lowered<Rate> {
        let defaults = Rate::default();
        let arrivals = match raw.arrivals {
            None => defaults.arrivals,
            Some(text) => match text.get_ref().as_str() {
                "constant" => Arrivals::Constant,
                "poisson" => Arrivals::Poisson,
                _ => return Err(self.error(text.span(), "expected \"constant\" or \"poisson\"")),
            },
        };
        let mut steps = Vec::new();
        for step in &raw.steps {
            let duration = self.positive(&step.duration)?;
            steps.push(Step { per_second: self.per_second(&step.per_second)?, duration });
        }
        if let Some(per_second) = raw.per_second {
            if !steps.is_empty() {
                return Err(self.error(per_second.span(), "a rate has either `per_second` or `steps`"));
            }
            steps.push(Step { per_second: self.per_second(&per_second)?, duration: Duration::ZERO });
        }
        let outstanding_max = self.number(raw.outstanding_max, 1..=10_000_000, defaults.outstanding_max)?;
        Ok(Rate { arrivals, steps, outstanding_max, seed: raw.seed.unwrap_or(defaults.seed) })
    }

    fn timeouts(&self, raw: &raw::Timeouts) -> Lowered<Timeouts> {
        let defaults = Timeouts::default();
        let limit = |text: &Option<raw::Text>, default| text.as_ref().map_or(Ok(default), |text| self.positive(text));
        Ok(Timeouts {
            connect: limit(&raw.connect, defaults.connect)?,
            request: limit(&raw.request, defaults.request)?,
            drain: self.duration(raw.drain.as_ref(), defaults.drain)?,
        })
    }

    fn tls(&self, raw: &raw::Tls) -> Lowered<Tls> {
        let defaults = Tls::default();
        let mut versions = defaults.versions;
        if let Some(texts) = &raw.versions {
            let mut offered = (false, false);
            for text in texts {
                match text.get_ref().as_str() {
                    "1.2" => offered.0 = true,
                    "1.3" => offered.1 = true,
                    _ => return Err(self.error(text.span(), "expected \"1.2\" or \"1.3\"")),
                }
            }
            versions = match offered {
                (true, false) => TlsVersions::Tls12,
                (false, true) => TlsVersions::Tls13,
                _ => TlsVersions::Both,
            };
        }
        Ok(Tls {
            insecure: raw.insecure.unwrap_or(defaults.insecure),
            ca_file: raw.ca_file.as_ref().map(|file| self.beside(file.get_ref())),
            server_name: raw.server_name.as_ref().map(|name| name.get_ref().clone()),
            versions,
            resumption: raw.resumption.unwrap_or(defaults.resumption),
        })
    }

    fn request(&self, raw: raw::Request) -> Lowered<Request> {
        let url = Url::parse(raw.url.get_ref()).map_err(|why| self.error(raw.url.span(), why))?;
        let mut request = Request::to(url);
        if let Some(method) = raw.method {
            if request.url.origin.websocket {
                return Err(self.error(method.span(), "a WebSocket message has no method"));
            }
            if method.get_ref().is_empty() || !method.get_ref().bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Err(self.error(method.span(), "expected a method in capitals, such as \"POST\""));
            }
            request.method = method.into_inner();
        }
        request.weight = self.number(raw.weight, 0..=1_000_000, 1)?;
        request.headers = self.headers(raw.headers)?;
        request.body = raw.body.map(|body| self.body(body)).transpose()?;
        request.expect = self.expect(raw.expect)?;
        Ok(request)
    }

    fn body(&self, raw: raw::Body) -> Lowered<Body> {
        Ok(match raw {
            raw::Body::Text(text) => Body::Bytes(text.into_bytes()),
            raw::Body::File(file) => Body::File(self.beside(file.get_ref())),
            raw::Body::Size(size) => {
                let bytes = units::bytes(size.get_ref()).map_err(|why| self.error(size.span(), why))?;
                if bytes > BODY_BYTES_MAX {
                    return Err(self.error(size.span(), format!("at most {} MiB", BODY_BYTES_MAX >> 20)));
                }
                Body::Size(bytes)
            }
        })
    }

    fn expect(&self, raw: raw::Expect) -> Lowered<Expect> {
        let mut expect = Expect { body_bytes: raw.body_bytes, ..Expect::default() };
        for text in raw.status.unwrap_or_default() {
            let range: Result<StatusRange, _> = text.get_ref().parse();
            expect.statuses.push(range.map_err(|why: String| self.error(text.span(), why))?);
        }
        if let Some(text) = raw.body_sha256 {
            let bytes = sha256(text.get_ref());
            let bytes = bytes.ok_or_else(|| self.error(text.span(), "expected a SHA-256 as 64 hexadecimal digits"));
            expect.body_sha256 = Some(bytes?);
        }
        Ok(expect)
    }

    fn headers(&self, raw: Vec<(raw::Text, raw::Text)>) -> Lowered<Vec<(String, String)>> {
        let mut headers = Vec::with_capacity(raw.len());
        for (name, value) in raw {
            header(name.get_ref(), value.get_ref()).map_err(|why| self.error(name.span(), why))?;
            headers.push((name.into_inner(), value.into_inner()));
        }
        Ok(headers)
    }

    fn duration(&self, text: Option<&raw::Text>, default: Duration) -> Lowered<Duration> {
        let Some(text) = text else { return Ok(default) };
        units::duration(text.get_ref()).map_err(|why| self.error(text.span(), why))
    }

    fn positive(&self, text: &raw::Text) -> Lowered<Duration> {
        let duration = self.duration(Some(text), Duration::ZERO)?;
        if duration.is_zero() { Err(self.error(text.span(), "expected more than nothing")) } else { Ok(duration) }
    }

    fn per_second(&self, number: &Spanned<f64>) -> Lowered<f64> {
        let per_second = *number.get_ref();
        if (0.0..=RATE_MAX).contains(&per_second) {
            return Ok(per_second);
        }
        Err(self.error(number.span(), format!("expected requests a second, 0 to {RATE_MAX}")))
    }

    fn number(
        &self,
        number: Option<Spanned<u64>>,
        bounds: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> Lowered<u64> {
        let Some(number) = number else { return Ok(default) };
        if bounds.contains(number.get_ref()) {
            return Ok(number.into_inner());
        }
        Err(self.error(number.span(), format!("expected {} to {}", bounds.start(), bounds.end())))
    }

    fn beside(&self, file: &str) -> std::path::PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(file)
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.file, self.source, span, message)
    }
}

/// The bytes of a SHA-256 in hexadecimal.
fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

impl std::str::FromStr for StatusRange {
    type Err = String;

    /// `200`, `2xx` or `200-299`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no status: expected one such as 200, 2xx or 200-299");
        let code = |text: &str| match text.parse::<u16>() {
            Ok(code @ 100..=599) if text.len() == 3 => Ok(code),
            _ => Err(wrong()),
        };
        if let Some(class) = text.strip_suffix("xx") {
            let first = code(&format!("{class}00"))?;
            return Ok(Self { first, last: first + 99 });
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: code(first)?, last: code(last)? };
        if range.first <= range.last { Ok(range) } else { Err(wrong()) }
    }
}
