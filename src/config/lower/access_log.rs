//! `access_log`, `[access_logs.NAME]`, and what routes say of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use engine::Outcome;
use plan::access_log::{
    Condition, Escape, Format, Place, Rotation, Share, Syslog, SyslogAddress, SyslogProtocol, TemplateError,
};
use plan::{AccessLog, AccessLogId, AccessLogs, Address, LogTarget, LogTargetId};

use crate::config::spanned::Spanned;

use super::{TIMEOUT_RANGE, duration, integer, size, too_many, word};
use crate::config::address;
use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::raw::{self, ListOr, TextOr};
use crate::config::units;

/// Logs of one file. Each shard has an outlet to each target.
const LOGS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 64;
/// Bytes of each shard's lines that may wait for a writer.
const BUFFER_DEFAULT: u64 = 1 << 20;
/// What stands where a name may stand, and is none.
const WORDS: [&str; 4] = ["off", "json", "common", "combined"];
/// The outcomes that are not `completed`.
const FAILED: &str = "failed";

/// The logs by the names under which routes know them.
pub(super) struct Logs<'f> {
    names: HashMap<&'f str, AccessLogId>,
    default: Option<AccessLogId>,
}

impl Logs<'_> {
    /// The log of a route that says `written` about it.
    pub(super) fn of_route(&self, written: Option<&Spanned<String>>, problems: &mut Problems) -> Option<AccessLogId> {
        let Some(written) = written else { return self.default };
        match written.get_ref().as_str() {
            "off" => None,
            _ => self.named(written.get_ref(), &written.span(), &["off"], problems),
        }
    }

    fn named(&self, name: &str, span: &Span, words: &[&str], problems: &mut Problems) -> Option<AccessLogId> {
        let found = self.names.get(name).copied();
        if found.is_none() && !problems.concern(&["access_logs", name]) {
            let mut names: Vec<&str> = self.names.keys().copied().filter(|name| !WORDS.contains(name)).collect();
            names.sort_unstable();
            let problem = Problem::new(format!("no access log is named {}", quoted(name)));
            let problem = problem.expected_one_of(name, words.iter().copied().chain(names));
            problems.at(span.clone(), problem.note("logs are named by [access_logs.NAME]"));
        }
        found
    }
}

/// Checks all logs of `file`.
pub(super) fn lower<'f>(file: &'f raw::File, problems: &mut Problems) -> (AccessLogs, Logs<'f>) {
    let mut logs = AccessLogs::default();
    let mut names = HashMap::new();
    if let Some((name, _)) = file.access_logs.iter().nth(LOGS_MAX) {
        too_many("access logs", file.access_logs.len(), LOGS_MAX, name.span(), problems);
        let beyond = file.access_logs.keys().skip(LOGS_MAX);
        beyond.for_each(|name| problems.omitted.add(vec!["access_logs".to_owned(), name.get_ref().clone()]));
    }
    for (name, section) in file.access_logs.iter().take(LOGS_MAX) {
        if let Some(problem) = name_problem(name.get_ref()) {
            problems.at(name.span(), problem);
        }
        let path = ["access_logs", name.get_ref().as_str()];
        names.insert(path[1], log(section, &path, &name.span(), &mut logs, problems));
    }
    let mut named = Logs { names, default: None };
    named.default = default(file, &named, &mut logs, problems);
    logs.default = named.default;
    (logs, named)
}

/// The log of routes that name none, and of exchanges that find none.
fn default(file: &raw::File, named: &Logs<'_>, logs: &mut AccessLogs, problems: &mut Problems) -> Option<AccessLogId> {
    let older = file.log.access.as_ref().filter(|older| older.get_ref() != "off");
    if let (Some(choice), Some(older)) = (&file.access_log, older) {
        let problem = Problem::new("the access log is configured twice, as `access_log` and as `log.access`");
        problems.repeated(older.span(), choice.span(), problem.note("`access_log` says all that `log.access` says"));
    }
    let Some(choice) = &file.access_log else {
        let known = [("off", false), ("json", true)];
        let is_on = word(file.log.access.as_ref(), "an access log format", &known, false, problems);
        return is_on.then(|| to_stdout(default_json(), logs));
    };
    match choice.get_ref() {
        TextOr::Table(section) => Some(log(section, &["access_log"], &choice.span(), logs, problems)),
        TextOr::Text(word) => match word.as_str() {
            "off" => None,
            "json" => Some(to_stdout(default_json(), logs)),
            "common" => Some(to_stdout(Format::common(), logs)),
            "combined" => Some(to_stdout(Format::combined(), logs)),
            name => named.named(name, &choice.span(), &WORDS, problems),
        },
    }
}

