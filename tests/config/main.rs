//! Golden tests of the configuration: what is written, and the Plan or the error that comes of it.
//!
//! `ok/NAME.toml` must lower to the Plan in `ok/NAME.plan`, and `bad/NAME.toml` must be refused with the text in
//! `bad/NAME.err`. A case of several files is a folder `NAME` in place of the file: its `ringway.toml` is loaded, or all
//! of it where there is none. Its `surroundings`, if it has that file, are variables, a line each: `NAME=value`; of these,
//! `RINGWAY_ENV` chooses the environment.
//!
//! `shown/NAME.toml` is the effective configuration of `ok/NAME`, and `docs/reference.md` the page of all keys.
//!
//! `UPDATE_GOLDEN=1 cargo test --test config` writes the expectations anew; read the difference before it is committed, as
//! a user would.

mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ringway::config::{Errors, Surroundings, VariableValues};

/// The cores of the machine that the expectations are written for.
const CORES: u16 = 2;

#[test]
fn valid_files_lower_to_their_plans() {
    check("ok", "plan", |case| match case.load() {
        Ok(loaded) => Ok(format!("{:#?}\n", loaded)),
        Err(errors) => Err(format!("refused: {errors}")),
    });
}

#[test]
fn invalid_files_are_refused_with_their_errors() {
    check("bad", "err", |case| match case.load() {
        Ok(_) => Err("accepted".to_owned()),
        Err(errors) => Ok(format!("{errors}\n").replace("tests/config/bad/", "")),
    });
}

/// What is shown of a few of them is looked at by people, and what is shown of each comes to the same Plan.
#[test]
fn the_effective_configuration_of_a_file_comes_to_the_same() {
    let mut failures = Vec::new();
    for case in cases("ok") {
        let shown = |values| {
            let shown = case.in_surroundings(|path, surroundings| ringway::config::show(path, surroundings, values));
            let shown = shown.unwrap_or_else(|errors| panic!("{}: {errors}", case.name)).to_string();
            shown.replace("tests/config/ok/", "")
        };
        let hidden = shown(VariableValues::Hidden);
        let shown = shown(VariableValues::Shown);
        assert_eq!(shown != hidden, shown.contains(", variable "), "{}: only variables are hidden", case.name);
        // Paths are relative to the file in which they stand.
        let certs = format!("\"{}/", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/certs").display());
        let again = ringway::config::parse("tests/config/ok/shown", &shown, CORES);
        let again = again.unwrap_or_else(|errors| panic!("{}: {errors}\n{shown}", case.name));
        let loaded = case.load().expect("it is valid");
        // With its variables hidden it comes to the same where they have the same values.
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(&file, hidden.replace("\"../certs/", &certs)).expect("written");
        let variables = |name: &str| case.variables.get(name).cloned();
        let surroundings = Surroundings { environment: None, variables: &variables, cores: CORES, keep: None };
        let reread = ringway::config::load_in(file.path(), &surroundings);
        let reread = reread.unwrap_or_else(|errors| panic!("{}: {errors}", case.name));
        let reread = format!("{reread:#?}").replace(&certs[1..], "tests/config/ok/../certs/");
        assert_eq!(reread, format!("{again:#?}"), "{}:\n{hidden}", case.name);
        // The order of upstreams is that of their places, and is kept.
        assert_eq!(format!("{loaded:#?}"), format!("{again:#?}"), "{}:\n{shown}", case.name);
        let golden = folder("shown").join(&case.name).with_extension("toml");
        if golden.exists() {
            compare(&golden, &hidden, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_reference_page_is_that_of_the_structs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    let mut failures = Vec::new();
    compare(&page, &ringway::config::reference(), &mut failures);
    assert!(failures.is_empty(), "docs/reference.md is stale: UPDATE_GOLDEN=1 cargo test --test config");
}

/// A configuration to load, in a file or a folder.
struct Case {
    name: String,
    /// What is loaded, relative to the folder of this package, so that errors name it in the same way everywhere.
    path: PathBuf,
    variables: BTreeMap<String, OsString>,
}

impl Case {
    fn of(path: PathBuf) -> Case {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(path.join("surroundings")).unwrap_or_default();
        let variables = text.lines().filter_map(|line| line.split_once('='));
        let variables = variables.map(|(name, value)| (name.to_owned(), value.into())).collect();
        let main = path.join("ringway.toml");
        Case { name, path: if main.exists() { main } else { path }, variables }
    }

    fn load(&self) -> Result<ringway::config::Loaded, Errors> {
        self.in_surroundings(ringway::config::load_in)
    }

    fn in_surroundings<T>(&self, act: impl FnOnce(&Path, &Surroundings<'_>) -> T) -> T {
        let variables = |name: &str| self.variables.get(name).cloned();
        let environment = variables("RINGWAY_ENV");
        let environment = environment.as_ref().and_then(|name| name.to_str());
        act(&self.path, &Surroundings { environment, variables: &variables, cores: CORES, keep: None })
    }
}

/// The cases in a folder, by name.
fn cases(name: &str) -> Vec<Case> {
    let folder = Path::new("tests/config").join(name);
    let entries = fs::read_dir(&folder).expect("a folder of cases");
    let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    let is_case = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|extension| extension == "toml");
    let cases: Vec<Case> = paths.into_iter().filter(is_case).map(Case::of).collect();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    cases
}

/// Compares what `outcome` makes of each case in a folder with the file of its name that ends in `extension`.
fn check(name: &str, extension: &str, outcome: impl Fn(&Case) -> Result<String, String>) {
    let cases = cases(name);
    let folder = folder(name);
    let golden = |case: &Case| folder.join(&case.name).with_extension(extension);
    let mut failures = Vec::new();
    for case in &cases {
        match outcome(case) {
            Err(surprise) => failures.push(format!("{}: {surprise}", case.name)),
            Ok(found) => compare(&golden(case), &found, &mut failures),
        }
    }
    let known: BTreeSet<PathBuf> = cases.iter().map(golden).collect();
    let entries = fs::read_dir(&folder).expect("a folder of cases").map(|entry| entry.expect("readable").path());
    let orphans =
        entries.filter(|path| path.extension().is_some_and(|found| found == extension) && !known.contains(path));
    failures.extend(orphans.map(|golden| format!("{} belongs to no case", golden.display())));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Compares `found` with what stands in the file `golden`, or writes it there if that is what this run is for.
fn compare(golden: &Path, found: &str, failures: &mut Vec<String>) {
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        return fs::write(golden, found).expect("a writable folder");
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    if found != expected {
        failures.push(format!("{}: expected\n{expected}\nfound\n{found}", golden.display()));
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}
