//! From a changed file to shards that serve by it, without touching a connection.
//!
//! Reading, checking and looking names up is done beside the control loop; then the Plan is replaced within it. What
//! listeners, the number of shards or the way of moving bytes say cannot be changed in a running worker: that is for a new
//! generation. A file that is wrong changes nothing.

use std::collections::HashMap;
use std::sync::Arc;

use engine::Origin;
use plan::{Plan, Server, UpstreamId};

use super::handle::ReloadOutcome;
use crate::asked::Asked;
use crate::config::{Admin, Discovery, Loaded, Process};
use crate::discovery::FirstAnswers;

/// A configuration as it was read, before names became addresses: what the next one is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) plan: Plan,
    pub(super) discovery: Discovery,
    pub(super) process: Process,
    pub(super) admin: Admin,
}

/// A configuration that is ready to be served by.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) read: Read,
    /// Of the names that nobody followed before.
    pub(super) first: FirstAnswers,
}

/// What a configuration asks for, compared with the one in force.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Nothing,
    /// The Plan can be replaced.
    Plan,
    /// Only another generation can do that: what it is.
    Generation(&'static str),
}

impl Read {
    pub(super) fn new(loaded: Loaded) -> Read {
        Read { plan: loaded.plan, discovery: loaded.discovery, process: loaded.process, admin: loaded.admin }
    }

    /// How `next` differs from this.
    pub(super) fn difference(&self, next: &Read) -> Difference {
        let (plan, other) = (&self.plan, &next.plan);
        if plan.listeners != other.listeners {
            Difference::Generation("listeners")
        } else if plan.shards.count != other.shards.count {
            Difference::Generation("shards.count")
        } else if plan.shards != other.shards {
            Difference::Generation("shards.io or shards.pin")
        } else if (&self.process.user, &self.process.group) != (&next.process.user, &next.process.group) {
            Difference::Generation("process.user or process.group")
        } else if self.admin.address != next.admin.address {
            Difference::Generation("admin.address")
        } else if !plan.metrics.has_the_cells_of(&other.metrics) {
            Difference::Generation("metrics.enabled or metrics.series_max")
        } else if self == next {
            Difference::Nothing
        } else {
            Difference::Plan
        }
    }
}

/// Reads the configuration.
///
/// # Errors
/// All that is wrong with it, for people to read.
pub(super) async fn read(asked: Asked) -> Result<Read, String> {
    let loading = tokio::task::spawn_blocking(move || asked.load().map_err(|error| format!("{error:#}")));
    Ok(Read::new(loading.await.map_err(|error| error.to_string())??))
}

/// Looks up the names that nobody follows yet.
pub(super) async fn look_up(mut prepared: Box<Prepared>, unknown: Vec<String>) -> Result<Box<Prepared>, String> {
    let first = FirstAnswers::look_up(&prepared.read.discovery, &unknown).await;
    prepared.first = first.map_err(|error| format!("{error:#}"))?;
    Ok(prepared)
}

/// For each upstream of `next`, what it was in `now`, some of whose servers have `moved` since.
pub(super) fn origins(now: &Plan, moved: &HashMap<UpstreamId, Vec<Server>>, next: &Plan) -> Arc<[Origin]> {
    let places = now.upstreams.iter().enumerate().map(|(index, upstream)| (upstream.name.as_str(), index));
    let places: HashMap<&str, usize> = places.collect();
    let origin = |upstream: &plan::Upstream| match places.get(upstream.name.as_str()) {
        None => Origin::New,
        Some(&index) => {
            let before = &now.upstreams[index];
            let id = UpstreamId(index as u16);
            let servers = moved.get(&id).unwrap_or(&before.servers);
            let is_same = *servers == upstream.servers && before.balance == upstream.balance;
            if is_same { Origin::Same(id) } else { Origin::Changed(id) }
        }
    };
    next.upstreams.iter().map(origin).collect()
}

/// Writes down how a reload went.
pub(super) fn tell_outcome(outcome: &ReloadOutcome) {
    match outcome {
        ReloadOutcome::Swapped { stopped_us_max } => tracing::info!(stopped_us_max, "reloaded"),
        ReloadOutcome::Unchanged => tracing::info!("reloaded: nothing has changed"),
        ReloadOutcome::NewGeneration { generation } => tracing::info!(generation, "reloaded: a new generation serves"),
        ReloadOutcome::Refused { reason } => tracing::error!("not reloaded, nothing has changed: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn plan(text: &str) -> Read {
        let text = format!("listeners = [{{ address = '127.0.0.1:80' }}]\n{text}\n[[routes]]\nupstream = 'a'\n");
        Read::new(config::parse("x", &text, 2).expect("valid"))
    }

    #[test]
    fn upstreams_are_known_again_by_their_names() {
        let now = plan("upstreams.a.servers = ['127.0.0.1:1']\nupstreams.b.servers = ['127.0.0.1:2']");
        let next = plan(
            "upstreams.a = { servers = ['127.0.0.1:1'], connect_timeout = '1s' }
             upstreams.aa.servers = ['127.0.0.1:1']
             upstreams.b.servers = ['127.0.0.1:3']",
        );
        assert_eq!(now.difference(&next), Difference::Plan);
        let (a, b) = (UpstreamId(0), UpstreamId(1));
        let known = origins(&now.plan, &HashMap::new(), &next.plan);
        assert_eq!(*known, [Origin::Same(a), Origin::New, Origin::Changed(b)]);
        let moved = [(b, next.plan.upstreams[2].servers.clone())].into();
        assert_eq!(*origins(&now.plan, &moved, &next.plan), [Origin::Same(a), Origin::New, Origin::Same(b)]);
    }

    #[test]
    fn what_a_running_worker_cannot_change_is_told_apart() {
        let base = "upstreams.a.servers = ['127.0.0.1:1']";
        let now = plan(base);
        assert_eq!(now.difference(&plan(base)), Difference::Nothing);
        let mut next = now.clone();
        next.plan.listeners[0].backlog += 1;
        assert_eq!(now.difference(&next), Difference::Generation("listeners"));
        let next = plan(&format!("{base}\nshards.count = 3"));
        assert_eq!(now.difference(&next), Difference::Generation("shards.count"));
        let next = plan(&format!("{base}\nshards.io = 'epoll'"));
        assert_eq!(now.difference(&next), Difference::Generation("shards.io or shards.pin"));
    }
}
