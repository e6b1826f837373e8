//! VRRP priorities (RFC 9568 §5.2.4) and the two times that follow from them (§6.1).

use std::time::Duration;

/// What an advert says about its sender's right to be Active: 1..=254 for ordinary routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

/// Nobody takes an Active router for gone before it has been silent for so long.
#[must_use]
pub fn silence(interval: Duration) -> Duration {
    3 * interval
}

impl Priority {
    /// "I no longer take part": the sender resigns.
    pub const RELEASE: Priority = Priority(0);
    /// The sender owns the virtual address.
    pub const OWNER: Priority = Priority(255);

    /// The article's arithmetic: `weight` on top while the proxy is live. Never reaches the owner's value.
    #[must_use]
    pub fn plus(self, weight: u8) -> Priority {
        if self == Priority::OWNER { self } else { Priority(self.0.saturating_add(weight).min(254)) }
    }

    /// With what the operator's own checks add or take, kept within what an ordinary router may say.
    #[must_use]
    pub fn adjusted(self, weight: i16) -> Priority {
        if self == Priority::OWNER {
            return self;
        }
        Priority(u8::try_from((i16::from(self.0) + weight).clamp(1, 254)).unwrap_or(1))
    }

    /// `Skew_Time`: the better the priority, the shorter. Multiplied before it is divided.
    #[must_use]
    pub fn skew_time(self, interval: Duration) -> Duration {
        interval * (256 - u32::from(self.0)) / 256
    }

    /// `Active_Down_Interval`: this long without an advert, and the Active router is gone.
    #[must_use]
    pub fn active_down_interval(self, interval: Duration) -> Duration {
        silence(interval) + self.skew_time(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_values_of_the_rfc() {
        let second = Duration::from_secs(1);
        assert_eq!(Priority(100).skew_time(second), Duration::from_nanos(609_375_000));
        assert_eq!(Priority(100).active_down_interval(second), Duration::from_nanos(3_609_375_000));
        assert_eq!(Priority(100).active_down_interval(4 * second), Duration::from_nanos(14_437_500_000));
        assert_eq!(Priority(255).skew_time(second), Duration::from_nanos(3_906_250));
        assert_eq!(Priority(1).skew_time(Duration::from_millis(10)), Duration::from_nanos(9_960_937));
        assert_eq!(
            Priority(150).active_down_interval(Duration::from_millis(100)),
            Duration::from_nanos(341_406_250)
        );
        assert_eq!(
            Priority(254).active_down_interval(Duration::from_millis(40_950)),
            Duration::from_nanos(123_169_921_875)
        );
    }

    #[test]
    fn weight_never_makes_an_owner() {
        assert_eq!(Priority(99).plus(2), Priority(101));
        assert_eq!(Priority(254).plus(3), Priority(254));
        assert_eq!(Priority(200).plus(100), Priority(254));
        assert_eq!(Priority::OWNER.plus(3), Priority::OWNER);
        assert_eq!(Priority::OWNER.adjusted(-3), Priority::OWNER);
        assert_eq!([-253, -20, 20, 253].map(|it| Priority(150).adjusted(it).0), [1, 130, 170, 254]);
    }
}
