//! No text, however mangled, makes the reader panic, and what it says of it is fit to be shown.

use proptest::prelude::*;

use super::*;

const WHOLE: &str = include_str!("../../tests/config/ok/everything.toml");

/// What any refusal owes to its reader: a count, and each error with its place, if it has one, inside the file.
fn check_refusal(text: &str, errors: &Errors) {
    let shown = errors.to_string();
    assert!(shown.contains("in mangled.toml"), "{shown}");
    assert!(!shown.chars().any(|char| char.is_control() && char != '\n'), "{shown:?}");
    let lines = text.lines().count().max(1);
    for place in shown.lines().filter_map(|line| line.strip_prefix("mangled.toml:")) {
        if let Some((line, _)) = place.split_once(':').filter(|(line, _)| !line.is_empty()) {
            let line: usize = line.parse().unwrap_or(1);
            assert!(line <= lines + 1, "line {line} of {lines}: {shown}");
        }
    }
}

fn check(text: &str) {
    if let Err(errors) = parse("mangled.toml", text, 2) {
        check_refusal(text, &errors);
    }
}

#[test]
fn every_truncation_is_survived() {
    for end in (0..=WHOLE.len()).filter(|end| WHOLE.is_char_boundary(*end)) {
        check(&WHOLE[..end]);
    }
}

#[test]
fn odd_texts_are_survived() {
    let deep = format!("x = {}", "[".repeat(100_000));
    let dotted = format!("{}x = 1", "a.".repeat(10_000));
    let long = format!("[[listeners]]\naddress = \"{}\"", "é".repeat(10_000));
    let odd = ["", "\n", "\0", "\u{feff}", "\u{feff}x=1", "=", "[", "[[", "\"", "'''", "a = \u{1b}[31m", "\r", "[[]]"];
    for text in odd.into_iter().chain([deep.as_str(), &dotted, &long]) {
        check(text);
        assert!(parse("mangled.toml", text, 2).is_err(), "{text:.40}");
    }
}

#[test]
fn a_long_file_of_errors_is_cut_short() {
    let text = "[[listeners]]\naddress = 'x'\n".repeat(1000);
    let shown = parse("mangled.toml", &text, 2).unwrap_err().to_string();
    assert!(shown.starts_with("1003 errors in mangled.toml") && shown.ends_with("and 953 more"), "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.toml");
    let shown = load(&path, None).unwrap_err().to_string();
    assert!(shown.starts_with(&format!("cannot read {}: No such file", path.display())), "{shown}");
    std::fs::write(&path, b"[log]\n# \xff\n").unwrap();
    let shown = load(&path, None).unwrap_err().to_string();
    assert!(shown.contains("absent.toml:2:3: this byte is not UTF-8 text"), "{shown}");
}

/// What is said of the file `name` of a folder with these files.
fn refusal(name: &str, files: impl IntoIterator<Item = (String, String)>) -> String {
    let folder = tempfile::tempdir().unwrap();
    files.into_iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
    load(&folder.path().join(name), None).unwrap_err().to_string()
}

#[test]
fn includes_go_eight_deep_and_no_deeper() {
    let chain = |length: usize| {
        (0..length).map(|depth| (format!("{depth}.toml"), format!("include = [\"{}.toml\"]\n", depth + 1)))
    };
    let end = |depth: usize| (format!("{depth}.toml"), "[log]\n".to_owned());
    let shown = refusal("0.toml", chain(8).chain([end(8)]));
    assert!(shown.contains("no listener") && !shown.contains("too deep"), "{shown}");
    let shown = refusal("0.toml", chain(9).chain([end(9)]));
    assert!(shown.contains("8.toml:1:12: `9.toml` lies too deep"), "{shown}");
}

#[test]
fn a_thousand_files_are_read_and_no_more() {
    let files = (0..1001).map(|number| (format!("part-{number:04}.toml"), String::new()));
    let first = ("first.toml".to_owned(), "include = ['part-*.toml']\n".to_owned());
    let shown = refusal("first.toml", files.chain([first]));
    assert!(shown.contains("the configuration is too long"), "{shown}");
    assert!(shown.contains("expected at most 1000 files and 64 MiB in all"), "{shown}");
}

