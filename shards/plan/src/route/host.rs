//! Hosts: which site a request is for.
//!
//! Three tables of names, one for each kind of pattern. A wildcard is looked up label by label, and only for numbers of
//! labels that some pattern has, so that a host of a hundred labels costs no more than the patterns call for.
//!
//! The tables are hash tables whose seed is drawn anew for each. Against floods of colliding names that seed is not needed:
//! the keys are the configuration's, and a client that sends names can lengthen no chain. It is there for those who
//! let their customers choose the names that are configured.

use std::fmt;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Bytes of the longest host that is looked up; wire refuses longer ones.
const HOST_BYTES_MAX: usize = 256;

/// Which hosts a route is for. Names are in lower case, without port and without a dot at their end; an IPv6 address stands in
/// brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// `*.` and this suffix: every host with one or more labels before it, and not the suffix alone.
    Suffix(String),
    /// This prefix and `.*`: every host with one or more labels after it.
    Prefix(String),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => f.write_str(host),
            HostPattern::Suffix(suffix) => write!(f, "*.{suffix}"),
            HostPattern::Prefix(prefix) => write!(f, "{prefix}.*"),
        }
    }
}

/// What stands behind each pattern: the site of its routes, or whatever else goes by the host. At most 12 bytes of it.
#[derive(Debug, Clone)]
pub struct HostIndex<T> {
    exact: Names<T>,
    suffixes: Names<T>,
    prefixes: Names<T>,
}

impl<T: Copy> HostIndex<T> {
    /// The index of `sites`, no two of which have the same pattern.
    ///
    /// # Panics
    /// If a host has more than 255 bytes, or all together have 2^32.
    #[must_use]
    pub fn new(sites: &[(&HostPattern, T)]) -> HostIndex<T> {
        let names = |name: fn(&HostPattern) -> Option<&str>| {
            Names::new(sites.iter().filter_map(|(pattern, site)| Some((name(pattern)?, *site))).collect())
        };
        HostIndex {
            exact: names(|pattern| if let HostPattern::Exact(name) = pattern { Some(name) } else { None }),
            suffixes: names(|pattern| if let HostPattern::Suffix(name) = pattern { Some(name) } else { None }),
            prefixes: names(|pattern| if let HostPattern::Prefix(name) = pattern { Some(name) } else { None }),
        }
    }

    /// What is behind `host`, in any case: behind the exact name, else the longest suffix, else the longest prefix.
    #[inline]
    #[must_use]
    pub fn find(&self, host: &[u8]) -> Option<T> {
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return None;
        }
        let mut buffer = [0; HOST_BYTES_MAX];
        let host = normal(host, &mut buffer);
        self.exact.find(host).or_else(|| self.find_suffix(host)).or_else(|| self.find_prefix(host))
    }

    fn find_suffix(&self, host: &[u8]) -> Option<T> {
        if self.suffixes.is_empty() {
            return None;
        }
        // From the left: the longest suffix first, which has as many labels as there are dots left.
        let mut labels = dots(host).count();
        dots(host).find_map(|dot| {
            let suffix = self.suffixes.find_of(labels, &host[dot + 1..]).filter(|_| dot > 0);
            labels -= 1;
            suffix
        })
    }

    fn find_prefix(&self, host: &[u8]) -> Option<T> {
        if self.prefixes.is_empty() {
            return None;
        }
        let mut labels = dots(host).count();
        dots(host).rev().find_map(|dot| {
            let prefix = self.prefixes.find_of(labels, &host[..dot]).filter(|_| dot + 1 < host.len());
            labels -= 1;
            prefix
        })
    }
}

/// `host` in lower case and without the dot that may end a name of the DNS.
#[inline]
fn normal<'a>(host: &'a [u8], buffer: &'a mut [u8; HOST_BYTES_MAX]) -> &'a [u8] {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let has_upper = host.iter().fold(false, |found, byte| found | byte.is_ascii_uppercase());
    match buffer.get_mut(..host.len()) {
        Some(lower) if has_upper => {
            lower.copy_from_slice(host);
            lower.make_ascii_lowercase();
            lower
        }
        _ => host,
    }
}

fn dots(host: &[u8]) -> memchr::Memchr<'_> {
    memchr::memchr_iter(b'.', host)
}

/// Names of one kind.
#[derive(Debug, Clone)]
struct Names<T> {
    table: HashTable<Name<T>>,
    /// Those that are too long for their place in the table.
    text: Box<[u8]>,
    hasher: RandomState,
    /// Bit *n* is set if some name has *n* labels. One of 253 bytes has at most 127.
    labels: u128,
}

/// A name and its site in one line of the cache: among ten thousand names, what a lookup costs is the lines that it touches.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Name<T> {
    site: T,
    /// Where in the text it begins, if it is there.
    start: u32,
    len: u8,
    bytes: [u8; NAME_BYTES_HERE],
}

/// Bytes that a name may have to stand in the table itself.
const NAME_BYTES_HERE: usize = 47;

const _: () = assert!(size_of::<Name<[u32; 3]>>() == 64);

impl<T: Copy> Names<T> {
    fn new(sites: Vec<(&str, T)>) -> Names<T> {
        const { assert!(size_of::<Name<T>>() == 64, "a line of the cache") };
        let mut text = Vec::new();
        let mut labels = 0;
        let mut table = HashTable::with_capacity(sites.len());
        let hasher = RandomState::default();
        for (name, site) in sites {
            let start = u32::try_from(text.len()).expect("less than 4 GiB of hosts");
            let len = u8::try_from(name.len()).expect("a host has at most 253 bytes");
            let mut bytes = [0; NAME_BYTES_HERE];
            match bytes.get_mut(..name.len()) {
                Some(here) => here.copy_from_slice(name.as_bytes()),
                None => text.extend_from_slice(name.as_bytes()),
            }
            labels |= bit(1 + dots(name.as_bytes()).count());
            let hash = hasher.hash_one(name.as_bytes());
            table.insert_unique(hash, Name { site, start, len, bytes }, |_| unreachable!("it has room for all"));
        }
        Names { table, text: text.into_boxed_slice(), hasher, labels }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        self.table.find(self.hasher.hash_one(name), |candidate| self.text_of(candidate) == name).map(|found| found.site)
    }

    #[inline]
    fn text_of<'a>(&'a self, name: &'a Name<T>) -> &'a [u8] {
        let len = usize::from(name.len);
        name.bytes.get(..len).unwrap_or_else(|| &self.text[name.start as usize..][..len])
    }

    /// The site of `name`, which has `labels` labels.
    fn find_of(&self, labels: usize, name: &[u8]) -> Option<T> {
        if self.labels & bit(labels) == 0 { None } else { self.find(name) }
    }
}

/// No bit for more labels than a name can have.
fn bit(labels: usize) -> u128 {
    u32::try_from(labels).ok().and_then(|labels| 1u128.checked_shl(labels)).unwrap_or(0)
}
