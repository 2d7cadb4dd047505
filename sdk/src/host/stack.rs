//! How much of the module's stack is left, for code that recurses with the nesting of its input.

use core::fmt;

/// What a level of nesting may need before the next check: the frames of a large type, and those of
/// the reader.
const RESERVE: usize = 10 * 1024;

/// Returns the remaining bytes of the stack. Rust places the stack first in memory, and it grows
/// down to address 0. The address of a local variable is therefore the remaining size.
#[cfg(target_family = "wasm")]
#[inline(never)]
fn left() -> usize {
    let here = 0_u8;
    core::ptr::from_ref(core::hint::black_box(&here)).addr()
}

/// The stack of native tests is large, and its size is not known.
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

/// The stack that one level of nesting needs where serde reads twice. serde reads enums with
/// `#[serde(tag)]` or `#[serde(untagged)]`, and `#[serde(flatten)]`, into memory first. No check is
/// possible while it converts them.
const LEVEL: usize = 576;

/// Refuses input whose nesting is too deep for the stack, as far as this is known before reading.
#[inline]
pub(crate) fn check_depth(depth: usize) -> Result<(), TooDeep> {
    if left() / LEVEL < depth { Err(TooDeep) } else { Ok(()) }
}

/// Refuses to go a level deeper when the stack would overflow, which would end the VM.
#[inline]
pub(crate) fn check() -> Result<(), TooDeep> {
    if left() < RESERVE { Err(TooDeep) } else { Ok(()) }
}
