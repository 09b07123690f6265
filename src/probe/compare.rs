//! Comparison of what the two sides have answered to one step.

use super::client::Response;
use super::script::{Step, values_at};
use super::shapes::{Aspect, Found, Shape};
use super::vocabulary::{BuiltInError, TEXT, Vocabulary, collect_private};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the report says of a header that a response does not have.
const ABSENT: &str = "absent";

/// Headers whose values are compared.
const VALUE_HEADERS: &[&str] = &["content-type", "cache-control", "allow", "www-authenticate"];

/// Words in the values of these headers that may be shown.
const HEADER_WORDS: &[&str] = &[
    "application/json",
    "basic",
    "bearer",
    "charset",
    "delete",
    "get",
    "head",
    "immutable",
    "max-age",
    "must-revalidate",
    "no-cache",
    "no-store",
    "options",
    "patch",
    "post",
    "private",
    "problem+json",
    "public",
    "put",
    "s-maxage",
    "stale-while-revalidate",
    "text/html",
    "text/plain",
    "utf-8",
    "0",
];

/// Headers whose presence is compared.
const PRESENT_HEADERS: &[&str] = &["seam-request-id", "etag", "retry-after", "location"];

/// Time that a value must last on one side to be a difference if the other side does not show it. A shorter one may be
/// between two requests.
const VISIBLE: Duration = Duration::from_millis(2500);

/// Difference of the times until an awaited value that is too small to be reported.
const SIMILAR_TIME: Duration = Duration::from_secs(5);

/// Factor between such times from which on they are reported.
const SIMILAR_FACTOR: u32 = 2;

/// What one side has answered to a step.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// The last response, and the course of the awaited value.
    Answered {
        response: Response,
        /// Each value of the awaited field, and the time from the first request at which it was first seen.
        course: Vec<(String, Duration)>,
        /// False if the awaited value did not come.
        is_reached: bool,
    },
    /// There was no response.
    Silent,
    /// The last response was 429, also after long waits.
    Limited,
    /// The step was not done, because no earlier step has given this value.
    Skipped(String),
}

/// Rules of the comparison that are the same for all steps.
#[derive(Debug)]
pub(super) struct Comparison {
    words: Vocabulary,
    /// Private texts of both sides, the longest first.
    private: Vec<String>,
}

/// Places whose elements depend on what the user has in the workspace.
const OF_USER: &[&str] = &[
    "/device/space_ids/*",
    "/devices/*/space_ids/*",
    "/lock/space_ids/*",
    "/locks/*/space_ids/*",
    "/accessible_devices/*/space_ids/*",
];

