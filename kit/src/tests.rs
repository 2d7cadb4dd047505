//! Helpers for the tests of several blocks.
#![allow(dead_code, reason = "not every combination of features uses all of it")]

use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Numbers that look random, and are the same in each run.
pub(crate) struct Generator(u64);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, among: &[&'a T]) -> &'a T {
        let index = self.below(among.len());
        among[index]
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| u8::try_from(self.next() & 0xff).unwrap()).collect()
    }
}

/// All ways to split bytes into two, byte by byte, and some random ones.
pub(crate) fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut all: Vec<Vec<&[u8]>> = (0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]).collect();
    all.push(bytes.chunks(1).collect());
    all.push(vec![bytes]);
    let mut generator = Generator::new(bytes.len() as u64);
    for _ in 0..20 {
        let mut rest = bytes;
        let mut cut = Vec::new();
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(1 + generator.below(rest.len().min(12)));
            cut.push(chunk);
            rest = after;
        }
        all.push(cut);
    }
    all
}

/// Polls a future that must be ready.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits"),
    }
}
