//! The root contexts of filters that are one type: `#[proxy_filter::filter]` on the impl of a
//! stream context.

use crate::engine::callbacks::{CallbackSet, Callbacks};
use crate::error::Result;
use crate::host::configuration::Configuration;
use crate::plugin::registration::NewContext;
use crate::plugin::root_context::RootContext;
use core::marker::PhantomData;

/// A stream context that is a filter of its own. `#[proxy_filter::filter]` implements it.
pub trait OneType: Callbacks {
    /// Its root context.
    type Root: NewContext<Context = Self>;
}

/// A filter of one type without a configuration.
pub trait Unconfigured: Callbacks {
    /// Creates the context of a new stream.
    fn new_context() -> Self;
}

/// A filter of one type with a configuration.
pub trait Configured: Callbacks {
    /// The configuration that the root context stores.
    type Config: 'static;

    /// Reads it.
    fn read(configuration: &Configuration) -> Result<Self::Config>;

    /// Creates the context of a new stream.
    fn new_context(config: &Self::Config) -> Self;
}

/// The root context of a filter without a configuration.
#[derive(Debug)]
pub struct UnconfiguredRoot<C>(PhantomData<fn() -> C>);

impl<C: Unconfigured> RootContext for UnconfiguredRoot<C> {
    type Context = C;

    #[inline]
    fn new_context(&self) -> C {
        C::new_context()
    }
}

impl<C: Unconfigured> NewContext for UnconfiguredRoot<C> {
    const AWAITS: CallbackSet = CallbackSet::EMPTY;
    const LOGS: bool = false;
    const FOREIGN: bool = C::SET.intersects(CallbackSet::ON_FOREIGN_FUNCTION);

    #[inline]
    fn new_root() -> Result<Option<Self>> {
        Ok(Some(Self(PhantomData)))
    }
}

/// The root context of a filter with a configuration. It exists once that was read: streams that
/// begin before are refused.
#[derive(Debug)]
pub struct ConfiguredRoot<C: Configured> {
    config: C::Config,
}

impl<C: Configured> RootContext for ConfiguredRoot<C> {
    type Context = C;

    #[inline]
    fn new_context(&self) -> C {
        C::new_context(&self.config)
    }
}

impl<C: Configured> NewContext for ConfiguredRoot<C> {
    const AWAITS: CallbackSet = CallbackSet::EMPTY;
    const LOGS: bool = false;
    const FOREIGN: bool = C::SET.intersects(CallbackSet::ON_FOREIGN_FUNCTION);
    const IS_READ: bool = true;

    #[inline]
    fn new_root() -> Result<Option<Self>> {
        Ok(None)
    }

    #[inline]
    fn read_root(configuration: &Configuration) -> Option<Result<Self>> {
        Some(C::read(configuration).map(|config| Self { config }))
    }
}

/// Types that filters without a configuration create for each stream.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `Default`",
    label = "the filter creates one of these for each stream",
    note = "add `#[derive(Default)]`, or implement `Default`",
    note = "or create it from the plugin's configuration: write `#[proxy_filter::filter(config = Config)]`, and implement `From<&Config>`"
)]
pub trait ByDefault: Sized {
    /// Creates it.
    fn by_default() -> Self;
}

#[diagnostic::do_not_recommend]
impl<C: Default> ByDefault for C {
    #[inline]
    fn by_default() -> Self {
        Self::default()
    }
}

/// Creates the context of a stream of a filter without a configuration.
#[inline]
pub fn by_default<C: ByDefault>() -> C {
    C::by_default()
}

/// Types that filters create for each stream from the stored configuration.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `From<&{K}>`",
    label = "the filter creates one of these for each stream, from its configuration",
    note = "add `impl From<&{K}> for {Self}`"
)]
pub trait FromConfig<K>: Sized {
    /// Creates it.
    fn from_config(config: &K) -> Self;
}

#[diagnostic::do_not_recommend]
impl<K, C: for<'a> From<&'a K>> FromConfig<K> for C {
    #[inline]
    fn from_config(config: &K) -> Self {
        Self::from(config)
    }
}

/// Creates the context of a stream of a filter with a configuration.
#[inline]
pub fn from_config<K, C: FromConfig<K>>(config: &K) -> C {
    C::from_config(config)
}

/// Configurations that filters read.
#[cfg_attr(
    feature = "json",
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be read from JSON, as the configuration of a filter is",
        label = "does not implement `serde::Deserialize`",
        note = "add `#[derive(serde::Deserialize)]`; the crate `serde` must have its feature `derive`"
    )
)]
#[cfg_attr(
    not(feature = "json"),
    diagnostic::on_unimplemented(
        message = "a filter with a configuration needs the feature `json` of `proxy-filter`",
        label = "is read from the configuration as JSON",
        note = "write `proxy-filter = {{ version = \"…\", features = [\"json\"] }}` in Cargo.toml"
    )
)]
pub trait FromJson: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// Fails with a description of the mistake in the configuration and the path of its field.
    fn from_json(configuration: &Configuration) -> Result<Self>;
}

#[cfg(feature = "json")]
#[diagnostic::do_not_recommend]
impl<T: serde::de::DeserializeOwned> FromJson for T {
    #[inline]
    fn from_json(configuration: &Configuration) -> Result<Self> {
        configuration.json()
    }
}

/// Reads the configuration of a filter.
///
/// # Errors
/// Fails with a description of the mistake in the configuration and the path of its field.
#[inline]
pub fn read_config<T: FromJson>(configuration: &Configuration) -> Result<T> {
    T::from_json(configuration)
}
