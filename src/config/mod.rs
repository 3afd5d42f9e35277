//! From what the user writes to what the shards obey: TOML in, a [`plan::Plan`] out, or every error at once.
//!
//! The way of a file, in order: `source` reads it and those that it includes; `merge` makes one document of their texts;
//! `environment` puts variables and the chosen environment into it; `shape` turns it into the structs of `raw`, which
//! mirror it key by key; `lower` turns those into a Plan, section by section, reading single values with `address` and
//! `units`. Whatever is wrong becomes a `diagnostic`: file, line, column, the line itself, what was expected, and the
//! nearest name that would have been right.
//!
//! `raw` also says what each key means, and `schema` makes a JSON Schema of it, from which in turn `reference` writes the
//! page of all keys, and `show` knows what the keys are that were left out.
//!
//! All errors are told at once: those of shape (syntax, unknown keys, wrong types), and those of meaning in all that could
//! be understood beside them. What could not is `omitted`, where it is remembered, so that nobody complains that it is lacking.

mod address;
mod diagnostic;
mod environment;
mod lower;
mod merge;
mod omitted;
mod raw;
mod reference;
mod schema;
mod shape;
mod show;
mod source;
mod spanned;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use plan::{Address, Plan};
use toml::de::DeTable;

pub use crate::admin::{Admin, AdminAddress};
use crate::certs::Reader;
pub use crate::certs::{Keep, Kept};
pub use crate::discovery::{Discovery, Name};
pub use diagnostic::Report;
use diagnostic::{Problems, Span};
use environment::{Origins, Variables};
use lower::Files;
pub use reference::reference;
pub use schema::schema;
pub use show::{Effective, VariableValues};
use source::Sources;
pub(crate) use source::Written;
pub(crate) use units::ShowDuration;

/// A configuration that was read and found valid.
#[derive(Clone)]
pub struct Loaded {
    /// What the shards obey.
    pub plan: Plan,
    /// How much the program's own log says.
    pub log_level: tracing::Level,
    /// The servers that are known by name, and who is asked for their addresses.
    pub discovery: Discovery,
    /// How the processes are run.
    pub process: Process,
    /// Where and by whom it may be administered.
    pub admin: Admin,
    /// The certificates and keys that it names.
    pub(crate) certs: Certs,
    /// What was read.
    pub(crate) written: Written,
}

/// What is to be known of the files with certificates and keys, beside what is in the Plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certs {
    /// The files and folders that were read.
    pub(crate) files: BTreeSet<PathBuf>,
    /// What is to be told though it is no error.
    pub(crate) warnings: Vec<String>,
    /// The same of certificates that have expired or will soon, as things stood then.
    pub(crate) expiring: Vec<String>,
    /// What was made of the files.
    pub(crate) kept: Kept,
    /// How many of them are wrong, so that what was read before goes on.
    pub(crate) broken: usize,
    /// What came of the answers of OCSP in them, each in a word.
    pub(crate) answers: Vec<&'static str>,
}

impl Certs {
    /// All that is to be told.
    pub(crate) fn told(&self) -> impl Iterator<Item = &String> {
        self.warnings.iter().chain(&self.expiring)
    }
}

/// What it means; not as it was written, with all secrets that may be there.
impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loaded { plan, log_level, discovery, process, admin, certs: _, written: _ } = self;
        let mut shown = f.debug_struct("Loaded");
        shown.field("plan", plan).field("log_level", log_level).field("discovery", discovery);
        shown.field("process", process).field("admin", admin).finish()
    }
}

/// How the processes are run that serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// The user that the worker runs as; `None` for the supervisor's own.
    pub user: Option<String>,
    /// The group that the worker runs as; `None` for the user's own.
    pub group: Option<String>,
    /// Whether a change of the configuration's files is a reload.
    pub watch: bool,
}

/// What a configuration is read in.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The environment that is laid over it (`[environments.NAME]`), if any.
    pub environment: Option<&'a str>,
    /// The values of variables.
    pub variables: &'a dyn Fn(&str) -> Option<OsString>,
    /// Number of shards where it names none.
    pub cores: u16,
    /// What stays as it was where files with certificates are wrong; without it, that is an error.
    pub keep: Option<Keep<'a>>,
}

