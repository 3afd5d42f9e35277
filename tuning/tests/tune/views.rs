//! What is looked at: check, explain, diff, and apply without --yes. Nothing is changed by any of them.

use std::path::Path;

use crate::assert_golden;
use crate::fake::Fake;

fn golden(name: &str, text: &str) {
    assert_golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tune/golden").join(name), text);
}

#[test]
fn every_view_is_as_it_was_agreed_on() {
    let fake = Fake::new();
    for (name, arguments, status) in [
        ("check-throughput.txt", &["check"][..], 1),
        ("check-laptop.txt", &["check", "--profile", "laptop"], 1),
        ("diff-latency.txt", &["diff", "--profile", "latency"], 1),
        ("diff-many-connections.txt", &["diff", "--profile", "many-connections"], 1),
        ("explain-sysctl.txt", &["explain", "somaxconn"], 0),
        ("explain-nic.txt", &["explain", "nic.irq_affinity", "--shards", "2"], 0),
        ("apply-dry.txt", &["apply", "--persist"], 1),
        ("help.txt", &["--help"], 0),
        ("help-apply.txt", &["apply", "--help"], 0),
    ] {
        let answer = fake.tune(arguments);
        assert_eq!((answer.status, answer.err.as_str()), (status, ""), "{arguments:?}");
        golden(name, &answer.out);
    }
}

#[test]
fn tables_fit_into_80_columns() {
    let fake = Fake::new();
    for profile in ["throughput", "latency", "many-connections", "laptop"] {
        for view in ["check", "explain"] {
            let answer = fake.tune(&[view, "--profile", profile]);
            let long: Vec<_> = answer.out.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{view} {profile}: {long:#?}");
        }
    }
}

#[test]
fn looking_changes_nothing() {
    let fake = Fake::new();
    let before = fake.snapshot();
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["explain"],
        &["diff"],
        &["apply"],
        &["apply", "--persist", "--profile", "latency"],
        &["revert"],
        &["revert", "--force"],
    ] {
        fake.tune(arguments);
        assert_eq!(fake.snapshot(), before, "{arguments:?}");
        assert!(!fake.path("var").exists(), "{arguments:?}");
    }
}

#[test]
fn a_host_that_lacks_everything_is_told_so_and_is_no_error() {
    let fake = Fake::bare();
    let answer = fake.tune(&["check"]);
    assert_eq!((answer.status, answer.err.as_str()), (0, ""));
    assert!(answer.out.contains("absent  net.core.somaxconn                 this kernel has no such parameter"));
    assert!(answer.out.contains("no ringway.service is installed"));
    assert_eq!(fake.tune(&["apply", "--yes", "--persist"]).status, 0);
    assert!(!fake.path("etc").exists());
}

#[test]
fn a_host_without_ethtool_is_told_what_is_missing() {
    let fake = Fake::new();
    std::fs::remove_file(fake.path("usr/sbin/ethtool")).unwrap();
    let answer = fake.tune(&["check", "--only", "nic.queues"]);
    assert_eq!(answer.status, 0);
    assert!(answer.out.contains("ethtool is not installed, which reads and sets it"), "{}", answer.out);
}

#[test]
fn a_program_gets_all_of_it() {
    let fake = Fake::new();
    let answer = fake.tune(&["check", "--json", "--profile", "latency"]);
    let json: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(json["profile"], "latency");
    assert_eq!(json["host"]["cpus"], serde_json::json!([0, 1, 2, 3]));
    let knobs = json["knobs"].as_array().unwrap();
    let knob = |name: &str| knobs.iter().find(|knob| knob["name"] == name).unwrap();
    let somaxconn = knob("net.core.somaxconn");
    assert_eq!(
        [&somaxconn["value"], &somaxconn["wanted"], &somaxconn["to_set"], &somaxconn["standing"], &somaxconn["target"]],
        ["128", ">= 4096", "4096", "differs", "/proc/sys/net/core/somaxconn"]
    );
    for text in ["why", "cost", "source", "what", "access"] {
        assert!(somaxconn[text].as_str().is_some_and(|text| !text.is_empty()), "{text}");
    }
    assert!(somaxconn["effect"]["run"].as_str().unwrap().starts_with("perf/runs/"));
    assert_eq!(knob("cpu.irqbalance")["standing"], "as-wanted");
    assert_eq!(knob("systemd.LimitNOFILE")["standing"], "needs-drop-in");
    let counted: u64 = json["summary"].as_object().unwrap().values().map(|number| number.as_u64().unwrap()).sum();
    assert_eq!(counted, knobs.len() as u64);
}

#[test]
fn what_only_an_administrator_can_do_is_said_and_does_not_count() {
    let fake = Fake::new();
    fake.put("proc/77/comm", "irqbalance\n");
    let answer = fake.tune(&["check", "--only", "cpu.irqbalance"]);
    assert_eq!(answer.status, 0);
    assert!(answer.out.contains("by hand cpu.irqbalance"), "{}", answer.out);
    assert!(answer.out.contains("systemctl disable --now irqbalance"), "{}", answer.out);

    fake.put("proc/78/comm", "ringway\n");
    fake.put("proc/78/limits", "Max open files            1024                 4096                 files\n");
    let answer = fake.tune(&["diff", "--only", "limits.nofile"]);
    assert_eq!(answer.status, 0);
    assert!(
        answer.out.contains("-limits.nofile [pid 78] = 1024\n+limits.nofile [pid 78] = 1048576    # by hand"),
        "{}",
        answer.out
    );

    // BBR is wanted, and this kernel has none.
    let answer = fake.tune(&["check", "--profile", "many-connections", "--only", "tcp_congestion_control"]);
    assert!(answer.out.contains("this kernel offers no `bbr`"), "{}", answer.out);
}

#[test]
fn boot_parameters_are_compared_with_what_the_host_is() {
    let fake = Fake::new();
    fake.put("sys/devices/system/cpu/online", "0-7\n");
    let answer = fake.tune(&["diff", "--profile", "latency", "--only", "cpu.nohz_full"]);
    assert!(answer.out.contains("-cpu.nohz_full = 2-3\n+cpu.nohz_full = 2-7    # by hand"), "{}", answer.out);
    fake.put("proc/cmdline", "nohz_full=2-7 quiet\n");
    assert!(fake.tune(&["diff", "--profile", "latency", "--only", "cpu.nohz_full"]).out.starts_with("No difference"));
}

#[test]
fn colours_are_for_terminals() {
    let fake = Fake::new();
    assert!(!fake.tune(&["check"]).out.contains('\x1b'));
    assert!(fake.tune(&["check", "--color", "always"]).out.contains("\x1b[33mdiffers\x1b[0m"));
}

#[test]
fn a_wrong_command_line_has_its_own_status() {
    let fake = Fake::new();
    for (arguments, says) in [
        (&["explain", "tcp_tw_reuze"][..], "is `net.ipv4.tcp_tw_reuse` meant?"),
        (&["check", "--only", "nonsense"], "there is no knob `nonsense`"),
        (&["check", "--device", "eth7"], "there is no network card `eth7`"),
        (&["check", "--profile", "fast"], "invalid value 'fast'"),
        (&["check", "--shards", "0"], "0 is not in"),
        (&["check", "--yes"], "unexpected argument"),
    ] {
        let answer = fake.tune(arguments);
        assert_eq!(answer.status, 2, "{arguments:?}");
        assert!(answer.err.contains(says), "{arguments:?}: {}", answer.err);
    }
}
