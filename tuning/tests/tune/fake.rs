//! A host made of files: four CPUs, 8 GiB, and a network card whose ethtool is a script over files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The host. Its folder goes away with it.
pub(crate) struct Fake {
    folder: TempDir,
}

/// What a distribution's kernel has, before anybody tuned it.
const SYSCTLS: &[(&str, &str)] = &[
    ("net.core.somaxconn", "128"),
    ("net.ipv4.tcp_max_syn_backlog", "1024"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.core.netdev_max_backlog", "1000"),
    ("net.core.netdev_budget", "300"),
    ("net.core.default_qdisc", "pfifo_fast"),
    ("net.core.rmem_max", "212992"),
    ("net.core.wmem_max", "212992"),
    ("net.core.rps_sock_flow_entries", "0"),
    ("net.ipv4.tcp_rmem", "4096\t131072\t6291456"),
    ("net.ipv4.tcp_wmem", "4096\t16384\t4194304"),
    ("net.ipv4.tcp_mem", "188319\t251092\t376638"),
    ("net.ipv4.tcp_fin_timeout", "60"),
    ("net.ipv4.tcp_max_tw_buckets", "65536"),
    ("net.ipv4.tcp_tw_reuse", "2"),
    ("net.ipv4.ip_local_port_range", "32768\t60999"),
    ("net.ipv4.tcp_slow_start_after_idle", "1"),
    ("net.ipv4.tcp_notsent_lowat", "4294967295"),
    ("net.ipv4.tcp_congestion_control", "reno"),
    ("net.ipv4.tcp_available_congestion_control", "reno cubic"),
    ("net.ipv4.tcp_mtu_probing", "0"),
    ("net.ipv4.tcp_fastopen", "1"),
    ("net.core.busy_poll", "0"),
    ("net.core.busy_read", "0"),
    ("kernel.io_uring_disabled", "2"),
    ("kernel.numa_balancing", "1"),
    ("kernel.nmi_watchdog", "1"),
    ("kernel.osrelease", "6.12.1"),
    ("kernel.random.boot_id", "first-start"),
    ("fs.nr_open", "1048576"),
    ("fs.file-max", "9223372036854775807"),
    ("fs.pipe-user-pages-soft", "16384"),
    ("vm.nr_hugepages", "0"),
    ("vm.min_free_kbytes", "67584"),
    ("vm.swappiness", "60"),
];

const INTERRUPTS: &str = "            CPU0       CPU1       CPU2       CPU3
  24:          9          0          0          0  PCI-MSIX-0000:00:01.0   0-edge      nvme0q0
  40:          1          0          0          0  PCI-MSIX-0000:00:02.0   0-edge      eth0-config
  41:       1107          0          0          0  PCI-MSIX-0000:00:02.0   1-edge      eth0-TxRx-0
  42:          0       2025          0          0  PCI-MSIX-0000:00:02.0   2-edge      eth0-TxRx-1
 NMI:          0          0          0          0  Non-maskable interrupts
";

/// Shows and sets files in `fake/`; more queues make more folders, as the kernel does. `fake/hang` has it stop before it
/// sets anything, and say so; `fake/refuse` has it refuse.
const ETHTOOL: &str = r#"#!/bin/sh
root=$(cd "$(dirname "$0")/../.." && pwd)
fake=$root/fake
show() { cat "$fake/$1"; }
case $1 in
-l) printf 'Channel parameters for %s:\nPre-set maximums:\nRX:\t\tn/a\nCombined:\t4\nCurrent hardware settings:\nRX:\t\tn/a\nCombined:\t%s\n' "$2" "$(show combined)" ;;
-g) printf 'Ring parameters for %s:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\nTX:\t\t4096\nCurrent hardware settings:\nRX:\t\t%s\nRX Mini:\tn/a\nTX:\t\t%s\n' "$2" "$(show rx)" "$(show tx)" ;;
-c) printf 'Coalesce parameters for %s:\nAdaptive RX: %s  TX: off\nrx-usecs:\t%s\nrx-frames:\tn/a\n' "$2" "$(show adaptive-rx)" "$(show rx-usecs)" ;;
-k) printf 'Features for %s:\ntcp-segmentation-offload: %s\ngeneric-segmentation-offload: on [fixed]\ngeneric-receive-offload: %s\n' "$2" "$(show tso)" "$(show gro)" ;;
-L|-G|-C|-K)
    if [ -e "$fake/hang" ]; then echo $$ > "$fake/hangs.new"; mv "$fake/hangs.new" "$fake/hangs"; exec sleep 600; fi
    if [ -e "$fake/refuse" ]; then echo 'netlink error: Invalid argument' >&2; exit 1; fi
    echo "$4" > "$fake/$3"
    if [ "$1" = -L ]; then
        for direction in rx tx; do
            for queue in "$root"/sys/class/net/"$2"/queues/$direction-*; do
                [ "${queue##*-}" -lt "$4" ] || rm -r "$queue"
            done
        done
        number=0
        while [ "$number" -lt "$4" ]; do
            for direction in rx tx; do
                queue=$root/sys/class/net/$2/queues/$direction-$number
                [ -d "$queue" ] || { mkdir "$queue"; for file in rps_cpus rps_flow_cnt xps_cpus; do echo 0 > "$queue/$file"; done; }
            done
            number=$((number + 1))
        done
    fi ;;
