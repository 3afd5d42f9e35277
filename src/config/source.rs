//! The texts that a configuration is made of: one file, or the `*.toml` of a directory in the order of their names, and
//! what they include.
//!
//! All texts are kept one behind the other in a single string, so that a span of it is a place in some file: everything
//! after this module deals with spans alone, and [`Sources::place`] says at last which file and line that is.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problem, Problems, Span, quoted};
use super::environment::Variables;

/// A file longer than this is refused: nobody writes it by hand, and it is read whole.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Bytes of all files of one configuration.
const BYTES_MAX: usize = 64 << 20;
/// Files of one configuration.
const FILES_MAX: usize = 1000;
/// Numbers and switches that variables may stand for. Each costs another pass over the document.
const KEPT_MAX: usize = 200;
/// How deep files may include others. The first file stands at depth 0.
const DEPTH_MAX: usize = 8;

/// The texts of a configuration, in the order in which they are merged.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    /// What the whole is called: the file or directory that was asked for.
    name: String,
    text: String,
    files: Vec<Source>,
    /// Texts that variables made, and that have to be parsed once more: they live as long as the others.
    kept: Vec<OnceLock<String>>,
}

/// The texts of a configuration as they were read, for who is to understand them once more without the files.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    name: String,
    /// The name of each file, and its text.
    files: Vec<(String, String)>,
}

/// Without the texts: they may have secrets in them, and what is shown may be logged.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}

/// One file.
#[derive(Debug, Clone)]
struct Source {
    name: String,
    span: Span,
}

/// Where something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'s> {
    /// The file's name.
    pub(super) file: &'s str,
    /// The file's text.
    pub(super) text: &'s str,
    /// The bytes of it.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Sources {
    /// No text yet of what is called `name`.
    pub(super) fn new(name: &str) -> Sources {
        let kept = vec![OnceLock::new(); KEPT_MAX];
        Sources { name: name.to_owned(), text: String::new(), files: Vec::new(), kept }
    }

    /// One text, which is what there is of the configuration.
    pub(super) fn of_text(name: &str, text: &str) -> Sources {
        let mut sources = Sources::new(name);
        sources.push(name, text);
        sources
    }

    /// What was read before.
    pub(super) fn of_written(written: &Written) -> Sources {
        let mut sources = Sources::new(&written.name);
        written.files.iter().for_each(|(name, text)| sources.push(name, text));
        sources
    }

    /// The texts, for who has no use for places in them.
    pub(super) fn written(&self) -> Written {
        let files = self.files.iter().map(|file| (file.name.clone(), self.text[file.span.clone()].to_owned()));
        Written { name: self.name.clone(), files: files.collect() }
    }

    /// Adds a text.
    pub(super) fn push(&mut self, name: &str, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.files.push(Source { name: name.to_owned(), span: start..self.text.len() });
        // So that the end of one text is not the beginning of the next.
        self.text.push('\n');
    }

    /// What the whole is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The names of the files, in the order in which they are merged.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// The text of each file and where it begins.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.files.iter().map(|file| (file.span.start, &self.text[file.span.clone()]))
    }

    /// What is written at `span`.
    pub(super) fn written_at(&self, span: Span) -> &str {
        self.text.get(span).unwrap_or_default()
    }

    /// Keeps another text, if there is room.
    pub(super) fn keep(&self, text: &str) -> Option<&str> {
        let free = self.kept.iter().find(|cell| cell.get().is_none())?;
        Some(free.get_or_init(|| text.trim().to_owned()))
    }

    /// The file that `span` lies in, and where.
    pub(super) fn place(&self, span: &Span) -> Place<'_> {
        let index = self.files.partition_point(|file| file.span.start <= span.start).saturating_sub(1);
        let Some(file) = self.files.get(index) else { return Place { file: &self.name, text: "", start: 0, end: 0 } };
        let within = |at: usize| at.clamp(file.span.start, file.span.end) - file.span.start;
        Place {
            file: &file.name,
            text: &self.text[file.span.clone()],
            start: within(span.start),
            end: within(span.end),
        }
    }
}

/// Reads what `path` names, and all that is included. What cannot be read below it is a problem among others.
///
/// # Errors
/// When `path` itself cannot be read.
pub(super) fn read(path: &Path, variables: &Variables<'_>, problems: &mut Problems) -> io::Result<Sources> {
    let sources = Sources::new(&path.display().to_string());
    let mut reader = Reader { sources, problems, variables, known: HashMap::new(), above: Vec::new() };
    if !std::fs::metadata(path)?.is_dir() {
        let bytes = contents(path)?;
        reader.add(path, bytes, None);
        return Ok(reader.sources);
    }
    let files = directory(path)?;
    if files.is_empty() {
        let problem = Problem::new("no file of this directory is a configuration");
        reader.omit(None, problem.expected("at least one whose name ends in `.toml`"));
    }
    for file in files {
        reader.open(&file, None);
    }
    Ok(reader.sources)
}

/// The files of a directory that belong to a configuration: those that end in `.toml` and are not hidden, by name.
fn directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "it is longer than 16 MiB"));
    }
    Ok(bytes)
}