#[test]
fn the_files_that_are_read_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("more")).unwrap();
    std::fs::write(path("b.toml"), "include = ['more/*.toml', 'absent.toml']\n").unwrap();
    std::fs::write(path("a.toml"), "").unwrap();
    std::fs::write(path("more/c.toml"), "syntax error").unwrap();
    assert_eq!(files(folder.path()).unwrap(), [path("a.toml"), path("b.toml"), path("more/c.toml")]);
    assert!(files(&path("nowhere")).is_err());
}

/// Has two texts be files of one configuration, in surroundings in which every variable has the same value.
fn check_two(texts: [&str; 2], environment: Option<&str>, value: Option<&str>) {
    let mut sources = Sources::new("two");
    texts.iter().zip(["one.toml", "other.toml"]).for_each(|(text, name)| sources.push(name, text));
    let variables = |_: &str| value.map(OsString::from);
    let surroundings = Surroundings { environment, variables: &variables, cores: 2, keep: None };
    let shown = understand(sources, Problems::default(), &surroundings, |understood| {
        (
            show::effective(&understood, environment, VariableValues::Shown).to_string(),
            format!("{:?}", understood.loaded),
        )
    });
    match shown {
        Ok((shown, loaded)) => {
            let again = parse("shown", &shown, 2).unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
            assert_eq!(format!("{again:?}"), loaded, "{shown}");
        }
        Err(Errors::Invalid(report)) => {
            let all = report.to_json();
            assert_eq!(all.as_array().map(Vec::len), Some(report.count()));
            assert!(report.count() > 0 && !report.to_string().is_empty());
        }
        Err(other) => panic!("nothing was to be read: {other}"),
    }
}

/// A file that has everything that files are merged by.
const OVERLAID: &str = include_str!("../../tests/config/ok/environment/ringway.toml");

proptest! {
    #[test]
    fn mangled_pairs_of_files_are_survived(
        at in 0usize..OVERLAID.len(),
        length in 0usize..60,
        replacement in r#"(\$?\$\{[A-Z0]{0,2}(:-)?|\}|[\[\]="a-z.\n]){0,4}"#,
        environment in prop::option::of("(production|staging|x)"),
        value in prop::option::of("[0-9a-z.${}\"]{0,6}"),
        cut in 0usize..OVERLAID.len(),
    ) {
        let mut text = OVERLAID.to_owned();
        text.replace_range(at..(at + length).min(text.len()), &replacement);
        check_two([&text, OVERLAID], environment.as_deref(), value.as_deref());
        check_two(["", &text], environment.as_deref(), value.as_deref());
        check_two([&OVERLAID[..cut], &OVERLAID[cut..]], environment.as_deref(), value.as_deref());
    }

    #[test]
    fn texts_of_variables_are_survived(text in r#"([a$\{\}:é-]|\$\{|:-|A1){0,20}"#, value in prop::option::of(".{0,4}")) {
        let file = format!("[trust]\nnetworks = [{text:?}]\n[environments.a.log]\nlevel = '{text}'\n");
        check_two([&file, ""], None, value.as_deref());
        check_two(["", &file], Some("a"), value.as_deref());
    }

    #[test]
    fn mangled_files_are_survived(cuts in prop::collection::vec((0usize..WHOLE.len(), 0usize..40, ".{0,6}"), 1..6)) {
        let mut text = WHOLE.to_owned();
        for (at, length, replacement) in cuts {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (0..=(at + length).min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(at);
            text.replace_range(at..end.max(at), &replacement);
        }
        check(&text);
    }

    #[test]
    fn any_text_is_survived(text in "(?s).{0,200}") {
        check(&text);
    }

    #[test]
    fn any_value_is_survived(value in ".{0,40}") {
        let value = format!("{value:?}");
        for key in ["[[listeners]]\naddress", "[upstreams.a]\nconnect_timeout", "[[routes]]\nhost", "[[routes]]\nprefix",
            "[limits]\nhead_bytes", "[log]\nlevel"] {
            check(&format!("{key} = {value}\n"));
        }
        check(&format!("[trust]\nnetworks = [{value}]\n[upstreams.a]\nservers = [{value}]"));
    }
}
