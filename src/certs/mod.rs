//! Certificates, keys and lists of revocations as people keep them: PEM files, alone or in folders.
//!
//! [`Reader`] reads what a configuration names. Keys find their certificates by their public halves, in whatever order and in
//! whatever files they stand, so that what an ACME client, HAProxy or nginx was given serves as it is. Whatever cannot be
//! shown to clients as it stands is refused here, with the reason: a key that belongs to no certificate or is
//! encrypted, a chain out of order, a list of revocations that has expired.
//!
//! A reader that is to keep what was good ([`Reader::keeping`]) takes what was read before where a file has become wrong: who
//! writes a file badly is told, and served on as before. [`ocsp`] asks issuers of what they have issued.

mod keep;
mod kept;
pub(crate) mod ocsp;
mod pem;
#[cfg(test)]
mod tests;
mod x509;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plan::HostPattern;
use plan::tls::{Certificate, Der, PrivateKey, Stapling, TicketKey};
use tls::rustls::{RootCertStore, SignatureAlgorithm};

use keep::Before;
pub use kept::{Keep, Kept};
use pem::Contents;
use x509::Facts;

/// Files below one folder of certificates.
const FILES_MAX: usize = 100_000;
/// How long before its end a certificate is warned of: this long, or the last fifth of its time if that is shorter.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What is wrong with a file, or lies in it that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The file, as it was asked for.
    pub(crate) path: PathBuf,
    pub(crate) message: String,
    /// What may help.
    pub(crate) note: Option<String>,
}

/// A certificate that was read, and what it says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) certificate: Arc<Certificate>,
    /// The names that it is for. A wildcard of these is one label.
    pub(crate) names: Vec<HostPattern>,
    /// What its key signs with.
    pub(crate) algorithm: SignatureAlgorithm,
}

/// A key, with its public half.
#[derive(Debug)]
pub(crate) struct Key {
    path: PathBuf,
    key: PrivateKey,
    public: Vec<u8>,
}

/// Reads files, and remembers which.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What stays where files are wrong, if anything is to.
    before: Option<Before>,
    pub(crate) now_unix_s: i64,
    /// What this system trusts, once it was read.
    system_roots: Option<Vec<Arc<Der>>>,
    /// The files and folders that were read.
    pub(crate) files: BTreeSet<PathBuf>,
    /// What was made of them; of those that are wrong, what was before.
    pub(crate) kept: Kept,
    /// Files that are wrong, of which something stays.
    pub(crate) broken: BTreeSet<PathBuf>,
    /// What came of the answers of OCSP that were read, each in a word.
    pub(crate) answers: Vec<&'static str>,
    /// What is to be told though it is no error.
    pub(crate) warnings: Vec<String>,
    /// The same of certificates that have expired or will soon.
    pub(crate) expiring: Vec<String>,
}

impl Found {
    /// Whether clients that ask for `host` will take it.
    pub(crate) fn covers(&self, host: &HostPattern) -> bool {
        self.names.iter().any(|name| match (name, host) {
            (HostPattern::Suffix(suffix), HostPattern::Exact(host)) => {
                // RFC 9525 §6.3: a wildcard is one label.
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix)
            }
            (name, host) => name == host,
        })
    }
}

impl Reader {
    /// A reader for which everything that is wrong is an error.
    pub(crate) fn new() -> Reader {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Reader { now_unix_s: now.as_secs().try_into().unwrap_or(i64::MAX), ..Reader::default() }
    }

    /// The keys in a file. One whose file is wrong is missing from the certificate that it belongs to: a reader that keeps
    /// those says so by a warning alone.
    pub(crate) fn keys(&mut self, path: &Path) -> Result<Vec<Key>, Trouble> {
        let read = self.read(path).and_then(|contents| match contents.keys.is_empty() {
            true => {
                Err(trouble(path, "there is no key in it").because("a key begins with `-----BEGIN PRIVATE KEY-----`"))
            }
            false => known(path, contents.keys),
        });
        match read {
            Err(trouble) if self.keeps() => {
                self.goes_without(trouble);
                Ok(Vec::new())
            }
            read => read,
        }
    }

