//! Today's date as chat templates ask for it (`strftime_now`).

/// Formats a moment, in seconds since the Unix epoch and in UTC, as C's `strftime` does.
///
/// # Errors
/// The conversion that is not known.
pub(crate) fn strftime(format: &str, unix_s: u64) -> Result<String, String> {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let kind = rest.next();
        // `%-d` is `%d` without its leading zero.
        let (bare, kind) = if kind == Some('-') { (true, rest.next()) } else { (false, kind) };
        let piece = match kind {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('B') => MONTHS[month as usize - 1].to_owned(),
            Some('b') => MONTHS[month as usize - 1][..3].to_owned(),
            Some('A') => WEEKDAYS[(days % 7) as usize].to_owned(),
            Some('a') => WEEKDAYS[(days % 7) as usize][..3].to_owned(),
            Some('H') => format!("{:02}", second / 3600),
            Some('M') => format!("{:02}", second / 60 % 60),
            Some('S') => format!("{:02}", second % 60),
            Some('%') => "%".to_owned(),
            other => return Err(format!("%{}", other.map(String::from).unwrap_or_default())),
        };
        text.push_str(if bare { piece.trim_start_matches(['0', ' ']) } else { &piece });
    }
    Ok(text)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From the epoch's own day on.
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Year, month and day of a day since the epoch, by Hinnant's `civil_from_days`: years begin in March there, so that the
/// leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_what_date_prints() {
        // date -u -d @951782399 and the second after: the end of February in a leap year that is a multiple of 400.
        assert_eq!(strftime("%d %b %Y %H:%M:%S", 951_782_399).unwrap(), "28 Feb 2000 23:59:59");
        assert_eq!(strftime("%A, %-d %B %y", 951_782_400).unwrap(), "Tuesday, 29 February 00");
        assert_eq!(strftime("%Y-%m-%d %a", 0).unwrap(), "1970-01-01 Thu");
        assert_eq!(strftime("%Y-%m-%e%%", 1_793_000_000).unwrap(), "2026-10-26%");
        assert_eq!(strftime("%Q", 0), Err("%Q".to_owned()));
    }
}
