//! Cron expressions by Vixie's rules.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::name;

/// A cron expression that was understood.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) cron: Cron,
    /// Its hour field starts with `*`: it counts real hours, whatever the clocks say.
    pub(super) real_hours: bool,
}

/// A field of a cron expression.
struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    /// Names for the numbers from `least` on.
    words: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", least: 0, most: 59, words: &[] };
const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, words: &[] },
    Field { name: "hour", least: 0, most: 23, words: &[] },
    Field { name: "day of month", least: 1, most: 31, words: &[] },
    Field {
        name: "month",
        least: 1,
        most: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // Sunday is 0 and 7.
    Field { name: "day of week", least: 0, most: 7, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// What the words that begin with `@` stand for.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// Reads five fields, or six with seconds first, or a word such as `@daily`.
///
/// # Errors
/// Says which field is wrong and why, as a lowercase fragment, with a hint if there is one.
pub fn cron(text: &str) -> Result<Pattern, (String, Option<String>)> {
    let plain = if text.trim().starts_with('@') { word(text.trim())? } else { text };
    let fields: Vec<_> = plain.split_ascii_whitespace().collect();
    let kinds: Vec<_> = match fields.len() {
        5 => FIELDS.iter().collect(),
        6 => std::iter::once(&SECOND).chain(&FIELDS).collect(),
        count => {
            let hint = "minute, hour, day of month, month, day of week; seconds may stand before them";
            return Err((format!("a cron expression has five or six fields, not {count}"), Some(hint.to_owned())));
        }
    };
    let numbers: Result<Vec<_>, _> = fields.iter().zip(kinds).map(|(text, field)| field.numbers(text)).collect();
    let numbers = numbers.map_err(|message| (message, None))?;
    // By Vixie's rules a day field that begins with `*` restricts nothing by itself: then both must hold.
    let both = fields.iter().rev().take(3).step_by(2).any(|field| field.starts_with('*'));
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).dom_and_dow(both).build();
    let cron = parser.parse(&numbers.join(" ")).map_err(|error| (error.to_string().to_lowercase(), None))?;
    // Where the day of the week is open, only the day of the month can choose a day.
    let open = fields.last().is_some_and(|field| field.starts_with('*'));
    if open && !has_day(&cron) {
        return Err((format!("there is no day that `{text}` falls on"), None));
    }
    let real_hours = fields.iter().rev().nth(3).is_some_and(|hour| hour.starts_with('*'));
    Ok(Pattern { cron, real_hours })
}

/// Whether one of the months is long enough for one of the days.
fn has_day(cron: &Cron) -> bool {
    const LENGTHS: [u16; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let first = cron.pattern.days.values().into_iter().min().unwrap_or(1);
    cron.pattern
        .months
        .values()
        .iter()
        .any(|&month| LENGTHS.get(usize::from(month) - 1).is_some_and(|&days| first <= days))
}

fn word(text: &str) -> Result<&'static str, (String, Option<String>)> {
    let found = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, fields)| *fields).ok_or_else(|| {
        (format!("`{text}` is not a schedule"), name::suggest(text, WORDS.iter().map(|(word, _)| *word)))
    })
}

impl Field {
    /// The field with numbers for names, once it is known to be right.
    fn numbers(&self, text: &str) -> Result<String, String> {
        let items: Result<Vec<_>, _> = text.split(',').map(|item| self.item(item)).collect();
        Ok(items?.join(","))
    }

    fn item(&self, item: &str) -> Result<String, String> {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let mut numbers = match range.split_once('-') {
            _ if range == "*" => "*".to_owned(),
            Some((from, to)) => {
                let (from, mut to) = (self.number(from)?, self.number(to)?);
                if to == 0 && self.most == 7 && from > 0 {
                    to = 7;
                }
                if from > to {
                    return Err(format!("the {} `{range}` runs backwards", self.name));
                }
                format!("{from}-{to}")
            }
            None if step.is_some() => {
                return Err(format!("the step of the {} `{item}` needs a range or `*`", self.name));
            }
            None => self.number(range)?.to_string(),
        };
        if let Some(step) = step {
            let valid = step.parse::<u8>().ok().filter(|&step| step > 0 && step <= self.most);
            let step = valid.ok_or_else(|| format!("the {} `{item}` has no valid step", self.name))?;
            numbers.push_str(&format!("/{step}"));
        }
        Ok(numbers)
    }

    fn number(&self, text: &str) -> Result<u8, String> {
        let word = self.words.iter().zip(self.least..).find(|(word, _)| word.eq_ignore_ascii_case(text));
        if let Some((_, number)) = word {
            return Ok(number);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u8>().ok().filter(|number| digits && (self.least..=self.most).contains(number));
        number.ok_or_else(|| format!("the {} `{text}` is not between {} and {}", self.name, self.least, self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_forms_are_read() {
        let forms = [
            "30 6 1 * *",
            "0 30 6 1 * *",
            "*/15 * * * *",
            "0 9-17/2 * * MON-FRI",
            "0 0 1,15 jan-Mar sun",
            "@daily",
            "@Midnight",
            "0 0 * * fri-sun",
            "0 0 * * 5-7",
            "  5\t0 * * *  ",
            "0 0 29 2 *",
            "0 0 31 * *",
        ];
        for text in forms {
            assert!(cron(text).is_ok(), "{text}: {:?}", cron(text));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong = [
            "",
            "* * * *",
            "* * * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 8",
            "* * * * L",
            "* * 1W * *",
            "* * * * 1#2",
            "? * * * *",
            "*/0 * * * *",
            "5/10 * * * *",
            "10-5 * * * *",
            "1,,2 * * * *",
            "mon * * * *",
            "* * * march *",
            "0 0 30 2 *",
            "@sometimes",
            "@reboot",
            "+1 * * * *",
            "*/x * * * *",
            "1- * * * *",
        ];
        for text in wrong {
            assert!(cron(text).is_err(), "{text:?} was read");
        }
    }

    #[test]
    fn mistakes_are_told_by_field() {
        let told = |text| cron(text).map(|_| ()).unwrap_err();
        assert_eq!(told("0 25 * * *").0, "the hour `25` is not between 0 and 23");
        assert_eq!(told("0 0 * * fir").0, "the day of week `fir` is not between 0 and 7");
        assert_eq!(told("@dayly").1.as_deref(), Some("did you mean `@daily`?"));
        assert_eq!(told("0 0 30 2 *").0, "there is no day that `0 0 30 2 *` falls on");
    }
}
