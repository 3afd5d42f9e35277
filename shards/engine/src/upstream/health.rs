//! Passive health: a server is judged by the requests that it gets anyway.
//!
//! ```text
//!        failures in a row reach the limit,             its time is over, and a request
//!        and the share allows it                        is sent to find out
//!   In ─────────────────────────────────────────▶ Out ───────────────────────────────────▶ Trial
//!   ▲                                              ▲                                        │ │
//!   │                                              └──────── it failed: out for longer ─────┘ │
//!   └──────────────────────────────────────────────────────── it succeeded ──────────────────┘
//! ```
//! While the one request of a trial is under way the server gets no other. If it ends without a verdict (the client left),
//! the next request is the trial.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use plan::Health as Policy;
use ring::Instant;

use crate::command::Condition;
use crate::random::Random;
use crate::snapshot::Standing;

/// What is thought of one server.
#[derive(Debug, Default)]
pub(super) struct Health {
    state: Cell<State>,
    /// Failures since the last success.
    failures: Cell<u32>,
    /// Ejections in a row: one after another without a healthy time in between.
    ejections: Cell<u32>,
    /// When it came back, and how long it had been out.
    returned: Cell<Option<(Instant, Duration)>>,
    /// How long the ejection in force lasts.
    length: Cell<Duration>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    In,
    Out {
        until: Instant,
    },
    Trial,
}

/// What a request says of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answered, and not with one of the statuses that count as failures.
    Success,
    /// It refused the connection, broke it off, took too long, or answered with such a status.
    Failure,
}

/// What a verdict changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Ejected(Duration),
    Returned,
}

/// What the servers of one upstream have in common.
#[derive(Debug)]
pub(super) struct Ward {
    /// Servers that are out or on trial.
    ejected: Cell<u32>,
    random: RefCell<Random>,
}

impl Ward {
    pub(super) fn new() -> Ward {
        Ward { ejected: Cell::new(0), random: RefCell::new(Random::new()) }
    }

    /// Whether every server is in, so that none needs to be looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.ejected.get() == 0
    }

    /// A server has left the upstream. Tells whether it was ejected.
    pub(super) fn forget(&self, health: &Health) -> bool {
        if health.is_in() {
            return false;
        }
        self.ejected.set(self.ejected.get() - 1);
        true
    }

    /// Believes what another shard thought of a server, as far as the policy lets so many be out.
    pub(super) fn recall(&self, health: &Health, known: Condition, policy: &Policy, servers: usize, now: Instant) {
        health.failures.set(known.failures);
        health.ejections.set(known.ejections);
        health.length.set(known.ejection);
        if known.ejections > 0 && known.out_for.is_none() {
            health.returned.set(Some((now, known.ejection)));
        }
        if let Some(left) = known.out_for
            && health.state.get() == State::In
            && policy.failures > 0
            && self.has_room(policy, servers)
        {
            self.ejected.set(self.ejected.get() + 1);
            health.state.set(State::Out { until: now + left.min(policy.ejection_max) });
        }
    }

    /// Whether another of `servers` servers may be ejected.
    fn has_room(&self, policy: &Policy, servers: usize) -> bool {
        (u64::from(self.ejected.get()) + 1) * 100 <= u64::from(policy.eject_share_max) * servers as u64
    }

    /// Takes note of what a request, the trial or another, said of its server, one of `servers`.
    pub(super) fn judge(
        &self,
        health: &Health,
        verdict: Verdict,
        on_trial: bool,
        policy: &Policy,
        servers: usize,
        now: Instant,
    ) -> Option<Change> {
        match (verdict, health.state.get()) {
            (Verdict::Success, State::In) => {
                health.failures.set(0);
                None
            }
            (Verdict::Success, State::Trial) if on_trial => {
                health.state.set(State::In);
                health.failures.set(0);
                health.returned.set(Some((now, health.length.get())));
                self.ejected.set(self.ejected.get() - 1);
                Some(Change::Returned)
            }
            (Verdict::Failure, State::In) => {
                health.failures.set(health.failures.get().saturating_add(1));
                let is_failing = policy.failures > 0 && health.failures.get() >= policy.failures;
                if !is_failing || !self.has_room(policy, servers) {
                    return None;
                }
                self.ejected.set(self.ejected.get() + 1);
                Some(Change::Ejected(self.eject(health, policy, now)))
            }
            (Verdict::Failure, State::Trial) if on_trial => Some(Change::Ejected(self.eject(health, policy, now))),
            // What was sent before the ejection says nothing new.
            _ => None,
        }
    }

    /// Ejects for a time that grows with each ejection in a row, less up to a fifth so that the shards do not try again all
    /// at once.
    fn eject(&self, health: &Health, policy: &Policy, now: Instant) -> Duration {
        // Having been healthy for as long as it was out wipes the slate.
        let is_relapse = match health.returned.get() {
            Some((at, length)) => now.saturating_duration_since(at) < length,
            None => true,
        };
        let ejections = if is_relapse { health.ejections.get().saturating_add(1) } else { 1 };
        let whole = policy.ejection_base.saturating_mul(ejections).min(policy.ejection_max);
        let length = whole * (80 + self.random.borrow_mut().below(21) as u32) / 100;
        health.ejections.set(ejections);
        health.length.set(length);
        health.state.set(State::Out { until: now + length });
        length
    }
}