*) exit 1 ;;
esac
"#;

const UNIT: &str = "[Unit]\nDescription=Ringway\n[Service]\nExecStart=/usr/bin/ringway serve\nLimitNOFILE=65536\nLimitMEMLOCK=infinity\nTasksMax=4096\n";

impl Fake {
    /// A host with everything.
    pub(crate) fn new() -> Self {
        let fake = Self::bare();
        for (name, value) in SYSCTLS {
            fake.put(&format!("proc/sys/{}", name.replace('.', "/")), &format!("{value}\n"));
        }
        fake.put("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:         1000 kB\n");
        fake.put("proc/cmdline", "quiet nohz_full=2-3\n");
        fake.put("proc/interrupts", INTERRUPTS);
        for irq in [24, 40, 41, 42] {
            fake.put(&format!("proc/irq/{irq}/smp_affinity_list"), "0-3\n");
        }
        fake.put("sys/devices/system/cpu/online", "0-3\n");
        for cpu in 0..4 {
            fake.put(&format!("sys/devices/system/cpu/cpu{cpu}/power/pm_qos_resume_latency_us"), "0\n");
            let policy = format!("sys/devices/system/cpu/cpufreq/policy{cpu}");
            fake.put(&format!("{policy}/scaling_governor"), "powersave\n");
            fake.put(&format!("{policy}/scaling_available_governors"), "performance powersave\n");
        }
        fake.put("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        fake.put("sys/kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise [madvise] never\n");
        fake.put("usr/lib/systemd/system/ringway.service", UNIT);
        fake.put_card();
        fake
    }

    /// A host with nothing at all.
    pub(crate) fn bare() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn put_card(&self) {
        let card = "sys/class/net/eth0";
        self.put(&format!("{card}/operstate"), "up\n");
        self.put("sys/class/net/lo/operstate", "unknown\n");
        for irq in [40, 41, 42] {
            self.put(&format!("{card}/device/msi_irqs/{irq}"), "msix\n");
        }
        for queue in 0..2 {
            for (direction, file) in [("rx", "rps_cpus"), ("rx", "rps_flow_cnt"), ("tx", "xps_cpus")] {
                self.put(&format!("{card}/queues/{direction}-{queue}/{file}"), "0\n");
            }
        }
        let settings = [
            ("combined", "2"),
            ("rx", "512"),
            ("tx", "512"),
            ("adaptive-rx", "off"),
            ("rx-usecs", "50"),
            ("gro", "off"),
            ("tso", "on"),
        ];
        for (name, value) in settings {
            self.put(&format!("fake/{name}"), &format!("{value}\n"));
        }
        self.put("usr/sbin/ethtool", ETHTOOL);
        fs::set_permissions(self.path("usr/sbin/ethtool"), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// The value of a sysctl.
    pub(crate) fn sysctl(&self, name: &str) -> String {
        self.text(&format!("proc/sys/{}", name.replace('.', "/"))).trim_end().to_owned()
    }

    pub(crate) fn set_sysctl(&self, name: &str, value: &str) {
        self.put(&format!("proc/sys/{}", name.replace('.', "/")), &format!("{value}\n"));
    }

    /// The command, with this host as its root.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringway-tune"));
        command.args(arguments).arg("--root").arg(self.folder.path());
        command
    }

    /// Runs it: its exit status and what it printed.
    pub(crate) fn tune(&self, arguments: &[&str]) -> Answer {
        Answer::of(&self.command(arguments).output().unwrap())
    }

    /// All files with their bytes, but for those of the tool's own record.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.folder.path(), &mut files);
        let record = self.path("var/lib/ringway-tune");
        files.retain(|path, _| !path.starts_with(&record));
        files
    }
}

/// Files with their bytes; folders with none, so that those left behind show.
fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Above the record there are folders that it made.
            if !path.ends_with("var") && !path.ends_with("var/lib") {
                files.insert(path.clone(), Vec::new());
            }
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

/// What the command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().expect("it exits"),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}
