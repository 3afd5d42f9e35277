//! `[upstreams.NAME.tls]`: who servers have to be, and what they are shown.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plan::tls::{Certificate, Der, UpstreamTls, Version};
use tls::Connector;
use tls::rustls::pki_types::{DnsName, ServerName};

use super::{Files, Lowering, VERSIONS, word};
use crate::config::diagnostic::{Problem, Problems, quoted};
use crate::config::raw::tls::UpstreamTls as Section;
use crate::config::raw::{FlagOr, Values};
use crate::config::spanned::Spanned;
use crate::discovery::Name;

/// Keys that one upstream pins.
const PINS_MAX: usize = 64;

/// `None` where TLS is not spoken. `hosts` are the names by which servers are found; `needs_name` tells that there are some that
/// have neither name nor address to prove.
pub(in crate::config::lower) fn lower_upstream(
    written: &Spanned<FlagOr<Section>>,
    needs_name: bool,
    hosts: &[Name],
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Option<UpstreamTls> {
    let defaults = Section::default();
    let section = match written.get_ref() {
        FlagOr::Flag(false) => return None,
        FlagOr::Flag(true) => &defaults,
        FlagOr::Table(section) => &**section,
    };
    let before = problems.count();
    let mut lowering = Lowering { files, problems, is_used: true, policies: Vec::new(), hosts: Vec::new() };
    let server_name = section.server_name.as_ref().and_then(|name| lowering.server_name(name));
    let pins = section.pins.iter().flat_map(|pins| lowering.pins(pins)).collect();
    let policy = UpstreamTls {
        roots: lowering.roots(written, section),
        pins,
        certificate: lowering.identity(section),
        version_min: word(
            section.min_version.as_ref(),
            "a version of TLS",
            &VERSIONS,
            Version::Tls12,
            lowering.problems,
        ),
        alpn: vec!["http/1.1".into()],
        resumes: true,
        server_name,
    };
    if section.server_name.is_none() {
        let nameless = hosts.iter().find(|name| DnsName::try_from(name.host.trim_end_matches('.')).is_err());
        if needs_name || nameless.is_some() {
            let which = nameless.map_or("one at a Unix socket".to_owned(), |name| quoted(&name.host));
            let problem = Problem::new(format!("a server has no name that it could prove: {which}"));
            problems.at(written.span(), problem.expected("tls = { server_name = \"app.internal\" }"));
        }
    }
    if problems.count() == before
        && let Err(error) = Connector::new(&policy)
    {
        problems.at(written.span(), Problem::new(error.to_string()));
    }
    Some(policy)
}

impl Lowering<'_, '_> {
    fn server_name(&mut self, written: &Spanned<String>) -> Option<String> {
        let name = written.get_ref();
        if ServerName::try_from(name.as_str()).is_err() {
            let problem = Problem::new(format!("{} is not a name that a server can prove", quoted(name)));
            self.problems.at(written.span(), problem.expected("`app.internal`, or an IP address"));
            return None;
        }
        Some(name.clone())
    }

    /// Without a `ca`, pins alone say who servers are; without pins as well, the system's roots do.
    fn roots(&mut self, written: &Spanned<FlagOr<Section>>, section: &Section) -> Vec<Arc<Der>> {
        let mut roots = Vec::new();
        let Some(ca) = &section.ca else {
            if section.pins.is_none() {
                match self.files.reader.system_roots() {
                    Ok(system) => roots = system,
                    Err(reason) => {
                        let problem = Problem::new(reason).expected("`ca` with the certificates to judge servers by");
                        self.problems.at(written.span(), problem);
                    }
                }
            }
            return roots;
        };
        if matches!(ca.get_ref(), Values::Many(list) if list.is_empty()) {
            let problem = Problem::new("there is nothing to judge servers by");
            self.problems.at(ca.span(), problem.expected("a file at least"));
        }
        for (path, span) in self.paths(ca) {
            match self.files.reader.authorities(&path) {
                Ok(authorities) => roots.extend(authorities),
                Err(trouble) => self.trouble(span, trouble),
            }
        }
        roots
    }

    fn pins(&mut self, written: &Spanned<Vec<Spanned<String>>>) -> Vec<[u8; 32]> {
        let list = written.get_ref();
        if list.is_empty() || list.len() > PINS_MAX {
            let problem = Problem::new(format!("{} pins", list.len()));
            self.problems.at(written.span(), problem.expected(format!("1 to {PINS_MAX}")));
        }
        let mut pins = Vec::new();
        for pin in list.iter().take(PINS_MAX) {
            match decoded(pin.get_ref()) {
                Some(digest) => pins.push(digest),
                None => {
                    let problem = Problem::new(format!("{} is not the SHA-256 of a key", quoted(pin.get_ref())));
                    self.problems.at(pin.span(), problem.expected("32 bytes in base64: 44 characters"));
                }
            }
        }
        pins
    }

    fn identity(&mut self, section: &Section) -> Option<Arc<Certificate>> {
        let as_values = |written: &Option<Spanned<String>>| {
            written.as_ref().map(|written| written.map_ref(|path| Values::One(path.clone())))
        };
        let found = self.shown(&as_values(&section.certificate), &as_values(&section.key));
        found.into_iter().next().map(|found| found.certificate)
    }
}

/// What base64 (RFC 4648 §4) of 32 bytes says.
fn decoded(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
