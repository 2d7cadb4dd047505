//! Which context host functions are about, in callbacks of root contexts: completions of streams
//! choose theirs.

use crate::current;
use crate::sys;

/// Selects the context for host functions. Returns false if the host does not know the context.
#[inline]
pub(crate) fn choose(context_id: u32) -> bool {
    current::set_effective(context_id);
    sys::proxy_set_effective_context(context_id).is_ok()
}

/// Has host functions be about this root context, if they are about another context: a stream's
/// completion may have run in the same callback.
#[inline]
pub(crate) fn back_to(root: u32) {
    if current::effective() != root {
        // If the host does not know the root context, it makes no further calls for it.
        choose(root);
    }
}
