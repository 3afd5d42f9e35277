//! `ringway check`, `ringway schema` and `ringway config show`, and serving a configuration of several files.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use kit::{Address, Config, Peer, Port, Process, eventually, standard};
use serde_json::Value;
use tempfile::TempDir;

use crate::{BINARY, start};

/// What the command line with these arguments answers. `RINGWAY_ENV` is not what it happens to be for this test.
fn run(arguments: &[&str]) -> Answer {
    answer(Command::new(BINARY).args(arguments).env_remove("RINGWAY_ENV"))
}

fn answer(command: &mut Command) -> Answer {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Answer { status: status.code().expect("it exits"), stdout: text(stdout), stderr: text(stderr) }
}

#[derive(Debug)]
struct Answer {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a writable folder");
    }
    folder
}

fn shown(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// A configuration that listens on `address`.
fn listening(address: &str) -> String {
    let rest = "[upstreams.app]\nservers = [\"127.0.0.1:9000\"]\n[[routes]]\nupstream = \"app\"\n";
    format!("[[listeners]]\naddress = \"{address}\"\n{rest}")
}

#[test]
fn check_tells_the_outcome_by_its_status() {
    let folder = folder(&[("ok.toml", &listening("127.0.0.1:0")), ("bad.toml", "[lmits]\nfields = 0\n")]);
    let (ok, bad) = (shown(folder.path().join("ok.toml")), shown(folder.path().join("bad.toml")));
    let answer = run(&["check", "--config", &ok]);
    assert_eq!((answer.status, answer.stderr.as_str()), (0, ""));
    assert_eq!(answer.stdout, format!("{ok}: ok (1 listener, 1 upstream, 1 route)\n"));

    let answer = run(&["check", "--config", &bad]);
    assert_eq!((answer.status, answer.stdout.as_str()), (1, ""));
    assert!(answer.stderr.starts_with(&format!("ringway: 4 errors in {bad}\n")), "{answer:?}");
    assert!(answer.stderr.contains("did you mean `limits`?"), "{answer:?}");
    let answer = run(&["check", "--json", "--config", &bad]);
    let told = answer.json();
    assert_eq!((answer.status, &told["valid"]), (1, &Value::Bool(false)));
    let error = &told["errors"][0];
    assert_eq!((error["line"].as_u64(), error["column"].as_u64(), &error["file"]), (Some(1), Some(2), &bad.into()));
    assert_eq!(error["notes"][0], "did you mean `limits`?");

    let absent = run(&["check", "--config", &shown(folder.path().join("absent.toml"))]);
    assert!(absent.status == 1 && absent.stderr.starts_with("ringway: cannot read "), "{absent:?}");
    let usage = run(&["check"]);
    assert!(usage.status == 2 && usage.stderr.contains("--config"), "{usage:?}");
}

#[test]
fn check_says_what_is_wrong_with_each_address() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let held = shown_address(&taken);
    let folder = folder(&[]);
    let (file, stray) = (folder.path().join("ringway.toml"), folder.path().join("stray"));
    fs::write(&stray, "no socket").unwrap();
    let listener = |address: &str| format!("[[listeners]]\naddress = \"{address}\"\n");
    let others = [
        listener("192.0.2.1:8080"),
        listener(&format!("unix:{}", shown(&stray))),
        listener(&format!("unix:{}", shown(folder.path().join("absent/r.sock")))),
        listening("127.0.0.1:0"),
    ];
    fs::write(&file, listener(&held) + &others.concat()).unwrap();
    let answer = run(&["check", "--config", &shown(&file)]);
    assert_eq!((answer.status, answer.stdout.as_str()), (3, ""), "{answer:?}");
    let process = std::process::id();
    for expected in [
        format!("ringway: cannot listen on {held}: "),
        format!("(process {process}) listens there"),
        "cannot listen on 192.0.2.1:8080: no interface of this machine has that address".to_owned(),
        format!("unix:{}: something stands there that is no socket", shown(&stray)),
        format!("absent/r.sock: there is no directory {}", shown(folder.path().join("absent"))),
    ] {
        assert!(answer.stderr.contains(&expected), "{expected}: {answer:?}");
    }
    let json = run(&["check", "--json", "--config", &shown(&file)]);
    let told = json.json();
    let states: Vec<&str> =
        told["addresses"].as_array().unwrap().iter().map(|address| address["state"].as_str().unwrap()).collect();
    assert_eq!((json.status, states), (3, vec!["taken", "no_interface", "unusable", "unusable", "free"]));
    assert_eq!((&told["valid"], &told["usable"]), (&Value::Bool(true), &Value::Bool(false)));
    // What is written is right, wherever it is going to be served.
    assert_eq!(run(&["check", "--offline", "--config", &shown(&file)]).status, 0);
}

