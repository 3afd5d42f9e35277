//! Handshakes take turns.
//!
//! A handshake costs as much as twenty requests, and whoever wants to harm a server need only begin many. Requests on
//! connections that stand are therefore served first: of the handshakes that are ready, one goes on in a tick, in the order in
//! which they came, and between two of them everything else that is ready is served. What one connection waits for the
//! handshakes of others is thus the length of one, however many there are; and a shard that has nothing else to do does one after
//! another without a pause.
//!
//! A turn is for all that follows on a client's first message, where most of the work is: a signature, and an exchange of keys.
//! What comes after that, at most as much again for TLS 1.2 and for clients with certificates, is done when it comes: nobody gets
//! that far more often than once a turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ring::Instant;

/// Turns that are given in one tick.
const TURNS_PER_TICK: usize = 1;

/// Who waits for a turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    line: RefCell<Line>,
    /// The tick, by its time, in which turns were given last, and how many.
    given: Cell<(Option<Instant>, usize)>,
    /// Whether a task gives a turn in each tick.
    is_giving: Cell<bool>,
}

#[derive(Debug, Default)]
struct Line {
    /// The number of the first in line. Those below have had their turn.
    first: u64,
    /// `None` for those that have left.
    waiting: VecDeque<Option<Waker>>,
}

/// A place in the line, which is left when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Rc<Turns>,
    number: Option<u64>,
}

impl Turns {
    /// Somebody who wants a turn.
    pub(crate) fn wait(self: &Rc<Self>) -> Turn {
        Turn { turns: Rc::clone(self), number: None }
    }

    /// Whether a turn is left in this tick, for those who come when nobody waits.
    fn take_free(&self) -> bool {
        let now = ring::now();
        let given = match self.given.get() {
            (Some(tick), given) if tick == now => given,
            _ => 0,
        };
        let is_free = given < TURNS_PER_TICK && self.line.borrow().waiting.is_empty();
        if is_free {
            self.given.set((Some(now), given + 1));
        }
        is_free
    }

    /// Gives turns, tick by tick, for as long as somebody waits.
    async fn give(self: Rc<Self>) {
        while !self.line.borrow().waiting.is_empty() {
            ring::next_tick().await;
            let mut line = self.line.borrow_mut();
            let mut given = 0;
            while given < TURNS_PER_TICK
                && let Some(first) = line.waiting.pop_front()
            {
                line.first += 1;
                given += first.map_or(0, |waker| {
                    waker.wake();
                    1
                });
            }
            self.given.set((Some(ring::now()), given));
        }
        self.is_giving.set(false);
    }
}

impl Turn {
    /// Ready when it is this one's turn.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(number) = self.number else {
            if self.turns.take_free() {
                return Poll::Ready(());
            }
            let mut line = self.turns.line.borrow_mut();
            self.number = Some(line.first + line.waiting.len() as u64);
            line.waiting.push_back(Some(cx.waker().clone()));
            if !self.turns.is_giving.replace(true) {
                ring::spawn(Rc::clone(&self.turns).give());
            }
            return Poll::Pending;
        };
        let mut line = self.turns.line.borrow_mut();
        match number.checked_sub(line.first) {
            None => Poll::Ready(()),
            Some(place) => {
                line.waiting[place as usize] = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut line = self.turns.line.borrow_mut();
        if let Some(place) = number.checked_sub(line.first) {
            line.waiting[place as usize] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn one_turn_a_tick_in_the_order_of_coming() {
        ring::run(&ring::Config::default(), Arc::default(), |_| async {
            let turns = Rc::<Turns>::default();
            let had = Rc::<RefCell<Vec<(u32, Instant)>>>::default();
            for number in 0..20 {
                let (turns, had) = (Rc::clone(&turns), Rc::clone(&had));
                ring::spawn(async move {
                    let mut turn = turns.wait();
                    // Some lose patience.
                    if number % 5 == 3 {
                        let _ = poll_fn(|cx| Poll::Ready(turn.poll(cx))).await;
                        return;
                    }
                    poll_fn(|cx| turn.poll(cx)).await;
                    had.borrow_mut().push((number, ring::now()));
                });
            }
            while had.borrow().len() < 16 {
                ring::next_tick().await;
            }
            let had = had.borrow();
            assert!(had.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1), "{had:?}");
        })
        .unwrap();
    }
}
