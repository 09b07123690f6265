//! Batteries of a device: their levels from 0 to 1, and the status that follows from a level.

use super::Device;
use serde::{Deserialize, Serialize};

/// Level below which a battery is low.
const LOW: f64 = 0.25;

/// Levels of the batteries of a device; `None`: unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatteryLevels {
    /// Battery of the device itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<f64>,
    /// Battery of the accessory keypad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accessory_keypad: Option<f64>,
}

/// Returns Seam's battery status for a level.
pub(crate) fn status(level: f64) -> &'static str {
    match level {
        level if level < 0.1 => "critical",
        level if level < LOW => "low",
        level if level < 0.75 => "good",
        _ => "full",
    }
}

/// Returns true if the level of a battery is known and below the low threshold.
pub(crate) fn is_low(level: Option<f64>) -> bool {
    level.is_some_and(|level| level < LOW)
}

/// Level of the battery of a device for which no override sets one.
const DEFAULT_LEVEL: f64 = 0.9;

impl Device {
    /// Returns the current levels, whether the device can report them or not.
    pub(crate) fn battery_levels(&self) -> BatteryLevels {
        BatteryLevels {
            device: self.overrides.battery_level.unwrap_or(Some(DEFAULT_LEVEL)),
            accessory_keypad: self.overrides.accessory_keypad_battery_level.flatten(),
        }
    }

    /// Returns the levels that the device has last reported. While it is unreachable, these are the levels from before.
    pub(crate) fn reported_battery_levels(&self) -> BatteryLevels {
        self.health.last_reported_battery_levels.unwrap_or_else(|| self.battery_levels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn battery_status_has_a_range_of_levels() {
        for (level, expected) in [
            (0.0, "critical"),
            (0.099, "critical"),
            (0.1, "low"),
            (0.249, "low"),
            (0.25, "good"),
            (0.749, "good"),
            (0.75, "full"),
            (1.0, "full"),
        ] {
            assert_eq!(status(level), expected, "{level}");
            assert_eq!(is_low(Some(level)), matches!(expected, "low" | "critical"), "{level}");
        }
        assert!(!is_low(None));
    }
}