impl Comparison {
    /// Collects the private texts in all responses of both sides, and in other bodies. `name` is that of the run.
    ///
    /// # Errors
    /// A [`BuiltInError`].
    pub(super) fn of<'o>(
        outcomes: impl Iterator<Item = &'o Outcome>,
        name: &str,
        others: &[Value],
    ) -> Result<Self, BuiltInError> {
        let mut private = BTreeSet::from([name.to_owned()]);
        for body in others {
            collect_private(body, "", &mut private);
        }
        for outcome in outcomes {
            if let Outcome::Answered { response: Response { body: Some(body), .. }, .. } = outcome {
                collect_private(body, "", &mut private);
            }
        }
        let mut private: Vec<String> = private.into_iter().collect();
        private.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Ok(Self { words: Vocabulary::included()?, private })
    }

    /// Returns the differences between the two outcomes of a step.
    pub(super) fn compare(&self, step: &Step, seam: &Outcome, latchkey: &Outcome) -> Vec<Found> {
        let (Outcome::Answered { .. }, Outcome::Answered { .. }) = (seam, latchkey) else {
            // A step that was skipped follows from an earlier difference.
            let is_unknown = |outcome: &Outcome| matches!(outcome, Outcome::Skipped(_) | Outcome::Limited);
            let is_skipped = is_unknown(seam) || is_unknown(latchkey);
            let describe = |outcome: &Outcome| match outcome {
                Outcome::Silent => "no response",
                _ => "a response",
            };
            let (seam, latchkey) = (describe(seam), describe(latchkey));
            if is_skipped || seam == latchkey {
                return Vec::new();
            }
            return vec![Found::new(Aspect::Response, "", seam, latchkey)];
        };
        let mut found = Vec::new();
        self.compare_courses(step, seam, latchkey, &mut found);
        if let (Outcome::Answered { response: seam, .. }, Outcome::Answered { response: latchkey, .. }) =
            (seam, latchkey)
        {
            self.compare_responses(step, seam, latchkey, &mut found);
        }
        found
    }

    fn compare_responses(&self, step: &Step, seam: &Response, latchkey: &Response, found: &mut Vec<Found>) {
        if seam.status != latchkey.status {
            // The bodies then differ anyway.
            found.push(Found::new(Aspect::Status, "", self.outcome_of(seam), self.outcome_of(latchkey)));
            return;
        }
        let types = (body_type(seam), body_type(latchkey));
        if types.0 != types.1 {
            // The content type then differs anyway.
            found.push(Found::new(Aspect::Type, "", types.0, types.1));
            return;
        }
        compare_headers(seam, latchkey, found);
        let (Some(seam_body), Some(latchkey_body)) = (&seam.body, &latchkey.body) else { return };
        let before = found.len();
        let type_of = |body: &Value| body.pointer("/error/type").and_then(Value::as_str).map(str::to_owned);
        let types = (type_of(seam_body), type_of(latchkey_body));
        if let (Some(seam), Some(latchkey)) = &types
            && seam != latchkey
        {
            let shown = |text| self.words.word("type", text).unwrap_or_else(|| TEXT.to_owned());
            found.push(Found::new(Aspect::ErrorType, "/error/type", shown(seam), shown(latchkey)));
        }
        let mut ignored: Vec<&str> = step.ignore.iter().map(String::as_str).chain(OF_USER.iter().copied()).collect();
        if found.len() > before {
            ignored.push("/error/type");
        }
        for pointer in &step.count {
            let count = |body| values_at(body, &format!("{pointer}/*")).len().to_string();
            let (seam, latchkey) = (count(seam_body), count(latchkey_body));
            if seam != latchkey {
                found.push(Found::new(Aspect::Count, pointer, seam, latchkey));
                ignored.push(pointer);
            }
        }
        for (pointer, key) in &step.in_order {
            self.compare_sequences(pointer, key, (seam_body, latchkey_body), &ignored, found);
        }
        ignored.extend(step.in_order.keys().map(String::as_str));
        let is_ignored = |place: &str| ignored.iter().any(|pattern| matches_place(pattern, place));
        self.shape([seam_body]).compare(&self.shape([latchkey_body]), "", &is_ignored, found);
    }

    fn shape<'v>(&self, values: impl IntoIterator<Item = &'v Value>) -> Shape {
        Shape::of(values, "", &self.words, &self.private)
    }

    /// Returns the status, and the type of the error.
    fn outcome_of(&self, response: &Response) -> String {
        let error_type = response.body.as_ref().and_then(|body| body.pointer("/error/type")).and_then(Value::as_str);
        match error_type.and_then(|text| self.words.word("type", text)) {
            Some(error_type) => format!("{} {error_type}", response.status),
            None if response.body.is_none() && response.status >= 400 => {
                format!("{} ({})", response.status, body_type(response))
            }
            None => response.status.to_string(),
        }
    }

    /// Compares lists whose elements have names, such as events: which there are, their order, and their fields.
    fn compare_sequences(
        &self,
        pointer: &str,
        key: &str,
        (seam, latchkey): (&Value, &Value),
        ignored: &[&str],
        found: &mut Vec<Found>,
    ) {
        let read = |body| {
            let mut elements: Vec<(String, &Value)> = Vec::new();
            for element in values_at(body, &format!("{pointer}/*")) {
                let name = element.get(key).and_then(Value::as_str).and_then(|text| self.words.word(key, text));
                elements.push((name.unwrap_or_else(|| TEXT.to_owned()), element));
            }
            elements
        };
        let (seam, latchkey) = (read(seam), read(latchkey));
        let count = |elements: &[(String, &Value)], name: &str| elements.iter().filter(|(own, _)| own == name).count();
        let names: BTreeSet<&String> = seam.iter().chain(&latchkey).map(|(name, _)| name).collect();
        let mut is_same_number = true;
        for name in names {
            let place = format!("{pointer}/[{name}]");
            let numbers = (count(&seam, name), count(&latchkey, name));
            if numbers.0 != numbers.1 {
                is_same_number = false;
                let describe = |number| if number == 0 { "none".to_owned() } else { format!("{number}") };
                found.push(Found::new(Aspect::Element, &place, describe(numbers.0), describe(numbers.1)));
            }
            let shape = |elements: &[(String, &Value)]| {
                self.shape(elements.iter().filter(|(own, _)| own == name).map(|(_, element)| *element))
            };
            if numbers.0 > 0 && numbers.1 > 0 {
                let is_ignored = |place: &str| ignored.iter().any(|pattern| matches_place(pattern, place));
                shape(&seam).compare(&shape(&latchkey), &place, &is_ignored, found);
            }
        }
        let order = |elements: &[(String, &Value)]| {
            elements.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (seam, latchkey) = (order(&seam), order(&latchkey));
        if is_same_number && seam != latchkey {
            found.push(Found::new(Aspect::Order, pointer, seam, latchkey));
        }
    }

    /// Compares the values that a step has seen while it waited.
    fn compare_courses(&self, step: &Step, seam: &Outcome, latchkey: &Outcome, found: &mut Vec<Found>) {
        let (
            Some(wait),
            Outcome::Answered { course: seam, is_reached: seam_reached, .. },
            Outcome::Answered { course: latchkey, is_reached: latchkey_reached, .. },
        ) = (&step.wait, seam, latchkey)
        else {
            return;
        };
        let awaited = || wait.until.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ").replace('"', "");
        if seam_reached != latchkey_reached {
            let describe = |is_reached: bool| {
                let awaited = awaited();
                if is_reached { awaited } else { format!("not {awaited} within {} s", wait.at_most_seconds) }
            };
            found.push(Found::new(
                Aspect::Response,
                &wait.watched,
                describe(*seam_reached),
                describe(*latchkey_reached),
            ));
        }
        if wait.has_course() {
            let lasting = |own: &[(String, Duration)], other: &[(String, Duration)]| {
                let missing = own.windows(2).filter(|pair| {
                    let [(value, since), (_, until)] = pair else { return false };
                    let is_missing = !other.iter().any(|(other, _)| other == value);
                    is_missing && until.saturating_sub(*since) >= VISIBLE
                });
                missing.count() > 0
            };
            if lasting(seam, latchkey) || lasting(latchkey, seam) {
                let key = wait.watched.rsplit('/').next().unwrap_or_default();
                let describe = |course: &[(String, Duration)]| {
                    let shown = |value: &str| self.words.word(key, value).unwrap_or_else(|| TEXT.to_owned());
                    course.iter().map(|(value, _)| shown(value)).collect::<Vec<_>>().join(", ")
                };
                found.push(Found::new(Aspect::Course, &wait.watched, describe(seam), describe(latchkey)));
            }
        }
        let end = |course: &[(String, Duration)]| course.last().map(|(_, at)| *at).unwrap_or_default();
        let (seam, latchkey) = (end(seam), end(latchkey));
        let (shorter, longer) = (seam.min(latchkey), seam.max(latchkey));
        let differs = longer.saturating_sub(shorter) >= SIMILAR_TIME && longer >= shorter * SIMILAR_FACTOR;
        if *seam_reached && *latchkey_reached && differs {
            let describe = |time: Duration| format!("{} s", time.as_secs());
            found.push(Found::new(Aspect::Time, &wait.watched, describe(seam), describe(latchkey)));
        }
    }
}