/// A log of that format to standard output, with everything else at its default.
fn to_stdout(format: Format, logs: &mut AccessLogs) -> AccessLogId {
    let target = LogTarget { place: Place::Stdout, waiting_bytes_max: BUFFER_DEFAULT as u32 };
    // Another log to standard output that has a buffer of another size is to be complained of there.
    let target = target_id(target, &(0..0), logs, &mut Problems::default());
    logs.logs.push(AccessLog { target, format, only: None, share: Share::ALL, always: None });
    AccessLogId(u16::try_from(logs.logs.len() - 1).unwrap_or(u16::MAX))
}

fn default_json() -> Format {
    Format::json(Format::JSON_FIELDS.iter().copied()).expect("the fields of ours exist")
}

/// Adds a log to `logs`, which stands at `path`.
fn log(
    section: &raw::AccessLog,
    path: &[&str],
    span: &Span,
    logs: &mut AccessLogs,
    problems: &mut Problems,
) -> AccessLogId {
    let before = problems.count();
    let target = LogTarget {
        place: place(section, path, problems),
        waiting_bytes_max: size(section.buffer.as_ref(), 64 << 10..=64 << 20, BUFFER_DEFAULT, problems) as u32,
    };
    let lacks = |key: &&str| problems.concern(&[path, &[*key]].concat());
    let is_whole = problems.count() == before && !["path", "syslog", "rotate", "buffer"].iter().any(lacks);
    let only = section.only.as_ref().map(|section| condition(section, &[path, &["only"]].concat(), problems));
    let always = section.always.as_ref().map(|section| condition(section, &[path, &["always"]].concat(), problems));
    let log = AccessLog {
        // A target of which not all is known can neither agree with others nor disagree.
        target: if is_whole { target_id(target, span, logs, problems) } else { LogTargetId(0) },
        format: format(section, problems),
        only,
        share: share(section.sample.as_ref(), problems),
        always,
    };
    logs.logs.push(log);
    AccessLogId(u16::try_from(logs.logs.len() - 1).unwrap_or(u16::MAX))
}

/// The target's index. Logs that go to the same place share a target, and have to agree on its settings.
fn target_id(target: LogTarget, span: &Span, logs: &mut AccessLogs, problems: &mut Problems) -> LogTargetId {
    let is_same_place = |other: &LogTarget| match (&other.place, &target.place) {
        (Place::File { path, .. }, Place::File { path: other, .. }) => path == other,
        (one, other) => one == other,
    };
    let place = logs.targets.iter().position(is_same_place).unwrap_or_else(|| {
        logs.targets.push(target.clone());
        logs.targets.len() - 1
    });
    if logs.targets[place] != target {
        let problem = Problem::new("another log goes to the same place with other settings");
        problems.at(span.clone(), problem.note("`rotate` and `buffer` belong to the place: write them alike"));
    }
    LogTargetId(u16::try_from(place).unwrap_or(u16::MAX))
}

fn name_problem(name: &str) -> Option<Problem> {
    let shown = quoted(name);
    let is_word = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let problem = if WORDS.contains(&name) {
        Problem::new(format!("an access log cannot be named {shown}")).note("the word means something itself")
    } else if name.is_empty() || name.len() > NAME_BYTES_MAX || !is_word(name) {
        let expected = format!("1 to {NAME_BYTES_MAX} letters, digits, `_`, `-` and `.`");
        Problem::new(format!("{shown} is not a name for an access log")).expected(expected)
    } else {
        return None;
    };
    Some(problem)
}

fn format(section: &raw::AccessLog, problems: &mut Problems) -> Format {
    let known = [("apache", Escape::Apache), ("json", Escape::Json)];
    let escape = word(section.escape.as_ref(), "a way to escape", &known, Escape::Apache, problems);
    let written = section.format.as_ref().map_or("json", |written| written.get_ref());
    if let Some(fields) = section.fields.as_ref().filter(|_| written != "json") {
        let problem = Problem::new(format!("`fields` does nothing for the format {}", quoted(written)));
        problems.at(fields.span(), problem.note("it lists the members of `format = \"json\"`"));
    }
    match written {
        "json" => return json(section.fields.as_ref(), problems),
        "common" => return Format::common(),
        "combined" => return Format::combined(),
        _ => {}
    }
    let Some(template) = &section.format else { return Format::common() };
    // A word without a single field was meant to be one of the formats.
    if !template.get_ref().contains(['{', '}']) {
        let problem = Problem::new(format!("{} is not an access log format", quoted(template.get_ref())));
        let problem = problem.expected_one_of(template.get_ref(), ["json", "common", "combined"]);
        problems.at(template.span(), problem.note("or a template with fields: \"{client} {request} {status}\""));
        return Format::common();
    }
    Format::template(template.get_ref(), escape).unwrap_or_else(|error| {
        problems.at(template.span(), template_problem(&error));
        Format::common()
    })
}

