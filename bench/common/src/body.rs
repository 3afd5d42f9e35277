//! The bodies that the upstream offers.

use serde::Serialize;

/// A body, by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// 128 bytes.
    Small,
    /// 64 KiB.
    #[serde(rename = "64k")]
    Kib64,
    /// 1 MiB.
    #[serde(rename = "1m")]
    Mib1,
}

impl Body {
    /// Every body.
    pub const ALL: [Self; 3] = [Self::Small, Self::Kib64, Self::Mib1];

    /// The word that command lines and reports use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Kib64 => "64k",
            Self::Mib1 => "1m",
        }
    }

    /// The body of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|body| body.name() == name)
    }

    /// The path at which the upstream offers it.
    #[must_use]
    pub fn path(self) -> String {
        format!("/{}", self.name())
    }

    /// Its length.
    #[must_use]
    pub fn length_bytes(self) -> usize {
        match self {
            Self::Small => 128,
            Self::Kib64 => 64 << 10,
            Self::Mib1 => 1 << 20,
        }
    }

    /// Whether a proxy's means for large bodies (splicing, larger buffers) belong to a fair comparison.
    #[must_use]
    pub fn is_large(self) -> bool {
        self != Self::Small
    }

    /// The content: letters and digits whose period of 61 divides no buffer size, so that a misplaced piece shows.
    #[must_use]
    pub fn content(self) -> Vec<u8> {
        const CHARACTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY";
        CHARACTERS.iter().copied().cycle().take(self.length_bytes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_their_name_and_length() {
        for body in Body::ALL {
            assert_eq!(Body::by_name(body.name()), Some(body));
            assert_eq!(body.content().len(), body.length_bytes());
        }
        assert_eq!(Body::by_name("2m"), None);
    }
}
