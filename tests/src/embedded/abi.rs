//! The table of host functions as wasm imports.

use super::functions::Functions;
use super::wasi;
use crate::engine::{Import, Memory, Reentrant, Trap, WireType};
use proxy_filter::__private::Module as NativeModule;
use proxy_filter::Status;
use proxy_filter::sys::HostFunctions;
use std::sync::Arc;

/// The host functions inside of which the host may enter the module.
const CALLING_BACK: [&str; 2] = ["proxy_grpc_stream", "proxy_call_foreign_function"];

/// A bad pointer, or a module whose allocator has no memory.
const INVALID_MEMORY_ACCESS: u32 = 6;

/// Walks over the arguments of a call and writes its outs.
pub(super) struct Wire<'a> {
    pub(super) function: &'static str,
    pub(super) memory: &'a mut dyn Memory,
    pub(super) functions: &'a Functions,
    pub(super) arguments: &'a [u64],
    pub(super) next: usize,
}

/// The result of the host function cannot be delivered. The call returns this instead.
pub(super) enum Undeliverable {
    Status(u32),
    Trap(Trap),
}

impl From<Trap> for Undeliverable {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

const BAD_POINTER: Undeliverable = Undeliverable::Status(INVALID_MEMORY_ACCESS);

impl Wire<'_> {
    fn word(&mut self) -> u64 {
        let word = self.arguments.get(self.next).copied().unwrap_or_default();
        self.next += 1;
        word
    }

