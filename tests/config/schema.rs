//! The JSON Schema, judged by a validator that we did not write.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::folder;

/// Files that are wrong in a way that a schema can see. The others are wrong only as a whole, or in a text's inside.
const REFUSED: [&str; 14] = [
    "durations",
    "limits-out-of-range",
    "missing-keys",
    "overlay-keys",
    "section-is-no-table",
    "server-tables",
    "single-brackets",
    "sizes",
    "unknown-keys",
    "unknown-section",
    "upstream-policies",
    "words",
    "wrong-types",
    "empty-servers",
];

/// Prints `NAME: ` and what is wrong for each file that the schema refuses.
const JUDGE: &str = "
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    for error in validator.iter_errors(tomllib.load(open(path, 'rb'))):
        print(path.rsplit('/', 1)[1].removesuffix('.toml') + ': ' + error.json_path + ': ' + error.message)
";

#[test]
fn the_schema_accepts_valid_files_and_refuses_others() {
    let directory = tempfile::tempdir().expect("a folder");
    let schema = directory.path().join("schema.json");
    fs::write(&schema, ringway::config::schema().to_string()).expect("a writable folder");
    let refused = judge(&schema, &all_files(&folder("ok")));
    assert!(refused.is_empty(), "valid files are refused:\n{refused}");

    let wrong: Vec<String> =
        REFUSED.iter().map(|name| folder("bad").join(format!("{name}.toml")).display().to_string()).collect();
    let refused = judge(&schema, &wrong);
    for name in REFUSED {
        assert!(refused.lines().any(|line| line.starts_with(&format!("{name}: "))), "{name} is accepted:\n{refused}");
    }
}

/// All files in a folder and below it, but for hidden ones.
fn all_files(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a readable folder").path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() {
            files.extend(all_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            files.push(path.display().to_string());
        }
    }
    files
}

fn judge(schema: &Path, files: &[String]) -> String {
    let output = Command::new("python3").args(["-c", JUDGE]).arg(schema).args(files).output().expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "the validator failed: {}", String::from_utf8_lossy(&output.stderr));
    text
}