fn json(fields: Option<&Spanned<Vec<Spanned<String>>>>, problems: &mut Problems) -> Format {
    let Some(fields) = fields else { return default_json() };
    let mut seen = HashMap::new();
    for field in fields.get_ref() {
        // One by one, so that each error has its place.
        if let Err(error) = Format::json([field.get_ref().as_str()]) {
            problems.at(field.span(), template_problem(&error));
        }
        if let Some(first) = seen.insert(field.get_ref().to_ascii_lowercase(), field.span()) {
            problems.repeated(
                field.span(),
                first,
                Problem::new(format!("the field {} twice", quoted(field.get_ref()))),
            );
        }
    }
    let names = fields.get_ref().iter().map(|field| field.get_ref().as_str());
    match Format::json(names) {
        Ok(format) => format,
        Err(error @ (TemplateError::Empty | TemplateError::TooLong)) => {
            problems.at(fields.span(), Problem::new(format!("this is no list of fields: {error}")));
            default_json()
        }
        // Told above.
        Err(_) => default_json(),
    }
}

fn template_problem(error: &TemplateError) -> Problem {
    match error {
        TemplateError::UnknownField(name) => {
            let names = plan::access_log::Field::NAMES.iter().copied();
            let names = names.chain(["request_header.NAME", "response_header.NAME"]);
            Problem::new(format!("no field is named {}", quoted(name))).expected_one_of(name, names)
        }
        TemplateError::HeaderName(name) => {
            let problem = Problem::new(format!("{} is not the name of a header field", quoted(name)));
            problem.expected("one such as `request_header.User-Agent`")
        }
        other => Problem::new(format!("this is no template: {other}")),
    }
}

fn place(section: &raw::AccessLog, at: &[&str], problems: &mut Problems) -> Place {
    if let (Some(path), Some(syslog)) = (&section.path, &section.syslog) {
        let problem = Problem::new("one log goes to one place: `path` or `syslog`");
        problems.repeated(path.span(), syslog.span(), problem.note("a route names one log"));
    }
    let has_path = section.path.is_some() || problems.concern(&[at, &["path"]].concat());
    if let Some(rotate) = section.rotate.as_ref().filter(|_| !has_path) {
        problems.at(rotate.span(), Problem::new("`rotate` needs a file").expected("`path`, with the file's path"));
    }
    let rotation = section.rotate.as_ref().map(|rotate| rotation(rotate, at, problems));
    match (&section.path, &section.syslog) {
        (Some(path), _) => {
            let file = PathBuf::from(path.get_ref());
            if !file.is_absolute() || path.get_ref().ends_with('/') || path.get_ref().contains('\0') {
                let problem = Problem::new(format!("{} is not the absolute path of a file", quoted(path.get_ref())));
                problems.at(path.span(), problem.expected("one such as `/var/log/ringway/access.log`"));
            }
            Place::File { path: file, rotation }
        }
        (None, Some(written)) => Place::Syslog(match written.get_ref() {
            TextOr::Text(text) => syslog(Some((text, written.span())), &raw::Syslog::default(), problems),
            TextOr::Table(table) => {
                let address = table.address.as_ref().map(|address| (address.get_ref(), address.span()));
                syslog(address, table, problems)
            }
        }),
        (None, None) => Place::Stdout,
    }
}

