//! [`Owned`]: a box whose content is dropped by one function of the module.

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

/// A box of a type that says how it is dropped.
///
/// The compiler writes the code that drops a `Box` into each crate that drops one, and at the
/// optimization level of that crate. A module then has two copies, of up to 250 bytes each. This
/// box calls [`Release::release`], of which a module has one.
pub(crate) struct Owned<T: Release>(ManuallyDrop<Box<T>>);

/// The content of an [`Owned`].
pub(crate) trait Release: Sized {
    /// Drops the content, or reuses it. Implementations are neither generic nor inlined.
    fn release(content: Box<Self>);
}

impl<T: Release> Owned<T> {
    #[inline]
    pub(crate) fn new(content: T) -> Self {
        Self::of(Box::new(content))
    }

    #[inline]
    pub(crate) const fn of(content: Box<T>) -> Self {
        Self(ManuallyDrop::new(content))
    }
}

impl<T: Release> Drop for Owned<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the box is not used after this, because its owner is dropped.
        T::release(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

impl<T: Release> Deref for Owned<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Release> DerefMut for Owned<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Release + Clone> Clone for Owned<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Release + core::fmt::Debug> core::fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::sys::owned::{Owned, Release};
    use std::rc::Rc;

    #[derive(Clone)]
    struct Counted {
        owners: Rc<()>,
    }

    impl Release for Counted {
        fn release(content: Box<Self>) {
            drop(content);
        }
    }

    #[test]
    fn content_is_dropped_once_with_its_owner() {
        let alive = Rc::new(());
        let owned = Owned::new(Counted { owners: Rc::clone(&alive) });
        let second = owned.clone();
        assert_eq!(Rc::strong_count(&alive), 3);
        drop(owned);
        assert_eq!(Rc::strong_count(&second.owners), 2);
        drop(second);
        assert_eq!(Rc::strong_count(&alive), 1);
    }
}
