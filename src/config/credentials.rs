//! Files of credentials, as certbot's DNS plugins have them: one assignment a line.

/// Line, lower-case name and unquoted value of each `name = value`, `name: value` or `name value`.
pub(crate) fn assignments(text: &str) -> impl Iterator<Item = (usize, String, String)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';', '[']));
    lines.map(|(number, line)| {
        let end = line.find(|c: char| c.is_whitespace() || c == '=' || c == ':').unwrap_or(line.len());
        let value = line[end..].trim_start();
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim();
        let value = value.find(" #").map_or(value, |comment| &value[..comment]).trim();
        (number, line[..end].to_ascii_lowercase(), value.trim_matches(['"', '\'']).to_owned())
    })
}
