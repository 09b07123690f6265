//! Arguments of the command line of Seam's own fake, for `--like-fake`.

use std::ffi::{OsStr, OsString};

/// Option that makes a server behave as the fake, and its variable.
const LIKE_FAKE: (&str, &str) = ("--like-fake", "LATCHKEY_LIKE_FAKE");

/// Option with the port, and its variable.
const PORT: (&str, &str) = ("--port", "LATCHKEY_PORT");

/// Returns the arguments to parse, the name of the program first. With `--like-fake`, a `--seed` without a value is left
/// out, and the variable `PORT` sets the port if nothing else does. Arguments after `--` stay as they are. `variable`
/// returns the value of an environment variable.
pub fn arguments(
    given: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<OsString> {
    let mut options: Vec<OsString> = given.into_iter().collect();
    let end = options.iter().position(|argument| argument == "--").unwrap_or(options.len());
    let rest = options.split_off(end);
    let is_on = |value: OsString| ["1", "true", "yes", "on"].iter().any(|on| value.eq_ignore_ascii_case(on));
    if !options.iter().any(|argument| argument == LIKE_FAKE.0) && !variable(LIKE_FAKE.1).is_some_and(is_on) {
        options.extend(rest);
        return options;
    }
    let is_option = |argument: Option<&OsString>| argument.is_none_or(|next| next.as_encoded_bytes().starts_with(b"-"));
    let mut kept: Vec<OsString> = Vec::with_capacity(options.len() + rest.len() + 2);
    for (index, argument) in options.iter().enumerate() {
        if argument != "--seed" || !is_option(options.get(index + 1)) {
            kept.push(argument.clone());
        }
    }
    let names_port = |argument: &OsString| {
        let name = argument.as_encoded_bytes().split(|byte| *byte == b'=').next();
        name == Some(OsStr::new(PORT.0).as_encoded_bytes())
    };
    if let Some(port) = variable("PORT").filter(|port| !port.is_empty())
        && !kept.iter().any(names_port)
        && variable(PORT.1).is_none_or(|port| port.is_empty())
    {
        kept.extend([PORT.0.into(), port]);
    }
    kept.extend(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the arguments for a command line and an environment, both as words.
    fn of(line: &str, environment: &[(&str, &str)]) -> String {
        let variable = |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        let parsed = arguments(line.split_whitespace().map(OsString::from), variable);
        parsed.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn command_line_of_the_fake_is_understood_with_like_fake() {
        let port: &[(&str, &str)] = &[("PORT", "3000")];
        for (line, environment, expected) in [
            ("latchkey serve --like-fake --seed", port, "latchkey serve --like-fake --port 3000"),
            ("latchkey serve --seed --like-fake", port, "latchkey serve --like-fake --port 3000"),
            ("latchkey --like-fake --seed x", &[], "latchkey --like-fake --seed x"),
            ("latchkey --like-fake --port 1", port, "latchkey --like-fake --port 1"),
            ("latchkey --like-fake --port=1", port, "latchkey --like-fake --port=1"),
            ("latchkey --like-fake", &[("PORT", "3000"), ("LATCHKEY_PORT", "1")], "latchkey --like-fake"),
            ("latchkey --like-fake", &[("PORT", "")], "latchkey --like-fake"),
            ("latchkey exec --like-fake -- run --seed", port, "latchkey exec --like-fake --port 3000 -- run --seed"),
            ("latchkey --seed", &[("PORT", "1"), ("LATCHKEY_LIKE_FAKE", "on")], "latchkey --port 1"),
        ] {
            assert_eq!(of(line, environment), expected, "{line}");
        }
    }

    #[test]
    fn command_line_is_unchanged_without_like_fake() {
        for line in ["latchkey serve --seed", "latchkey --seed x", "latchkey exec -- run --like-fake --seed"] {
            assert_eq!(of(line, &[("PORT", "3000"), ("LATCHKEY_LIKE_FAKE", "off")]), line);
        }
    }
}
