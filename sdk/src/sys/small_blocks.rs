//! [`SmallBlocks`]: an allocator that reuses freed small blocks at once.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

/// An allocator that keeps freed small blocks for the next allocations of their size.
///
/// A filter frees in each request what it has allocated in it: values of headers, calls, futures.
/// The allocator inside needs about 200 instructions to allocate and free a block, and this one 30.
/// A block that is kept is never used for blocks of another size. At most as many are kept as the
/// module had of their size at the same time.
///
/// A block that grows is copied, even where the allocator inside could extend it. Its code for
/// that would be longer than all the code here.
pub(super) struct SmallBlocks<A> {
    inner: A,
    /// The first free block of each size. Each block contains the next.
    free: [Cell<*mut u8>; SIZES],
}

/// The sizes are the multiples of this number.
const STEP: usize = 16;
const SIZES: usize = 64;
/// The alignment of small blocks.
const ALIGN: usize = 8;

/// The pointer to the next free block, with which a free block begins.
#[inline]
#[allow(clippy::cast_ptr_alignment, reason = "small blocks are aligned for a pointer")]
const fn next(block: *mut u8) -> *mut *mut u8 {
    block.cast()
}

impl<A> SmallBlocks<A> {
    pub(super) const fn new(inner: A) -> Self {
        Self { inner, free: [const { Cell::new(core::ptr::null_mut()) }; SIZES] }
    }

    /// The free blocks of the size that a block of this layout has, and its layout in the allocator
    /// inside. `None` for a larger block.
    #[inline]
    fn small(&self, layout: Layout) -> Option<(&Cell<*mut u8>, Layout)> {
        // No allocation is empty.
        let step = layout.size().wrapping_sub(1) / STEP;
        let place = self.free.get(step).filter(|_| layout.align() <= ALIGN)?;
        Some((place, Layout::from_size_align((step + 1) * STEP, ALIGN).ok()?))
    }
}

