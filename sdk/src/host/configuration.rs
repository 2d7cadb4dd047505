//! The plugin's and the VM's configuration: [`Configuration`], [`VmConfiguration`].

use crate::abi::buffer_type::BufferType;
use crate::error::Result;
use crate::host::buffer;

macro_rules! configuration {
    ($(#[$doc:meta])* $name:ident, $buffer:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            size: u32,
        }

        impl $name {
            pub(crate) const fn new(size: u32) -> Self {
                Self { size }
            }

            /// Returns the size in bytes; 0 if no configuration is set.
            pub const fn len(&self) -> usize {
                self.size as usize
            }

            /// Returns whether no configuration is set.
            pub const fn is_empty(&self) -> bool {
                self.size == 0
            }

            /// Returns the bytes of the configuration. In Envoy, they are the bytes of the
            /// `StringValue` or `BytesValue`, or the JSON of the `Struct`.
            ///
            /// # Errors
            /// A refusal of the host.
            #[inline]
            pub fn bytes(&self) -> Result<Vec<u8>> {
                buffer::whole(BufferType::$buffer, self.size)
            }

            /// Deserializes the configuration from JSON into a type of the filter. An empty
            /// configuration is read as `{}`, so a type whose fields all have defaults needs no
            /// configuration.
            ///
            /// ```
            /// use proxy_filter::prelude::*;
            ///
            /// #[derive(serde::Deserialize)]
            /// #[serde(deny_unknown_fields)]
            /// struct Config {
            ///     header: String,
            /// }
            #[doc = concat!("fn read(configuration: ", stringify!($name), ") -> Result<Config> {")]
            ///     configuration.json()
            /// }
            /// ```
            ///
            /// # Errors
            /// Fails with [`Configuration`](crate::ErrorKind::Configuration), the path of the field
            /// and the place in the text, for example ``configuration: rules[2].status: invalid
            /// type: string "x", expected u16 at line 1 column 40``. Also fails if the nesting
            /// exceeds 127 levels or the module's stack: see [`json`](crate::json). Return the
            /// error from `on_configure`: the SDK then logs it and refuses the configuration.
            #[cfg(feature = "json")]
            pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
                read::read(&self.bytes()?)
            }
        }
    };
}

configuration! {
    /// The plugin's configuration, in [`on_configure`](crate::RootContext::on_configure) only.
    ///
    /// Source: ABI 0.2.1, `proxy_on_configure`; Envoy: `PluginConfig.configuration`.
    #[doc(alias = "proxy_on_configure")]
    Configuration, PLUGIN_CONFIGURATION
}

configuration! {
    /// The VM's configuration. Available in [`on_start`](crate::RootContext::on_start) only. All
    /// plugins that share a VM share it.
    ///
    /// Source: ABI 0.2.1, `proxy_on_vm_start`; Envoy: `VmConfig.configuration`.
    #[doc(alias = "proxy_on_vm_start")]
    VmConfiguration, VM_CONFIGURATION
}

#[cfg(feature = "json")]
mod read {
    use crate::error::Result;
    use crate::host::json;

    pub(super) fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
        json::configuration(if bytes.is_empty() { b"{}" } else { bytes })
    }

    #[cfg(test)]
    mod tests {
        use super::read;
        use serde::Deserialize;

        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Config {
            #[serde(default)]
            rules: Vec<Rule>,
        }

        #[derive(Debug, Deserialize)]
        struct Rule {
            #[allow(dead_code, reason = "only its type matters here")]
            status: u16,
        }

        fn refused(text: &str) -> String {
            read::<Config>(text.as_bytes()).unwrap_err().to_string()
        }

        #[test]
        fn the_error_names_the_path_of_the_bad_field() {
            assert_eq!(
                refused(r#"{"rules": [{"status": 200}, {"status": "x"}]}"#),
                "configuration: rules[1].status: invalid type: string \"x\", expected u16 at line 1 column 42"
            );
            assert_eq!(
                refused(r#"{"rules": [{}]}"#),
                "configuration: rules[0]: missing field `status` at line 1 column 13"
            );
            assert!(refused("[").starts_with("configuration: "), "{}", refused("["));
            assert!(refused("{} x").contains("trailing characters"), "{}", refused("{} x"));
            assert!(refused(r#"{"ruels": []}"#).contains("unknown field `ruels`, expected `rules`"));
        }

        #[test]
        fn no_configuration_reads_as_an_empty_object() {
            assert!(read::<Config>(b"").unwrap().rules.is_empty());
        }
    }
}
