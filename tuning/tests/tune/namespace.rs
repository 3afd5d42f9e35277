//! The real kernel, in network namespaces of their own: the values of this machine stay as they are.
//!
//! A machine that gives no namespace (without root, or in a container) skips these, and says so.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::fake::Answer;

const TUNE: &str = env!("CARGO_BIN_EXE_ringway-tune");
const OURS: [&str; 3] =
    ["net/ipv4/tcp_fin_timeout", "net/ipv4/tcp_slow_start_after_idle", "net/ipv4/ip_local_port_range"];

/// Runs `script` in a network namespace (and a mount namespace) of its own, with its own /sys. `None` where there is none.
fn in_namespace(test: &str, script: &str) -> Option<Answer> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-euc", script]).env("TUNE", TUNE);
        command.output()
    };
    match unshare("mount -t sysfs none /sys && ip link set lo up") {
        Ok(output) if output.status.success() => Some(Answer::of(&unshare(script).unwrap())),
        Ok(output) => {
            eprintln!("skipped: {test}: no network namespace: {}", String::from_utf8_lossy(&output.stderr).trim());
            None
        }
        Err(error) => {
            eprintln!("skipped: {test}: unshare: {error}");
            None
        }
    }
}

fn outside() -> Vec<Option<String>> {
    OURS.iter().map(|name| std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()).collect()
}

#[test]
fn sysctls_change_in_the_namespace_and_come_back_to_the_byte() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().display();
    let before = outside();
    let script = format!(
        "all() {{ find /proc/sys/net/ipv4 /proc/sys/net/core -maxdepth 1 -type f ! -name '*_key' | sort | xargs grep -a . 2>/dev/null || true; }}
         all > {state}/before
         $TUNE apply --yes --namespaced --profile many-connections --state {state} > {state}/applied
         all > {state}/applied-values
         cat /proc/sys/net/ipv4/tcp_fin_timeout /proc/sys/net/ipv4/tcp_slow_start_after_idle /proc/sys/net/core/somaxconn
         $TUNE check --namespaced --profile many-connections > {state}/checked
         $TUNE revert --yes --state {state} > {state}/reverted
         all > {state}/after
         cmp {state}/before {state}/after
         ! cmp -s {state}/before {state}/applied-values"
    );
    let Some(answer) = in_namespace("sysctls_change_in_the_namespace", &script) else { return };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    assert_eq!(answer.status, 0, "{}\n{}\n{}", answer.err, read("applied"), read("reverted"));
    assert_eq!(answer.out, "30\n0\n65535\n");
    assert!(read("before").lines().count() > 50, "values were compared at all");
    assert_eq!(outside(), before, "this machine's own values");
}

#[test]
fn what_belongs_to_the_machine_is_not_asked_for_in_a_namespace() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().display();
    let script = format!("$TUNE apply --namespaced --profile throughput --json --state {state} || [ $? = 1 ]");
    let Some(answer) = in_namespace("what_belongs_to_the_machine", &script) else { return };
    assert_eq!(answer.status, 0, "{}", answer.err);
    let json: serde_json::Value = serde_json::from_str(&answer.out).unwrap();
    for change in json["changes"].as_array().unwrap() {
        let target = change["target"].as_str().unwrap();
        assert!(target.starts_with("/proc/sys/net/"), "{target}");
    }
}

#[test]
fn a_card_of_the_namespace_is_set_and_set_back() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().display();
    let only = "--only nic.gro --only nic.rps --only nic.rfs --device tune0 --shards 2";
    let script = format!(
        "mount -t sysfs none /sys
         ip link add tune0 type veth peer name tune1
         values() {{ cat /sys/class/net/tune0/queues/rx-0/rps_cpus /sys/class/net/tune0/queues/rx-0/rps_flow_cnt
                    ethtool -k tune0 | grep generic-receive; }}
         values > {state}/before
         $TUNE apply --yes {only} --state {state}
         values
         $TUNE check {only} > {state}/checked || cat {state}/checked
         $TUNE revert --yes --state {state} > {state}/reverted
         values > {state}/after
         cmp {state}/before {state}/after"
    );
    if !["/usr/sbin/ethtool", "/sbin/ethtool"].iter().any(|path| Path::new(path).exists()) {
        eprintln!("skipped: a_card_of_the_namespace: ethtool is not installed");
        return;
    }
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        eprintln!("skipped: a_card_of_the_namespace: it needs two CPUs");
        return;
    }
    let Some(answer) = in_namespace("a_card_of_the_namespace", &script) else { return };
    assert_eq!(answer.status, 0, "{}\n{}", answer.out, answer.err);
    assert!(answer.out.contains("generic-receive-offload: on"), "{}", answer.out);
    assert!(answer.out.contains("\n32768\n"), "{}", answer.out);
}
