//! The advertisement interval: a count of centiseconds on the wire, a `Duration` everywhere else.

use std::time::Duration;

/// `Max Advertise Interval` of version 3 (RFC 9568 §5.2.7), also holding the whole seconds of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertInterval {
    centiseconds: u16,
}

/// The largest value of version 3's twelve bits.
const MAX_V3: u16 = 4095;

impl AdvertInterval {
    /// Version 3: 1..=4095 centiseconds; zero is refused (erratum 8298).
    #[must_use]
    pub fn from_centiseconds(centiseconds: u16) -> Option<AdvertInterval> {
        (1..=MAX_V3).contains(&centiseconds).then_some(AdvertInterval { centiseconds })
    }

    /// Version 2: 1..=255 seconds.
    #[must_use]
    pub fn from_seconds(seconds: u8) -> Option<AdvertInterval> {
        (seconds > 0).then_some(AdvertInterval { centiseconds: u16::from(seconds) * 100 })
    }

    /// The nearest interval that version 3 can carry.
    #[must_use]
    pub fn nearest(duration: Duration) -> AdvertInterval {
        let centiseconds = duration.as_millis().div_ceil(10).clamp(1, u128::from(MAX_V3));
        AdvertInterval { centiseconds: u16::try_from(centiseconds).unwrap_or(MAX_V3) }
    }

    /// The nearest interval that version 2 can carry: whole seconds.
    #[must_use]
    pub fn nearest_seconds(duration: Duration) -> AdvertInterval {
        let seconds = u8::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u8::MAX).max(1);
        AdvertInterval { centiseconds: u16::from(seconds) * 100 }
    }

    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.centiseconds) * 10)
    }

    #[must_use]
    pub fn centiseconds(self) -> u16 {
        self.centiseconds
    }

    /// For version 2's one byte of seconds.
    #[must_use]
    pub fn seconds(self) -> u8 {
        u8::try_from(self.centiseconds.div_ceil(100)).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_values_have_limits() {
        assert_eq!(AdvertInterval::from_centiseconds(0), None);
        assert_eq!(AdvertInterval::from_centiseconds(4096), None);
        assert_eq!(AdvertInterval::from_seconds(0), None);
        assert_eq!(
            AdvertInterval::from_centiseconds(4095).unwrap().duration(),
            Duration::from_millis(40_950)
        );
        assert_eq!(AdvertInterval::from_seconds(255).unwrap().duration(), Duration::from_secs(255));
    }

    #[test]
    fn durations_round_up_to_what_the_wire_can_say() {
        assert_eq!(AdvertInterval::nearest(Duration::from_millis(100)).centiseconds(), 10);
        assert_eq!(AdvertInterval::nearest(Duration::from_millis(1)).centiseconds(), 1);
        assert_eq!(AdvertInterval::nearest(Duration::from_secs(3600)).centiseconds(), 4095);
        assert_eq!(AdvertInterval::nearest_seconds(Duration::from_millis(300)).seconds(), 1);
        assert_eq!(AdvertInterval::nearest_seconds(Duration::from_secs(3)).seconds(), 3);
    }
}