fn compare_headers(seam: &Response, latchkey: &Response, found: &mut Vec<Found>) {
    let value = |headers: &BTreeMap<String, String>, name: &str| {
        headers.get(name).map_or_else(|| ABSENT.to_owned(), |value| value.to_ascii_lowercase())
    };
    for name in VALUE_HEADERS {
        let (seam, latchkey) = (value(&seam.headers, name), value(&latchkey.headers, name));
        if seam != latchkey {
            found.push(Found::new(Aspect::Header, *name, header_words(seam), header_words(latchkey)));
        }
    }
    for name in PRESENT_HEADERS {
        let is_present = |response: &Response| response.headers.contains_key(*name);
        if is_present(seam) != is_present(latchkey) {
            let describe = |is_present| if is_present { "present" } else { ABSENT };
            found.push(Found::new(Aspect::Header, *name, describe(is_present(seam)), describe(is_present(latchkey))));
        }
    }
}

/// Returns the value of a header if it consists of words that may be shown.
fn header_words(value: String) -> String {
    let mut words = value.split(|separator: char| ",;= ".contains(separator)).filter(|word| !word.is_empty());
    if value == ABSENT || words.all(|word| HEADER_WORDS.contains(&word)) { value } else { TEXT.to_owned() }
}

/// Returns what kind of body a response has.
fn body_type(response: &Response) -> &'static str {
    let content_type = response.headers.get("content-type").map(String::as_str).unwrap_or_default();
    match () {
        () if response.body.is_some() => "JSON",
        () if response.is_empty => "no body",
        () if content_type.contains("html") => "HTML",
        () => "a body that is not JSON",
    }
}

