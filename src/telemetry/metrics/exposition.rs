//! A snapshot as text: the Prometheus format 0.0.4, or OpenMetrics 1.0.0.
//!
//! Written here and not by the prometheus-client crate: that knows OpenMetrics alone, and its metrics own their values, where
//! ours are summed over shards at the moment of asking.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>

use std::fmt::Write as _;

use engine::Histogram;

use super::catalogue::{Kind, Metric};
use super::snapshot::{Family, Reading, Sample, Snapshot};

/// What a snapshot is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text 0.0.4, which everybody reads.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The one that `accept` likes best; Prometheus text if it likes both alike or neither.
    pub(crate) fn accepted(accept: Option<&str>) -> Format {
        let (mut open_metrics, mut text) = (0.0, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0_f32, None);
            for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = Some(value.trim().trim_matches('"').to_owned()),
                    _ => {}
                }
            }
            let version = version.as_deref();
            match kind.as_str() {
                "application/openmetrics-text" if version.is_none_or(|version| version == "1.0.0") => {
                    open_metrics = quality.max(open_metrics);
                }
                "text/plain" if version.is_none_or(|version| version == "0.0.4") => text = quality.max(text),
                "text/*" | "*/*" => text = quality.max(text),
                _ => {}
            }
        }
        if open_metrics > text { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// `snapshot` as text.
pub(crate) fn render(snapshot: &Snapshot, format: Format) -> String {
    let mut out = String::with_capacity(64 << 10);
    for family in &snapshot.families {
        write_family(&mut out, family, &snapshot.buckets, format);
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn write_family(out: &mut String, family: &Family, buckets: &[usize], format: Format) {
    let metric = family.metric;
    // Only OpenMetrics knows a family apart from its samples: there its name lacks what the samples' adds.
    let (name, kind) = match (format, metric.kind) {
        (Format::Prometheus, Kind::Info) => (metric.name, "gauge"),
        (Format::OpenMetrics, Kind::Info) => (metric.name.trim_end_matches("_info"), "info"),
        (Format::OpenMetrics, Kind::Counter) => (metric.name.trim_end_matches("_total"), "counter"),
        (_, kind) => (metric.name, kind.as_str()),
    };
    line(out, format_args!("# HELP {name} {}", escape_help(metric.help)));
    line(out, format_args!("# TYPE {name} {kind}"));
    if format == Format::OpenMetrics
        && let Some(unit) = metric.unit()
    {
        line(out, format_args!("# UNIT {name} {unit}"));
    }
    for sample in &family.samples {
        match &sample.reading {
            Reading::Number(value) => {
                write_name(out, metric.name, metric, sample, None);
                line(out, format_args!(" {value}"));
            }
            Reading::Histogram { counts, sum_us } => write_histogram(out, metric, sample, counts, *sum_us, buckets),
        }
    }
}

/// Writes a histogram with those of its bounds that were chosen. A bucket counts what those before it count, too.
fn write_histogram(out: &mut String, metric: &Metric, sample: &Sample, counts: &[u64], sum_us: u64, buckets: &[usize]) {
    let bucket = format!("{}_bucket", metric.name);
    let (mut total, mut next) = (0, 0);
    for chosen in buckets {
        total += counts[next..=*chosen].iter().sum::<u64>();
        next = chosen + 1;
        let bound = Histogram::bound(*chosen).map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        write_name(out, &bucket, metric, sample, Some(&bound_text(bound)));
        line(out, format_args!(" {total}"));
    }
    total += counts[next..].iter().sum::<u64>();
    write_name(out, &bucket, metric, sample, Some("+Inf"));
    line(out, format_args!(" {total}"));
    write_name(out, &format!("{}_sum", metric.name), metric, sample, None);
    line(out, format_args!(" {}", sum_us as f64 / 1e6));
    write_name(out, &format!("{}_count", metric.name), metric, sample, None);
    line(out, format_args!(" {total}"));
}

/// As OpenMetrics wants it, in both formats, so that a change of format changes no series: `1.0`, `0.00005`.
fn bound_text(seconds: f64) -> String {
    let text = seconds.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// Writes `name{label="value",le="0.5"}`.
fn write_name(out: &mut String, name: &str, metric: &Metric, sample: &Sample, le: Option<&str>) {
    out.push_str(name);
    let labels = metric.labels.iter().copied().zip(sample.labels.iter().map(String::as_str));
    let mut open = '{';
    for (label, value) in labels.chain(le.map(|le| ("le", le))) {
        out.push(std::mem::replace(&mut open, ','));
        out.push_str(label);
        out.push_str("=\"");
        escape_label(out, value);
        out.push('"');
    }
    if open == ',' {
        out.push('}');
    }
}

/// A label's value may be any text; these three characters are escaped.
fn escape_label(out: &mut String, value: &str) {
    for char in value.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            char => out.push(char),
        }
    }
}

/// OpenMetrics escapes a quote here, Prometheus does not: a help without any reads the same in both.
fn escape_help(help: &str) -> &str {
    debug_assert!(!help.contains(['\\', '"', '\n']), "{help}");
    help
}

fn line(out: &mut String, content: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{content}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        // What Prometheus 2.42, and 3 with its new names, ask for.
        let old = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                   text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let new = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                   application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                   text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some(""), Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some(old), Format::OpenMetrics),
            (Some(new), Format::OpenMetrics),
            (
                Some("text/plain;version=0.0.4;q=0.9, application/openmetrics-text; version=\"1.0.0\" ; q=0.5"),
                Format::Prometheus,
            ),
            (Some("application/openmetrics-text;version=0.0.1"), Format::Prometheus),
            (Some("Application/OpenMetrics-Text"), Format::OpenMetrics),
            (Some("application/json"), Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut out = String::new();
        escape_label(&mut out, "a\\b\"c\nd é");
        assert_eq!(out, r#"a\\b\"c\nd é"#);
    }

    #[test]
    fn bounds_are_written_as_floats() {
        assert_eq!([0.00005, 0.0005, 0.25, 1.0, 10.0].map(bound_text), ["0.00005", "0.0005", "0.25", "1.0", "10.0"]);
    }
}
