//! The report of a probe: what differs, without anything private. As Markdown for an issue, and as JSON.

use super::compare::{Comparison, Outcome};
use super::runner::{Done, plan};
use super::script::Script;
use super::shapes::{Aspect, Found};
use super::vocabulary::BuiltInError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// The known deviations, with their reasons.
const KNOWN: &str = include_str!("known.json");

/// Number of steps that Markdown names for a difference.
const SHOWN_STEPS: usize = 3;

/// Places that every error has, so that the path belongs to a difference there.
const OF_ROUTE: &[&str] = &["/error/type", "/error/message", "/error/data", "/error/validation_errors"];

/// Seconds from which on a time is shown. Shorter ones are in the JSON.
const LONG_SECONDS: f64 = 1.0;

/// A deviation that is known. A pattern that is absent fits everything; `*` is any text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    aspect: Option<Aspect>,
    route: Option<String>,
    place: Option<String>,
    seam: Option<String>,
    latchkey: Option<String>,
    reason: String,
}

impl Known {
    fn fits(&self, route: &str, found: &Found) -> bool {
        let fits = |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|pattern| fits(pattern, text));
        self.aspect.is_none_or(|aspect| aspect == found.aspect)
            && fits(&self.route, route)
            && fits(&self.place, &found.place)
            && fits(&self.seam, &found.seam)
            && fits(&self.latchkey, &found.latchkey)
    }
}

/// True if a text has the form of a pattern, in which `*` is any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(begin) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.ends_with(end)
}

/// A difference, with all steps in which it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// What differs.
    pub(crate) aspect: Aspect,
    /// Path of the request; absent if the difference is the same on several paths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    /// Name of the header, or JSON pointer in the body. Empty: the whole response.
    pub(crate) place: String,
    /// What Seam answers.
    pub(crate) seam: String,
    /// What Latchkey answers.
    pub(crate) latchkey: String,
    /// Reason of a known deviation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) known: Option<String>,
    /// Steps in which it was found.
    pub(crate) steps: Vec<String>,
}

/// Course of an awaited value on both sides.
#[derive(Clone, Debug, Serialize)]
struct Course {
    step: String,
    awaited: String,
    at_most_seconds: u64,
    /// `None`: the value did not come.
    seam_seconds: Option<f64>,
    latchkey_seconds: Option<f64>,
}

impl Course {
    /// True if the value came late or not at all.
    fn is_long(&self) -> bool {
        [self.seam_seconds, self.latchkey_seconds].iter().any(|time| time.is_none_or(|time| time >= LONG_SECONDS))
    }

    fn describe(&self, seconds: Option<f64>) -> String {
        seconds.map_or_else(|| format!("not in {} s", self.at_most_seconds), |seconds| format!("{seconds} s"))
    }
}

/// A step that was not compared.
#[derive(Clone, Debug, Serialize)]
struct NotCompared {
    step: String,
    /// A value that no earlier step has given, or a limit.
    reason: String,
}

/// Result of a probe.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of Latchkey.
    latchkey: &'static str,
    /// True if Latchkey was compared with Seam itself, not with another server.
    is_seam: bool,
    /// Types of the locks.
    device_types: Vec<String>,
    /// Number of compared steps.
    compared: usize,
    /// Number of waits because of Seam's limits.
    delayed: usize,
    differences: Vec<Difference>,
    known_deviations: Vec<Difference>,
    courses: Vec<Course>,
    not_compared: Vec<NotCompared>,
}

/// What a report is about, besides the outcomes.
#[derive(Debug)]
pub(super) struct About {
    pub(super) is_seam: bool,
    pub(super) device_types: Vec<String>,
    pub(super) delayed: usize,
}

