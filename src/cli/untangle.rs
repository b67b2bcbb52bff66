//! What clap cannot tell apart: the meanings of `-t`.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

/// Is `check` the command? Its `-t` is a time limit, and its errors end with another code.
pub(super) fn is_check(args: &[OsString]) -> bool {
    let takes_value = |before: &OsString| match before.as_bytes() {
        [b'-', b'-', name @ ..] => {
            !name.is_empty() && WITH_VALUE.iter().any(|option| option.as_bytes().starts_with(name))
        }
        [b'-', letters @ ..] => letters.last().is_some_and(|last| b"cCDlL".contains(last)),
        _ => false,
    };
    (1..args.len()).any(|at| args[at] == "check" && (at == 1 || !takes_value(&args[at - 1])))
}

/// Long options with a value.
const WITH_VALUE: [&str; 7] =
    ["config", "letsencrypt-directory", "dane-directory", "state-directory", "log", "log-level", "ttl"];

/// Tells the meanings of `-t` apart, also in clusters such as `-qt`: with `check` it is `--timeout`, else before a digit
/// `--ttl`, else `--config-test`.
pub(super) fn untangle(args: impl Iterator<Item = OsString>, is_check: bool) -> Vec<OsString> {
    let limit: &[u8] = if is_check { b"--timeout" } else { b"--ttl" };
    let mut args: VecDeque<OsString> = args.collect();
    let mut plain: Vec<OsString> = args.pop_front().into_iter().collect();
    while let Some(arg) = args.pop_front() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            plain.push(arg);
            break;
        }
        // The first letter that takes a value, or is a t, ends the flags.
        let end = match bytes {
            [b'-', letters @ ..] if !letters.starts_with(b"-") => letters.iter().position(|b| b"cCDlLt".contains(b)),
            _ => None,
        };
        let Some(end) = end else {
            plain.push(arg);
            continue;
        };
        let (flags, letter, rest) = (&bytes[..=end], bytes[end + 1], &bytes[end + 2..]);
        if letter != b't' {
            let value = if rest.is_empty() { args.pop_front() } else { None };
            plain.push(arg);
            plain.extend(value);
            continue;
        }
        plain.extend((flags != b"-").then(|| OsStr::from_bytes(flags).to_owned()));
        if starts_with_digit(rest) {
            plain.push(OsString::from_vec([limit, b"=", rest].concat()));
        } else if rest.is_empty() && (is_check || args.front().is_some_and(|next| starts_with_digit(next.as_bytes()))) {
            plain.push(OsStr::from_bytes(limit).to_owned());
            plain.extend(args.pop_front());
        } else {
            plain.push("--config-test".into());
            if !rest.is_empty() {
                args.push_front(OsString::from_vec([b"-", rest].concat()));
            }
        }
    }
    plain.extend(args);
    plain
}

fn starts_with_digit(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_digit)
}
