//! Tasks that are to be woken together.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

/// A set of tasks, each with a place of its own.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    places: RefCell<Vec<Option<Waker>>>,
    vacant: RefCell<Vec<usize>>,
}

/// A task's place in a set.
pub(crate) struct Place {
    wakers: Rc<Wakers>,
    index: usize,
    /// What stands there, so that saying it again touches nothing that is far away.
    known: RefCell<Option<Waker>>,
}

impl Wakers {
    pub(crate) fn add(self: &Rc<Self>) -> Place {
        let mut places = self.places.borrow_mut();
        let index = self.vacant.borrow_mut().pop().unwrap_or_else(|| {
            places.push(None);
            places.len() - 1
        });
        Place { wakers: Rc::clone(self), index, known: RefCell::default() }
    }

    pub(crate) fn wake_all(&self) {
        for waker in self.places.borrow().iter().flatten() {
            waker.wake_by_ref();
        }
    }
}

impl Place {
    /// Has `waker` woken whenever all are.
    pub(crate) fn set(&self, waker: &Waker) {
        let mut known = self.known.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.wakers.places.borrow_mut()[self.index] = Some(waker.clone());
            *known = Some(waker.clone());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.wakers.places.borrow_mut()[self.index] = None;
        self.wakers.vacant.borrow_mut().push(self.index);
    }
}