    #[allow(clippy::cast_possible_truncation, reason = "the engine has checked that the parameter is an i32")]
    fn word32(&mut self) -> u32 {
        self.word() as u32
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Undeliverable> {
        let (pointer, size) = (self.word32(), self.word32());
        self.needs_memory()?;
        self.memory.read(pointer, size).ok_or(BAD_POINTER)
    }

    /// Envoy traps here if the module has no memory at all.
    fn needs_memory(&self) -> Result<(), Undeliverable> {
        if self.memory.exists() { Ok(()) } else { Err(self.functions.without_memory(self.function).into()) }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Undeliverable> {
        let pointer = self.word32();
        self.needs_memory()?;
        self.memory.write(pointer, bytes).ok_or(BAD_POINTER)
    }

    /// Passes bytes to the module: an empty value as null and 0, others in memory that the module
    /// allocates. Envoy does not allocate 0 bytes.
    pub(super) fn put_buffer(&mut self, bytes: &[u8]) -> Result<(), Undeliverable> {
        let size = u32::try_from(bytes.len()).map_err(|_| BAD_POINTER)?;
        let pointer = if size == 0 { 0 } else { self.functions.while_allocating(|| self.memory.allocate(size))? };
        if size > 0 && (pointer == 0 || self.memory.write(pointer, bytes).is_none()) {
            return Err(BAD_POINTER);
        }
        self.put(&pointer.to_le_bytes())?;
        self.put(&size.to_le_bytes())
    }
}

macro_rules! imports {
    ($($name:ident($($parameter:ident: $kind:ident),*) -> ($($out:ident: $out_kind:ident),*);)*) => {
        /// Every host function of the list the SDK is made from, for a module on a wasm engine.
        pub(super) fn imports(functions: &Arc<Functions>) -> Vec<Import> {
            vec![$({
                let functions = Arc::clone(functions);
                Import {
                    module: "env",
                    name: stringify!($name),
                    parameters: <[&[WireType]]>::concat(&[$(imports!(@wire $kind),)* $(imports!(@wire out $out_kind),)*]),
                    returns: true,
                    call: Box::new(move |memory, arguments| {
                        functions.permit(stringify!($name))?;
                        #[allow(unused_mut, unused_variables, reason = "some functions have no arguments and no outs")]
                        let mut wire = Wire { function: stringify!($name), memory, functions: &functions, arguments, next: 0 };
                        #[allow(unused_mut, reason = "as above")]
                        let mut answer = || {
                            $(let $parameter = imports!(@take $kind wire);)*
                            let fault = functions.fault(stringify!($name)).map(Err);
                            match fault.unwrap_or_else(|| functions.$name($(imports!(@pass $kind $parameter)),*)) {
                                Ok(($($out),*)) => {
                                    $(imports!(@put $out_kind $out wire);)*
                                    Ok(0)
                                }
                                Err(status) => {
                                    // Envoy writes this out before it knows whether the call is
                                    // possible.
                                    if stringify!($name) == "proxy_http_call" {
                                        wire.put(&0_u32.to_le_bytes())?;
                                    }
                                    Ok(Status::raw(status))
                                }
                            }
                        };
                        let answer = answer();
                        if CALLING_BACK.contains(&stringify!($name)) {
                            functions.call_inside(stringify!($name), memory)?;
                        }
                        let status = match answer {
                            Ok(status) | Err(Undeliverable::Status(status)) => status,
                            Err(Undeliverable::Trap(trap)) => return Err(trap),
                        };
                        functions.take_trap()?;
                        functions.called(stringify!($name), status);
                        Ok(status)
                    }),
                }
            }),*]
        }

        /// The same functions for a module that runs natively.
        impl HostFunctions for Native {
            $(fn $name(&self, $($parameter: imports!(@type $kind)),*) -> Result<($(imports!(@type out $out_kind)),*), Status> {
                or_unwind(self.0.permit_natively(stringify!($name)));
                let fault = self.0.fault(stringify!($name)).map(Err);
                let result = fault.unwrap_or_else(|| self.0.$name($($parameter),*));
                if CALLING_BACK.contains(&stringify!($name)) {
                    // A module that panics there has failed, and the panic unwinds to its caller.
                    let _ = self.0.call_inside(stringify!($name), &mut self.1.clone());
                }
                or_unwind(self.0.take_trap());
                self.0.called(stringify!($name), result.as_ref().err().map_or(0, |status| status.raw()));
                result
            })*

            fn random_get(&self, bytes: &mut [u8]) -> u32 {
                wasi::random_get_natively(&self.0, bytes)
            }
        }
    };
    (@wire Bytes) => { &[WireType::I32, WireType::I32][..] };
    (@wire i64) => { &[WireType::I64][..] };
    (@wire u64) => { &[WireType::I64][..] };
    (@wire $int:ident) => { &[WireType::I32][..] };
    (@wire out Buffer) => { &[WireType::I32, WireType::I32][..] };
    (@wire out $int:ident) => { &[WireType::I32][..] };
    (@take Bytes $wire:ident) => { $wire.bytes()? };
    (@take u64 $wire:ident) => { $wire.word() };
    (@take i64 $wire:ident) => { $wire.word().cast_signed() };
    (@take i32 $wire:ident) => { $wire.word32().cast_signed() };
    (@take u32 $wire:ident) => { $wire.word32() };
    (@pass Bytes $value:ident) => { &$value };
    (@pass $int:ident $value:ident) => { $value };
    (@put Buffer $out:ident $wire:ident) => { $wire.put_buffer(&$out)? };
    (@put $int:ident $out:ident $wire:ident) => { $wire.put(&$out.to_le_bytes())? };
    (@type Bytes) => { &[u8] };
    (@type $int:ident) => { $int };
    (@type out Buffer) => { Vec<u8> };
    (@type out $int:ident) => { $int };
}

/// A call that traps the VM leaves native code by unwinding. The thread of the module catches it.
fn or_unwind(allowed: Result<(), Trap>) {
    if let Err(trap) = allowed {
        std::panic::resume_unwind(Box::new(trap));
    }
}

/// Answers a module that runs natively.
pub(crate) struct Native(pub(crate) Arc<Functions>, pub(crate) NativeExports);

/// The exports of a module that runs natively on this thread.
#[derive(Clone)]
pub(crate) struct NativeExports(pub(crate) NativeModule);

impl Reentrant for NativeExports {
    fn exports(&mut self, name: &str) -> bool {
        self.0.exports.iter().any(|(export, _)| *export == name)
    }

    fn call(&mut self, name: &str, arguments: &[u32]) -> Result<(), Trap> {
        let mut padded = [0; 5];
        for (place, argument) in padded.iter_mut().zip(arguments) {
            *place = *argument;
        }
        if let Some((_, export)) = self.0.exports.iter().find(|(export, _)| *export == name) {
            export(padded);
        }
        Ok(())
    }
}

#[allow(unused_parens, reason = "a list of one out is no tuple")]
mod table {
    use super::{
        CALLING_BACK, Functions, HostFunctions, Import, Native, Status, Undeliverable, Wire, WireType, or_unwind, wasi,
    };
    use std::sync::Arc;
    proxy_filter::__for_each_host_function!(imports);
}

/// Every host function of ABI 0.2.1 as an import.
pub(super) fn host_functions(functions: &Arc<Functions>) -> Vec<Import> {
    table::imports(functions)
}