impl Report {
    /// Compares the outcomes of all steps.
    ///
    /// # Errors
    /// A [`BuiltInError`].
    pub(super) fn new(
        about: About,
        script: &Script,
        comparison: &Comparison,
        (seam, latchkey): (&[Done], &[Done]),
    ) -> Result<Self, BuiltInError> {
        let known: Vec<Known> = serde_json::from_str(KNOWN)?;
        let mut report = Self {
            latchkey: env!("CARGO_PKG_VERSION"),
            is_seam: about.is_seam,
            device_types: about.device_types,
            compared: 0,
            delayed: about.delayed,
            differences: Vec::new(),
            known_deviations: Vec::new(),
            courses: Vec::new(),
            not_compared: Vec::new(),
        };
        let steps = plan(script, report.device_types.len());
        for ((part, lock, step), (seam, latchkey)) in steps.into_iter().zip(seam.iter().zip(latchkey)) {
            let device_type = report.device_types.get(lock).filter(|_| part.each_lock);
            let lock = device_type.map(|name| format!(" (lock {}, {name})", lock + 1)).unwrap_or_default();
            let name = format!("{}{lock}: {}", part.part, step.step);
            let reason = [&seam.outcome, &latchkey.outcome].into_iter().find_map(|outcome| match outcome {
                Outcome::Skipped(missing) => Some(format!("without `{missing}`")),
                Outcome::Limited => Some("answered with 429".to_owned()),
                _ => None,
            });
            if let Some(reason) = reason {
                report.not_compared.push(NotCompared { step: name, reason });
                continue;
            }
            report.compared += 1;
            if let Some(wait) = step.wait.as_ref() {
                report.courses.push(Course {
                    step: name.clone(),
                    awaited: wait.until.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "),
                    at_most_seconds: wait.at_most_seconds,
                    seam_seconds: seconds(seam),
                    latchkey_seconds: seconds(latchkey),
                });
            }
            for found in comparison.compare(step, &seam.outcome, &latchkey.outcome) {
                let known = known.iter().find(|known| known.fits(&step.request.path, &found));
                report.add(found, known.map(|known| known.reason.clone()), &step.request.path, &name);
            }
        }
        Ok(report)
    }

    /// Adds a difference, or its step to the same difference in an earlier step.
    fn add(&mut self, found: Found, known: Option<String>, route: &str, step: &str) {
        let Found { aspect, place, seam, latchkey } = found;
        // The place says enough, except for what every response has.
        let is_of_route = place.is_empty() || OF_ROUTE.iter().any(|begin| place.starts_with(begin));
        let is_of_route = is_of_route || aspect == Aspect::Response;
        let route = (is_of_route && aspect != Aspect::Header).then(|| route.to_owned());
        let list = if known.is_some() { &mut self.known_deviations } else { &mut self.differences };
        let difference = Difference { aspect, route, place, seam, latchkey, known, steps: Vec::new() };
        let is_same = |other: &&mut Difference| Difference { steps: Vec::new(), ..(**other).clone() } == difference;
        if let Some(same) = list.iter_mut().find(is_same) {
            same.steps.push(step.to_owned());
        } else {
            list.push(Difference { steps: vec![step.to_owned()], ..difference });
        }
    }

    /// True if all differences are known.
    pub fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    /// True if no step was compared.
    pub fn is_empty(&self) -> bool {
        self.compared == 0
    }

    /// Returns the result in one sentence.
    pub fn summary(&self) -> String {
        let same = format!("{} steps compared, without a new difference", self.compared);
        match self.differences.len() {
            _ if self.is_empty() => "nothing could be compared: see \"Not compared\" in the report".to_owned(),
            0 => same,
            number => format!(
                "{number} kinds of differences in {} steps: please send the report, see docs/probe.md",
                self.compared
            ),
        }
    }

    /// Writes the report as JSON to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        fs::write(file, serde_json::to_string_pretty(self)? + "\n")
    }

    /// Returns the report as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let number = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let _ = writeln!(text, "## Probe: {}\n", number(self.differences.len(), "difference", "differences"));
        let server = if self.is_seam { "connect.getseam.com" } else { "another server" };
        let _ = writeln!(
            text,
            "Latchkey {} and {server}, with {}. {} compared, {} not compared, {}.\n",
            self.latchkey,
            self.device_types.join(", "),
            number(self.compared, "step", "steps"),
            self.not_compared.len(),
            number(self.known_deviations.len(), "known deviation", "known deviations"),
        );
        write_table(&mut text, "Differences", &self.differences);
        write_table(&mut text, "Known deviations", &self.known_deviations);
        let long: Vec<&Course> = self.courses.iter().filter(|course| course.is_long()).collect();
        if !long.is_empty() {
            let _ = writeln!(
                text,
                "### Times until an awaited value\n\n| step | awaited | Seam | Latchkey |\n| --- | --- | --- | --- |"
            );
            for course in long {
                let (step, awaited) = (cell(&course.step), cell(&course.awaited));
                let (seam, latchkey) = (course.describe(course.seam_seconds), course.describe(course.latchkey_seconds));
                let _ = writeln!(text, "| {step} | {awaited} | {seam} | {latchkey} |");
            }
            text.push('\n');
        }
        if !self.not_compared.is_empty() {
            let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
            for step in &self.not_compared {
                *by_reason.entry(&step.reason).or_default() += 1;
            }
            let _ = writeln!(text, "### Not compared\n");
            for (reason, count) in by_reason {
                let _ = writeln!(text, "- {} {reason}", number(count, "step", "steps"));
            }
            text.push('\n');
        }
        text
    }
}

