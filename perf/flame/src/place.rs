//! Whose code a frame is.

use crate::KERNEL_MARK;

/// Whose code a frame is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The kernel's: the name carries [`KERNEL_MARK`].
    Kernel,
    /// Ringway's: a function of one of its crates, or one of another crate made for a type of Ringway's.
    Ringway,
    /// Anything else in user space: the standard library, other crates, the C library.
    User,
    /// Not known: the stack ends there, or there is no name for the address.
    Unknown,
}

impl Place {
    /// Whose frame this name is.
    #[must_use]
    pub fn of(frame: &str) -> Place {
        if frame.ends_with(KERNEL_MARK) {
            Place::Kernel
        } else if frame.contains("ringway") {
            // Every crate of the workspace is called so: ringway::, ringway_ring::, ringway_engine::, ….
            Place::Ringway
        } else if frame.starts_with('[') {
            Place::Unknown
        } else {
            Place::User
        }
    }

    /// Red, green and blue of its frames: kernel orange, Ringway blue, other user code green, unknown grey. The shade differs from
    /// name to name, so that neighbours can be told apart, and is the same in every picture.
    #[must_use]
    pub(crate) fn colour(self, frame: &str) -> (u8, u8, u8) {
        let shade = shade(frame);
        match self {
            Place::Kernel => (245 - shade / 2, 150 + shade, 60 + shade / 2),
            Place::Ringway => (80 + shade, 150 + shade, 240 - shade / 2),
            Place::User => (120 + shade, 200 - shade / 2, 120 + shade),
            Place::Unknown => (190 - shade / 2, 190 - shade / 2, 190 - shade / 2),
        }
    }
}

/// 0 to 39, by the name (FNV-1a: Fowler, Noll and Vo).
fn shade(frame: &str) -> u8 {
    let hash = frame
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 32).rem_euclid(40) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_by_their_names() {
        for (frame, place) in [
            ("tcp_sendmsg_[k]", Place::Kernel),
            ("ringway_engine::session::http1::serve::{{closure}}", Place::Ringway),
            ("<core::pin::Pin<P> as core::future::future::Future>::poll", Place::User),
            ("core::ptr::drop_in_place<ringway_ring::buffers::chunk::Chunk>", Place::Ringway),
            ("__memmove_avx512_unaligned_erms", Place::User),
            ("[unknown]", Place::Unknown),
            ("[libc.so.6]", Place::Unknown),
        ] {
            assert_eq!(Place::of(frame), place, "{frame}");
        }
    }

    #[test]
    fn a_colour_is_its_places_whatever_the_shade() {
        for index in 0..1000 {
            let name = format!("function_{index}");
            let (red, green, blue) = Place::Kernel.colour(&name);
            assert!(red > green && green > blue, "orange: {red} {green} {blue}");
            let (red, green, blue) = Place::Ringway.colour(&name);
            assert!(blue > green && green > red, "blue: {red} {green} {blue}");
            let (red, green, blue) = Place::User.colour(&name);
            assert!(green > red && green > blue, "green: {red} {green} {blue}");
        }
        assert_eq!(Place::User.colour("malloc"), Place::User.colour("malloc"));
    }
}
