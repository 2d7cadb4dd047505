//! Allocates as a filter does that keeps things: every stream brings blocks of many sizes, and the
//! last 256 stay.

use proxy_filter::prelude::*;
use std::cell::RefCell;

const KEPT: usize = 256;
/// Blocks for each stream.
const BLOCKS: u32 = 8;

thread_local! {
    static BLOCKS_KEPT: RefCell<Store> = const { RefCell::new(Store { blocks: Vec::new(), state: 1 }) };
}

struct Store {
    blocks: Vec<Vec<u8>>,
    /// Of a generator of numbers that look random and are the same in every run.
    state: u32,
}

impl Store {
    fn next(&mut self) -> usize {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.state >> 16) as usize
    }

    /// Puts a block of 16 bytes to 2 KiB, mostly small, in the place of a random older one.
    fn put(&mut self) {
        let size = (16 + self.next() % 112) << (self.next() % 5);
        let block = vec![0; size];
        let place = self.next() % KEPT;
        if self.blocks.len() < KEPT {
            self.blocks.push(block);
        } else if let Some(old) = self.blocks.get_mut(place) {
            *old = block;
        }
    }
}

#[derive(Default)]
struct Root;

#[proxy_filter::root]
impl RootContext for Root {
    type Context = Churn;

    fn new_context(&self) -> Churn {
        Churn
    }
}

struct Churn;

#[proxy_filter::context]
impl Context for Churn {
    fn on_request_headers(&mut self, request: &mut RequestHeaders, _: bool) -> Result<FilterHeadersStatus> {
        let pairs = request.pairs()?;
        BLOCKS_KEPT.with(|store| {
            if let Ok(mut store) = store.try_borrow_mut() {
                for _ in 0..BLOCKS {
                    store.put();
                }
            }
        });
        drop(pairs);
        Ok(FilterHeadersStatus::Continue)
    }
}
