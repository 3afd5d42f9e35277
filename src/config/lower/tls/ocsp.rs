//! `ocsp`: what clients are shown of what an issuer says of a certificate.
//!
//! A file that cannot be read, or is no answer, is a mistake in the configuration. An answer that is none for these certificates, or
//! is not good any more, is told of and not shown: answers age by themselves, and clients do without.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plan::tls::{Certificate, Der, Staple, Stapling};
use tls::ocsp::{self, Refusal, Subject};

use super::Lowering;
use crate::certs::Found;
use crate::config::diagnostic::{Problem, quoted};
use crate::config::raw::Values;
use crate::config::raw::tls::TlsHost;
use crate::config::spanned::Spanned;

/// What `ocsp` says.
pub(super) enum Stapled {
    Off,
    Fetched,
    /// By files. Where one of them is wrong, and the others serve on, what it said before holds on.
    Given {
        answers: Vec<Answer>,
        is_whole: bool,
    },
}

/// An answer in a file.
pub(super) struct Answer {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Whether it is about one of the certificates.
    is_used: bool,
}

const WORDS: [&str; 2] = ["off", "fetch"];

impl Lowering<'_, '_> {
    pub(super) fn stapling(&mut self, written: Option<&Spanned<Values>>) -> Stapled {
        let Some(written) = written else { return Stapled::Off };
        match written.get_ref() {
            Values::One(word) if word == "off" => return Stapled::Off,
            Values::One(word) if word == "fetch" => return Stapled::Fetched,
            Values::One(_) => {}
            Values::Many(list) => {
                for word in list.iter().filter(|word| WORDS.contains(&word.get_ref().as_str())) {
                    let problem = Problem::new(format!("{} stands among files", quoted(word.get_ref())));
                    self.problems.at(word.span(), problem.expected("the word alone, or files alone"));
                }
            }
        }
        let (mut answers, mut is_whole) = (Vec::new(), true);
        for (path, span) in self.paths(written) {
            let read = self.files.reader.answer(&path).and_then(|bytes| match ocsp::is_answer(&bytes) {
                true => Ok(bytes),
                false => Err(crate::certs::trouble(&path, "it is no answer of OCSP in DER")
                    .because("`openssl ocsp -respout FILE` writes one")),
            });
            match read {
                Ok(bytes) => answers.push(Answer { path, bytes, is_used: false }),
                Err(trouble) if self.files.reader.keeps() => {
                    is_whole = false;
                    self.files.reader.goes_without(trouble);
                }
                Err(trouble) => self.trouble(span, trouble),
            }
        }
        Stapled::Given { answers, is_whole }
    }

    /// Says of each of `found` what clients are shown with it.
    pub(super) fn staple(&mut self, found: &mut [Found], stapled: &mut Stapled) {
        for one in found {
            let stapling = match stapled {
                Stapled::Off => Stapling::Off,
                Stapled::Fetched => self.fetched(&one.certificate),
                Stapled::Given { answers, is_whole } => match self.given(&one.certificate, answers) {
                    Stapling::Off if !*is_whole => self.given_before(&one.certificate),
                    stapling => stapling,
                },
            };
            if one.certificate.stapling != stapling {
                one.certificate = Arc::new(Certificate { stapling, ..Certificate::clone(&one.certificate) });
                self.files.reader.keep_as(&one.certificate);
            }
        }
    }

    /// The same for the certificates of a host, which `above` holds for unless it says otherwise.
    pub(super) fn staple_own(&mut self, section: &TlsHost, own: &mut [Found], above: &mut Stapled) {
        let Some(written) = &section.ocsp else { return self.staple(own, above) };
        if section.certificate.is_none() {
            let problem = Problem::new("there is no certificate for this");
            self.problems.at(written.span(), problem.expected("`certificate` beside it, or `ocsp` of `tls`"));
        }
        let mut stapled = self.stapling(Some(written));
        self.staple(own, &mut stapled);
        if section.certificate.is_some() {
            self.warn_of_unused(&stapled);
        }
    }

    pub(super) fn warn_of_unused(&mut self, stapled: &Stapled) {
        let Stapled::Given { answers, .. } = stapled else { return };
        for answer in answers.iter().filter(|answer| !answer.is_used) {
            let warning = format!("{}: {}, and is not shown", answer.path.display(), Refusal::Foreign);
            self.files.reader.warnings.push(warning);
            self.files.reader.answers.push(Refusal::Foreign.as_str());
        }
    }

    /// Fetched, if anybody is there to ask.
    fn fetched(&mut self, certificate: &Certificate) -> Stapling {
        let why = match (subject(certificate), ocsp::responder(&certificate.chain[0].0)) {
            (Some(_), Some(_)) => return Stapling::Fetched,
            (_, None) => "it names no responder of OCSP by http",
            (None, _) => "the certificate that issued it does not follow it in its file",
        };
        let warning = format!("{}: nothing is stapled: {why}", certificate.name);
        self.files.reader.warnings.push(warning);
        Stapling::Off
    }

    /// Given by the best of `answers`, if one is good.
    fn given(&mut self, certificate: &Certificate, answers: &mut [Answer]) -> Stapling {
        let Some(subject) = subject(certificate) else {
            let why = "the certificate that issued it does not follow it in its file";
            self.files.reader.warnings.push(format!("{}: nothing is stapled: {why}", certificate.name));
            answers.iter_mut().for_each(|answer| answer.is_used = true);
            return Stapling::Off;
        };
        let mut best: Option<Staple> = None;
        for answer in answers {
            let judged = subject.judge(&answer.bytes, self.files.reader.now_unix_s);
            if judged == Err(Refusal::Foreign) {
                continue;
            }
            answer.is_used = true;
            self.files.reader.answers.push(judged.map_or_else(Refusal::as_str, |_| "good"));
            match judged {
                Ok(validity)
                    if best.as_ref().is_none_or(|best| best.next_update_unix_s < validity.next_update_unix_s) =>
                {
                    best = Some(Staple {
                        answer: Arc::new(Der(answer.bytes.as_slice().into())),
                        this_update_unix_s: validity.this_update_unix_s,
                        next_update_unix_s: validity.next_update_unix_s,
                    });
                }
                Ok(_) => {}
                Err(refusal) => {
                    let warning = format!("{}: {refusal}, and is not shown", answer.path.display());
                    self.files.reader.warnings.push(warning);
                }
            }
        }
        best.map_or(Stapling::Off, Stapling::Given)
    }

    /// What was given for this very certificate before.
    fn given_before(&self, certificate: &Certificate) -> Stapling {
        let before = self.files.reader.certificate_before(Path::new(&certificate.name));
        match before.filter(|before| before.chain[0] == certificate.chain[0]).map(|before| &before.stapling) {
            Some(Stapling::Given(staple)) => Stapling::Given(staple.clone()),
            _ => Stapling::Off,
        }
    }
}

/// A certificate and its issuer, if that is known.
fn subject(certificate: &Certificate) -> Option<Subject<'_>> {
    let [own, issuer, ..] = &*certificate.chain else { return None };
    Subject::new(&own.0, &issuer.0)
}
