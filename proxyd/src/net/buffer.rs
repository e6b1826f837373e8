//! Read buffers: borrowed from the worker while bytes are in flight, given back when the connection goes idle.
//!
//! This is what keeps an idle client small: it owns no buffer at all.

use std::cell::RefCell;

/// What most commands and most result chunks fit in.
pub const STANDARD: usize = 16 * 1024;
/// Buffers kept for the next borrower; more than this many in use at once are freed afterwards.
const KEPT: usize = 256;

/// A worker's free buffers of the standard size.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: RefCell<Vec<Vec<u8>>>,
}

impl BufferPool {
    fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; STANDARD])
    }

    fn give(&self, bytes: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if bytes.len() == STANDARD && free.len() < KEPT {
            free.push(bytes);
        }
    }
}

/// A window of received bytes: `start..end` of `bytes` is filled and not yet consumed.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Forgets the first `count` filled bytes (all of them if there are fewer).
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Puts other bytes in the place of some of the filled ones.
    pub fn replace(&mut self, range: std::ops::Range<usize>, with: &[u8]) {
        let (from, to) = (self.start + range.start, (self.start + range.end).min(self.end));
        let end = self.end - (to - from) + with.len();
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes.copy_within(to..self.end, from + with.len());
        self.bytes[from..from + with.len()].copy_from_slice(with);
        self.end = end;
    }

    /// Room to read into, at least one byte; moves or grows what is filled if there is none.
    /// `want` is the size that the packet at the front is known to have, 0 when unknown: then it doubles. What is known is
    /// had at once: what has doubled often leaves holes in the allocator's memory.
    pub fn spare(&mut self, want: usize, pool: &BufferPool) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = pool.take();
        }
        let short = self.start + want.max(self.len() + 1) > self.bytes.len();
        if short && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if want > self.bytes.len() {
            let mut bytes = vec![0; want];
            bytes[..self.end].copy_from_slice(&self.bytes[..self.end]);
            self.bytes = bytes;
        } else if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Says that `count` bytes of what [`Buffer::spare`] gave are filled now.
    pub fn advance(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// Gives the memory back if nothing is filled.
    pub fn release(&mut self, pool: &BufferPool) {
        if self.is_empty() && !self.bytes.is_empty() {
            pool.give(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_filled_when_it_moves_and_grows() {
        let pool = BufferPool::default();
        let mut buffer = Buffer::default();
        buffer.spare(0, &pool)[..6].copy_from_slice(b"abcdef");
        buffer.advance(6);
        buffer.consume(2);
        assert!(buffer.spare(40_000, &pool).len() >= 40_000 - 4);
        assert_eq!(buffer.filled(), b"cdef");
    }

    #[test]
    fn replaces_in_place() {
        let pool = BufferPool::default();
        let mut buffer = Buffer::default();
        buffer.spare(0, &pool)[..6].copy_from_slice(b"abcdef");
        buffer.advance(6);
        buffer.consume(1);
        buffer.replace(1..3, b"XYZ");
        assert_eq!(buffer.filled(), b"bXYZef");
        buffer.replace(4..6, b"");
        buffer.replace(0..0, &[b'!'; 20_000]);
        assert_eq!((buffer.len(), &buffer.filled()[19_999..]), (20_004, &b"!bXYZ"[..]));
    }

    #[test]
    fn an_empty_buffer_gives_its_memory_back() {
        let pool = BufferPool::default();
        let mut buffer = Buffer::default();
        buffer.spare(0, &pool)[0] = 1;
        buffer.advance(1);
        buffer.release(&pool);
        assert_eq!(buffer.filled(), [1]);
        buffer.consume(9);
        buffer.release(&pool);
        assert_eq!(pool.free.borrow().len(), 1);
        assert!(buffer.bytes.is_empty());
    }
}
