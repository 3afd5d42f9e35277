//! From one Plan to the next, while sessions go on.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use plan::UpstreamId;
use ring::Instant;

use super::{Serving, Shard};
use crate::command::{NextPlan, Origin, Reply};
use crate::record::Outlets;
use crate::tuning::http2_config;
use crate::upstream::pool::Pool;

/// How long a shard prepares a new Plan before its sessions have a turn.
const TURN_MAX: Duration = Duration::from_micros(200);

impl Shard {
    /// Serves by another Plan from now on. What is under way goes on under the Plan it began with.
    ///
    /// The new pools are made a few at a time, so that sessions have their turns in between; then one assignment changes the
    /// Plan for all of them. The old Plan is dropped elsewhere: whoever sent the new one still holds it.
    pub(super) async fn take_plan(self: &Rc<Self>, next: NextPlan) {
        let old = self.serving();
        let mut stopped = Stopwatch::default();
        let mut pools = Vec::with_capacity(next.upstreams.len());
        for (index, origin) in next.upstreams.iter().enumerate() {
            let id = UpstreamId(index as u16);
            pools.push(match origin {
                Origin::New => {
                    let tallies = next.tallies.upstreams.get(index);
                    let connector = next.connectors.get(index).and_then(Option::as_ref);
                    Pool::new(&next.plan, id, connector, &self.counters, tallies, &self.janitor, &self.upstream_turns)
                }
                Origin::Same(before) | Origin::Changed(before) => old.pool(*before).successor(&next.plan, id),
            });
            if stopped.lap() > TURN_MAX {
                ring::sleep(Duration::from_millis(1)).await;
                stopped.resume();
            }
        }
        let taken = self.change_over(&old, next, pools);
        drop(old);
        let longest = stopped.stop();
        self.counters.plan_swaps.add(1);
        let longest_ns = longest.as_nanos() as u64;
        self.counters.plan_swap_ns_max.add(longest_ns.saturating_sub(self.counters.plan_swap_ns_max.value()));
        taken.send(longest);
    }

    /// Returns who wants to hear of it.
    fn change_over(self: &Rc<Self>, old: &Serving, next: NextPlan, pools: Vec<Rc<Pool>>) -> Reply<Duration> {
        let outlets = Outlets::next(&old.outlets, next.outlets);
        let NextPlan { plan, tallies, acceptor, .. } = next;
        let announces = super::announces(&plan);
        let http2 = Arc::new(http2_config(&plan));
        let serving = Serving { plan, tallies, pools: pools.into(), outlets, acceptor, http2, announces };
        let mut goes_on = vec![false; old.pools.len()];
        for (index, (origin, pool)) in next.upstreams.iter().zip(serving.pools.iter()).enumerate() {
            let (Origin::Same(before) | Origin::Changed(before)) = *origin else { continue };
            goes_on[usize::from(before.0)] = true;
            if matches!(origin, Origin::Changed(_)) {
                let tallies = serving.tallies.upstreams.get(index).map_or(&[][..], |tallies| &tallies.servers);
                pool.replace_servers(&pool.policy().servers, tallies);
            }
        }
        for (pool, _) in old.pools.iter().zip(goes_on).filter(|(_, goes_on)| !goes_on) {
            pool.close_down();
        }
        self.janitor.follow(&serving.pools);
        if self.overload.follow(serving.plan.overload) {
            ring::spawn(Rc::clone(&self.overload).run());
        }
        self.serving.replace(Rc::new(serving));
        // There may be room for more connections now.
        self.watchers.wake_all();
        next.taken
    }
}

/// How long a shard stood still, at most, in one piece.
struct Stopwatch {
    since: Instant,
    longest: Duration,
}

impl Default for Stopwatch {
    fn default() -> Stopwatch {
        Stopwatch { since: Instant::now(), longest: Duration::ZERO }
    }
}

impl Stopwatch {
    /// The length of the piece under way. Not by the tick's time: how long the tick takes is the question.
    fn lap(&mut self) -> Duration {
        let lap = self.since.elapsed();
        self.longest = self.longest.max(lap);
        lap
    }

    fn resume(&mut self) {
        self.since = Instant::now();
    }

    fn stop(mut self) -> Duration {
        self.lap();
        self.longest
    }
}