    /// The certificate at the beginning of a file, with those that follow it there; its key stands in the same file, or is one
    /// of `keys`.
    pub(crate) fn certificate(&mut self, path: &Path, keys: &[Key]) -> Result<Found, Trouble> {
        let read = self.read(path).and_then(|contents| {
            let own = known(path, contents.keys)?;
            one(path, contents.certificates, own.iter().chain(keys))
        });
        match read {
            Ok((found, facts)) => {
                self.judge_times(path, &facts);
                Ok(self.noted(found))
            }
            Err(trouble) => self.keep(path, trouble),
        }
    }

    /// All certificates in a folder and in those right below it: each `.pem`, `.crt`, `.cer` and `.key` is read, and each key
    /// finds its certificate. Certificates without a key are those that others lead to, and are left aside.
    ///
    /// A second one for the same names is no error: it is told, and the one that is valid longest is used.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<Vec<Found>, Vec<Trouble>> {
        let files = self.listed(path).or_else(|trouble| match self.gone(path, &[]) {
            gone if gone.is_empty() => Err(vec![trouble]),
            gone => Ok(gone),
        })?;
        let gone = self.gone(path, &files);
        let (mut found, mut keys, mut chains, mut troubles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for file in files.into_iter().chain(gone) {
            let read = self.read(&file).and_then(|contents| {
                keys.extend(known(&file, contents.keys)?);
                match contents.certificates.is_empty() && self.certificate_before(&file).is_some() {
                    true => Err(trouble(&file, "there is no certificate in it")),
                    false => Ok(contents.certificates),
                }
            });
            match read {
                Ok(certificates) if certificates.is_empty() => {}
                Ok(certificates) => chains.push((file, certificates)),
                Err(trouble) => match self.keep(&file, trouble) {
                    Ok(kept) => found.push(kept),
                    // A file that was wrong from the start is no reason to go without the others.
                    Err(trouble) if self.keeps() => self.goes_without(trouble),
                    Err(trouble) => troubles.push(trouble),
                },
            }
        }
        // By the certificate: an ACME client writes it alone and with its chain, and the longer chain serves more clients.
        let mut longest: HashMap<Vec<u8>, (PathBuf, Vec<Vec<u8>>)> = HashMap::new();
        for (file, chain) in chains {
            let known = longest.get(&chain[0]).map_or(0, |(_, known)| known.len());
            if chain.len() > known {
                longest.insert(chain[0].clone(), (file, chain));
            }
        }
        let by_public: HashMap<&[u8], &Key> = keys.iter().map(|key| (&*key.public, key)).collect();
        let mut used = BTreeSet::new();
        let mut chains: Vec<_> = longest.into_values().collect();
        chains.sort();
        for (file, chain) in chains {
            let key = Facts::of(&chain[0]).ok().and_then(|facts| by_public.get(&*facts.public).copied());
            used.extend(key.map(|key| key.path.clone()));
            if key.is_none() && Facts::of(&chain[0]).is_ok_and(|facts| facts.is_authority) {
                continue;
            }
            match one(&file, chain, key.into_iter()) {
                Ok((certificate, facts)) => {
                    self.judge_times(&file, &facts);
                    found.push(self.noted(certificate));
                }
                Err(trouble) => match self.keep(&file, trouble) {
                    Ok(kept) => found.push(kept),
                    Err(trouble) if self.keeps() => self.goes_without(trouble),
                    Err(trouble) => troubles.push(trouble),
                },
            }
        }
        let idle = keys.iter().filter(|key| !used.contains(&key.path));
        self.warnings
            .extend(idle.map(|key| format!("{}: its key belongs to no certificate there", key.path.display())));
        if troubles.is_empty() { Ok(found) } else { Err(troubles) }
    }

