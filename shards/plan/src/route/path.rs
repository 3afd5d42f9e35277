//! Paths: which of a site's routes a request is for.
//!
//! The paths of a site's routes are sorted. The last one that is not behind the request's path begins with every prefix that
//! the path has among them: if a prefix is before it and the path begins with that prefix, so does everything between the two.
//! So a lookup is one binary search, and then at most a walk from prefix to shorter prefix until one ends at the end of a
//! segment. What wins there was worked out beforehand, priorities included.

use std::collections::HashMap;
use std::fmt;

use super::{Route, RouteId};

/// Which paths a route is for. A path is in its canonical form and begins with `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathPattern {
    /// This path.
    Exact(String),
    /// This path and all below it, by whole segments: `/api` matches `/api` and `/api/x`, not `/apix`; `/api/` matches
    /// `/api/x`, not `/api`.
    Prefix(String),
}

impl PathPattern {
    /// The path itself.
    #[must_use]
    pub fn text(&self) -> &str {
        let (PathPattern::Exact(path) | PathPattern::Prefix(path)) = self;
        path
    }
}

/// An exact path is shown with `=` before it, a prefix as it is.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathPattern::Exact(path) => write!(f, "={path}"),
            PathPattern::Prefix(path) => f.write_str(path),
        }
    }
}

/// The routes of one host, or those without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// One route, for all paths: what most hosts have that are one of many.
    One(RouteId),
    /// A run of [`PathIndex::entries`].
    Run { start: u32, end: u32 },
}

/// The paths of all sites.
#[derive(Debug, Clone, Default)]
pub(super) struct PathIndex {
    /// Site by site, and there sorted by their bytes; no two of a site are equal.
    entries: Vec<Entry>,
    text: Vec<u8>,
    /// While it is built: paths that the text holds already, and sites by their routes. Ten thousand hosts share few of either.
    known_texts: HashMap<String, u32>,
    known_sites: HashMap<Vec<RouteId>, Site>,
}

/// One path of a site.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where in the text the path begins.
    start: u32,
    len: u32,
    /// The longest other path of the site that this one begins with, byte by byte.
    parent: Option<Place>,
    /// What serves exactly this path.
    here: Option<RouteId>,
    /// What serves the paths below it.
    below: Option<RouteId>,
}

/// Index of an entry, plus one, so that there is room for none.
type Place = std::num::NonZeroU32;

impl PathIndex {
    /// Adds the site that these routes make up.
    pub(super) fn add(&mut self, routes: &[Route], ids: Vec<RouteId>) -> Site {
        if let Some(site) = self.known_sites.get(&ids) {
            return *site;
        }
        let route = |id: RouteId| &routes[id.0 as usize];
        if let [id] = ids[..]
            && matches!(&route(id).path, PathPattern::Prefix(path) if path == "/")
        {
            return Site::One(id);
        }
        let mut sorted = ids.clone();
        // Stable: of equal routes the first stays first.
        sorted.sort_by_key(|id| route(*id).path.text());
        let start = offset(self.entries.len());
        for ids in sorted.chunk_by(|one, other| route(*one).path.text() == route(*other).path.text()) {
            let path = route(ids[0]).path.text();
            let parent = self.parent_of(start, path);
            let above = self.above(parent, path);
            let best = |own: Option<RouteId>, other: Option<RouteId>| match (own, other) {
                // The more specific one wins, unless priorities say otherwise.
                (Some(own), Some(other)) if route(other).priority > route(own).priority => Some(other),
                (own, other) => own.or(other),
            };
            let of = |is: fn(&PathPattern) -> bool| {
                ids.iter().copied().filter(|id| is(&route(*id).path)).map(Some).reduce(best).flatten()
            };
            let below = best(of(|path| matches!(path, PathPattern::Prefix(_))), above);
            let here = best(of(|path| matches!(path, PathPattern::Exact(_))), below);
            let start = self.intern(path);
            self.entries.push(Entry { start, len: offset(path.len()), parent, here, below });
        }
        let site = Site::Run { start, end: offset(self.entries.len()) };
        self.known_sites.insert(ids, site);
        site
    }

    /// Lets go of what only adding needs.
    pub(super) fn finish(&mut self) {
        (self.known_texts, self.known_sites) = (HashMap::new(), HashMap::new());
        self.entries.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    /// The route of `site` that serves `path`.
    #[inline]
    pub(super) fn find(&self, site: Site, path: &[u8]) -> Option<RouteId> {
        let (start, end) = match site {
            Site::One(id) => return path.starts_with(b"/").then_some(id),
            Site::Run { start, end } => (start, end),
        };
        let entries = &self.entries[start as usize..end as usize];
        let not_behind = entries.partition_point(|entry| self.text_of(entry) <= path);
        let mut entry = &entries[not_behind.checked_sub(1)?];
        loop {
            let text = self.text_of(entry);
            if prefix_matches(text, path) {
                return if text.len() == path.len() { entry.here } else { entry.below };
            }
            entry = self.entry(entry.parent?);
        }
    }

    /// The longest path since `start` that `path` begins with, byte by byte. Those before `path` in its site are in place.
    fn parent_of(&self, start: u32, path: &str) -> Option<Place> {
        let count = offset(self.entries.len());
        let mut place = (count > start).then(|| Place::new(count)).flatten();
        while let Some(candidate) = place
            && !path.as_bytes().starts_with(self.text_of(self.entry(candidate)))
        {
            place = self.entry(candidate).parent;
        }
        place
    }

    /// What would serve `path` if it had no routes of its own.
    fn above(&self, parent: Option<Place>, path: &str) -> Option<RouteId> {
        let mut place = parent;
        while let Some(candidate) = place {
            let entry = self.entry(candidate);
            if prefix_matches(self.text_of(entry), path.as_bytes()) {
                return entry.below;
            }
            place = entry.parent;
        }
        None
    }

    fn intern(&mut self, path: &str) -> u32 {
        if let Some(start) = self.known_texts.get(path) {
            return *start;
        }
        let start = offset(self.text.len());
        self.text.extend_from_slice(path.as_bytes());
        self.known_texts.insert(path.to_owned(), start);
        start
    }

    fn entry(&self, place: Place) -> &Entry {
        &self.entries[place.get() as usize - 1]
    }

    #[inline]
    fn text_of(&self, entry: &Entry) -> &[u8] {
        &self.text[entry.start as usize..][..entry.len as usize]
    }
}

/// Whether `path` is `prefix` or lies below it, by whole segments.
#[inline]
fn prefix_matches(prefix: &[u8], path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else { return false };
    rest.is_empty() || prefix.ends_with(b"/") || rest.starts_with(b"/")
}

fn offset(value: usize) -> u32 {
    u32::try_from(value).expect("fewer than 2^32 paths and bytes of them")
}