struct Reader<'r> {
    sources: Sources,
    problems: &'r mut Problems,
    variables: &'r Variables<'r>,
    /// The files that were read, by their real paths, and what included them.
    known: HashMap<PathBuf, Option<Span>>,
    /// The files that led to the one being read.
    above: Vec<PathBuf>,
}

impl Reader<'_> {
    /// Reads a file that is included by what stands at `by`, or that stands in the directory that was asked for.
    fn open(&mut self, path: &Path, by: Option<Span>) {
        match contents(path) {
            Ok(bytes) => self.add(path, bytes, by),
            Err(error) => {
                let problem = Problem::new(format!("cannot read {}: {error}", path.display()));
                self.omit(by, problem);
            }
        }
    }

    fn add(&mut self, path: &Path, bytes: Vec<u8>, by: Option<Span>) {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let shown = path.display().to_string();
        if self.above.contains(&real) {
            let problem = Problem::new(format!("{} is included by way of itself", quoted(&shown)));
            return self.complain(by, problem.note("a circle of includes has no end"));
        }
        if let Some(first) = self.known.get(&real).cloned() {
            let problem = Problem::new(format!("{} is read a second time", quoted(&shown)));
            return match (by, first) {
                (Some(by), Some(first)) => self.problems.repeated(by, first, problem),
                (by, _) => self.complain(by, problem.note("it is already among the files that were asked for")),
            };
        }
        if self.known.len() == FILES_MAX || self.sources.text.len() + bytes.len() > BYTES_MAX {
            let problem = Problem::new("the configuration is too long");
            return self.omit(by, problem.expected(format!("at most {FILES_MAX} files and 64 MiB in all")));
        }
        self.known.insert(real.clone(), by);
        let (text, stray) = match String::from_utf8(bytes) {
            Ok(text) => (text, false),
            // The text ends where it ceases to be one, so that this is where the error is shown.
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned(), true)
            }
        };
        let start = self.sources.text.len();
        self.sources.push(&shown, &text);
        if stray {
            let end = start + text.len();
            return self.omit(Some(end..end), Problem::new("this byte is not UTF-8 text"));
        }
        self.above.push(real);
        for include in includes(&text, start) {
            self.include(path, &include);
        }
        self.above.pop();
    }

    /// Reads the files that `include` of the file at `path` names.
    fn include(&mut self, path: &Path, include: &Spanned<String>) {
        let Ok(pattern) = self.variables.expand(include, &self.sources, self.problems) else {
            return self.problems.omitted.add_file();
        };
        let span = include.span();
        if self.above.len() > DEPTH_MAX {
            let problem = Problem::new(format!("{} lies too deep", quoted(&pattern)));
            return self
                .omit(Some(span), problem.expected(format!("at most {DEPTH_MAX} files that include each other")));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        if !pattern.contains(['*', '?', '[']) {
            let file = folder.join(&pattern);
            if !file.is_dir() {
                return self.open(&file, Some(span));
            }
            let problem = Problem::new(format!("{} is a directory", quoted(&pattern)));
            return self.omit(Some(span), problem.expected(format!("`{}/*.toml`", pattern.trim_end_matches('/'))));
        }
        let folder = glob::Pattern::escape(&folder.to_string_lossy());
        let pattern = Path::new(&folder).join(&pattern).to_string_lossy().into_owned();
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        match glob::glob_with(&pattern, options) {
            Err(error) => {
                let problem = Problem::new(format!("{} is not a pattern: {}", quoted(include.get_ref()), error.msg));
                self.omit(Some(span), problem.expected("`*`, `?`, `[a-z]` and `**` beside ordinary letters"));
            }
            // They come in the order of their names.
            Ok(found) => found.take(FILES_MAX + 1).for_each(|file| match file {
                Ok(file) if file.is_dir() => {}
                Ok(file) => self.open(&file, Some(span.clone())),
                Err(error) => {
                    let problem = Problem::new(format!("cannot read {}: {}", error.path().display(), error.error()));
                    self.omit(Some(span.clone()), problem);
                }
            }),
        }
    }

    /// Complains of a file that is therefore not part of the configuration.
    fn omit(&mut self, by: Option<Span>, problem: Problem) {
        self.problems.omitted.add_file();
        self.complain(by, problem);
    }

    fn complain(&mut self, by: Option<Span>, problem: Problem) {
        match by {
            Some(by) => self.problems.at(by, problem),
            None => self.problems.in_file(problem),
        }
    }
}

/// What a file includes; `start` is where its text begins. A wrong `include` is left to the reading of the keys.
fn includes(text: &str, start: usize) -> Vec<Spanned<String>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let list = document.get_ref().get("include").and_then(|value| value.get_ref().as_array());
    let Some(list) = list.filter(|_| errors.is_empty()) else { return Vec::new() };
    let texts = list.iter().filter_map(|item| match item.get_ref() {
        DeValue::String(text) => {
            Some(Spanned::new(start + item.span().start..start + item.span().end, text.clone().into_owned()))
        }
        _ => None,
    });
    texts.collect()
}

/// A variable of this process's environment.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