fn rotation(section: &Spanned<TextOr<raw::Rotate>>, at: &[&str], problems: &mut Problems) -> Rotation {
    let sizes = 4 << 10..=1 << 40;
    let default = Rotation { bytes_max: None, age_max: None, kept_max: 7, compress: true };
    let raw::Rotate { size: bytes, age, keep, compress } = match section.get_ref() {
        TextOr::Table(table) => &**table,
        TextOr::Text(text) => {
            let bytes_max = match units::size(text) {
                Ok(bytes) if sizes.contains(&bytes) => Some(bytes),
                Ok(_) => {
                    let problem = Problem::new(format!("{} is out of range", quoted(text)));
                    problems.at(section.span(), problem.expected("4KiB to 1TiB"));
                    None
                }
                Err(problem) => {
                    problems.at(section.span(), problem);
                    None
                }
            };
            return Rotation { bytes_max, ..default };
        }
    };
    if bytes.is_none() && age.is_none() && !problems.concern(&[at, &["rotate"]].concat()) {
        let problem = Problem::new("`rotate` does not say when");
        problems.at(section.span(), problem.expected("`size`, `age` or both: { size = \"100MiB\", age = \"24h\" }"));
    }
    let year = Duration::from_secs(366 * 24 * 3600);
    let (one_second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
    Rotation {
        bytes_max: bytes.as_ref().map(|bytes| size(Some(bytes), sizes.clone(), 100 << 20, problems)),
        age_max: age.as_ref().map(|age| duration(Some(age), one_second..=year, day, problems)),
        kept_max: integer(keep.as_ref(), 1..=10_000, default.kept_max, problems),
        compress: compress.unwrap_or(default.compress),
    }
}

fn syslog(written: Option<(&String, Span)>, section: &raw::Syslog, problems: &mut Problems) -> Syslog {
    let address = written.and_then(|(text, span)| match address::listen(text) {
        Ok(Address::Unix(path)) => Some(SyslogAddress::Unix(path)),
        Ok(Address::Tcp(address)) if address.port() == 0 => {
            problems.at(span, Problem::new("port 0 is nobody's").expected("a port, usually 514"));
            None
        }
        Ok(Address::Tcp(address)) => Some(SyslogAddress::Udp(address)),
        Err(problem) => {
            problems.at(span, problem);
            None
        }
    });
    let address = address.unwrap_or_else(|| SyslogAddress::Unix("/dev/log".into()));
    let customary = match address {
        SyslogAddress::Unix(_) => SyslogProtocol::Rfc3164,
        SyslogAddress::Udp(_) => SyslogProtocol::Rfc5424,
    };
    let protocols = [("rfc3164", SyslogProtocol::Rfc3164), ("rfc5424", SyslogProtocol::Rfc5424)];
    let protocol = word(section.protocol.as_ref(), "a form of syslog messages", &protocols, customary, problems);
    let facility = word(section.facility.as_ref(), "a facility", &FACILITIES, 16, problems);
    let severity = word(section.severity.as_ref(), "a severity", &SEVERITIES, 6, problems);
    let tag = section.tag.as_ref().map_or("ringway", |tag| tag.get_ref());
    // RFC 5424 §6.2.5; the characters after which the older form reads on.
    let is_tag = |tag: &str| tag.bytes().all(|byte| byte.is_ascii_graphic() && !b"[]:".contains(&byte));
    if let Some(written) = section.tag.as_ref().filter(|_| tag.is_empty() || tag.len() > 48 || !is_tag(tag)) {
        let problem = Problem::new(format!("{} is not a tag", quoted(tag)));
        problems.at(written.span(), problem.expected("1 to 48 printable ASCII characters without `[`, `]` and `:`"));
    }
    Syslog { address, protocol, priority: facility * 8 + severity, tag: tag.to_owned() }
}

/// RFC 5424 §6.2.1, table 1, by their customary names.
const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// RFC 5424 §6.2.1, table 2.
const SEVERITIES: [(&str, u8); 8] =
    [("emerg", 0), ("alert", 1), ("crit", 2), ("err", 3), ("warning", 4), ("notice", 5), ("info", 6), ("debug", 7)];

fn share(written: Option<&Spanned<f64>>, problems: &mut Problems) -> Share {
    let Some(written) = written else { return Share::ALL };
    let share = *written.get_ref();
    if !(0.0..=1.0).contains(&share) {
        problems.at(written.span(), Problem::new(format!("{share} is out of range")).expected("0.0 to 1.0"));
        return Share::ALL;
    }
    Share((share * f64::from(Share::ALL.0)).round() as u32)
}

fn condition(section: &Spanned<ListOr<raw::LogCondition>>, at: &[&str], problems: &mut Problems) -> Condition {
    let (statuses, outcomes, slower_than) = match section.get_ref() {
        ListOr::List(statuses) => (&statuses[..], &[][..], None),
        ListOr::Table(table) => (&table.statuses[..], &table.outcomes[..], table.slower_than.as_ref()),
    };
    if statuses.is_empty() && outcomes.is_empty() && slower_than.is_none() && !problems.concern(at) {
        let problem = Problem::new("a condition that nothing meets");
        problems.at(section.span(), problem.expected("`statuses`, `outcomes`, `slower_than` or several of them"));
    }
    let mut condition = Condition {
        slower_than: slower_than.map(|bound| duration(Some(bound), TIMEOUT_RANGE, Duration::ZERO, problems)),
        ..Condition::default()
    };
    let classes = [("1xx", 1), ("2xx", 2), ("3xx", 3), ("4xx", 4), ("5xx", 5_u16)];
    for written in statuses {
        condition.status_classes |= 1 << word(Some(written), "a class of statuses", &classes, 0, problems);
    }
    let words = Outcome::WORDS.iter().enumerate().map(|(place, word)| (*word, 1_u32 << place));
    let completed = 1_u32;
    let known: Vec<(&str, u32)> = [(FAILED, !completed)].into_iter().chain(words).collect();
    for written in outcomes {
        condition.outcomes |= word(Some(written), "an outcome", &known, 0, problems);
    }
    condition
}
