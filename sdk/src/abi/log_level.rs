/// The level of a line in the host's log (`proxy_log_level_t`), least severe first.
///
/// [`log`]'s five levels are the first five of these; [`LogLevel::Critical`] exists only here
/// (see [`critical`](crate::log::critical)).
///
/// ```
/// use proxy_filter::log::LogLevel;
/// assert!(LogLevel::Warn < LogLevel::Error);
/// assert_eq!(LogLevel::from_raw(2), Some(LogLevel::Info));
/// ```
///
/// Source: ABI 0.2.1, `proxy_log_level_t`; Envoy returns `BadArgument` for a level above 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LogLevel {
    /// Fine detail for following one stream.
    Trace = 0,
    /// Information for filter authors.
    Debug = 1,
    /// Information for operators.
    Info = 2,
    /// Something is not as it should be, and the filter coped.
    Warn = 3,
    /// A stream or a configuration failed.
    Error = 4,
    /// The filter cannot continue.
    Critical = 5,
}

impl LogLevel {
    /// The level with this number in the ABI; `None` for a number the ABI does not define.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            0 => Self::Trace,
            1 => Self::Debug,
            2 => Self::Info,
            3 => Self::Warn,
            4 => Self::Error,
            5 => Self::Critical,
            _ => return None,
        })
    }

    /// The level's number in the ABI.
    pub const fn raw(self) -> u32 {
        self as u32
    }

    /// The level's name as hosts print it: `trace`, `debug`, `info`, `warn`, `error`, `critical`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl From<log::Level> for LogLevel {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Trace => Self::Trace,
            log::Level::Debug => Self::Debug,
            log::Level::Info => Self::Info,
            log::Level::Warn => Self::Warn,
            log::Level::Error => Self::Error,
        }
    }
}