impl<'a> Surroundings<'a> {
    /// Those of this process.
    #[must_use]
    pub fn of_process(environment: Option<&'a str>) -> Surroundings<'a> {
        Surroundings { environment, variables: &source::variable, cores: cores_available(), keep: None }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Errors {
    /// The file or directory could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// What was asked for.
        path: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
    /// It was read and is wrong in one or more places.
    #[error("{0}")]
    Invalid(Report),
}

/// Reads and checks the file at `path` and those that it includes, or all files of the directory at `path`, with
/// `environment` laid over them.
///
/// # Errors
/// When `path` cannot be read, or what it holds is not a valid configuration.
pub fn load(path: &Path, environment: Option<&str>) -> Result<Loaded, Errors> {
    load_in(path, &Surroundings::of_process(environment))
}

/// As [`load`], in surroundings that the caller chooses.
///
/// # Errors
/// As there.
pub fn load_in(path: &Path, surroundings: &Surroundings<'_>) -> Result<Loaded, Errors> {
    with_sources(path, surroundings, |understood| understood.loaded)
}

/// Checks what [`load`] has read before, whatever has become of the files. Certificates are read anew; what is in files that
/// are wrong stays as `keep` says.
///
/// # Errors
/// When it is not valid any more: it was read in other surroundings, or names files that are not as they were.
pub(crate) fn load_again(
    written: &Written,
    environment: Option<&str>,
    keep: Option<Keep<'_>>,
) -> Result<Loaded, Errors> {
    let surroundings = Surroundings { keep, ..Surroundings::of_process(environment) };
    understand(Sources::of_written(written), Problems::default(), &surroundings, |understood| understood.loaded)
}

/// Reads and checks the same, and tells what it comes to: every key with its value, and where that has it from; with those of
/// variables, or without.
///
/// # Errors
/// As [`load`].
pub fn show(path: &Path, surroundings: &Surroundings<'_>, values: VariableValues) -> Result<Effective, Errors> {
    with_sources(path, surroundings, |understood| show::effective(&understood, surroundings.environment, values))
}

/// The files that [`load`] reads, in the order in which they are merged, for who wants to know when one of them changes. As
/// many as can be found, where something is wrong with one.
///
/// # Errors
/// When `path` cannot be read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Errors> {
    let variables = Variables { value: &source::variable };
    let unreadable = |reason| Errors::Unreadable { path: path.to_owned(), reason };
    let sources = source::read(path, &variables, &mut Problems::default()).map_err(unreadable)?;
    Ok(sources.names().map(PathBuf::from).collect())
}

/// Checks `text`, which errors call `name`. `cores` is the number of shards where the text names none.
///
/// # Errors
/// When the text does not describe a valid configuration.
pub fn parse(name: &str, text: &str, cores: u16) -> Result<Loaded, Errors> {
    let surroundings = Surroundings { cores, ..Surroundings::of_process(None) };
    understand(Sources::of_text(name, text), Problems::default(), &surroundings, |understood| understood.loaded)
}

/// A configuration on the way from its texts to what is made of it.
struct Understood<'s> {
    sources: &'s Sources,
    /// The document with its variables and its environment.
    document: DeTable<'s>,
    origins: Origins,
    loaded: Loaded,
}

fn with_sources<T>(
    path: &Path,
    surroundings: &Surroundings<'_>,
    make: impl FnOnce(Understood<'_>) -> T,
) -> Result<T, Errors> {
    let variables = Variables { value: surroundings.variables };
    let mut problems = Problems::default();
    let sources = source::read(path, &variables, &mut problems)
        .map_err(|reason| Errors::Unreadable { path: path.to_owned(), reason })?;
    understand(sources, problems, surroundings, make)
}

/// Makes sense of `sources`, in whose reading `problems` were found, and `make`s what is wanted of it.
fn understand<T>(
    sources: Sources,
    mut problems: Problems,
    surroundings: &Surroundings<'_>,
    make: impl FnOnce(Understood<'_>) -> T,
) -> Result<T, Errors> {
    match understood(&sources, surroundings, &mut problems).map(make) {
        Some(made) => Ok(made),
        None => Err(Errors::Invalid(problems.into_report(sources))),
    }
}

fn understood<'s>(
    sources: &'s Sources,
    surroundings: &Surroundings<'_>,
    problems: &mut Problems,
) -> Option<Understood<'s>> {
    let chosen = surroundings.environment;
    let mut origins = Origins::default();
    let mut document = merge::document(sources, problems);
    let variables = Variables { value: surroundings.variables };
    variables.expand_all(&mut document, chosen, sources, &mut origins, problems);
    // Once for the shape of all environments, and once more for what the chosen one makes of the whole.
    shape::read(&mut document, chosen, sources, &origins, problems)?;
    environment::overlay(&mut document, chosen, &mut origins, problems);
    shape::omit_unexpanded(&mut document, &origins, problems);
    let file = shape::read(&mut document, None, sources, &origins, problems)?;
    let mut reader = surroundings.keep.map_or_else(Reader::new, Reader::keeping);
    let folder_of = |span: &Span| {
        let file = Path::new(sources.place(span).file);
        file.parent().unwrap_or(Path::new("")).to_owned()
    };
    let mut files = Files { reader: &mut reader, folder_of: &folder_of };
    let mut loaded = lower::lower(&file, surroundings.cores, &mut files, problems)?;
    loaded.written = sources.written();
    let Reader { files, warnings, expiring, kept, broken, answers, .. } = reader;
    loaded.certs = Certs { files, warnings, expiring, kept, broken: broken.len(), answers };
    Some(Understood { sources, document, origins, loaded })
}

/// The configuration that serves where there is no file: one listener on the loopback interface, one shard per core, and
/// everything proxied to the demo upstream at `demo`.
#[must_use]
pub fn embedded(demo: SocketAddr) -> Plan {
    let text = format!(
        "listeners = [{{ address = \"127.0.0.1:8080\" }}]\n\
         upstreams.demo.servers = [\"{demo}\"]\n\
         routes = [{{ upstream = \"demo\" }}]\n"
    );
    parse("the embedded default", &text, cores_available()).expect("the embedded default is valid").plan
}

/// Reads an address as it is written in the configuration, for the command line.
///
/// # Errors
/// What is wrong with it, and what was expected, in one line.
pub fn parse_listen_address(text: &str) -> Result<Address, String> {
    address::listen(text).map_err(|problem| problem.in_one_line())
}

/// Number of cores that this process may use, within what a Plan allows; 1 where the kernel does not tell.
fn cores_available() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(cores).unwrap_or(u16::MAX).min(lower::SHARDS_MAX)
}
