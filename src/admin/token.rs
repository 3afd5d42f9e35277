//! The token that requests over TCP must carry.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use subtle::ConstantTimeEq;

/// A shorter token could be guessed.
const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 1024;
/// What others may not do with the file: anything. The group may read it, because that is how systemd hands a credential
/// to the user of a service (the mask of its access list shows as the group's permission).
const FORBIDDEN_MODE: u32 = 0o037;

/// A secret that a request proves its right by.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Reads the one line of the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, others can, or it holds no token.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Token> {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("cannot read the token file {shown}"))?;
        let metadata = file.metadata()?;
        ensure!(metadata.is_file(), "the token file {shown} is not a file");
        if metadata.mode() & FORBIDDEN_MODE != 0 {
            bail!(
                "the token file {shown} is open to others (mode {:03o}): `chmod 600 {shown}`",
                metadata.mode() & 0o777
            );
        }
        let mut text = String::new();
        // One byte more than allowed shows that there is too much; then a line's end.
        let mut limited = file.take(BYTES_MAX as u64 + 3);
        limited.read_to_string(&mut text).with_context(|| format!("cannot read the token file {shown}"))?;
        Token::parse(text.trim_end_matches(['\r', '\n'])).with_context(|| format!("the token file {shown}"))
    }

    /// Takes `text` for a token.
    ///
    /// # Errors
    /// When it is too short, too long, or would not fit into a header field.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Token> {
        let length = text.len();
        ensure!(
            (BYTES_MIN..=BYTES_MAX).contains(&length),
            "a token has {BYTES_MIN} to {BYTES_MAX} bytes, not {length}"
        );
        ensure!(text.bytes().all(|byte| byte.is_ascii_graphic()), "a token is visible ASCII, in one line");
        Ok(Token(text.to_owned()))
    }

    /// Whether `given` is the token. How long that takes says nothing about how much of it is right.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(given).into()
    }

    /// The value of the field `Authorization` that carries it.
    pub(super) fn credentials(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    /// Without the secret: what is debugged ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SECRET: &str = "correct-horse-battery";

    fn read(content: &str, mode: u32) -> Result<Token, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Token::read(&path).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_token_is_one_line_of_a_private_file() {
        for mode in [0o600, 0o400, 0o440, 0o640] {
            let token = read(&format!("{SECRET}\n"), mode).unwrap();
            assert!(token.is(SECRET.as_bytes()), "{mode:o}");
            assert!(!token.is(b"correct-horse-batterz") && !token.is(b"correct") && !token.is(b""));
        }
        for mode in [0o644, 0o604, 0o660, 0o602] {
            assert!(read(SECRET, mode).unwrap_err().contains("is open to others"), "{mode:o}");
        }
    }

    #[test]
    fn what_could_be_guessed_or_sent_wrong_is_no_token() {
        for content in ["", "short", "two words are not one", "line\nline-line-line-line", &"x".repeat(1025)] {
            assert!(read(content, 0o600).is_err(), "{content:?}");
        }
        assert!(!format!("{:?}", read(SECRET, 0o600).unwrap()).contains(SECRET));
    }
}