/// Returns the seconds until an awaited value came, rounded to tenths; `None` if it did not come.
fn seconds(done: &Done) -> Option<f64> {
    let is_reached = matches!(done.outcome, Outcome::Answered { is_reached: true, .. });
    is_reached.then(|| (done.took.as_secs_f64() * 10.0).round() / 10.0)
}

fn write_table(text: &mut String, title: &str, differences: &[Difference]) {
    if differences.is_empty() {
        return;
    }
    let _ =
        writeln!(text, "### {title}\n\n| what | where | Seam | Latchkey | steps |\n| --- | --- | --- | --- | --- |");
    for difference in differences {
        let aspect = serde_json::to_value(difference.aspect).unwrap_or_default();
        let aspect = aspect.as_str().unwrap_or_default().replace('_', " ");
        let place = [difference.route.as_deref().unwrap_or_default(), &difference.place];
        let place = place.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let shown: Vec<&str> = difference.steps.iter().take(SHOWN_STEPS).map(String::as_str).collect();
        let more = difference.steps.len().saturating_sub(SHOWN_STEPS);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let reason = difference.known.as_ref().map(|reason| format!("{reason}. ")).unwrap_or_default();
        let _ = writeln!(
            text,
            "| {aspect} | {} | {} | {} | {reason}{}{more} |",
            cell(&place),
            cell(&difference.seam),
            cell(&difference.latchkey),
            cell(&shown.join("; "))
        );
    }
    text.push('\n');
}

/// Escapes a text for a cell of a table: it is neither a link nor a mention.
fn cell(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('|', "\\|").replace('`', "'").replace('\n', " ");
    let text = text.replace('<', "&lt;").replace('*', "\\*").replace('[', "\\[").replace(']', "\\]");
    // A space without width: services look for mentions in the text without escapes.
    text.replace('@', "@\u{200b}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts_with_any_text_for_a_star() {
        for (pattern, text, is_fit) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*/warnings/*/message", "/access_code/warnings/*/message", true),
            ("*/warnings/*/message", "/access_code/errors/*/message", false),
            ("501*", "501 not_implemented", true),
            ("a*c", "abd", false),
        ] {
            assert_eq!(fits(pattern, text), is_fit, "{pattern} {text}");
        }
    }

    #[test]
    fn cells_have_no_links_and_no_mentions() {
        assert_eq!(cell("[a](b) | @jane"), "\\[a\\](b) \\| @\u{200b}jane");
    }

    #[test]
    fn known_deviations_are_valid_and_have_reasons() {
        let known: Vec<Known> = serde_json::from_str(KNOWN).unwrap();
        assert!(known.iter().all(|known| !known.reason.is_empty()));
    }

    #[test]
    fn same_differences_are_one_with_all_steps_and_known_ones_apart() {
        let about = About { is_seam: true, device_types: vec!["august_lock".to_owned()], delayed: 0 };
        let script = Script { parts: Vec::new() };
        let comparison = Comparison::of(std::iter::empty(), "x y z", &[]).unwrap();
        let mut report = Report::new(about, &script, &comparison, (&[], &[])).unwrap();
        let found = || Found::new(Aspect::Key, "/access_code/a|b", "text", "no such key");
        report.add(found(), None, "/access_codes/get", "one");
        report.add(found(), None, "/access_codes/update", "two");
        report.add(Found::new(Aspect::Status, "", "200", "404"), None, "/a", "one");
        report.add(Found::new(Aspect::Status, "", "200", "404"), None, "/b", "one");
        report.add(Found::new(Aspect::Header, "etag", "present", "absent"), Some("Caches".to_owned()), "/b", "one");
        assert_eq!((report.differences.len(), report.known_deviations.len()), (3, 1));
        assert_eq!(report.differences[0].steps, ["one", "two"]);
        let text = report.markdown();
        assert!(text.starts_with("## Probe: 3 differences\n"), "{text}");
        assert!(text.contains("| key | /access_code/a\\|b | text | no such key | one; two |"), "{text}");
        assert!(text.contains("| header | etag | present | absent | Caches. one |"), "{text}");
        assert!(!report.is_same());
    }
}