    /// The certificates in a file that others are judged by. All have to be there, be those of authorities, and be valid.
    pub(crate) fn authorities(&mut self, path: &Path) -> Result<Vec<Arc<Der>>, Trouble> {
        let read = self.read_authorities(path);
        let authorities = self.or_before(path, read, |kept| kept.authorities.get(path))?;
        self.kept.authorities.insert(path.to_owned(), authorities.clone());
        Ok(authorities)
    }

    fn read_authorities(&mut self, path: &Path) -> Result<Vec<Arc<Der>>, Trouble> {
        let contents = self.read(path)?;
        if contents.certificates.is_empty() {
            return Err(trouble(path, "there is no certificate in it"));
        }
        for (certificate, number) in contents.certificates.iter().zip(1..) {
            let wrong = |message: String| Err(trouble(path, format!("certificate {number} {message}")));
            match Facts::of(certificate) {
                Err(reason) => return wrong(format!("cannot be read: {reason}")),
                Ok(facts) if !facts.is_authority => {
                    return wrong("is not that of an authority (it lacks the basic constraint CA)".into());
                }
                Ok(facts) if facts.not_after_unix_s < self.now_unix_s => {
                    return wrong(format!("has expired on {}", facts.not_after));
                }
                Ok(_) => {}
            }
        }
        Ok(contents.certificates.into_iter().map(|der| Arc::new(Der(der.into()))).collect())
    }

    /// The certificates that this system trusts. Those that rustls cannot judge by are left aside.
    pub(crate) fn system_roots(&mut self) -> Result<Vec<Arc<Der>>, String> {
        if let Some(known) = &self.system_roots {
            return Ok(known.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let mut roots = Vec::new();
        for certificate in found.certs {
            if RootCertStore::empty().add(certificate.clone()).is_ok() {
                roots.push(Arc::new(Der(certificate.as_ref().into())));
            }
        }
        if roots.is_empty() {
            let reason = found.errors.first().map_or_else(|| "none were found".to_owned(), ToString::to_string);
            return Err(format!("there are no roots that this system trusts: {reason}"));
        }
        self.system_roots = Some(roots.clone());
        Ok(roots)
    }

    /// The lists of revocations in a file. They have to be those of one of `authorities`, and not to have expired: clients would
    /// all be refused.
    pub(crate) fn revocations(&mut self, path: &Path, authorities: &[Arc<Der>]) -> Result<Vec<Arc<Der>>, Trouble> {
        let read = self.read_revocations(path, authorities);
        // A list that has expired since refuses every client, as it did before.
        let lists = self.or_before(path, read, |kept| kept.revocations.get(path))?;
        self.kept.revocations.insert(path.to_owned(), lists.clone());
        Ok(lists)
    }

    fn read_revocations(&mut self, path: &Path, authorities: &[Arc<Der>]) -> Result<Vec<Arc<Der>>, Trouble> {
        let contents = self.read(path)?;
        if contents.revocations.is_empty() {
            let none = trouble(path, "there is no list of revocations in it");
            return Err(none.because("one begins with `-----BEGIN X509 CRL-----`"));
        }
        for list in &contents.revocations {
            let facts = x509::Revocations::of(list);
            let facts = facts.map_err(|reason| trouble(path, format!("the list cannot be read: {reason}")))?;
            match facts.next_update_unix_s {
                None => return Err(trouble(path, "the list does not say until when it is good (nextUpdate)")),
                Some(until) if until < self.now_unix_s => {
                    let expired = trouble(path, format!("the list has expired on {}", facts.next_update));
                    return Err(expired.because("every client would be refused; fetch it anew"));
                }
                Some(_) => {}
            }
            if !authorities.iter().any(|der| facts.is_of(&der.0)) {
                let stranger = trouble(path, "the list is of none of the authorities that clients are judged by");
                return Err(stranger.because("its signature has to be that of a certificate in `ca`"));
            }
        }
        Ok(contents.revocations.into_iter().map(|der| Arc::new(Der(der.into()))).collect())
    }

    /// The key in a file of 32, 48 or 80 random bytes: what nginx takes is good here too.
    pub(crate) fn ticket_key(&mut self, path: &Path) -> Result<TicketKey, Trouble> {
        self.note(path);
        let read = pem::contents(path).and_then(|bytes| match bytes.len() {
            32 | 48 | 80 => Ok(tls::tickets::key_of(&bytes)),
            length => Err(trouble(path, format!("{length} bytes are no ticket key"))
                .because("32, 48 or 80 random bytes are: `openssl rand 48 > ticket.key`")),
        });
        let key = self.or_before(path, read, |kept| kept.ticket_keys.get(path))?;
        self.kept.ticket_keys.insert(path.to_owned(), key.clone());
        Ok(key)
    }

    /// The answer of OCSP in a file, in DER. What it is worth is not looked at.
    pub(crate) fn answer(&mut self, path: &Path) -> Result<Vec<u8>, Trouble> {
        self.note(path);
        let bytes = pem::contents(path)?;
        if bytes.len() > tls::ocsp::ANSWER_BYTES_MAX {
            let large = trouble(path, format!("{} bytes are too many for an answer of OCSP", bytes.len()));
            return Err(large.because(format!("clients are shown {} at most", tls::ocsp::ANSWER_BYTES_MAX)));
        }
        Ok(bytes)
    }

    fn read(&mut self, path: &Path) -> Result<Contents, Trouble> {
        self.note(path);
        Contents::read(path)
    }

    fn note(&mut self, path: &Path) {
        self.files.insert(path.to_owned());
    }

    /// The files of a folder that are to be read, by name.
    fn listed(&mut self, folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
        let mut files = Vec::new();
        let mut folders = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            self.note(&folder);
            let unreadable = |error: std::io::Error| trouble(&folder, format!("cannot be read: {error}"));
            for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if hidden {
                    continue;
                } else if path.is_dir() && depth == 0 {
                    folders.push((path, depth + 1));
                } else if path.extension().is_some_and(is_ours) {
                    files.push(path);
                }
            }
        }
        if files.len() > FILES_MAX {
            return Err(trouble(folder, format!("{} files are too many", files.len())));
        }
        files.sort();
        Ok(files)
    }

