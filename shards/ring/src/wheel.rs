//! The timer wheel: all deadlines of a shard.
//!
//! A hierarchical wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987): six levels of 64 slots, each
//! slot of a level as long as the whole level below it, the lowest one millisecond. A slot is a list through the slab of
//! timers; a bit mask a level tells which slots hold any. Setting, clearing and expiring are O(1).
//!
//! Deadlines that move with every request do not come here each time: see [`crate::Timer`].

use std::task::Waker;

const LEVELS: usize = 6;
const SLOTS: u64 = 64;
const BITS: u32 = SLOTS.trailing_zeros();
/// Milliseconds that the wheel goes round in (about two years). Deadlines further away than half of it are put at that
/// distance, and then again.
const SPAN: u64 = 1 << (BITS * LEVELS as u32);
const NIL: u32 = u32::MAX;
/// The time of a timer that is not set.
pub(crate) const NEVER: u64 = u64::MAX;

/// A timer of the wheel. Its holder frees it by [`Wheel::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerId(u32);

#[derive(Debug)]
struct Node {
    /// When it expires; [`NEVER`] if it is in no slot.
    due: u64,
    slot: u16,
    previous: u32,
    next: u32,
    waker: Option<Waker>,
}

/// The wheel. Time is in milliseconds since the shard's start.
#[derive(Debug)]
pub(crate) struct Wheel {
    now: u64,
    nodes: Vec<Node>,
    vacant: Vec<u32>,
    occupied: [u64; LEVELS],
    heads: Box<[u32]>,
}

impl Wheel {
    pub(crate) fn new() -> Wheel {
        let heads = vec![NIL; LEVELS * SLOTS as usize].into_boxed_slice();
        Wheel { now: 0, nodes: Vec::new(), vacant: Vec::new(), occupied: [0; LEVELS], heads }
    }

