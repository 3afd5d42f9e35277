//! Ringway's unit as systemd would read it: the file, then the drop-ins by their names.

use std::collections::BTreeMap;

use crate::host::Host;

/// The unit.
const UNIT: &str = "ringway.service";
/// Where units are, the strongest place first.
const FOLDERS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];
/// The drop-in that this tool writes.
pub const DROP_IN: &str = "/etc/systemd/system/ringway.service.d/60-ringway-tune.conf";

/// The directives of ringway.service.
#[derive(Debug)]
pub struct Unit {
    /// What the unit and others' drop-ins say, and then our own.
    directives: BTreeMap<String, String>,
    /// The same without our own drop-in.
    without_ours: BTreeMap<String, String>,
}

impl Unit {
    /// The unit that `host` has; `None` if there is none.
    #[must_use]
    pub fn of(host: &Host) -> Option<Self> {
        let main = FOLDERS.iter().find_map(|folder| host.read(&format!("{folder}/{UNIT}")).ok())?;
        // A drop-in in a stronger place takes the place of one with its name in a weaker one.
        let mut drop_ins: BTreeMap<String, String> = BTreeMap::new();
        for folder in FOLDERS.iter().rev() {
            let folder = format!("{folder}/{UNIT}.d");
            for name in host.list(&folder).into_iter().filter(|name| name.ends_with(".conf")) {
                let path = format!("{folder}/{name}");
                drop_ins.insert(name, path);
            }
        }
        let mut unit = Self { directives: BTreeMap::new(), without_ours: BTreeMap::new() };
        let texts = drop_ins.values().filter_map(|path| Some((path == DROP_IN, host.read(path).ok()?)));
        for (ours, text) in std::iter::once((false, main)).chain(texts) {
            for (key, value) in directives_of(&text) {
                unit.directives.insert(key.to_owned(), value.to_owned());
                if !ours {
                    unit.without_ours.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        Some(unit)
    }

    /// The value in force.
    #[must_use]
    pub fn value(&self, directive: &str) -> Option<&str> {
        self.directives.get(directive).map(String::as_str)
    }

    /// The value that would be in force without the drop-in of this tool.
    #[must_use]
    pub fn value_without_ours(&self, directive: &str) -> Option<&str> {
        self.without_ours.get(directive).map(String::as_str)
    }
}

/// The directives of `[Service]`. A limit's soft part is what counts: `1024:4096` is 1024.
fn directives_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut in_service = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with('[') {
            in_service = line == "[Service]";
        }
        let (key, value) = line.split_once('=').filter(|_| in_service && !line.starts_with(['#', ';']))?;
        let value = value.trim();
        let soft = value.split_once(':').filter(|_| key.starts_with("Limit")).map_or(value, |(soft, _)| soft);
        Some((key.trim(), soft))
    })
}
