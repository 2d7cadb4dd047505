//! What Envoy serves of the functions that emscripten's runtime imports.

use super::functions::Functions;
use crate::engine::{Import, WireType};
use std::sync::Arc;

/// The functions as imports.
pub(super) fn imports(functions: &Arc<Functions>) -> Vec<Import> {
    let import = |name: &'static str, parameters: usize, returns, result: fn(&[u64]) -> u32| {
        let functions = Arc::clone(functions);
        Import {
            module: "env",
            name,
            parameters: vec![WireType::I32; parameters],
            returns,
            call: Box::new(move |_, arguments| {
                functions.permit(name)?;
                let result = result(arguments);
                functions.called(name, result);
                Ok(result)
            }),
        }
    };
    vec![
        // There is one thread.
        import("pthread_equal", 2, true, |threads| u32::from(threads.first() == threads.last())),
        import("emscripten_notify_memory_growth", 1, false, |_| 0),
    ]
}