    /// A new timer, not set.
    pub(crate) fn add(&mut self) -> TimerId {
        let node = Node { due: NEVER, slot: 0, previous: NIL, next: NIL, waker: None };
        if let Some(index) = self.vacant.pop() {
            self.nodes[index as usize] = node;
            return TimerId(index);
        }
        self.nodes.push(node);
        TimerId(u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 timers"))
    }

    pub(crate) fn remove(&mut self, timer: TimerId) {
        self.unlink(timer.0);
        self.nodes[timer.0 as usize].waker = None;
        self.vacant.push(timer.0);
    }

    /// Wakes `waker` at `due`, and not when it was to be woken before.
    pub(crate) fn set(&mut self, timer: TimerId, due: u64, waker: &Waker) {
        self.unlink(timer.0);
        self.nodes[timer.0 as usize].waker = Some(waker.clone());
        self.link(timer.0, due);
    }

    /// The time that the wheel has come to.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// When the wheel wants to be advanced next; not later than the earliest expiry.
    pub(crate) fn next(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, time)| time)
    }

    /// Moves the time on to `now` and wakes what expired.
    pub(crate) fn advance(&mut self, now: u64) {
        while let Some((level, slot, time)) = self.next_slot() {
            if time > now {
                break;
            }
            self.now = self.now.max(time);
            self.empty_slot(level, slot);
        }
        self.now = self.now.max(now);
    }

    /// The slot whose time comes first: its level, its number, and the time at which it begins.
    fn next_slot(&self) -> Option<(usize, u64, u64)> {
        // A lower level always comes before a higher one: what lies further away than a whole level is in the next.
        let level = self.occupied.iter().position(|occupied| *occupied != 0)?;
        let shift = BITS * level as u32;
        let current = (self.now >> shift) % SLOTS;
        let ahead = u64::from(self.occupied[level].rotate_right(current as u32).trailing_zeros());
        let slot = (current + ahead) % SLOTS;
        let begin = ((self.now >> shift) + ahead) << shift;
        Some((level, slot, begin))
    }

    fn empty_slot(&mut self, level: usize, slot: u64) {
        let index = level * SLOTS as usize + slot as usize;
        let mut cursor = std::mem::replace(&mut self.heads[index], NIL);
        self.occupied[level] &= !(1 << slot);
        while cursor != NIL {
            let node = &mut self.nodes[cursor as usize];
            let (next, due) = (node.next, node.due);
            node.due = NEVER;
            if due > self.now {
                self.link(cursor, due);
            } else if let Some(waker) = node.waker.take() {
                waker.wake();
            }
            cursor = next;
        }
    }

    fn link(&mut self, index: u32, due: u64) {
        // What is due already gets the current slot, which is emptied at the next advance.
        let time = due.clamp(self.now, self.now + SPAN / 2);
        let distance = (time ^ self.now) | (SLOTS - 1);
        let level = ((63 - distance.leading_zeros()) / BITS).min(LEVELS as u32 - 1) as usize;
        let slot = (time >> (BITS * level as u32)) % SLOTS;
        let position = level * SLOTS as usize + slot as usize;
        let head = std::mem::replace(&mut self.heads[position], index);
        self.occupied[level] |= 1 << slot;
        if head != NIL {
            self.nodes[head as usize].previous = index;
        }
        let node = &mut self.nodes[index as usize];
        (node.due, node.slot, node.previous, node.next) = (due, position as u16, NIL, head);
    }

    fn unlink(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        if node.due == NEVER {
            return;
        }
        node.due = NEVER;
        let (previous, next, position) = (node.previous, node.next, usize::from(node.slot));
        if next != NIL {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NIL {
            self.nodes[previous as usize].next = next;
            return;
        }
        self.heads[position] = next;
        if next == NIL {
            self.occupied[position / SLOTS as usize] &= !(1 << (position as u64 % SLOTS));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Bell {
        fn rings(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn armed(wheel: &mut Wheel, due: u64) -> (TimerId, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        let timer = wheel.add();
        wheel.set(timer, due, &bell.clone().into());
        (timer, bell)
    }

    #[test]
    fn a_timer_expires_at_its_time_and_not_before() {
        for due in [1, 2, 63, 64, 65, 4095, 4096, 4097, 300_000, 10_000_000_000, SPAN - 1] {
            let mut wheel = Wheel::new();
            wheel.advance(17);
            let (_timer, bell) = armed(&mut wheel, 17 + due);
            wheel.advance(17 + due - 1);
            assert_eq!(bell.rings(), 0, "due in {due} ms");
            wheel.advance(17 + due);
            assert_eq!(bell.rings(), 1, "due in {due} ms");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn a_timer_that_is_moved_expires_at_its_last_time_alone() {
        let mut wheel = Wheel::new();
        let (timer, bell) = armed(&mut wheel, 100);
        wheel.set(timer, 5_000, &bell.clone().into());
        wheel.advance(4_999);
        assert_eq!(bell.rings(), 0);
        wheel.set(timer, 5_050, &bell.clone().into());
        wheel.set(timer, 5_010, &bell.clone().into());
        wheel.advance(5_009);
        assert_eq!(bell.rings(), 0);
        wheel.advance(5_010);
        assert_eq!(bell.rings(), 1);
    }

    #[test]
    fn a_removed_timer_stays_silent() {
        let mut wheel = Wheel::new();
        let (removed, other) = armed(&mut wheel, 100);
        let (_kept, kept) = armed(&mut wheel, 100);
        wheel.remove(removed);
        wheel.advance(1_000);
        assert_eq!((other.rings(), kept.rings()), (0, 1));
    }

    #[test]
    fn random_timers_expire_exactly_as_in_a_sorted_list() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for _ in 0..200 {
            let mut wheel = Wheel::new();
            let mut now = random(1 << 40);
            wheel.advance(now);
            let mut expected = Vec::new();
            for _ in 0..50 {
                let distance = 1 << random(37);
                let due = now + 1 + random(distance);
                let (timer, bell) = armed(&mut wheel, due);
                let due = if random(3) == 0 { now + 1 + random(1 << 20) } else { due };
                wheel.set(timer, due, &bell.clone().into());
                expected.push((due, bell));
            }
            expected.sort_by_key(|(due, _)| *due);
            for (due, _) in &expected {
                let target = now.max(due - 1);
                wheel.advance(target);
                for (at, bell) in &expected {
                    assert_eq!(bell.rings() > 0, *at <= target, "due at {at}, now {target}");
                }
                assert!(wheel.next().is_none_or(|next| next <= *due || *due <= target));
                now = target;
            }
        }
    }
}
