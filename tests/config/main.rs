//! Golden tests of the configuration: what is written, and the Plan or the error that comes of it.
//!
//! `ok/NAME.toml` must lower to the Plan in `ok/NAME.plan`, and `bad/NAME.toml` must be refused with the text in
//! `bad/NAME.err`. `UPDATE_GOLDEN=1 cargo test --test config` writes the expectations anew; read the difference before
//! it is committed, as a user would.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The cores of the machine that the expectations are written for.
const CORES: u16 = 2;

#[test]
fn valid_files_lower_to_their_plans() {
    check("ok", "plan", |name, text| match ringway::config::parse(name, text, CORES) {
        Ok(loaded) => Ok(format!("{:#?}\n", loaded)),
        Err(errors) => Err(format!("refused: {errors}")),
    });
}

#[test]
fn invalid_files_are_refused_with_their_errors() {
    check("bad", "err", |name, text| match ringway::config::parse(name, text, CORES) {
        Ok(_) => Err("accepted".to_owned()),
        Err(errors) => Ok(format!("{errors}\n")),
    });
}

#[test]
fn the_check_command_tells_the_outcome_by_its_status() {
    let check = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
        let output = command.current_dir(folder("")).arg("check").args(arguments).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, stdout, stderr) = check(&["--config", "ok/everything.toml"]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout, "ok/everything.toml: ok (3 listeners, 2 upstreams, 3 routes)\n");

    let (status, stdout, stderr) = check(&["--config", "bad/unknown-keys.toml"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""));
    assert!(stderr.starts_with("ringway: 4 errors in bad/unknown-keys.toml\n"), "{stderr}");

    let (status, _, stderr) = check(&["--config", "absent.toml"]);
    assert_eq!(status, Some(1));
    assert!(stderr.starts_with("ringway: cannot read absent.toml: No such file"), "{stderr}");

    let (status, stdout, stderr) = check(&[]);
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert!(stderr.starts_with("ringway: ") && stderr.contains("--config"), "{stderr}");
}

/// Compares what `outcome` makes of each file in `folder` with the file of the same name that ends in `extension`.
fn check(name: &str, extension: &str, outcome: impl Fn(&str, &str) -> Result<String, String>) {
    let folder = folder(name);
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let inputs = files(&folder, "toml");
    assert!(!inputs.is_empty(), "no cases in {}", folder.display());
    let mut failures = Vec::new();
    for input in &inputs {
        let golden = input.with_extension(extension);
        let name = input.file_name().expect("a file").to_string_lossy();
        let text = fs::read_to_string(input).expect("a readable case");
        match outcome(&name, &text) {
            Err(surprise) => failures.push(format!("{name}: {surprise}")),
            Ok(found) if update => fs::write(&golden, found).expect("a writable folder"),
            Ok(found) => {
                let expected = fs::read_to_string(&golden).unwrap_or_default();
                if found != expected {
                    failures.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
                }
            }
        }
    }
    let orphans =
        files(&folder, extension).into_iter().filter(|golden| !inputs.contains(&golden.with_extension("toml")));
    failures.extend(orphans.map(|golden| format!("{} belongs to no case", golden.display())));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn files(folder: &Path, extension: &str) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of cases");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}
