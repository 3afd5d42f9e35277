//! How much of each kind of work a peer may ask for that brings it nothing.
//!
//! HTTP/2 has many ways to make the other end work for little: streams that are reset as soon as they were opened,
//! settings and pings that have to be answered, frames that say nothing. Each of them has its uses, so none can be
//! forbidden; each is counted instead. A counter goes up with every such frame, and down with time and with traffic
//! that is worth something: a client that acknowledges data with two WINDOW_UPDATEs a frame never gets anywhere near a
//! threshold, however much it loads.
//!
//! There are two thresholds. Past the first the peer is told, by GOAWAY with ENHANCE_YOUR_CALM: what is under way goes
//! on, new streams are not taken. Past the second the connection ends. Nothing is allocated, and time is only looked at
//! when a counter has come to a threshold.

use super::error::ConnectionError;

/// A kind of work that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetKind {
    /// SETTINGS, one and one more for each 32 settings: each has to be acknowledged. CVE-2019-9515
    Settings,
    /// PING, which has to be answered. CVE-2019-9512
    Pings,
    /// Streams that the peer reset before they had ended: rapid reset. CVE-2023-44487
    Resets,
    /// Streams that we had to reset, or requests to refuse, for a fault of the peer: made you reset. CVE-2025-8671
    Faults,
    /// Streams beyond our SETTINGS_MAX_CONCURRENT_STREAMS, once the peer knows it.
    Refusals,
    /// Frames that say nothing: DATA, HEADERS and CONTINUATION without content that end nothing. CVE-2019-9518
    EmptyFrames,
    /// PRIORITY and PRIORITY_UPDATE. CVE-2019-9513
    Priorities,
    /// WINDOW_UPDATE.
    WindowUpdates,
    /// CONTINUATION. CVE-2024-27316
    Continuations,
    /// Frames on streams that are over: those that were on the way when the stream was reset are not at fault.
    LateFrames,
    /// Frames of kinds that are not known here.
    UnknownFrames,
}

/// Kinds in all.
const KINDS: usize = BudgetKind::ALL.len();

impl BudgetKind {
    /// Every kind.
    pub const ALL: [BudgetKind; 11] = [
        BudgetKind::Settings,
        BudgetKind::Pings,
        BudgetKind::Resets,
        BudgetKind::Faults,
        BudgetKind::Refusals,
        BudgetKind::EmptyFrames,
        BudgetKind::Priorities,
        BudgetKind::WindowUpdates,
        BudgetKind::Continuations,
        BudgetKind::LateFrames,
        BudgetKind::UnknownFrames,
    ];

    /// What is counted, in words, for logs and metrics.
    pub const NAMES: [&str; KINDS] = [
        "settings",
        "pings",
        "resets",
        "faults",
        "refusals",
        "empty_frames",
        "priorities",
        "window_updates",
        "continuations",
        "late_frames",
        "unknown_frames",
    ];

    /// Its place in [`BudgetKind::NAMES`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        BudgetKind::NAMES[self.index()]
    }
}

/// The bounds of one counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Beyond so many the peer is told.
    pub calm: u32,
    /// Beyond so many the connection ends. Not below `calm`.
    pub close: u32,
    /// So many are forgiven each second.
    pub per_second: u32,
}

/// The bounds of every counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budgets {
    bounds: [Budget; KINDS],
}

impl Budgets {
    /// The bounds of one counter.
    #[must_use]
    pub fn of(&self, kind: BudgetKind) -> Budget {
        self.bounds[kind as usize]
    }

    /// Sets the bounds of one counter.
    pub fn set(&mut self, kind: BudgetKind, budget: Budget) {
        self.bounds[kind as usize] = Budget { close: budget.close.max(budget.calm), ..budget };
    }
}

impl Default for Budgets {
    /// Bounds that browsers, curl, gRPC and load generators stay far below, and that make an attack dearer than
    /// ordinary requests.
    fn default() -> Budgets {
        let bounds = BudgetKind::ALL.map(|kind| {
            let (calm, per_second) = match kind {
                // Peers change them once or twice in the life of a connection.
                BudgetKind::Settings => (64, 2),
                // gRPC measures bandwidth with as much as one for each frame of data, which earns one; keep-alives are
                // rare.
                BudgetKind::Pings => (1_000, 50),
                // A browser that leaves a page resets all its streams at once: some hundreds, and then not for a while.
                BudgetKind::Resets => (500, 50),
                BudgetKind::Faults => (100, 10),
                BudgetKind::Refusals => (500, 50),
                // Some libraries flush with an empty DATA frame.
                BudgetKind::EmptyFrames => (200, 20),
                // Old clients send one or two with each request, which earns four, and a tree of them at first.
                BudgetKind::Priorities => (500, 50),
                BudgetKind::WindowUpdates => (4_000, 400),
                // A head that does not fit into one frame of 16 KiB is rare, and earns two; one that takes a dozen is
                // refused.
                BudgetKind::Continuations => (128, 8),
                // Content in frames of some size is bounded by the window that its stream had, and does not count.
                BudgetKind::LateFrames => (2_000, 200),
                // Browsers send some, so that nobody forgets to ignore them; a request earns two.
                BudgetKind::UnknownFrames => (500, 50),
            };
            Budget { calm, close: 2 * calm, per_second }
        });
        Budgets { bounds }
    }
}