impl Health {
    /// Whether it is neither ejected nor on trial.
    pub(super) fn is_in(&self) -> bool {
        self.state.get() == State::In
    }

    /// What is thought of the server, unless it is beyond doubt.
    pub(super) fn condition(&self, now: Instant) -> Option<Condition> {
        let out_for = match self.state.get() {
            State::In => None,
            State::Out { until } => Some(until.saturating_duration_since(now)),
            State::Trial => Some(Duration::ZERO),
        };
        let (failures, ejections) = (self.failures.get(), self.ejections.get());
        let is_doubted = failures > 0 || ejections > 0 || out_for.is_some();
        is_doubted.then(|| Condition { failures, ejections, out_for, ejection: self.length.get() })
    }

    /// Whether requests may be sent to it.
    pub(super) fn is_usable(&self, now: Instant) -> bool {
        match self.state.get() {
            State::In => true,
            State::Out { until } => until <= now,
            State::Trial => false,
        }
    }

    /// How it stands, for whoever shows it.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        match self.state.get() {
            State::In => Standing::Up,
            State::Out { until } => Standing::Ejected(until.saturating_duration_since(now)),
            State::Trial => Standing::OnTrial,
        }
    }

    /// A request is about to be sent; tells whether it is a trial. One that is sent although the time is not over, because
    /// no server is in, is not.
    pub(super) fn begin(&self, now: Instant) -> bool {
        let begins = matches!(self.state.get(), State::Out { until } if until <= now);
        if begins {
            self.state.set(State::Trial);
        }
        begins
    }

    /// The trial ended without a verdict.
    pub(super) fn abandon_trial(&self, now: Instant) {
        if self.state.get() == State::Trial {
            self.state.set(State::Out { until: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        ward: Ward,
        policy: Policy,
        servers: usize,
        now: Instant,
    }

    impl Case {
        fn new(servers: usize, failures: u32) -> Case {
            Case { ward: Ward::new(), policy: Policy { failures, ..Policy::default() }, servers, now: Instant::now() }
        }

        fn judge(&self, health: &Health, verdict: Verdict, on_trial: bool) -> Option<Change> {
            self.ward.judge(health, verdict, on_trial, &self.policy, self.servers, self.now)
        }

        fn fail(&self, health: &Health) -> Option<Change> {
            self.judge(health, Verdict::Failure, false)
        }

        /// Lets the ejection pass and sends the one request of the trial.
        fn try_again(&mut self, health: &Health, verdict: Verdict) -> Option<Change> {
            self.now += self.policy.ejection_max;
            assert!(health.is_usable(self.now) && health.begin(self.now));
            assert!(!health.is_usable(self.now), "one request at a time");
            self.judge(health, verdict, true)
        }
    }

    /// A server that is out for the `times`-th time in a row is out for so long.
    fn assert_length(policy: &Policy, change: Option<Change>, times: u32) {
        let whole = (policy.ejection_base * times).min(policy.ejection_max);
        let Some(Change::Ejected(length)) = change else { panic!("an ejection, not {change:?}") };
        assert!(length <= whole && length >= whole * 4 / 5, "{length:?} of {whole:?}");
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_them_forgives() {
        let case = Case::new(2, 3);
        let health = Health::default();
        assert_eq!((case.fail(&health), case.fail(&health)), (None, None));
        case.judge(&health, Verdict::Success, false);
        assert_eq!((case.fail(&health), case.fail(&health)), (None, None));
        assert!(health.is_usable(case.now));
        assert_length(&case.policy, case.fail(&health), 1);
        assert!(!health.is_usable(case.now) && !case.ward.is_empty());
        assert!(!health.begin(case.now), "a request that goes there for want of a better server is no trial");
        assert_eq!(case.judge(&health, Verdict::Success, false), None, "an older request's success is no return");
    }

    #[test]
    fn a_failed_trial_ejects_for_longer_up_to_the_limit() {
        let mut case = Case::new(2, 1);
        let health = Health::default();
        assert_length(&case.policy, case.fail(&health), 1);
        for times in 2..50 {
            let change = case.try_again(&health, Verdict::Failure);
            assert_length(&case.policy, change, times);
        }
        assert_eq!(case.try_again(&health, Verdict::Success), Some(Change::Returned));
        assert!(case.ward.is_empty());
        // A relapse at once goes on where it was; one after a long healthy time begins anew.
        assert_length(&case.policy, case.fail(&health), 50);
        case.try_again(&health, Verdict::Success);
        case.now += case.policy.ejection_max;
        assert_length(&case.policy, case.fail(&health), 1);
    }

    #[test]
    fn no_more_than_the_share_is_ejected() {
        for (servers, share, expected) in [(1, 50, 0), (2, 50, 1), (5, 50, 2), (10, 30, 3), (3, 100, 3), (4, 0, 0)] {
            let mut case = Case::new(servers, 1);
            case.policy.eject_share_max = share;
            let ejected = (0..servers).filter(|_| case.fail(&Health::default()).is_some()).count();
            assert_eq!(ejected, expected, "{share} % of {servers}");
        }
    }

    #[test]
    fn a_trial_without_a_verdict_lets_the_next_request_be_one() {
        let mut case = Case::new(2, 1);
        let health = Health::default();
        case.fail(&health);
        case.now += case.policy.ejection_max;
        assert!(health.begin(case.now) && !health.is_usable(case.now));
        health.abandon_trial(case.now);
        assert!(health.is_usable(case.now) && health.begin(case.now));
    }

    #[test]
    fn what_a_shard_has_learned_outlives_it() {
        let case = Case::new(2, 1);
        let old = Health::default();
        assert_eq!(old.condition(case.now), None, "a server beyond doubt is not worth a word");
        let change = case.fail(&old);
        let known = old.condition(case.now).unwrap();
        let heir = Case::new(2, 1);
        let (new, other) = (Health::default(), Health::default());
        heir.ward.recall(&new, known, &heir.policy, 2, heir.now);
        assert!(!new.is_usable(heir.now) && !heir.ward.is_empty());
        assert_eq!(change, Some(Change::Ejected(new.length.get())));
        heir.ward.recall(&other, known, &heir.policy, 2, heir.now);
        assert!(other.is_usable(heir.now), "no more than the share is out");
        let mut heir = heir;
        assert_length(&case.policy, heir.try_again(&new, Verdict::Failure), 2);
    }

    #[test]
    fn a_server_that_leaves_gives_its_share_back() {
        let case = Case::new(2, 1);
        let (gone, other) = (Health::default(), Health::default());
        assert!(case.fail(&gone).is_some() && case.fail(&other).is_none());
        case.ward.forget(&gone);
        case.ward.forget(&other);
        assert!(case.fail(&other).is_some());
    }
}
