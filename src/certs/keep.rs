//! What becomes of files that are wrong where somebody is served by what they were.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plan::tls::Certificate;

use super::x509::Facts;
use super::{Found, Keep, Kept, Reader, Trouble, refused};

/// What was read before.
#[derive(Debug)]
pub(super) struct Before {
    kept: Kept,
    /// Whether more than certificates stays.
    keeps_all: bool,
}

impl Reader {
    /// A reader that goes on with what was read before where files are wrong now.
    pub(crate) fn keeping(keep: Keep<'_>) -> Reader {
        let (kept, keeps_all) = match keep {
            Keep::Certificates(kept) => (kept.clone(), false),
            Keep::All(kept) => (kept.clone(), true),
        };
        Reader { before: Some(Before { kept, keeps_all }), ..Reader::new() }
    }

    /// Tells of a file that is wrong, without which others are served.
    pub(crate) fn goes_without(&mut self, trouble: Trouble) {
        self.warnings.push(trouble.to_string());
        self.broken.insert(trouble.path);
    }

    /// Whether a file that is wrong is no reason to go without the others.
    pub(crate) fn keeps(&self) -> bool {
        self.before.is_some()
    }

    /// The certificate that was read from `path` before, if it is to be kept.
    pub(crate) fn certificate_before(&self, path: &Path) -> Option<&Arc<Certificate>> {
        self.before.as_ref()?.kept.certificates.get(path)
    }

    /// Remembers a certificate as it is now that more is known of it.
    pub(crate) fn keep_as(&mut self, certificate: &Arc<Certificate>) {
        self.kept.certificates.insert(PathBuf::from(&certificate.name), Arc::clone(certificate));
    }

    /// Remembers a certificate that was read.
    pub(super) fn noted(&mut self, found: Found) -> Found {
        self.keep_as(&found.certificate);
        found
    }

    /// The certificate that was read from `path` when it was right, if it is to be kept.
    pub(super) fn keep(&mut self, path: &Path, trouble: Trouble) -> Result<Found, Trouble> {
        let Some(kept) = self.certificate_before(path).cloned() else { return Err(trouble) };
        let certified = tls::certify(&kept).map_err(|error| refused(path, &error))?;
        let Ok(facts) = Facts::of(&kept.chain[0].0) else { return Err(trouble) };
        self.broken.insert(path.to_owned());
        self.warnings.push(format!("{trouble}; what was read before is shown on"));
        Ok(self.noted(Found { certificate: kept, names: facts.names, algorithm: certified.key.algorithm() }))
    }

    /// The files of certificates in a folder that were there before, beside these, if who served did so with them.
    pub(super) fn gone(&self, folder: &Path, files: &[PathBuf]) -> Vec<PathBuf> {
        let before = self.before.as_ref().filter(|before| before.keeps_all);
        let paths = before.iter().flat_map(|before| before.kept.below(folder));
        paths.filter(|path| files.iter().all(|file| file != path)).map(Path::to_owned).collect()
    }

    /// What was `read` from a file, or was before, if it is wrong and that is to stay.
    pub(super) fn or_before<T: Clone>(
        &mut self,
        path: &Path,
        read: Result<T, Trouble>,
        before: impl FnOnce(&Kept) -> Option<&T>,
    ) -> Result<T, Trouble> {
        let trouble = match read {
            Ok(read) => return Ok(read),
            Err(trouble) => trouble,
        };
        let kept = self.before.as_ref().filter(|before| before.keeps_all);
        let Some(kept) = kept.and_then(|kept| before(&kept.kept)).cloned() else { return Err(trouble) };
        self.broken.insert(path.to_owned());
        self.warnings.push(format!("{trouble}; what was read before holds on"));
        Ok(kept)
    }
}