/// The counters of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    counters: [Counter; KINDS],
    /// The kind whose first threshold was the first to be passed.
    calm: Option<BudgetKind>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    /// Below 0 where more was earned than spent.
    spent: i32,
    /// When time was last taken into account.
    refilled_us: u64,
}

impl Counters {
    /// The connection begins now: time before that forgives nothing.
    pub(super) fn start(&mut self, now_us: u64) {
        self.counters = [Counter { spent: 0, refilled_us: now_us }; KINDS];
    }

    /// The kind whose first threshold was passed.
    pub(super) fn calm(&self) -> Option<BudgetKind> {
        self.calm
    }

    /// Counts `cost`.
    ///
    /// # Errors
    /// If the second threshold is passed.
    #[inline]
    pub(super) fn spend(
        &mut self,
        budgets: &Budgets,
        kind: BudgetKind,
        cost: u32,
        now_us: u64,
    ) -> Result<(), ConnectionError> {
        let counter = &mut self.counters[kind as usize];
        counter.spent = counter.spent.saturating_add_unsigned(cost);
        if i64::from(counter.spent) <= i64::from(budgets.of(kind).calm) {
            return Ok(());
        }
        self.judge(budgets.of(kind), kind, now_us)
    }

    /// The counter is past the first threshold, unless time has brought it back.
    #[cold]
    fn judge(&mut self, budget: Budget, kind: BudgetKind, now_us: u64) -> Result<(), ConnectionError> {
        let counter = &mut self.counters[kind as usize];
        let forgiven =
            u128::from(now_us.saturating_sub(counter.refilled_us)) * u128::from(budget.per_second) / 1_000_000;
        // Fractions of one are not lost: the moment is only kept when something was forgiven.
        if forgiven > 0 {
            counter.spent = counter.spent.saturating_sub_unsigned(u32::try_from(forgiven).unwrap_or(u32::MAX)).max(0);
            counter.refilled_us = now_us;
        }
        let spent = i64::from(counter.spent);
        if spent > i64::from(budget.close) {
            return Err(ConnectionError::Budget(kind));
        }
        if spent > i64::from(budget.calm) && self.calm.is_none() {
            self.calm = Some(kind);
        }
        Ok(())
    }

    /// Counts one, which is judged with the next that is [spent](Self::spend).
    pub(super) fn owe(&mut self, kind: BudgetKind) {
        let counter = &mut self.counters[kind as usize];
        counter.spent = counter.spent.saturating_add(1);
    }

    /// A message has come: it may have been long, its sender may acknowledge what it gets for it, say how urgent that
    /// is, and say things that nobody knows.
    #[inline]
    pub(super) fn earn_by_head(&mut self) {
        const WORTH: [(BudgetKind, u32); 4] = [
            (BudgetKind::WindowUpdates, 4),
            (BudgetKind::Priorities, 4),
            (BudgetKind::Continuations, 2),
            (BudgetKind::UnknownFrames, 2),
        ];
        WORTH.into_iter().for_each(|(kind, worth)| self.earn(kind, worth));
    }

    /// Traffic that was worth something makes up for `worth` of that kind, some of it in advance.
    #[inline]
    pub(super) fn earn(&mut self, kind: BudgetKind, worth: u32) {
        /// What may be earned in advance: one burst more of the small bounds; but windows of many megabytes are
        /// acknowledged late.
        const CREDIT_MAX: i32 = 500;
        const CREDIT_OF_WINDOW_UPDATES_MAX: i32 = 1 << 16;
        let credit = if kind == BudgetKind::WindowUpdates { CREDIT_OF_WINDOW_UPDATES_MAX } else { CREDIT_MAX };
        let counter = &mut self.counters[kind as usize];
        counter.spent = counter.spent.saturating_sub_unsigned(worth).max(-credit);
    }
}
