//! How much of the module's stack is left, for what recurses as deeply as its input is nested.

use core::fmt;

/// What a level of nesting may need before the next check: the frames of a large type, and those of
/// the reader.
const RESERVE: usize = 10 * 1024;

/// The bytes of stack that are left. Modules of Rust have the stack first in memory, and it grows
/// down to address 0: the address of what is on it now is what is left.
#[cfg(target_family = "wasm")]
#[inline(never)]
fn left() -> usize {
    let here = 0_u8;
    core::ptr::from_ref(core::hint::black_box(&here)).addr()
}

/// The stack of native tests is large, and nothing says how large.
#[cfg(not(target_family = "wasm"))]
const fn left() -> usize {
    usize::MAX
}

/// Input is nested more deeply than the stack allows.
#[derive(Debug)]
pub(crate) struct TooDeep;

impl fmt::Display for TooDeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nested too deeply for the module's stack; a larger stack is a linker argument, -zstack-size")
    }
}

impl core::error::Error for TooDeep {}

/// What a level of nesting needs where serde reads twice: enums with `#[serde(tag)]` and
/// `#[serde(untagged)]`, and `#[serde(flatten)]`, are read into memory first, and nothing can be
/// checked while their types are made from that.
const LEVEL: usize = 576;

/// Refuses input whose nesting the stack does not allow, as far as that can be told before it is
/// read.
#[inline]
pub(crate) fn check_depth(depth: usize) -> Result<(), TooDeep> {
    if left() / LEVEL < depth { Err(TooDeep) } else { Ok(()) }
}

/// Refuses to go a level deeper when the stack would overflow, which would end the VM.
#[inline]
pub(crate) fn check() -> Result<(), TooDeep> {
    if left() < RESERVE { Err(TooDeep) } else { Ok(()) }
}