// SAFETY: a block is the inner allocator's, of at least the size and alignment that were requested.
// It is given back to it with the layout that it has there, or is in one list of free blocks and
// used by nothing else.
unsafe impl<A: GlobalAlloc> GlobalAlloc for SmallBlocks<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((first, small)) = self.small(layout) else {
            // SAFETY: the caller upholds the contract.
            return unsafe { self.inner.alloc(layout) };
        };
        let block = first.get();
        if block.is_null() {
            // SAFETY: the size is not 0.
            return unsafe { self.inner.alloc(small) };
        }
        // SAFETY: a free block begins with the pointer to the next, and is aligned for it.
        first.set(unsafe { next(block).read() });
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.small(layout) {
            Some((first, _)) => {
                // SAFETY: the block is at least as large as a pointer and aligned for it, and the
                // caller does not use it any more.
                unsafe { next(block).write(first.get()) };
                first.set(block);
            }
            // SAFETY: the caller upholds the contract.
            None => unsafe { self.inner.dealloc(block, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller makes sure that the size is valid for the alignment, and not 0.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if let (Some((_, old)), Some((_, new))) = (self.small(layout), self.small(wanted)) {
            if old == new {
                return block;
            }
        }
        // SAFETY: as above.
        let new = unsafe { self.alloc(wanted) };
        if !new.is_null() {
            // SAFETY: both blocks have so many bytes, and they are not the same. The caller uses
            // the old one no more.
            unsafe {
                core::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}

// SAFETY: such a module has one thread.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
unsafe impl<A> Sync for SmallBlocks<A> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;
    use std::collections::HashMap;

    /// Has the system's memory, and checks that each block is freed with the layout it has.
    #[derive(Default)]
    struct Strict(std::cell::RefCell<HashMap<usize, Layout>>);

    // SAFETY: blocks are the system's.
    unsafe impl GlobalAlloc for Strict {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            assert_ne!(layout.size(), 0);
            // SAFETY: the size is not 0.
            let block = unsafe { System.alloc(layout) };
            self.0.borrow_mut().insert(block.addr(), layout);
            block
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            assert_eq!(self.0.borrow_mut().remove(&block.addr()), Some(layout));
            // SAFETY: the layout is that of the block.
            unsafe { System.dealloc(block, layout) }
        }
    }

    /// A block, and the byte that all of it has.
    struct Filled(*mut u8, Layout, u8);

    impl Filled {
        fn new(blocks: &SmallBlocks<Strict>, layout: Layout, byte: u8) -> Self {
            // SAFETY: the layout is not empty.
            let block = unsafe { blocks.alloc(layout) };
            assert_eq!(block.addr() % layout.align(), 0);
            // SAFETY: the block has so many bytes.
            unsafe { block.write_bytes(byte, layout.size()) };
            Self(block, layout, byte)
        }

        fn check(&self, length: usize) {
            // SAFETY: the block has at least so many bytes, which are initialised.
            let bytes = unsafe { core::slice::from_raw_parts(self.0, length) };
            assert!(bytes.iter().all(|byte| *byte == self.2), "another block has overwritten it");
        }
    }

    #[test]
    fn blocks_of_every_size_keep_their_content() {
        let blocks = SmallBlocks::new(Strict::default());
        let mut filled: Vec<Filled> = Vec::new();
        let mut state = 1_u32;
        for step in 0..20_000_u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (state >> 8) as usize;
            let layout = Layout::from_size_align(random % 300 + 1, 1 << (random / 300 % 6)).unwrap();
            match state >> 30 {
                0 if !filled.is_empty() => {
                    let block = filled.swap_remove(random % filled.len());
                    block.check(block.1.size());
                    // SAFETY: the layout is the block's, which is not used any more.
                    unsafe { blocks.dealloc(block.0, block.1) };
                }
                1 if !filled.is_empty() => {
                    let place = random % filled.len();
                    let block = &mut filled[place];
                    let (kept, size) = (block.1.size().min(layout.size()), layout.size());
                    // SAFETY: the layout is the block's, and the size is not 0.
                    block.0 = unsafe { blocks.realloc(block.0, block.1, size) };
                    block.check(kept);
                    block.1 = Layout::from_size_align(size, block.1.align()).unwrap();
                    // SAFETY: the block has so many bytes.
                    unsafe { block.0.write_bytes(block.2, size) };
                }
                _ => filled.push(Filled::new(&blocks, layout, step.to_le_bytes()[0])),
            }
        }
        for block in filled {
            block.check(block.1.size());
            // SAFETY: as above.
            unsafe { blocks.dealloc(block.0, block.1) };
        }
        for place in &blocks.free {
            while !place.get().is_null() {
                let block = place.get();
                // SAFETY: a free block begins with the pointer to the next.
                place.set(unsafe { next(block).read() });
                let layout = blocks.inner.0.borrow()[&block.addr()];
                // SAFETY: the block is in no list any more.
                unsafe { blocks.inner.dealloc(block, layout) };
            }
        }
        assert!(blocks.inner.0.borrow().is_empty(), "every block is free or was given back");
    }

    #[test]
    fn a_freed_small_block_is_the_next_of_its_size() {
        let blocks = SmallBlocks::new(Strict::default());
        let layout = |size| Layout::array::<u8>(size).unwrap();
        // SAFETY: no layout is empty, and each block is freed once with the layout it has.
        unsafe {
            let first = blocks.alloc(layout(17));
            blocks.dealloc(first, layout(17));
            let second = blocks.alloc(layout(32));
            assert_eq!(second, first);
            assert_eq!(blocks.realloc(second, layout(32), 20), first, "it need not move");
            let third = blocks.alloc(layout(16));
            assert_ne!(third, first);
            blocks.dealloc(first, layout(20));
            blocks.dealloc(third, layout(16));
            assert_eq!(blocks.inner.0.borrow().len(), 2);
            for (block, size) in [(first, 32), (third, 16)] {
                blocks.inner.dealloc(block, Layout::from_size_align(size, ALIGN).unwrap());
            }
        }
    }
}