    fn judge_times(&mut self, path: &Path, facts: &Facts) {
        let left_s = facts.not_after_unix_s.saturating_sub(self.now_unix_s);
        let lifetime_s = facts.not_after_unix_s.saturating_sub(facts.not_before_unix_s);
        let told = if left_s < 0 {
            format!("the certificate has expired on {}", facts.not_after)
        } else if left_s < (EXPIRES_SOON.as_secs() as i64).min(lifetime_s / 5) {
            format!("the certificate expires in {} days, on {}", left_s / (24 * 60 * 60), facts.not_after)
        } else if facts.not_before_unix_s > self.now_unix_s {
            let warning = format!("{}: the certificate is not valid before {}", path.display(), facts.not_before);
            return self.warnings.push(warning);
        } else {
            return;
        };
        self.expiring.push(format!("{}: {told}", path.display()));
    }
}

/// What there is to warn of in the certificates of `tls` as time goes by: those that expire soon, or have.
pub(crate) fn expiring(tls: &plan::Tls, now: SystemTime) -> Vec<String> {
    let now_unix_s = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let soon_unix_s = i64::try_from(now_unix_s + EXPIRES_SOON.as_secs()).unwrap_or(i64::MAX);
    let certificates = tls.hosts.iter().flat_map(|host| &host.certificates);
    let ending = certificates.filter(|certificate| certificate.not_after_unix_s < soon_unix_s);
    let ending: BTreeSet<(i64, &str)> = ending.map(|one| (one.not_after_unix_s, one.name.as_str())).collect();
    let told = |(until_unix_s, name): (i64, &str)| {
        let days = (until_unix_s - (soon_unix_s - EXPIRES_SOON.as_secs() as i64)).div_euclid(24 * 60 * 60);
        match days {
            ..0 => format!("{name}: the certificate has expired"),
            _ => format!("{name}: the certificate expires in {days} days"),
        }
    };
    ending.into_iter().map(told).collect()
}

