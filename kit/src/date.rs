//! Dates of the calendar.

use core::time::Duration;

/// A time of the proleptic Gregorian calendar, in UTC.
pub(crate) struct Date {
    pub(crate) year: u64,
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
}

impl Date {
    /// Returns the date of a time since 1970, or `None` after the year 9999.
    pub(crate) fn of(time: Duration) -> Option<Self> {
        const DAY: u64 = 24 * 3600;
        let (days, seconds) = (time.as_secs() / DAY, time.as_secs() % DAY);
        // Years begin in March, so that the leap day is the last day. An era has 400 years.
        let days = days.checked_add(719_468)?;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, january) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era.checked_mul(400)?.checked_add(year_of_era + january)?;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        (year <= 9999).then_some(Self { year, month, day, hour, minute, second })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, Some("1970-01-01 00:00:00")),
            (951_782_399, Some("2000-02-28 23:59:59")),
            (951_782_400, Some("2000-02-29 00:00:00")),
            (951_868_800, Some("2000-03-01 00:00:00")),
            (1_709_164_800, Some("2024-02-29 00:00:00")),
            (4_107_542_399, Some("2100-02-28 23:59:59")),
            (4_107_542_400, Some("2100-03-01 00:00:00")),
            (253_402_300_799, Some("9999-12-31 23:59:59")),
            (253_402_300_800, None),
            (u64::MAX, None),
        ] {
            let text = Date::of(Duration::from_secs(seconds)).map(|date| {
                let Date { year, month, day, hour, minute, second } = date;
                format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
            });
            assert_eq!(text.as_deref(), expected, "{seconds}");
        }
    }
}
