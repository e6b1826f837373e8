//! One line an event, `key=value`, on standard error; the journal adds the time.

/// `log!("info", "event-name", "key={} …", …)`.
macro_rules! log {
    ($level:literal, $event:literal, $($fields:tt)+) => {
        eprintln!("level={} event={} {}", $level, $event, format_args!($($fields)+))
    };
}

pub(crate) use log;