impl Trouble {
    pub(crate) fn because(mut self, note: impl Into<String>) -> Trouble {
        self.note = Some(note.into());
        self
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)?;
        self.note.iter().try_for_each(|note| write!(f, " ({note})"))
    }
}

pub(crate) fn trouble(path: &Path, message: impl Into<String>) -> Trouble {
    Trouble { path: path.to_owned(), message: message.into(), note: None }
}

fn refused(path: &Path, error: &tls::rustls::Error) -> Trouble {
    trouble(path, format!("it cannot be used: {error}"))
}

/// Keys with their public halves.
fn known(path: &Path, keys: Vec<PrivateKey>) -> Result<Vec<Key>, Trouble> {
    let public = |key: PrivateKey| match tls::acceptor::public_key(&key) {
        Some(public) => Ok(Key { path: path.to_owned(), key, public }),
        None => Err(trouble(path, "its key is of no kind that is known")
            .because("RSA from 2048 bits, P-256, P-384, P-521 and Ed25519 are")),
    };
    keys.into_iter().map(public).collect()
}

/// The certificate that `chain` begins with, with its key out of `keys`.
fn one<'k>(path: &Path, chain: Vec<Vec<u8>>, keys: impl Iterator<Item = &'k Key>) -> Result<(Found, Facts), Trouble> {
    if chain.is_empty() {
        let none = trouble(path, "there is no certificate in it");
        return Err(none.because("one begins with `-----BEGIN CERTIFICATE-----`"));
    }
    let facts: Result<Vec<Facts>, String> = chain.iter().map(|der| Facts::of(der)).collect();
    let mut facts = facts.map_err(|reason| trouble(path, format!("a certificate cannot be read: {reason}")))?;
    let keys: Vec<&Key> = keys.collect();
    let Some(key) = keys.iter().find(|key| key.public == facts[0].public) else {
        return Err(keyless(path, &facts, &keys));
    };
    for (number, pair) in (1..).zip(facts.windows(2)) {
        if pair[0].issuer != pair[1].subject {
            let broken =
                format!("its chain is out of order: certificate {} did not issue certificate {number}", number + 1);
            return Err(
                trouble(path, broken).because("the site's own comes first, then the one that issued it, and so on")
            );
        }
    }
    let leaf = facts.swap_remove(0);
    let certificate = Certificate {
        name: path.display().to_string(),
        chain: chain.into_iter().map(|der| Der(der.into())).collect(),
        key: key.key.clone(),
        stapling: Stapling::Off,
        not_after_unix_s: leaf.not_after_unix_s,
    };
    let certified = tls::certify(&certificate).map_err(|error| refused(path, &error))?;
    let algorithm = certified.key.algorithm();
    Ok((Found { certificate: Arc::new(certificate), names: leaf.names.clone(), algorithm }, leaf))
}

/// Why no key is that of a certificate.
fn keyless(path: &Path, facts: &[Facts], keys: &[&Key]) -> Trouble {
    let of_other = keys.iter().any(|key| facts[1..].iter().any(|facts| facts.public == key.public));
    match keys {
        _ if of_other => trouble(path, "its chain is out of order: the certificate of the key has to come first"),
        [] => {
            trouble(path, "there is no key for this certificate").because("it may stand in the same file, or in `key`")
        }
        [key] if key.path != path => {
            trouble(path, format!("the key in {} is not that of this certificate", key.path.display()))
        }
        _ => trouble(path, "none of the keys is that of this certificate"),
    }
}

/// Whether the files of a folder whose names end so are read.
fn is_ours(extension: &std::ffi::OsStr) -> bool {
    ["pem", "crt", "cer", "key"].iter().any(|ours| extension.eq_ignore_ascii_case(ours))
}
