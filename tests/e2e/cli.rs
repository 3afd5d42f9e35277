//! The commands that speak to a running Ringway.

use std::fs;
use std::process::{Command, Output};

use kit::{Config, Ringway, eventually, standard};

use crate::{BINARY, OK, answering, before, start};

/// Runs `ringway` with these arguments, and nothing of the environment that would tell it whom to ask.
fn ringway(arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    for variable in ["RINGWAY_ADMIN", "RINGWAY_ADMIN_TOKEN_FILE", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"] {
        command.env_remove(variable);
    }
    command.args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn socket(ringway: &Ringway) -> String {
    ringway.admin_socket().display().to_string()
}

#[test]
fn status_fits_a_terminal_and_tells_of_every_server() {
    let origin = answering(OK);
    let config = Config::new().shards(2).upstream("app", &[origin.address(), &"127.0.0.1:1"]).route(None, "/", "app");
    let proxy = start(config);
    assert_eq!(proxy.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    let output = ringway(&["status", "--admin", &socket(&proxy)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = text(&output.stdout);
    assert!(page.contains("serving for") && page.contains(&origin.address().to_string()), "{page}");
    assert!(page.contains("127.0.0.1:1 ") && page.contains("100 % completed"), "{page}");
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
}

#[test]
fn status_is_json_for_scripts() {
    let origin = answering(OK);
    let proxy = before(&origin);
    // The configuration tells where the admin API is, too.
    let config = proxy.folder().join("ringway.toml");
    let output = ringway(&["status", "--json", "--config", config.to_str().expect("a path")]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status["pid"], proxy.process().id());
}

#[test]
fn reload_tells_whether_the_new_configuration_is_in_force() {
    let (first, second) = (answering(OK), answering(OK));
    let config = |server: &kit::Origin| Config::new().upstream("app", &[server.address()]).route(None, "/", "app");
    let proxy = start(config(&first));
    let file = proxy.folder().join("ringway.toml");
    let before = fs::read_to_string(&file).expect("the configuration");
    let reload = || ringway(&["reload", "--admin", &socket(&proxy)]);
    let output = reload();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("nothing to do"), "{}", text(&output.stdout));

    let after = before.replace(&first.address().to_string(), &second.address().to_string());
    fs::write(&file, &after).unwrap();
    let output = reload();
    assert!(text(&output.stdout).starts_with("reloaded: "), "{} {}", text(&output.stdout), text(&output.stderr));
    assert_eq!(proxy.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    assert_eq!((first.accepted(), second.accepted()), (0, 1));

    fs::write(&file, after.replace("upstream = ", "upstraem = ")).unwrap();
    let output = reload();
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("did you mean `upstream`?"), "{}", text(&output.stderr));
    let page = text(&ringway(&["status", "--admin", &socket(&proxy)]).stdout);
    assert!(page.contains("the last reload was refused"), "{page}");
}

#[test]
fn whoever_orders_the_end_of_a_worker_is_answered_by_it() {
    let origin = answering(OK);
    let config = |shards| Config::to(origin.address()).shards(shards);
    let proxy = Ringway::start_supervised(BINARY, config(1));
    for generation in 2..6 {
        proxy.rewrite(config(2 - generation % 2));
        let output = ringway(&["reload", "--admin", &socket(&proxy)]);
        let told = text(&output.stdout);
        assert!(told.contains(&format!("generation {generation} serves by it")), "{told}{}", text(&output.stderr));
    }
    for generation in 6..8 {
        let output = ringway(&["upgrade", "--admin", &socket(&proxy)]);
        let told = text(&output.stdout);
        assert!(told.contains(&format!("generation {generation} serves")), "{told}{}", text(&output.stderr));
    }
    assert_eq!(proxy.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
}

#[test]
fn stop_waits_for_the_end_if_asked_to() {
    let origin = answering(OK);
    let mut proxy = before(&origin);
    let output = ringway(&["stop", "--wait", "--admin", &socket(&proxy)]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), "stopped\n"));
    assert!(proxy.wait().success());
}

#[test]
fn the_exit_status_tells_what_went_wrong() {
    let origin = answering(OK);
    let proxy = before(&origin);
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nobody.sock").display().to_string();
    for command in ["status", "reload", "stop", "upgrade"] {
        let output = ringway(&[command, "--admin", &nowhere]);
        assert_eq!(output.status.code(), Some(3), "{command}");
        assert!(text(&output.stderr).starts_with("ringway: no Ringway is running at"), "{}", text(&output.stderr));
    }
    assert_eq!(ringway(&["status", "--nonsense"]).status.code(), Some(2));
    assert_eq!(ringway(&["top", "--admin", &socket(&proxy)]).status.code(), Some(1), "it has no terminal");
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let commands = ["serve", "check", "reload", "stop", "upgrade", "status", "top", "completions", "version"];
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&ringway(&["completions", shell]).stdout);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    let manual = text(&ringway(&["man"]).stdout);
    for command in commands {
        assert!(manual.contains(&format!(".SH \"{}\"", command.to_uppercase())), "{command}");
    }
    assert!(manual.contains(".SH \"EXIT STATUS\""));
}

#[test]
fn top_watches_in_a_terminal_says_when_ringway_goes_and_gives_the_terminal_back() {
    let origin = answering(OK);
    let mut proxy = before(&origin);
    assert_eq!(proxy.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    let mut terminal = Command::new("python3");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/terminal.py");
    let mut top = kit::Process::spawn("top", terminal.args([script, BINARY, "top", "--admin", &socket(&proxy)]));
    eventually("the overview is drawn", || top.stdout().contains("requests/s"));
    assert!(top.stdout().contains("\u{1b}[?1049h"), "it draws on a screen of its own");
    proxy.terminate();
    assert!(proxy.wait().success());
    eventually("it says that nobody is there", || top.stdout().contains("no Ringway is running"));
    // The script sends SIGTERM to top when it gets one.
    top.terminate();
    assert!(top.wait().success(), "{}", top.stdout());
    assert!(top.stdout().ends_with("settings restored\n"), "{}", top.stdout());
    assert!(top.stdout().contains("\u{1b}[?1049l"), "the user's screen is back");
}
