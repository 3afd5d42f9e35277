//! `loadgen report`: a page or table from reports that were kept as JSON.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;

use super::{Report, html, json, table};

/// Draws runs that were kept as JSON: one, or several in the same plots.
#[derive(Debug, Clone, Args)]
pub struct ReportArguments {
    /// Reports that `--json` wrote, each as FILE or NAME=FILE.
    #[arg(required = true, value_name = "[NAME=]FILE")]
    reports: Vec<String>,
    /// Write one page with plots of all of them to this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The page's title.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

impl ReportArguments {
    /// Writes the page, or without one prints the tables.
    ///
    /// # Errors
    /// Fails when a report cannot be read or the page not be written.
    pub fn run(&self) -> anyhow::Result<()> {
        let reports: Vec<Report> = self.reports.iter().map(|argument| read(argument)).collect::<Result<_, _>>()?;
        match &self.html {
            Some(file) => {
                let title = self.title.clone().unwrap_or_else(|| title(&reports));
                write(file, &html::page(&title, &reports))?;
            }
            None => {
                let tables: Vec<String> = reports.iter().map(table::text).collect();
                print!("{}", tables.join("\n"));
            }
        }
        Ok(())
    }
}

/// Writes a file that was asked for.
///
/// # Errors
/// Fails when that cannot be.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn title(reports: &[Report]) -> String {
    let names: Vec<&str> = reports.iter().map(|report| report.about.name.as_str()).collect();
    names.join(", ")
}

fn read(argument: &str) -> anyhow::Result<Report> {
    let (name, file) = match argument.split_once('=') {
        Some((name, file)) => (Some(name), file),
        None => (None, argument),
    };
    ensure!(name != Some(""), "{argument}: the name is empty");
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let mut report = json::read(&text).with_context(|| format!("cannot read {file}"))?;
    if let Some(name) = name {
        name.clone_into(&mut report.about.name);
    }
    Ok(report)
}
