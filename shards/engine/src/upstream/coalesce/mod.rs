//! Connections that requests share: pipelined HTTP/1.1, many requests in one send.
//!
//! A connection of this kind is a [`Lane`]; a request's place on it is a [`Seat`], which is an
//! [`Upstream`](crate::streams::Upstream) like a connection of its own. The request whose answer is due reads the connection
//! itself, so that back-pressure and bodies of any size need nothing special; when its answer is whole it wakes the next.
//! Each lane has a task, its [`keeper`]: it sends what a tick has gathered, reads the answers that nobody waits for, and
//! notices what takes too long.
//!
//! ```text
//!  exchange ─ join ─► Seat ─ send_head ─► lane.outbox ─ keeper, once a tick ─► one send
//!                      │                                                          │
//!                      └── due? reads the lane ◄── woken by the one before it ◄── answers, in order
//! ```
//!
//! [`Lanes`] are those to one server: whether they are used at all, which takes the next request, when another is opened.
//! Requests that a client has pipelined behind one with a seat are seated behind it, on the same lane: so their answers become
//! due in the order in which the client gets them, and none waits on one lane for the turn of another's. Waits go from later
//! seats to earlier ones only, and so never in a circle.
//!
//! A request whose lane fails it, through no fault of its own answer, leaves it with the [`Ending`] that says what is known,
//! and is sent again on a connection of its own, never on a lane: so it cannot go round.

mod keeper;
mod lane;
mod level;
mod seat;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use plan::Coalesce as Policy;
use ring::Instant;
use wire::h1::pipeline::Lesson;

use lane::{Lane, Load};
use level::Level;

use super::pool::Pool;

pub(super) use keeper::open;
pub(crate) use seat::{Ending, Seat};

/// A server that does not go well with shared connections is left alone for this long at first, twice as long each further
/// time, and at most for the second.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long it has to go well until that is forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// A connection that carries fewer requests is not worth to be shared.
const REQUESTS_WORTH: u32 = 16;

/// The shared connections to one server.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: RefCell<Vec<Rc<Lane>>>,
    /// Connections that are being opened.
    opening: Cell<u16>,
    /// How many requests are under way at most, of late.
    level: Level,
    /// Until when the server is left alone, and for how long that is.
    pause: Cell<Option<(Instant, Duration)>>,
    /// Requests that the server lets a connection carry, as far as that has been learned.
    requests_max: Cell<Option<u32>>,
}

/// Where a request goes.
#[derive(Default)]
pub(super) struct Choice {
    /// Over this connection, or over one of its own.
    pub(super) lane: Option<Rc<Lane>>,
    /// Meanwhile, another shared one is to be opened.
    pub(super) opens: bool,
}

impl Lanes {
    /// Where the next request goes, when `active` are under way, it included. One that `is_followed` by others of its client gains
    /// from sharing however few they are: those would wait for it.
    pub(super) fn choose(&self, policy: &Policy, active: u32, is_followed: bool, now: Instant) -> Choice {
        let is_engaged = self.level.note(active, now) >= policy.engage_at || is_followed;
        if !is_engaged || self.is_resting(now) {
            return Choice::default();
        }
        let lanes = self.lanes.borrow();
        let (mut best, mut open) = (None, usize::from(self.opening.get()));
        for lane in lanes.iter() {
            let Some(load) = lane.load(policy) else { continue };
            open += 1;
            // What leaves with this tick anyway is joined before another send is begun.
            let order = (!load.is_sending, load.waiting);
            if load.waiting < usize::from(policy.depth_max) && best.as_ref().is_none_or(|(least, _)| order < *least) {
                best = Some((order, lane));
            }
        }
        let connections_max = usize::from(policy.connections_max);
        // Those that drain or are held up make room for others, within a bound.
        let opens = open < connections_max && lanes.len() < 2 * connections_max;
        Choice { lane: best.map(|(_, lane)| Rc::clone(lane)), opens }
    }