fn shown_address(listener: &TcpListener) -> String {
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn a_running_ringway_is_warned_of_and_loses_no_connection() {
    let folder = folder(&[]);
    let socket = folder.path().join("r.sock");
    let origin = standard::start();
    let proxy = start(Config::to(origin.address()).shards(2).listen(Address::Unix(socket.clone())));
    let file = folder.path().join("ringway.toml");
    let unix = format!("[[listeners]]\naddress = \"unix:{}\"\n", shown(&socket));
    fs::write(&file, unix + &listening(&proxy.address().to_string())).unwrap();
    for _ in 0..5 {
        let answer = run(&["check", "--config", &shown(&file)]);
        assert_eq!(answer.status, 0, "{answer:?}");
        assert!(
            answer.stderr.contains(&format!("ringway: warning: {}: `ringway` (process ", proxy.address())),
            "{answer:?}"
        );
        assert!(answer.stderr.contains(&format!("ringway: warning: unix:{}: `ringway`", shown(&socket))), "{answer:?}");
        for _ in 0..8 {
            assert_eq!(proxy.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
        }
    }
    assert_eq!(
        Peer::connect(&Address::Unix(socket)).exchange("GET", &standard::get("/length/1")).unwrap().status(),
        200
    );
}

#[test]
fn a_socket_of_another_program_is_taken() {
    let folder = folder(&[]);
    let socket = folder.path().join("other.sock");
    let _other = UnixListener::bind(&socket).unwrap();
    let file = folder.path().join("ringway.toml");
    fs::write(&file, listening(&format!("unix:{}", shown(&socket)))).unwrap();
    let answer = run(&["check", "--config", &shown(&file)]);
    assert!(answer.status == 3 && answer.stderr.contains("listens there"), "{answer:?}");
    assert!(socket.exists(), "it is left alone");
}

#[test]
fn a_directory_is_served_with_its_includes_variables_and_environment() {
    let origin = standard::start();
    let port = Port::take();
    let folder = folder(&[
        ("10.toml", "include = [\"apps/*.conf\"]\n[[listeners]]\naddress = \"${TEST_LISTEN}\"\n[shards]\ncount = 1\n"),
        ("20.toml", "[[routes]]\nupstream = \"app\"\n[log]\naccess = \"off\"\n"),
    ]);
    fs::create_dir(folder.path().join("apps")).unwrap();
    let app = format!(
        "[upstreams.app]\nservers = [\"127.0.0.1:1\"]\n[environments.test.upstreams.app]\nservers = [\"{}\"]\n",
        origin.address()
    );
    fs::write(folder.path().join("apps/app.conf"), app).unwrap();
    let address = port.address();
    let mut command = Command::new(std::env::var_os("RINGWAY_BINARY").unwrap_or_else(|| BINARY.into()));
    command.args(["serve", "--env", "test", "--config"]).arg(folder.path());
    let process = Process::spawn("ringway", command.env("TEST_LISTEN", address.to_string()).env_remove("RINGWAY_ENV"));
    let told = address.to_string();
    eventually("the proxy says that it listens", || process.stdout().contains(&told));
    assert_eq!(Peer::connect(&address).exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
}

#[test]
fn show_tells_where_each_value_comes_from() {
    let folder = folder(&[(
        "ringway.toml",
        &(listening("${HOST:-127.0.0.1}:0") + "[environments.dev.log]\nlevel = \"debug\"\n"),
    )]);
    let file = shown(folder.path().join("ringway.toml"));
    let plain = run(&["config", "show", "--config", &file]);
    let line = |answer: &Answer, key: &str| {
        let line =
            answer.stdout.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {answer:?}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line(&plain, "level"), "level = \"info\" # default");
    assert_eq!(line(&plain, "upstream"), format!("upstream = \"app\" # {file}:6"));
    // By the option, or by the variable.
    let chosen = run(&["config", "show", "--env", "dev", "--config", &file]);
    assert_eq!(line(&chosen, "level"), format!("level = \"debug\" # {file}:8, environment dev"));
    let mut command = Command::new(BINARY);
    command.args(["config", "show", "--config", &file]).env("RINGWAY_ENV", "dev").env("HOST", "127.0.0.2");
    let chosen = answer(&mut command);
    assert_eq!(line(&chosen, "level"), format!("level = \"debug\" # {file}:8, environment dev"));
    assert_eq!(line(&chosen, "address"), format!("address = \"${{HOST:-127.0.0.1}}:0\" # {file}:2, variable HOST"));
    assert!(!chosen.stdout.contains("127.0.0.2"), "what a variable holds may be a secret: {chosen:?}");
    let revealed = answer(command.arg("--reveal"));
    assert_eq!(line(&revealed, "address"), format!("address = \"127.0.0.2:0\" # {file}:2, variable HOST"));

    let told = run(&["config", "show", "--json", "--env", "dev", "--config", &file]).json();
    let value =
        |key: &str| told["values"].as_array().unwrap().iter().find(|value| value["key"] == key).cloned().unwrap();
    assert_eq!(value("log.level")["origin"]["environment"], "dev");
    assert_eq!(value("listeners[0].address")["origin"]["variables"][0]["unset"], true);
    assert_eq!(value("limits.fields")["origin"]["kind"], "default");
    assert_eq!(value("limits.fields")["value"], 100);

    let unknown = run(&["config", "show", "--env", "dve", "--config", &file]);
    assert!(unknown.status == 1 && unknown.stderr.contains("did you mean `dev`?"), "{unknown:?}");
}

#[test]
fn the_schema_is_printed() {
    let answer = run(&["schema"]);
    assert_eq!((answer.status, answer.stderr.as_str()), (0, ""));
    assert_eq!(answer.json(), ringway::config::schema());
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md")).unwrap();
    assert!(run(&["schema", "--markdown"]).stdout == page, "docs/reference.md is another page");
}
