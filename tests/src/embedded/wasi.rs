//! What Envoy serves of WASI preview 1, under both names that the interface has had. Of its functions, `random_get` is here.

use super::functions::Functions;
use crate::engine::{Import, Memory, Trap, WireType};
use std::sync::Arc;

/// The modules that have the functions.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Numbers of errors.
const SUCCESS: u32 = 0;
const FAULT: u32 = 21;
const INVALID: u32 = 28;

/// More random bytes at once are refused.
const RANDOM_AT_ONCE: usize = 64 * 1024;

/// A function: its name, its parameters, and what it does with the memory and the arguments. The result is the number of an error.
struct Function {
    name: &'static str,
    parameters: &'static [WireType],
    body: fn(&Functions, &mut dyn Memory, &[u64]) -> u32,
}

const FUNCTIONS: [Function; 1] =
    [Function { name: "random_get", parameters: &[WireType::I32, WireType::I32], body: random_get }];

/// The functions as imports.
pub(crate) fn imports(functions: &Arc<Functions>) -> Vec<Import> {
    let all = MODULES.into_iter().flat_map(|module| FUNCTIONS.into_iter().map(move |function| (module, function)));
    all.map(|(module, Function { name, parameters, body })| {
        let functions = Arc::clone(functions);
        Import {
            module,
            name,
            parameters: parameters.to_vec(),
            call: Box::new(move |memory, arguments| -> Result<u32, Trap> {
                functions.permit_wasi(name)?;
                let error = body(&functions, memory, arguments);
                functions.called(name, error);
                Ok(error)
            }),
        }
    })
    .collect()
}

fn word(arguments: &[u64], index: usize) -> u32 {
    arguments.get(index).and_then(|word| u32::try_from(*word).ok()).unwrap_or_default()
}

fn random_get(functions: &Functions, memory: &mut dyn Memory, arguments: &[u64]) -> u32 {
    let (pointer, size) = (word(arguments, 0), word(arguments, 1) as usize);
    if size > RANDOM_AT_ONCE {
        return INVALID;
    }
    let mut bytes = vec![0; size];
    functions.state().random.fill(&mut bytes);
    memory.write(pointer, &bytes).map_or(FAULT, |()| SUCCESS)
}

/// The same for a module that runs natively.
pub(crate) fn random_get_natively(functions: &Functions, bytes: &mut [u8]) -> u32 {
    let error = if bytes.len() > RANDOM_AT_ONCE {
        INVALID
    } else {
        functions.state().random.fill(bytes);
        SUCCESS
    };
    functions.called("random_get", error);
    error
}

/// Numbers that look random, and are the same for the same seed: `SplitMix64`.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Those of one VM: others with the same seed have different ones.
    pub(crate) fn new(seed: u64, vm: usize) -> Self {
        let mut first = Self(seed ^ (vm as u64).rotate_right(8));
        Self(first.next())
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(self.next().to_le_bytes().get(..chunk.len()).unwrap_or_default());
        }
    }
}
