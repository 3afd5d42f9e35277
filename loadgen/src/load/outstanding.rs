//! Requests of one connection that wait for their answers.

use super::worker::Job;
use crate::client::protocol::Key;

/// A request that was sent, or is about to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) job: Job,
    pub(super) sent_ns: u64,
    /// When its answer began, where the protocol tells.
    pub(super) first_byte_ns: Option<u64>,
}

/// The requests, by key. A key is given again once its request has its answer.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    slots: Vec<Option<Sent>>,
    free: Vec<u32>,
}

impl Outstanding {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(super) fn insert(&mut self, job: Job, sent_ns: u64) -> Key {
        let sent = Sent { job, sent_ns, first_byte_ns: None };
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(sent);
            return Key(slot);
        }
        self.slots.push(Some(sent));
        Key(self.slots.len() as u32 - 1)
    }

    #[inline]
    pub(super) fn remove(&mut self, key: Key) -> Option<Sent> {
        let sent = self.slots.get_mut(key.0 as usize)?.take()?;
        self.free.push(key.0);
        Some(sent)
    }

    /// The answer of a request begins.
    #[inline]
    pub(super) fn begin(&mut self, key: Key, now_ns: u64) {
        if let Some(Some(sent)) = self.slots.get_mut(key.0 as usize) {
            sent.first_byte_ns.get_or_insert(now_ns);
        }
    }

    /// When the request was due that has waited the longest.
    pub(super) fn oldest_due_ns(&self) -> Option<u64> {
        self.slots.iter().flatten().map(|sent| sent.job.due_ns).min()
    }

    /// Those that were due before a time.
    pub(super) fn due_before(&self, time_ns: u64) -> Vec<Key> {
        let is_late = |(slot, sent): (usize, &Option<Sent>)| {
            sent.filter(|sent| sent.job.due_ns <= time_ns).map(|_| Key(slot as u32))
        };
        self.slots.iter().enumerate().filter_map(is_late).collect()
    }

    /// All of them, the longest waiting first.
    pub(super) fn take(&mut self) -> Vec<Sent> {
        let mut all: Vec<Sent> = std::mem::take(&mut self.slots).into_iter().flatten().collect();
        self.free.clear();
        all.sort_by_key(|sent| sent.job.due_ns);
        all
    }
}
