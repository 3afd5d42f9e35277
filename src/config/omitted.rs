//! What was left out of a configuration because it could not be understood, so that nobody misses it.
//!
//! One run tells all errors. What one of them is about (a key that is unknown, a list where a number belongs, a file with
//! an error of syntax) takes no part in what follows; whoever then finds that something is lacking asks here first whether it
//! was there, since that would be no second error, but the first one again.

use std::collections::BTreeSet;

use super::diagnostic::Span;

/// The places in a configuration of what was left out of it.
#[derive(Debug, Default)]
pub(super) struct Omitted {
    paths: BTreeSet<Vec<String>>,
    /// Whether whole files are lacking, so that any section may have more than what is known of it.
    files: bool,
}

impl Omitted {
    /// Records what stood at `path`: the keys that lead there, with [`item`] for an item of a list.
    pub(super) fn add(&mut self, path: Vec<String>) {
        self.paths.insert(path);
    }

    /// Records a file, or whatever else may have had anything in it.
    pub(super) fn add_file(&mut self) {
        self.files = true;
    }

    /// Whether what stands at `path` may lack something that was written: all of it, or a part.
    pub(super) fn concerns(&self, path: &[&str]) -> bool {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        // An item of a list stands in one file, which is there.
        let is_within_item = path.iter().any(|key| key.starts_with(ITEM));
        let above = || (1..path.len()).any(|length| self.paths.contains(&path[..length]));
        let below = || self.paths.range(path.clone()..).next().is_some_and(|omitted| omitted.starts_with(&path));
        self.files && !is_within_item || !self.paths.is_empty() && (above() || below())
    }
}

/// What no key begins with that is asked for.
const ITEM: char = '\0';

/// The item of a list that stands at `span`, as a part of a path.
pub(super) fn item(span: &Span) -> String {
    format!("{ITEM}{}", span.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn what_lies_above_and_below_is_concerned_and_nothing_beside_it() {
        let mut omitted = Omitted::default();
        assert!(!omitted.concerns(&["upstreams", "a"]));
        omitted.add(path(&["upstreams", "a", "servers"]));
        for concerned in [&["upstreams"][..], &["upstreams", "a"], &["upstreams", "a", "servers", "x"]] {
            assert!(omitted.concerns(concerned), "{concerned:?}");
        }
        for other in
            [&["routes"][..], &["upstreams", "b"], &["upstreams", "a", "connections"], &["upstreams", "a", "t"]]
        {
            assert!(!omitted.concerns(other), "{other:?}");
        }
    }

    #[test]
    fn a_file_may_have_had_any_section_and_nothing_of_an_item() {
        let mut omitted = Omitted::default();
        omitted.add_file();
        assert!(omitted.concerns(&["upstreams", "a"]) && omitted.concerns(&["admin", "token_file"]));
        assert!(!omitted.concerns(&["routes", &item(&(7..9)), "host"]));
        omitted.add(vec!["routes".to_owned(), item(&(7..9)), "host".to_owned()]);
        assert!(omitted.concerns(&["routes", &item(&(7..9)), "host"]));
        assert!(!omitted.concerns(&["routes", &item(&(8..9)), "host"]));
    }
}
