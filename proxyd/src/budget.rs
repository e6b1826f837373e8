//! How much memory a worker's sessions may take for long packets, all together.
//!
//! Whatever a session holds beyond the buffer that every command gets counts here: a long command, long data that waits for
//! its execution, the copy of an answer for the query cache. A client whose packet does not fit is not read from until
//! others have given something back. One session at a time may go over the limit, so that sessions that each have a part
//! of what they need do not wait for each other for ever: the sum never exceeds the limit and one longest packet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A worker's share, and what is held of it; in bytes.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    held: Cell<usize>,
    /// Somebody is over the limit.
    is_exceeded: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Budget {
    pub fn new(limit: usize) -> Rc<Budget> {
        let (held, is_exceeded) = (Cell::new(0), Cell::new(false));
        Rc::new(Budget { limit, held, is_exceeded, waiting: RefCell::default() })
    }

    pub fn held(&self) -> usize {
        self.held.get()
    }

    fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }
}

/// One holder's part; given back with it.
#[derive(Debug)]
pub struct Hold {
    budget: Rc<Budget>,
    bytes: usize,
    /// This is the one that may go over the limit.
    exceeds: bool,
}

impl Hold {
    pub fn new(budget: &Rc<Budget>) -> Hold {
        Hold { budget: Rc::clone(budget), bytes: 0, exceeds: false }
    }

    /// Ready once it holds so many bytes in all, or more.
    pub fn poll_grow(&mut self, cx: &Context<'_>, bytes: usize) -> Poll<()> {
        if self.try_grow(bytes) {
            return Poll::Ready(());
        }
        if !self.exceeds && self.budget.is_exceeded.get() {
            self.budget.wait(cx.waker());
            return Poll::Pending;
        }
        self.exceeds = true;
        self.budget.is_exceeded.set(true);
        self.set(bytes);
        Poll::Ready(())
    }

    /// Holds so many bytes in all, or more, if there is room for them.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let fits = self.budget.held.get() - self.bytes + bytes <= self.budget.limit;
        if bytes > self.bytes && fits {
            self.set(bytes);
        }
        bytes <= self.bytes
    }

    /// Holds so many bytes now, whatever the limit.
    pub fn set(&mut self, bytes: usize) {
        let budget = &self.budget;
        let shrinks = bytes < self.bytes;
        budget.held.set(budget.held.get() - self.bytes + bytes);
        self.bytes = bytes;
        if self.exceeds && (bytes == 0 || budget.held.get() <= budget.limit) {
            self.exceeds = false;
            budget.is_exceeded.set(false);
        }
        if shrinks {
            budget.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_sum_is_bounded_and_one_at_a_time_may_exceed_it() {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let cx = Context::from_waker(&waker);
        let budget = Budget::new(100);
        let [mut first, mut second, mut third] = std::array::from_fn(|_| Hold::new(&budget));
        assert!(first.poll_grow(&cx, 60).is_ready() && second.poll_grow(&cx, 40).is_ready());
        assert!(first.poll_grow(&cx, 90).is_ready(), "nobody else exceeds it");
        assert!(second.poll_grow(&cx, 41).is_pending() && third.poll_grow(&cx, 1).is_pending());
        assert!(second.poll_grow(&cx, 41).is_pending());
        assert!(first.poll_grow(&cx, 120).is_ready());
        assert_eq!((budget.held(), woken.0.load(Ordering::Relaxed)), (160, 0));
        drop(first);
        assert_eq!((budget.held(), woken.0.load(Ordering::Relaxed)), (40, 1), "woken once");
        assert!(second.poll_grow(&cx, 41).is_ready() && third.poll_grow(&cx, 59).is_ready());
        assert!(third.poll_grow(&cx, 500).is_ready(), "a packet may be longer than the limit");
        drop((second, third));
        assert_eq!((budget.held(), budget.is_exceeded.get()), (0, false));
    }

    #[test]
    fn what_can_do_without_takes_only_what_is_left() {
        let budget = Budget::new(100);
        let (mut copy, mut other) = (Hold::new(&budget), Hold::new(&budget));
        assert!(copy.try_grow(70) && !other.try_grow(31) && other.try_grow(30) && !copy.try_grow(71));
        copy.set(10);
        assert!(other.try_grow(90) && budget.held() == 100);
        other.set(200);
        assert!(!copy.try_grow(11) && copy.try_grow(5));
    }
}
