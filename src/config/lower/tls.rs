//! `[tls]`: what is written there, and the certificates and keys in the files that it names.

mod ocsp;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use plan::tls::{CipherSuite, ClientAuth, Group, Host, Policy, PolicyId, Profile, Tickets, Version};
use plan::{HostPattern, Tls};

use super::route::{HOST_FORMS, host};
use super::{duration, too_many, word};
use crate::certs::{Found, Key, Reader, Trouble};
use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::omitted::item;
use crate::config::raw::{self, Values};
use crate::config::spanned::Spanned;

use ocsp::Stapled;
pub(super) use upstream::lower_upstream;

/// Names of one host, and hosts.
const NAMES_MAX: usize = 10_000;
/// A [`PolicyId`] counts to here.
const POLICIES_MAX: usize = 1 << 16;
/// Files of one key.
const FILES_MAX: usize = 64;

/// What the files are read with.
pub(in crate::config) struct Files<'f> {
    pub(in crate::config) reader: &'f mut Reader,
    /// The folder that paths are relative to which are written at this place.
    pub(in crate::config) folder_of: &'f dyn Fn(&Span) -> PathBuf,
}

const PROFILES: [(&str, Profile); 2] = [("modern", Profile::Modern), ("intermediate", Profile::Intermediate)];
/// What may be spoken inside TLS, by its names in ALPN, best first.
const ALPN: [&str; 2] = ["h2", "http/1.1"];
const VERSIONS: [(&str, Version); 2] = [("1.2", Version::Tls12), ("1.3", Version::Tls13)];

/// `None` where no listener has TLS: nothing is read then but what is written.
pub(super) fn lower(file: &raw::File, files: &mut Files<'_>, problems: &mut Problems) -> Option<Tls> {
    let section = &file.tls;
    let listener = file.listeners.iter().find(|listener| listener.get_ref().tls);
    let mut lowering =
        Lowering { files, problems, is_used: listener.is_some(), policies: Vec::new(), hosts: Vec::new() };
    let policy = lowering.policy(&Rules::of(section), None);
    let mut stapling = lowering.stapling(section.ocsp.as_ref());
    let mut found = lowering.shown(&section.certificate, &section.key);
    let named = found.len();
    found.extend(lowering.folders(section.certificates.as_ref()));
    lowering.staple(&mut found, &mut stapling);
    let default = like_first(&found[..named]);
    let mut taken = HashMap::new();
    for host in &section.hosts {
        lowering.host(host, (&policy, &mut stapling), &found, &mut taken);
    }
    lowering.warn_of_unused(&stapling);
    let tickets = lowering.tickets(&section.tickets);
    let policy = lowering.id_of(policy);
    lowering.add_named(found, policy, &taken);
    let default = (!default.is_empty()).then(|| {
        lowering.hosts.push(made(Vec::new(), default, policy));
        lowering.hosts.len() - 1
    });
    let Lowering { hosts, policies, is_used, .. } = lowering;
    let has_none = hosts.is_empty() && section.hosts.is_empty() && !problems.concern(&["tls"]);
    if let Some(listener) =
        listener.filter(|_| has_none && section.certificate.is_none() && section.certificates.is_none())
    {
        let problem = Problem::new("this listener has TLS, and there is no certificate to show");
        let example = "[tls] with certificate = \"site.pem\" and key = \"site.key\", or certificates = \"FOLDER\"";
        problems.at(listener.span(), problem.expected(example));
    }
    is_used.then_some(Tls { hosts, default, policies, tickets })
}

/// What both `tls` and one of its hosts may say of handshakes.
struct Rules<'f> {
    profile: Option<&'f Spanned<String>>,
    min_version: Option<&'f Spanned<String>>,
    suites: Option<&'f Spanned<Vec<Spanned<String>>>>,
    groups: Option<&'f Spanned<Vec<Spanned<String>>>>,
    alpn: Option<&'f Spanned<Vec<Spanned<String>>>>,
    client_auth: Option<&'f Spanned<raw::tls::ClientAuth>>,
}

