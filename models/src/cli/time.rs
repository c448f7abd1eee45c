//! Times on the command line: options, and durations that are shown.

use std::{ops::RangeInclusive, time::Duration};

/// A number of seconds, perhaps with a fraction.
pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds, as in 90 or 0.5")?;
    if seconds <= 0.0 {
        return Err("the time must be above 0".into());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// A parser of a number of milliseconds in this range.
pub(super) fn milliseconds_in(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync {
    move |text| {
        let given = text.parse().ok().filter(|given| range.contains(given));
        given.map(Duration::from_millis).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            format!(
                "expected milliseconds, a number from {least} to {most}, as in 1000 for a second"
            )
        })
    }
}

/// A time in milliseconds, with one decimal.
pub(super) fn milliseconds(micros: u64) -> String {
    format!("{}.{}", micros / 1000, micros % 1000 / 100)
}
