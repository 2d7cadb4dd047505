//! [`Profiler`]: where a module executes its instructions.

mod code;
mod instrument;
mod tree;

pub use tree::ProfileFrame;

use crate::engine::{Import, WireType};
use code::{Code, HOOK, MODULE};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tree::Tree;

/// Counts where a module executes its instructions; made by
/// [`Host::profiled`](crate::Host::profiled).
///
/// The module is instrumented: it reports each function and each run of instructions that begins.
/// The count is exact and the same in each run. It is that of [`Engine::Counting`], which is
/// wasmtime's fuel: see there for the price of each instruction. Each call of a function is 1 more.
/// A run that traps counts as a whole.
///
/// [`Engine::Counting`]: crate::Engine
///
/// ```
/// use proxy_filter_host::Host;
/// # let module = wat::parse_str(r#"(module (memory (export "memory") 1)
/// #     (func (export "proxy_abi_version_0_2_1"))
/// #     (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
/// #     (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#).unwrap();
/// let (mut host, profiler) = Host::profiled(&module)?;
/// let exchange = host.get("/").send();
/// assert_eq!(exchange.spent().instructions, 2);
/// let frames = profiler.frames();
/// assert_eq!(frames.iter().map(|frame| frame.calls).sum::<u64>(), 1);
/// # Ok::<_, String>(())
/// ```
#[derive(Clone)]
pub struct Profiler {
    module: Arc<[u8]>,
    code: Arc<Code>,
    trees: Arc<Mutex<Vec<Arc<Mutex<Tree>>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Profiler {
    /// Instruments a module.
    pub(crate) fn new(module: &[u8]) -> Result<Self, String> {
        let (module, code) =
            instrument::instrument(module).map_err(|error| format!("the module cannot be instrumented: {error}"))?;
        Ok(Self { module: module.into(), code: Arc::new(code), trees: Arc::default() })
    }

    /// The instrumented module.
    pub(crate) fn module(&self) -> &Arc<[u8]> {
        &self.module
    }

    /// Starts to count for a new VM. Returns the function that the module calls, and the counter of
    /// its instructions.
    pub(crate) fn start(&self) -> (Import, Box<dyn Fn() -> u64>) {
        let tree = Arc::new(Mutex::new(Tree::new(Arc::clone(&self.code))));
        lock(&self.trees).push(Arc::clone(&tree));
        let counted = Arc::clone(&tree);
        let hook = Import {
            module: MODULE,
            name: HOOK,
            parameters: vec![WireType::I32; 2],
            returns: true,
            call: Box::new(move |_, arguments| {
                let number = |index: usize| arguments.get(index).and_then(|argument| u32::try_from(*argument).ok());
                let [report, value] = [0, 1].map(|index| number(index).unwrap_or_default());
                Ok(lock(&tree).step(report, value))
            }),
        };
        (hook, Box::new(move || lock(&counted).instructions))
    }

    /// Returns the instructions that all VMs have executed, their start included.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        lock(&self.trees).iter().map(|tree| lock(tree).instructions).sum()
    }

    /// Returns the functions that were called, callers before their callees. Their instructions are
    /// [`instructions`](Self::instructions) in all.
    #[must_use]
    pub fn frames(&self) -> Vec<ProfileFrame> {
        let mut frames = Vec::new();
        for tree in lock(&self.trees).iter() {
            lock(tree).frames(&mut frames);
        }
        frames
    }
}

impl fmt::Debug for Profiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profiler").field("instructions", &self.instructions()).finish_non_exhaustive()
    }
}
