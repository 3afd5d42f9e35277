//! A page of metrics, read as Prometheus' text format has it.

use std::collections::BTreeMap;

/// The samples of one page, by name and labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrape {
    samples: Vec<Sample>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name, `_bucket` and the like included.
    pub name: String,
    /// The labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Scrape {
    /// Reads a page.
    ///
    /// # Panics
    /// If a line is neither a comment nor a sample, or a sample occurs twice.
    #[must_use]
    pub fn parse(page: &str) -> Scrape {
        let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples: Vec<Sample> =
            lines.map(|line| sample(line).unwrap_or_else(|| panic!("no sample: {line}"))).collect();
        let mut seen = std::collections::BTreeSet::new();
        for sample in &samples {
            assert!(seen.insert((&sample.name, &sample.labels)), "told twice: {sample:?}");
        }
        Scrape { samples }
    }

    /// The samples of this name that have these labels, whatever others they have.
    pub fn of<'a>(&'a self, name: &'a str, labels: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a Sample> {
        let has =
            |sample: &Sample, (label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|own| own == value);
        self.samples.iter().filter(move |sample| sample.name == name && labels.iter().all(|label| has(sample, label)))
    }

    /// Their sum; `None` if there are none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.of(name, labels).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// The values that `label` has among the samples of this name.
    #[must_use]
    pub fn values(&self, name: &str, label: &str) -> Vec<String> {
        let mut values: Vec<_> = self.of(name, &[]).filter_map(|sample| sample.labels.get(label).cloned()).collect();
        values.sort();
        values.dedup();
        values
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if rest.starts_with('{') {
        while !rest.starts_with('}') {
            // Past the brace, or the comma.
            let (label, after) = rest[1..].split_once("=\"")?;
            let (value, after) = unescape(after)?;
            labels.insert(label.to_owned(), value);
            rest = after;
        }
        rest = &rest[1..];
    }
    Some(Sample { name: name.to_owned(), labels, value: rest.trim().parse().ok()? })
}

/// The text up to the quote that ends it, and what follows that.
fn unescape(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped => escaped,
            }),
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_with_its_labels() {
        let page =
            "# HELP a Help.\n# TYPE a counter\na 3\nb{x=\"1\",y=\"a\\\"b\\\\c\\nd}\"} 0.5\nb{x=\"2\"} 1\n\n# EOF\n";
        let scrape = Scrape::parse(page);
        assert_eq!(scrape.sum("a", &[]), Some(3.0));
        assert_eq!(scrape.sum("b", &[]), Some(1.5));
        assert_eq!(scrape.sum("b", &[("x", "1"), ("y", "a\"b\\c\nd}")]), Some(0.5));
        assert_eq!(
            (scrape.sum("b", &[("x", "3")]), scrape.values("b", "x")),
            (None, vec!["1".to_owned(), "2".to_owned()])
        );
    }

    #[test]
    #[should_panic(expected = "told twice")]
    fn a_sample_occurs_once() {
        let _ = Scrape::parse("a{x=\"1\"} 1\na{x=\"1\"} 2\n");
    }
}