/// True if a place, or one above it, is that of a pattern, in which `*` is any key or index.
fn matches_place(pattern: &str, place: &str) -> bool {
    let mut parts = place.split('/');
    pattern.split('/').all(|own| parts.next().is_some_and(|part| own == "*" || own == part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::json;

    fn response(status: u16, body: &Value) -> Response {
        let headers = [("content-type", "application/json"), ("seam-request-id", "x")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Response { status, headers, body: Some(body.clone()), is_empty: false, waited: Duration::ZERO }
    }

    fn answered(status: u16, body: &Value) -> Outcome {
        Outcome::Answered { response: response(status, body), course: Vec::new(), is_reached: true }
    }

    fn step(more: &Value) -> Step {
        let mut step = json!({"step": "one", "request": {"path": "/x"}});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Step::deserialize(step).unwrap()
    }

    fn aspects(more: &Value, seam: &Outcome, latchkey: &Outcome) -> Vec<(Aspect, String)> {
        let comparison = Comparison::of([seam, latchkey].into_iter(), "x y z", &[]).unwrap();
        let found = comparison.compare(&step(more), seam, latchkey);
        found.into_iter().map(|found| (found.aspect, found.place)).collect()
    }

    #[test]
    fn statuses_that_differ_are_the_only_difference() {
        let seam = answered(404, &json!({"error": {"type": "device_not_found", "message": "a"}}));
        let latchkey = answered(400, &json!({"error": {"type": "invalid_input", "message": "b"}, "more": 1}));
        assert_eq!(aspects(&json!({}), &seam, &latchkey), [(Aspect::Status, String::new())]);
    }

    #[test]
    fn error_types_and_messages_are_differences_of_their_own() {
        let seam = answered(400, &json!({"error": {"type": "one", "message": "a"}}));
        let latchkey = answered(400, &json!({"error": {"type": "two", "message": "b"}}));
        let found = aspects(&json!({}), &seam, &latchkey);
        let expected = [(Aspect::ErrorType, "/error/type".to_owned()), (Aspect::Message, "/error/message".to_owned())];
        assert_eq!(found, expected);
    }

    #[test]
    fn sequences_differ_in_elements_order_and_fields() {
        const CREATED: &str = "access_code.created";
        const DELETED: &str = "access_code.deleted";
        let events = |names: &[&str], more: &Value| {
            let event = |name| json!({"event_type": name, "more": more});
            answered(200, &json!({"events": names.iter().map(event).collect::<Vec<_>>()}))
        };
        let rule = json!({"in_order": {"/events": "event_type"}});
        let seam = events(&[CREATED, DELETED], &json!(1));
        assert_eq!(aspects(&rule, &seam, &events(&[CREATED, DELETED], &json!(2))), []);
        let order = [(Aspect::Order, "/events".to_owned())];
        assert_eq!(aspects(&rule, &seam, &events(&[DELETED, CREATED], &json!(2))), order);
        let element = [(Aspect::Element, "/events/[access_code.deleted]".to_owned())];
        assert_eq!(aspects(&rule, &seam, &events(&[CREATED], &json!(2))), element);
        let null = [CREATED, DELETED].map(|name| (Aspect::Null, format!("/events/[{name}]/more")));
        assert_eq!(aspects(&rule, &seam, &events(&[CREATED, DELETED], &Value::Null)), null);
    }

    #[test]
    fn numbers_of_elements_are_compared_where_the_step_says_so() {
        let (seam, latchkey) = (answered(200, &json!({"a": [1, 2]})), answered(200, &json!({"a": [1]})));
        assert_eq!(aspects(&json!({}), &seam, &latchkey), []);
        assert_eq!(aspects(&json!({"count": ["/a"]}), &seam, &latchkey), [(Aspect::Count, "/a".to_owned())]);
    }

    #[test]
    fn courses_differ_only_in_values_that_last() {
        let course = |values: &[(&str, u64)]| Outcome::Answered {
            response: response(200, &json!({})),
            course: values.iter().map(|(value, at)| ((*value).to_owned(), Duration::from_millis(*at))).collect(),
            is_reached: true,
        };
        let rule = json!({"wait": {"for": "/status", "until": ["set"], "at_most_seconds": 60}});
        let latchkey = course(&[("setting", 0), ("set", 300)]);
        assert_eq!(aspects(&rule, &course(&[("set", 0)]), &latchkey), []);
        assert_eq!(aspects(&rule, &course(&[("unset", 0), ("setting", 300), ("set", 600)]), &latchkey), []);
        let course_differs = [(Aspect::Course, "/status".to_owned())];
        assert_eq!(
            aspects(&rule, &course(&[("unset", 0), ("setting", 3000), ("set", 3600)]), &latchkey),
            course_differs
        );
        let time_differs = [(Aspect::Time, "/status".to_owned())];
        assert_eq!(aspects(&rule, &course(&[("setting", 0), ("set", 9000)]), &latchkey), time_differs);
    }

    #[test]
    fn headers_bodies_and_missing_responses_are_compared() {
        let seam = answered(200, &json!({}));
        let mut other = response(200, &json!({}));
        other.headers.insert("cache-control".to_owned(), "no-store".to_owned());
        other.headers.remove("seam-request-id");
        let other = Outcome::Answered { response: other, course: Vec::new(), is_reached: true };
        let headers = ["cache-control", "seam-request-id"].map(|name| (Aspect::Header, name.to_owned()));
        assert_eq!(aspects(&json!({}), &seam, &other), headers);
        let html = Response { body: None, ..response(200, &Value::Null) };
        let html = Outcome::Answered { response: html, course: Vec::new(), is_reached: true };
        assert_eq!(aspects(&json!({}), &seam, &html), [(Aspect::Type, String::new())]);
        let silent = Outcome::Silent;
        assert_eq!(aspects(&json!({}), &silent, &seam), [(Aspect::Response, String::new())]);
        assert_eq!(aspects(&json!({}), &Outcome::Skipped("access_code_id".to_owned()), &seam), []);
    }

    #[test]
    fn error_types_and_headers_are_shown_only_if_their_words_are_known() {
        let seam = answered(400, &json!({"error": {"type": "invalid_input"}}));
        let latchkey = answered(400, &json!({"error": {"type": "jane_doe"}}));
        let found =
            Comparison::of(std::iter::empty(), "x y z", &[]).unwrap().compare(&step(&json!({})), &seam, &latchkey);
        assert_eq!((found[0].seam.as_str(), found[0].latchkey.as_str()), ("invalid_input", "text"));
        for (value, shown) in [
            ("application/json; charset=utf-8", "application/json; charset=utf-8"),
            ("absent", "absent"),
            ("bearer realm=jane", "text"),
        ] {
            assert_eq!(header_words(value.to_owned()), shown);
        }
    }

    #[test]
    fn answers_of_429_are_not_compared() {
        assert_eq!(aspects(&json!({}), &Outcome::Limited, &answered(200, &json!({}))), []);
    }

    #[test]
    fn places_match_patterns_with_stars_and_everything_below() {
        assert!(matches_place("/devices/*/properties", "/devices/*/properties/locked"));
        assert!(!matches_place("/devices/*/properties", "/devices/*/errors"));
        assert!(!matches_place("/devices/*/properties", "/devices"));
    }
}
