//! What is to be served, as the command line asks for it: read at the start, and again by each reload.

use std::net::SocketAddr;
use std::path::PathBuf;

use plan::{Address, Listener};
use tracing::Level;

use crate::config::{self, Admin, Certs, Discovery, Keep, Loaded, Process, Written};

/// A configuration and what the command line changes in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// The configuration; `None` for the embedded default.
    pub(crate) config: Option<PathBuf>,
    /// Which of its environments is laid over it, if any.
    pub(crate) environment: Option<String>,
    /// Where to listen instead of where the configuration says.
    pub(crate) listen: Vec<Address>,
    /// The number of shards, instead of the configuration's.
    pub(crate) shards: Option<u16>,
    /// Where the demo upstream of the embedded default listens.
    pub(crate) demo: Option<SocketAddr>,
}

impl Asked {
    /// Reads and checks the configuration as it is now.
    ///
    /// # Errors
    /// All that is wrong with it, for people to read.
    pub(crate) fn load(&self) -> anyhow::Result<Loaded> {
        let loaded = match (&self.config, self.demo) {
            (Some(path), _) => config::load(path, self.environment.as_deref())?,
            (None, Some(demo)) => Loaded {
                plan: config::embedded(demo),
                log_level: Level::INFO,
                discovery: Discovery::default(),
                process: Process::default(),
                admin: Admin::default(),
                certs: Certs::default(),
                written: Written::default(),
            },
            (None, None) => anyhow::bail!("neither a configuration nor a demo upstream"),
        };
        Ok(self.changed(loaded))
    }

    /// Checks a configuration that was read before, whatever is there now, and reads the certificates that it names anew; what is in
    /// files that are wrong stays as `keep` says.
    ///
    /// # Errors
    /// When it is not valid any more.
    pub(crate) fn load_again(&self, written: &Written, keep: Option<Keep<'_>>) -> anyhow::Result<Loaded> {
        Ok(self.changed(config::load_again(written, self.environment.as_deref(), keep)?))
    }

    /// What the command line makes of a configuration.
    fn changed(&self, mut loaded: Loaded) -> Loaded {
        if !self.listen.is_empty() {
            // What the configuration's first listener speaks is spoken here.
            let tls = loaded.plan.listeners.first().and_then(|listener| listener.tls);
            let listener = |address: &Address| Listener { tls, ..Listener::new(address.clone()) };
            loaded.plan.listeners = self.listen.iter().map(listener).collect();
        }
        if let Some(count) = self.shards {
            loaded.plan.shards.count = count;
        }
        loaded
    }
}