    /// A place on the same connection behind `seat` and all others, if there is room.
    pub(super) fn behind(&self, seat: &Seat, pool: &Rc<Pool>, now: Instant) -> Option<Seat> {
        let (lane, policy) = (seat.lane(), &pool.policy().coalesce);
        let has_room = |load: Load| load.waiting < usize::from(policy.depth_max);
        let takes = !self.is_resting(now) && lane.load(policy).is_some_and(has_room);
        takes.then(|| Seat::new(Rc::clone(lane), pool))
    }

    fn is_resting(&self, now: Instant) -> bool {
        self.pause.get().is_some_and(|(until, _)| now < until)
    }

    /// Requests that a new connection may carry.
    fn requests_max(&self) -> Option<u32> {
        self.requests_max.get()
    }

    fn learn(&self, lesson: Lesson, now: Instant) {
        match lesson {
            Lesson::Ends(requests) => {
                self.requests_max.set(Some(requests.max(REQUESTS_WORTH)));
                if requests < REQUESTS_WORTH {
                    self.rest(now);
                }
            }
            Lesson::GoesOn => self.requests_max.set(None),
        }
    }

    /// The server is left alone for a while: it answers too slowly for others to wait behind, or closes too often.
    fn rest(&self, now: Instant) {
        let length = match self.pause.get() {
            Some((until, _)) if now < until => return,
            Some((until, length)) if now < until + FORGIVEN_AFTER => (2 * length).min(PAUSE_MAX),
            _ => PAUSE_MIN,
        };
        self.pause.set(Some((now + length, length)));
    }

    /// No request goes over these connections any more; they are closed when the last has its answer.
    pub(super) fn retire(&self) {
        self.lanes.borrow().iter().for_each(|lane| lane.retire());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether another connection would be opened, which tells whether the server is asked this way at all.
    fn engages(lanes: &Lanes, active: u32, now: Instant) -> bool {
        lanes.choose(&Policy { engage_at: 10, ..Policy::default() }, active, false, now).opens
    }

    #[test]
    fn it_engages_above_the_threshold_and_a_little_longer() {
        let (lanes, start) = (Lanes::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert!(!engages(&lanes, 9, at(0)));
        assert!(engages(&lanes, 10, at(1)));
        // All were answered at once, and come again one by one.
        assert!(engages(&lanes, 1, at(2)));
        assert!(!engages(&lanes, 1, at(100)));
        assert!(lanes.choose(&Policy::default(), 1, true, at(100)).opens, "one that others wait behind");
    }

    #[test]
    fn only_so_many_are_opened() {
        let (lanes, now) = (Lanes::default(), Instant::now());
        lanes.opening.set(3);
        assert!(engages(&lanes, 10, now));
        lanes.opening.set(4);
        assert!(!engages(&lanes, 10, now));
    }

    #[test]
    fn a_server_that_holds_others_up_is_left_alone_ever_longer() {
        let (lanes, start) = (Lanes::default(), Instant::now());
        let mut now = start;
        for pause_ms in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            lanes.rest(now);
            let pause = Duration::from_millis(pause_ms);
            // Several connections that are held up at once are one reason.
            lanes.rest(now + pause / 2);
            assert!(!engages(&lanes, 10, now + (pause - Duration::from_millis(1))), "{pause_ms} ms");
            now += pause;
            assert!(engages(&lanes, 10, now), "{pause_ms} ms");
        }
        now += FORGIVEN_AFTER;
        lanes.rest(now);
        assert!(engages(&lanes, 10, now + PAUSE_MIN), "what was long ago is forgiven");
    }

    #[test]
    fn a_limit_is_learned_unless_it_makes_sharing_worthless() {
        let (lanes, now) = (Lanes::default(), Instant::now());
        lanes.learn(Lesson::Ends(1000), now);
        assert_eq!((lanes.requests_max(), engages(&lanes, 10, now)), (Some(1000), true));
        lanes.learn(Lesson::GoesOn, now);
        assert_eq!(lanes.requests_max(), None);
        lanes.learn(Lesson::Ends(1), now);
        assert!(!engages(&lanes, 10, now));
    }
}
