//! The bodies that the upstream offers.

/// Upper bound of a body's length; some are held in memory.
const LENGTH_BYTES_MAX: u32 = 64 << 20;

/// A body, by its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    length_bytes: u32,
}

impl Body {
    /// 128 bytes.
    pub const SMALL: Self = Self { length_bytes: 128 };
    /// 64 KiB.
    pub const KIB_64: Self = Self { length_bytes: 64 << 10 };
    /// 1 MiB.
    pub const MIB_1: Self = Self { length_bytes: 1 << 20 };

    /// Those that every upstream offers. Others it offers when it is told to.
    pub const USUAL: [Self; 3] = [Self::SMALL, Self::KIB_64, Self::MIB_1];

    /// The word that command lines and reports use: `small`, or a size such as `16k` or `1m`.
    #[must_use]
    pub fn name(self) -> String {
        match self.length_bytes {
            128 => "small".to_owned(),
            length if length % (1 << 20) == 0 => format!("{}m", length >> 20),
            length => format!("{}k", length >> 10),
        }
    }

    /// The body of that name: `small`, or a whole number of KiB or MiB.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        if name == "small" {
            return Some(Self::SMALL);
        }
        let (number, unit) = name.split_at_checked(name.len().checked_sub(1)?)?;
        let unit_bytes: u32 = match unit {
            "k" => 1 << 10,
            "m" => 1 << 20,
            _ => return None,
        };
        let length_bytes = number.parse::<u32>().ok()?.checked_mul(unit_bytes)?;
        let body = Self { length_bytes };
        // One name a body: 1024k is called 1m.
        ((1..=LENGTH_BYTES_MAX).contains(&length_bytes) && body.name() == name).then_some(body)
    }

    /// The path at which the upstream offers it.
    #[must_use]
    pub fn path(self) -> String {
        format!("/{}", self.name())
    }

    /// Its length.
    #[must_use]
    pub fn length_bytes(self) -> usize {
        self.length_bytes as usize
    }

    /// Whether a proxy's means for large bodies (splicing, larger buffers) belong to a fair comparison.
    #[must_use]
    pub fn is_large(self) -> bool {
        self != Self::SMALL
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
        for (name, length_bytes) in
            [("small", 128), ("8k", 8 << 10), ("64k", 64 << 10), ("1m", 1 << 20), ("2m", 2 << 20)]
        {
            let body = Body::by_name(name).unwrap();
            assert_eq!(
                (body.name().as_str(), body.length_bytes(), body.content().len()),
                (name, length_bytes, length_bytes)
            );
        }
        for name in ["", "k", "0k", "1", "16K", "1024k", "65m", "-1k", "99999999m", "é"] {
            assert_eq!(Body::by_name(name), None, "{name}");
        }
    }
}
