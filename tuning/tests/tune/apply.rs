//! Setting and setting back.

use std::fs;

use crate::fake::Fake;

#[test]
fn what_was_applied_is_reverted_to_the_byte() {
    for profile in ["throughput", "latency", "many-connections", "laptop"] {
        let fake = Fake::new();
        let before = fake.snapshot();
        let apply = fake.tune(&["apply", "--yes", "--persist", "--profile", profile]);
        assert_eq!((apply.status, apply.err.as_str()), (0, ""), "{}", apply.out);
        assert_ne!(fake.snapshot(), before);
        let check = fake.tune(&["check", "--profile", profile]);
        assert_eq!(check.status, 0, "{}", check.out);

        let revert = fake.tune(&["revert", "--yes"]);
        assert_eq!((revert.status, revert.err.as_str()), (0, ""), "{}", revert.out);
        let after = fake.snapshot();
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{profile}");
        for (path, bytes) in &before {
            assert_eq!(after[path], *bytes, "{profile}: {}", path.display());
        }
        assert!(!fake.path("var/lib/ringway-tune/state.json").exists());
        let again = fake.tune(&["revert", "--yes"]);
        assert_eq!((again.status, again.out.as_str()), (0, "Nothing is recorded as changed.\n"));
    }
}

#[test]
fn values_follow_the_host() {
    let fake = Fake::new();
    assert_eq!(fake.tune(&["apply", "--yes"]).status, 0);
    // Only the number that was too small.
    assert_eq!(fake.sysctl("net.ipv4.tcp_rmem"), "4096 131072 16777216");
    // Two queues became four, as there are shards, and each new one has its CPU.
    assert_eq!(fake.text("fake/combined"), "4\n");
    for (queue, mask) in [(0, "00000001\n"), (1, "00000002\n"), (2, "00000004\n"), (3, "00000008\n")] {
        assert_eq!(fake.text(&format!("sys/class/net/eth0/queues/tx-{queue}/xps_cpus")), mask);
    }
    // With a queue for each shard, RPS stays off.
    assert_eq!(fake.text("sys/class/net/eth0/queues/rx-3/rps_cpus"), "0\n");
    assert_eq!(fake.text("proc/irq/41/smp_affinity_list"), "0\n");
    assert_eq!(fake.text("proc/irq/42/smp_affinity_list"), "1\n");
    // Interrupts of others, and those of the card that are no queue's.
    assert_eq!(fake.text("proc/irq/24/smp_affinity_list"), "0-3\n");
    assert_eq!(fake.text("proc/irq/40/smp_affinity_list"), "0-3\n");
    assert_eq!(fake.text("sys/devices/system/cpu/cpufreq/policy3/scaling_governor"), "performance\n");
}

#[test]
fn with_fewer_queues_than_shards_packets_are_dealt_out() {
    let fake = Fake::new();
    fs::remove_file(fake.path("usr/sbin/ethtool")).unwrap();
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "nic"]).status, 0);
    assert_eq!(fake.text("sys/class/net/eth0/queues/rx-1/rps_cpus"), "0000000f\n");
    assert_eq!(fake.text("sys/class/net/eth0/queues/rx-1/rps_flow_cnt"), "16384\n");
    assert_eq!(fake.sysctl("net.core.rps_sock_flow_entries"), "32768");
    // Queue 0 is for the shards 0 and 2.
    assert_eq!(fake.text("sys/class/net/eth0/queues/tx-0/xps_cpus"), "00000005\n");
}

#[test]
fn nothing_else_is_touched() {
    let fake = Fake::new();
    let before = fake.snapshot();
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "somaxconn", "--only", "net.ipv4.tcp_mtu*"]).status, 0);
    let after = fake.snapshot();
    let changed: Vec<_> = after.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes)).collect();
    let names: Vec<_> = changed.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["somaxconn", "tcp_mtu_probing"]);
}