impl<'f> Rules<'f> {
    fn of(section: &'f raw::tls::Tls) -> Rules<'f> {
        Rules {
            profile: section.profile.as_ref(),
            min_version: section.min_version.as_ref(),
            suites: section.suites.as_ref(),
            groups: section.groups.as_ref(),
            alpn: section.alpn.as_ref(),
            client_auth: section.client_auth.as_ref(),
        }
    }

    fn of_host(section: &'f raw::tls::TlsHost) -> Rules<'f> {
        Rules {
            profile: section.profile.as_ref(),
            min_version: section.min_version.as_ref(),
            suites: section.suites.as_ref(),
            groups: section.groups.as_ref(),
            alpn: section.alpn.as_ref(),
            client_auth: section.client_auth.as_ref(),
        }
    }
}

struct Lowering<'l, 'f> {
    files: &'l mut Files<'f>,
    problems: &'l mut Problems,
    /// Whether any listener has TLS. Where none has, files are left alone.
    is_used: bool,
    policies: Vec<Policy>,
    hosts: Vec<Host>,
}

impl Lowering<'_, '_> {
    /// What `rules` come to, where `above` holds unless they say otherwise.
    fn policy(&mut self, rules: &Rules<'_>, above: Option<&Policy>) -> Policy {
        let profile =
            rules.profile.map(|_| word(rules.profile, "a profile", &PROFILES, Profile::default(), self.problems));
        let mut policy = match (above, profile) {
            (Some(above), None) => above.clone(),
            (above, profile) => Policy {
                client_auth: above.and_then(|above| above.client_auth.clone()),
                ..Policy::of(profile.unwrap_or_default())
            },
        };
        if let Some(above) = above {
            policy.alpn.clone_from(&above.alpn);
        }
        policy.version_min = word(rules.min_version, "a version of TLS", &VERSIONS, policy.version_min, self.problems);
        if rules.min_version.is_some() && rules.suites.is_none() && policy.version_min == Version::Tls12 {
            policy.suites = CipherSuite::ALL.to_vec();
        }
        if let Some(written) = rules.suites {
            let known = CipherSuite::ALL.map(|suite| (suite.name(), suite));
            let suites = self.words(written, "a cipher suite", &known);
            let lacks = |version| !suites.is_empty() && suites.iter().all(|suite| suite.version() != version);
            for version in [Version::Tls12, Version::Tls13] {
                if version >= policy.version_min && lacks(version) {
                    let problem = Problem::new(format!("none of these suites is one of TLS {}", version.name()));
                    self.problems.at(written.span(), problem.note("a version is spoken with suites of its own"));
                }
            }
            policy.suites = suites;
        }
        policy.suites.retain(|suite| suite.version() >= policy.version_min);
        if let Some(written) = rules.groups {
            policy.groups = self.words(written, "a group", &Group::PREFERRED.map(|group| (group.name(), group)));
        }
        if let Some(written) = rules.alpn {
            let names = self.words(written, "a protocol inside TLS", &ALPN.map(|name| (name, name)));
            policy.alpn = names.into_iter().map(Into::into).collect();
        }
        if let Some(written) = rules.client_auth {
            policy.client_auth = self.client_auth(written);
        }
        policy
    }

    /// The words of a list, none twice.
    fn words<T: Copy + PartialEq>(
        &mut self,
        written: &Spanned<Vec<Spanned<String>>>,
        kind: &str,
        known: &[(&str, T)],
    ) -> Vec<T> {
        let mut values = Vec::new();
        if written.get_ref().is_empty() {
            self.problems.at(written.span(), Problem::new("the list is empty").expected(format!("{kind} at least")));
        }
        for one in written.get_ref() {
            match known.iter().find(|(name, _)| name.eq_ignore_ascii_case(one.get_ref())) {
                Some((_, value)) if !values.contains(value) => values.push(*value),
                Some(_) => {
                    self.problems.at(one.span(), Problem::new(format!("{} stands twice", quoted(one.get_ref()))))
                }
                None => {
                    let problem = Problem::new(format!("{} is not {kind}", quoted(one.get_ref())));
                    let names = known.iter().map(|(name, _)| *name);
                    self.problems.at(one.span(), problem.expected_one_of(one.get_ref(), names));
                }
            }
        }
        values
    }

    /// Any doubt is an error: what is not understood here would let strangers in.
    fn client_auth(&mut self, written: &Spanned<raw::tls::ClientAuth>) -> Option<ClientAuth> {
        let section = written.get_ref();
        let modes = [("off", None), ("optional", Some(false)), ("required", Some(true))];
        let default = section.ca.as_ref().or(section.crl.as_ref()).map(|_| true);
        let required = word(section.mode.as_ref(), "a way to ask for certificates", &modes, default, self.problems)?;
        let Some(ca) = &section.ca else {
            let problem = Problem::new("there is nothing to judge clients' certificates by");
            let place = section.mode.as_ref().map_or(written.span(), Spanned::span);
            self.problems.at(place, problem.expected("`ca` beside it, the certificates that theirs must lead to"));
            return None;
        };
        let mut auth = ClientAuth { required, roots: Vec::new(), crls: Vec::new() };
        for (path, span) in self.paths(ca) {
            match self.files.reader.authorities(&path) {
                Ok(roots) => auth.roots.extend(roots),
                Err(trouble) => self.trouble(span, trouble),
            }
        }
        for (path, span) in section.crl.iter().flat_map(|crl| self.paths(crl)).collect::<Vec<_>>() {
            match self.files.reader.revocations(&path, &auth.roots) {
                Ok(crls) => auth.crls.extend(crls),
                Err(trouble) => self.trouble(span, trouble),
            }
        }
        Some(auth)
    }

    /// The certificates in the files that `certificate` and `key` name.
    fn shown(&mut self, certificate: &Option<Spanned<Values>>, key: &Option<Spanned<Values>>) -> Vec<Found> {
        let keys: Vec<(PathBuf, Span)> = key.iter().flat_map(|key| self.paths(key)).collect();
        let Some(certificate) = certificate else {
            if let Some(key) = key {
                let problem = Problem::new("there is no certificate for this key");
                self.problems.at(key.span(), problem.expected("`certificate` beside it"));
            }
            return Vec::new();
        };
        let (mut read, mut are_whole): (Vec<Key>, bool) = (Vec::new(), true);
        for (path, span) in keys {
            match self.files.reader.keys(&path) {
                Ok(keys) => read.extend(keys),
                Err(trouble) => {
                    self.trouble(span, trouble);
                    are_whole = false;
                }
            }
        }
        let mut found = Vec::new();
        for (path, span) in self.paths(certificate) {
            match self.files.reader.certificate(&path, &read) {
                Ok(one) => found.push(one),
                // A key that is missing was complained about.
                Err(_) if !are_whole => {}
                Err(trouble) => self.trouble(span, trouble),
            }
        }
        found
    }

    fn folders(&mut self, written: Option<&Spanned<Values>>) -> Vec<Found> {
        let mut found = Vec::new();
        for (path, span) in written.iter().flat_map(|written| self.paths(written)).collect::<Vec<_>>() {
            match self.files.reader.folder(&path) {
                Ok(certificates) if certificates.is_empty() => {
                    let problem = Problem::new(format!("{} holds no certificate with its key", path.display()));
                    self.problems
                        .at(span, problem.expected("`.pem`, `.crt`, `.cer` and `.key` files in it, or right below"));
                }
                Ok(certificates) => found.extend(certificates),
                Err(troubles) => troubles.into_iter().for_each(|trouble| self.trouble(span.clone(), trouble)),
            }
        }
        found
    }

    /// One of `hosts`.
    fn host(
        &mut self,
        written: &Spanned<raw::tls::TlsHost>,
        (above, stapling): (&Policy, &mut Stapled),
        found: &[Found],
        taken: &mut HashMap<HostPattern, Span>,
    ) {
        let section = written.get_ref();
        let policy = self.policy(&Rules::of_host(section), Some(above));
        let mut own = self.shown(&section.certificate, &section.key);
        self.staple_own(section, &mut own, stapling);
        let names = self.names(written, taken);
        if !self.is_used || names.is_empty() {
            return;
        }
        let policy = self.id_of(policy);
        if section.certificate.is_some() {
            for (name, _) in names.iter().filter(|(name, _)| !own.is_empty() && !own.iter().any(|own| own.covers(name)))
            {
                let warning = format!("{}: it is not for {name}, and clients will refuse it", own[0].certificate.name);
                self.files.reader.warnings.push(warning);
            }
            let names = names.into_iter().map(|(name, _)| name).collect();
            return self.hosts.extend((!own.is_empty()).then(|| made(names, own, policy)));
        }
        // Each name by itself: they may find different ones.
        let misses_nothing = |lowering: &Self| {
            !["certificate", "certificates"].iter().any(|key| lowering.problems.concern(&["tls", key]))
                && !lowering.problems.concern(&["tls", "hosts", &item(&written.span()), "certificate"])
        };
        for (name, span) in names {
            let found = self.best(&name, found.iter().filter(|found| found.covers(&name)).cloned().collect());
            if found.is_empty() {
                if misses_nothing(self) {
                    let problem = Problem::new(format!("no certificate is for {}", quoted(&name.to_string())));
                    let expected = "`certificate` beside it, or one for it in `tls.certificates` or `tls.certificate`";
                    self.problems.at(span, problem.expected(expected));
                }
                continue;
            }
            self.hosts.push(made(vec![name], found, policy));
        }
    }

    /// The names of a host, each of which is that of no other.
    fn names(
        &mut self,
        written: &Spanned<raw::tls::TlsHost>,
        taken: &mut HashMap<HostPattern, Span>,
    ) -> Vec<(HostPattern, Span)> {
        let section = written.get_ref();
        let list = match (&section.host, &section.hosts) {
            (Some(host), None) => std::slice::from_ref(host),
            (None, Some(hosts)) if !hosts.get_ref().is_empty() => hosts.get_ref().as_slice(),
            (Some(host), Some(_)) => {
                let problem = Problem::new("this has both `host` and `hosts`");
                self.problems.at(host.span(), problem.expected("one of the two"));
                &[]
            }
            _ => {
                let keys = ["host", "hosts"];
                if !keys.iter().any(|key| self.problems.concern(&["tls", "hosts", &item(&written.span()), key])) {
                    let problem = Problem::new("this names no host");
                    self.problems
                        .at(written.span(), problem.expected("host = \"example.com\", or `hosts` with several"));
                }
                &[]
            }
        };
        if list.len() > NAMES_MAX {
            too_many("hosts", list.len(), NAMES_MAX, written.span(), self.problems);
            return Vec::new();
        }
        let mut names = Vec::new();
        for one in list {
            let name = match host(one.get_ref()) {
                Ok(HostPattern::Prefix(_)) => {
                    let problem = Problem::new(format!("{} has its wildcard at its end", quoted(one.get_ref())));
                    self.problems.at(one.span(), problem.expected("`example.com` or `*.example.com`"));
                    continue;
                }
                Ok(name) => name,
                Err(problem) => {
                    self.problems.at(one.span(), problem.expected(HOST_FORMS));
                    continue;
                }
            };
            if let Some(first) = taken.get(&name) {
                let problem = Problem::new(format!("a second entry for {}", quoted(&name.to_string())));
                self.problems.repeated(
                    one.span(),
                    first.clone(),
                    problem.note("nothing would say which of them holds"),
                );
                continue;
            }
            taken.insert(name.clone(), one.span());
            names.push((name, one.span()));
        }
        names
    }

    /// Adds the certificates of `tls` for the names that they have themselves, but for those that are `taken`.
    fn add_named(&mut self, found: Vec<Found>, policy: PolicyId, taken: &HashMap<HostPattern, Span>) {
        let mut by_name: BTreeMap<HostPattern, Vec<Found>> = BTreeMap::new();
        for one in found {
            for name in one.names.iter().filter(|name| !taken.contains_key(name)) {
                by_name.entry(name.clone()).or_default().push(one.clone());
            }
        }
        let mut known: HashMap<Vec<String>, usize> = HashMap::new();
        for (name, found) in by_name {
            let found = self.best(&name, found);
            let files: Vec<String> = found.iter().map(|found| found.certificate.name.clone()).collect();
            let index = *known.entry(files).or_insert(self.hosts.len());
            match self.hosts.get_mut(index) {
                Some(host) => host.names.push(name),
                None => self.hosts.push(made(vec![name], found, policy)),
            }
        }
    }

    /// Of the certificates for `name`, the one of each kind that is valid longest.
    fn best(&mut self, name: &HostPattern, mut found: Vec<Found>) -> Vec<Found> {
        // One that names the host itself comes before a wildcard.
        if found.iter().any(|one| one.names.contains(name)) {
            found.retain(|one| one.names.contains(name));
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.certificate.not_after_unix_s));
        let mut best: Vec<Found> = Vec::new();
        for one in found {
            match best.iter().find(|best| best.algorithm == one.algorithm) {
                None => best.push(one),
                Some(best) if best.certificate.chain[0] == one.certificate.chain[0] => {}
                Some(best) => {
                    let (left, used) = (&one.certificate.name, &best.certificate.name);
                    let warning = format!("{left}: {used} is for {name} as well, and is used as it is valid longer");
                    self.files.reader.warnings.push(warning);
                }
            }
        }
        best
    }

    fn tickets(&mut self, section: &raw::tls::Tickets) -> Option<Tickets> {
        let range = Duration::from_secs(60)..=Duration::from_secs(7 * 24 * 60 * 60);
        let rotation = duration(section.rotation.as_ref(), range, Tickets::ROTATION, self.problems);
        let mut keys = Vec::new();
        for (path, span) in section.keys.iter().flat_map(|keys| self.paths(keys)).collect::<Vec<_>>() {
            match self.files.reader.ticket_key(&path) {
                Ok(key) => keys.push(key),
                Err(trouble) => self.trouble(span, trouble),
            }
        }
        section.enabled.unwrap_or(true).then_some(Tickets { rotation, keys })
    }

    fn id_of(&mut self, policy: Policy) -> PolicyId {
        let known = self.policies.iter().position(|known| *known == policy);
        let index = known.unwrap_or_else(|| {
            self.policies.push(policy);
            self.policies.len() - 1
        });
        if index == POLICIES_MAX {
            self.problems
                .in_file(Problem::new("the hosts of `tls` differ in too many ways").expected("at most 65,536"));
        }
        PolicyId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The paths that are written, seen from the file in which they are; none where nothing is to be read.
    fn paths(&mut self, written: &Spanned<Values>) -> Vec<(PathBuf, Span)> {
        let list: Vec<(&str, Span)> = match written.get_ref() {
            Values::One(path) => vec![(path, written.span())],
            Values::Many(list) => list.iter().map(|path| (path.get_ref().as_str(), path.span())).collect(),
        };
        if list.len() > FILES_MAX {
            too_many("files", list.len(), FILES_MAX, written.span(), self.problems);
        }
        let mut paths = Vec::new();
        for (path, span) in list.into_iter().take(FILES_MAX) {
            if path.is_empty() || path.contains('\0') {
                self.problems.at(span, Problem::new(format!("{} is not the path of a file", quoted(path))));
            } else if self.is_used {
                paths.push(((self.files.folder_of)(&span).join(Path::new(path)), span));
            }
        }
        paths
    }

    fn trouble(&mut self, span: Span, trouble: Trouble) {
        let Trouble { path, message, note } = trouble;
        let problem = Problem::new(format!("{}: {message}", path.display()));
        self.problems.at(span, note.into_iter().fold(problem, Problem::note));
    }
}

/// The first certificate, and those of other kinds for a name of its.
fn like_first(found: &[Found]) -> Vec<Found> {
    let Some((first, others)) = found.split_first() else { return Vec::new() };
    let mut like = vec![first.clone()];
    for other in others.iter().filter(|other| other.names.iter().any(|name| first.names.contains(name))) {
        if like.iter().all(|like| like.algorithm != other.algorithm) {
            like.push(other.clone());
        }
    }
    like
}

fn made(names: Vec<HostPattern>, found: Vec<Found>, policy: PolicyId) -> Host {
    Host { names, certificates: found.into_iter().map(|found| found.certificate).collect(), policy }
}
