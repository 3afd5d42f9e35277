//! Futures in recycled memory.
//!
//! A connection is small while it is idle and needs much more room while it works on a request. [`pooled`] puts the working
//! part into memory that the thread keeps for reuse by size, so that neither an idle connection holds it nor a request
//! allocates. Tasks live there from the beginning, since many are as short as one request.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use crate::prefetch::prefetch;

/// Blocks of one size that are kept for reuse.
const KEPT_MAX: usize = 1024;

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept(Vec::new())) };
}

/// Free blocks by layout. There are as many layouts as kinds of pooled futures: a few.
struct Kept(Vec<(Layout, Vec<NonNull<u8>>)>);

impl Drop for Kept {
    fn drop(&mut self) {
        for (layout, blocks) in &mut self.0 {
            for block in blocks.drain(..) {
                // SAFETY: every kept block was allocated with the layout under which it is kept.
                unsafe { dealloc(block.as_ptr(), *layout) };
            }
        }
    }
}

/// The future that `make` makes, in recycled memory. It is made there: a future has room for all that it will ever hold, and
/// to move it there would copy that, although nearly nothing is in it before it has begun.
#[inline]
pub fn pooled<F: Future>(make: impl FnOnce() -> F) -> Pooled<F> {
    let block = Block::take(Layout::new::<F>());
    let future = if size_of::<F>() == 0 { NonNull::dangling() } else { block.0.cast::<F>() };
    // SAFETY: the block is valid for writes of F and aligned for it, and nobody else has it.
    unsafe { future.write(make()) };
    std::mem::forget(block);
    Pooled { future }
}

/// The same, for those who keep futures of many kinds.
pub(crate) fn task(future: impl Future<Output = ()> + 'static) -> Pooled<dyn Future<Output = ()>> {
    let pooled = ManuallyDrop::new(pooled(|| future));
    Pooled { future: pooled.future }
}

/// A future in recycled memory.
pub struct Pooled<F: ?Sized> {
    /// Owned, initialised, and not moved until it is dropped in place.
    future: NonNull<F>,
}

impl<F: ?Sized> Pooled<F> {
    /// The future, as it lies there.
    pub(crate) fn peek(&self) -> &F {
        // SAFETY: owned and initialised.
        unsafe { self.future.as_ref() }
    }
}

impl<F: Future + ?Sized> Future for Pooled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is owned and initialised.
        let future = unsafe { self.future.as_mut() };
        prefetch(future);
        // SAFETY: it stays in its block until it is dropped there: it is pinned.
        unsafe { Pin::new_unchecked(future) }.poll(cx)
    }
}

impl<F: ?Sized> Drop for Pooled<F> {
    fn drop(&mut self) {
        let _block = Block(self.future.cast(), Layout::for_value(self.peek()));
        // SAFETY: owned and initialised, and not used again.
        unsafe { self.future.drop_in_place() };
    }
}

/// Memory of a layout, given back when this is dropped: also when a future's making or its own drop panics.
struct Block(NonNull<u8>, Layout);

impl Block {
    fn take(layout: Layout) -> Block {
        Block(if layout.size() == 0 { NonNull::dangling() } else { take(layout) }, layout)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.1.size() > 0 {
            give_back(self.0, self.1);
        }
    }
}

fn take(layout: Layout) -> NonNull<u8> {
    let kept = KEPT.try_with(|kept| {
        kept.borrow_mut().0.iter_mut().find(|(known, _)| *known == layout).and_then(|(_, blocks)| blocks.pop())
    });
    kept.ok().flatten().unwrap_or_else(|| {
        // SAFETY: the caller asks for a size above 0.
        NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
    })
}

fn give_back(block: NonNull<u8>, layout: Layout) {
    let kept = KEPT.try_with(|kept| {
        let lists = &mut kept.borrow_mut().0;
        let list = match lists.iter().position(|(known, _)| *known == layout) {
            Some(index) => &mut lists[index].1,
            None => {
                lists.push((layout, Vec::new()));
                &mut lists.last_mut().expect("just pushed").1
            }
        };
        let keep = list.len() < KEPT_MAX;
        if keep {
            list.push(block);
        }
        keep
    });
    if kept != Ok(true) {
        // SAFETY: the block was allocated with this layout, and nobody has it any more.
        unsafe { dealloc(block.as_ptr(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;

    #[test]
    fn memory_is_used_again_and_contents_are_dropped_once() {
        let witness = Rc::new(Cell::new(0));
        struct CountDrops(Rc<Cell<u32>>);
        impl Drop for CountDrops {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let make = || {
            let guard = CountDrops(Rc::clone(&witness));
            pooled(|| async move {
                std::future::pending::<()>().await;
                drop(guard);
            })
        };
        let mut first = Box::pin(make());
        let address = first.future;
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(first);
        assert_eq!(witness.get(), 1);
        let second = make();
        assert_eq!(second.future, address);
        drop(second);
        assert_eq!(witness.get(), 2);
    }
}