#[test]
fn the_first_old_values_are_kept() {
    let fake = Fake::new();
    let before = fake.snapshot();
    assert_eq!(fake.tune(&["apply", "--yes", "--persist"]).status, 0);
    assert_eq!(fake.tune(&["apply", "--yes", "--persist", "--profile", "latency"]).status, 0);
    assert_eq!(fake.sysctl("net.ipv4.tcp_slow_start_after_idle"), "0");
    // The second time nothing is left to do, and nothing is forgotten.
    assert_eq!(fake.tune(&["apply", "--yes", "--profile", "latency"]).out, "Nothing differs that can be set.\n");
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn what_somebody_else_changed_is_left_unless_forced() {
    let fake = Fake::new();
    let before = fake.snapshot();
    assert_eq!(fake.tune(&["apply", "--yes"]).status, 0);
    fake.set_sysctl("net.core.somaxconn", "9999");

    let revert = fake.tune(&["revert", "--yes"]);
    assert_eq!(revert.status, 1, "{}", revert.out);
    assert!(revert.out.contains("left        net.core.somaxconn"), "{}", revert.out);
    assert!(revert.out.contains("9999 was set by somebody else since; it was 128 before"), "{}", revert.out);
    assert_eq!(fake.sysctl("net.core.somaxconn"), "9999");
    assert_eq!(fake.sysctl("net.ipv4.tcp_mtu_probing"), "0");

    assert_eq!(fake.tune(&["revert", "--yes", "--force"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn what_somebody_else_set_back_is_done() {
    let fake = Fake::new();
    let before = fake.snapshot();
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "somaxconn"]).status, 0);
    fake.set_sysctl("net.core.somaxconn", "128");
    let revert = fake.tune(&["revert", "--yes"]);
    assert_eq!(revert.status, 0);
    assert!(revert.out.contains("as before   net.core.somaxconn"), "{}", revert.out);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_restart_of_the_machine_undoes_what_was_not_persisted() {
    let fake = Fake::new();
    assert_eq!(
        fake.tune(&["apply", "--yes", "--persist", "--only", "somaxconn", "--only", "tcp_mtu_probing"]).status,
        0
    );
    // The machine starts again: sysctl.d has set one of them, another file a third value.
    fake.set_sysctl("kernel.random.boot_id", "second-start");
    fake.set_sysctl("net.ipv4.tcp_mtu_probing", "2");
    let revert = fake.tune(&["revert", "--yes"]);
    assert_eq!(revert.status, 0, "{}", revert.out);
    assert!(revert.out.contains("a restart of the machine has undone the change"), "{}", revert.out);
    assert_eq!(fake.sysctl("net.ipv4.tcp_mtu_probing"), "2");
    assert_eq!(fake.sysctl("net.core.somaxconn"), "128");
    assert!(!fake.path("etc").exists());
}

#[test]
fn after_a_restart_the_values_found_are_the_old_ones() {
    let fake = Fake::new();
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "somaxconn"]).status, 0);
    fake.set_sysctl("kernel.random.boot_id", "second-start");
    fake.set_sysctl("net.core.somaxconn", "256");
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "somaxconn"]).status, 0);
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.sysctl("net.core.somaxconn"), "256");
}

#[test]
fn what_the_host_refuses_is_told_and_the_rest_goes_on() {
    let fake = Fake::new();
    let before = fake.snapshot();
    fake.put("fake/refuse", "");
    let apply = fake.tune(&["apply", "--yes"]);
    assert_eq!(apply.status, 2);
    assert!(apply.out.contains("failed      nic.gro [eth0]"), "{}", apply.out);
    assert!(apply.out.contains("Invalid argument"), "{}", apply.out);
    assert_eq!(fake.text("fake/gro"), "off\n");
    assert_eq!(fake.sysctl("fs.pipe-user-pages-soft"), "65536");
    let state = fake.text("var/lib/ringway-tune/state.json");
    assert!(!state.contains("nic.gro"), "what was not changed is not recorded: {state}");
    fs::remove_file(fake.path("fake/refuse")).unwrap();
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_revert_that_fails_in_part_is_finished_by_the_next() {
    let fake = Fake::new();
    let before = fake.snapshot();
    assert_eq!(fake.tune(&["apply", "--yes"]).status, 0);
    fake.put("fake/refuse", "");
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 2);
    assert_eq!(fake.sysctl("net.core.somaxconn"), "128");
    fs::remove_file(fake.path("fake/refuse")).unwrap();
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_card_that_was_taken_out_is_forgotten() {
    let fake = Fake::new();
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "nic"]).status, 0);
    fs::remove_dir_all(fake.path("sys/class/net/eth0")).unwrap();
    let revert = fake.tune(&["revert", "--yes"]);
    assert_eq!(revert.status, 0, "{}", revert.out);
    assert!(revert.out.contains("gone        nic.xps"), "{}", revert.out);
    assert!(revert.out.contains("gone        nic.gro [eth0]"), "{}", revert.out);
    // The machine's interrupts and tables are there still.
    assert_eq!(fake.sysctl("net.core.rps_sock_flow_entries"), "0");
}

