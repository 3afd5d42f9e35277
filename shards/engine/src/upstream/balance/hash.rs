//! One hash for all balancers: fast for short keys, and the same on every shard, in every process, in every version.

/// FNV-1a (Fowler, Noll, Vo), finished by the mixer of MurmurHash3 (Appleby, `fmix64`) because the high bits of FNV-1a vary
/// little over short keys. `seed` makes another hash of it.
pub(super) fn of(bytes: &[u8], seed: u64) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = bytes.iter().fold(OFFSET ^ mix(seed), |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    mix(hash)
}

/// The `attempt`-th hash of something that was hashed already: `hash` itself, then others.
pub(super) fn again(hash: u64, attempt: u64) -> u64 {
    if attempt == 0 { hash } else { mix(hash.wrapping_add(attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15))) }
}

fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_hash_from_version_to_version() {
        assert_eq!(of(b"", 0), mix(0xcbf2_9ce4_8422_2325));
        // FNV-1a of "foobar", from the reference vectors of its authors.
        assert_eq!(of(b"foobar", 0), mix(0x8594_4171_f739_67e8));
        assert_ne!(of(b"foobar", 0), of(b"foobar", 1));
    }
}
