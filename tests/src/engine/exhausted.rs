//! What a trap means: which resource of the module was exhausted, in words for a filter author.

use super::{Limits, Trap};

/// The most memory that Envoy gives a VM: 1 GiB.
pub(super) const MEMORY: usize = 1 << 30;

/// How deep functions may call each other on an interpreter. V8 has a stack of about 1 MiB: the
/// smallest functions reach a depth between 100,000 and 150,000, those with 16 values of 64 bits
/// that they keep between 5,000 and 10,000.
pub(super) const DEPTH: usize = 125_000;
/// The bytes of values on the stack of an interpreter, which keeps each in 8 bytes and more of them
/// than a compiler does.
pub(super) const HEIGHT: usize = 7 << 18;

/// The trap, with what it means. An engine says what the processor sees: an address that does not
/// exist, for example.
pub(crate) fn explain(trap: Trap, module: Option<&[u8]>, limits: Limits) -> Trap {
    const STACK: [&str; 3] = ["out of bounds memory access", "call stack exhausted", "stack overflow"];
    let Trap(why) = trap;
    if STACK.iter().any(|words| why.contains(words)) {
        let size = module.and_then(stack_size).map_or_else(String::new, |size| format!(" of {size} bytes"));
        return Trap(format!(
            "{why}: stack overflow, unless the module has unsafe code. Recursion is too deep, or values are too large, \
             for the stack{size}. The linker argument -zstack-size sets its size"
        ));
    }
    if why.contains("unreachable") {
        let (memory, host) = (size(limits.memory), limits.host);
        return Trap(format!(
            "{why}: a panic, or the memory is exhausted ({memory} in {host}); the last line of the log says which"
        ));
    }
    Trap(why)
}

/// A size of memory in words.
fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1 << 30) { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

/// The size of the stack of a module that has the stack first in memory, as modules of Rust do:
/// where its stack pointer starts.
fn stack_size(module: &[u8]) -> Option<u32> {
    const GLOBALS: u8 = 6;
    const I32_MUTABLE_CONST: [u8; 3] = [0x7f, 0x01, 0x41];
    let mut rest = module.get(8..)?;
    loop {
        let (id, after) = rest.split_first()?;
        let (size, after) = number(after)?;
        let (section, after) = after.split_at_checked(usize::try_from(size).ok()?)?;
        if *id == GLOBALS {
            let (_count, first) = number(section)?;
            // The linker defines `__stack_pointer` before any other global.
            let (start, _) = number(first.strip_prefix(&I32_MUTABLE_CONST)?)?;
            return u32::try_from(start).ok();
        }
        rest = after;
    }
}

/// A number in LEB128, and the bytes after it. The sign bit of a signed one stays what it is:
/// addresses are positive.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Limits, MEMORY, explain, stack_size};
    use crate::engine::Trap;

    #[test]
    fn the_size_of_the_stack_is_where_its_pointer_starts() {
        let module = b"\0asm\x01\0\0\0\x05\x03\x01\0\x02\x06\x08\x01\x7f\x01\x41\x80\x80\x03\x0b";
        assert_eq!(stack_size(module), Some(49_152));
        assert_eq!(stack_size(b"\0asm\x01\0\0\0"), None);
        for end in 0..module.len() {
            assert_eq!(stack_size(&module[..end]), None, "{end}");
        }
    }

    #[test]
    fn other_traps_stay_as_they_are() {
        let trap = Trap("restricted_callback: proxy_get_property was called during _initialize".into());
        let limits = Limits { host: "Envoy", memory: MEMORY, instructions: None };
        assert_eq!(explain(trap.clone(), None, limits), trap);
    }
}