#[test]
fn a_card_that_cannot_be_asked_is_not_forgotten() {
    let fake = Fake::new();
    let before = fake.snapshot();
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "nic.gro"]).status, 0);
    fs::rename(fake.path("usr/sbin/ethtool"), fake.path("elsewhere")).unwrap();
    let revert = fake.tune(&["revert", "--yes"]);
    assert_eq!(revert.status, 2);
    assert!(revert.out.contains("ethtool is not installed"), "{}", revert.out);
    fs::rename(fake.path("elsewhere"), fake.path("usr/sbin/ethtool")).unwrap();
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_document_half_written_in_a_crash_goes_away() {
    let fake = Fake::new();
    let before = fake.snapshot();
    assert_eq!(fake.tune(&["apply", "--yes", "--persist", "--only", "somaxconn"]).status, 0);
    // As if the tool had died before the file took its place.
    let folder = fake.path("etc/sysctl.d");
    fs::rename(folder.join("60-ringway-tune.conf"), folder.join(".60-ringway-tune.conf.new")).unwrap();
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn files_for_the_next_start_say_what_was_changed_and_no_more() {
    let fake = Fake::new();
    fake.put("etc/sysctl.d/60-ringway-tune.conf", "# somebody's own\n");
    let before = fake.snapshot();
    let apply = fake.tune(&["apply", "--yes", "--persist"]);
    assert_eq!(apply.status, 0, "{}", apply.out);
    let sysctls = fake.text("etc/sysctl.d/60-ringway-tune.conf");
    assert!(sysctls.contains("\nnet.core.somaxconn = 4096\n"), "{sysctls}");
    assert!(!sysctls.contains("tcp_syncookies"), "it was as wanted: {sysctls}");
    let tmpfiles = fake.text("etc/tmpfiles.d/ringway-tune.conf");
    assert!(
        tmpfiles.contains("\nw- /sys/devices/system/cpu/cpufreq/policy0/scaling_governor - - - - performance\n"),
        "{tmpfiles}"
    );
    let drop_in = fake.text("etc/systemd/system/ringway.service.d/60-ringway-tune.conf");
    assert!(drop_in.ends_with("[Service]\nLimitNOFILE=1048576\nOOMScoreAdjust=-500\n"), "{drop_in}");
    assert!(apply.out.contains("No file sets these again at the next start: nic.queues"), "{}", apply.out);
    assert!(apply.out.contains("systemctl daemon-reload"), "{}", apply.out);

    // Once more, with nothing left to set: the files stay as they are.
    assert_eq!(fake.tune(&["apply", "--yes", "--persist"]).status, 0);
    assert_eq!(fake.text("etc/sysctl.d/60-ringway-tune.conf"), sysctls);
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_limit_that_would_keep_the_service_from_starting_is_not_written() {
    let fake = Fake::new();
    let apply = fake.tune(&["apply", "--yes", "--persist", "--profile", "many-connections", "--only", "systemd"]);
    assert_eq!(apply.status, 2);
    assert!(apply.out.contains("fs.nr_open is 1048576: the service would not start"), "{}", apply.out);
    let drop_in = fake.text("etc/systemd/system/ringway.service.d/60-ringway-tune.conf");
    assert!(!drop_in.contains("LimitNOFILE"), "{drop_in}");
}

#[test]
fn a_word_in_brackets_is_the_value() {
    let fake = Fake::new();
    fake.put("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
    assert_eq!(fake.tune(&["apply", "--yes", "--only", "memory"]).status, 0);
    // A file is no kernel: it does not put brackets around a choice. The choice is what counts.
    assert_eq!(fake.text("sys/kernel/mm/transparent_hugepage/enabled"), "madvise\n");
    fake.put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.text("sys/kernel/mm/transparent_hugepage/enabled"), "always\n");
}

#[test]
fn a_record_that_is_not_understood_stops_everything() {
    for (record, says) in [
        (r#"{"version": 2, "entries": "another form"}"#, "version 2 is not known here"),
        (r#"{"entries": []}"#, "it has no version"),
        ("{", "EOF"),
    ] {
        let fake = Fake::new();
        fake.put("var/lib/ringway-tune/state.json", record);
        let before = fake.snapshot();
        for arguments in [&["apply", "--yes"][..], &["revert", "--yes"], &["revert"]] {
            let answer = fake.tune(arguments);
            assert_eq!(answer.status, 2, "{arguments:?}");
            assert!(answer.err.contains(says), "{arguments:?}: {}", answer.err);
        }
        assert_eq!(fake.snapshot(), before);
        assert_eq!(fake.text("var/lib/ringway-tune/state.json"), record);
    }
}
