//! What a text selects.

use std::borrow::Cow;

use super::{Expr, Leaf};

/// Reads one text. It does not fail: what a regular expression has wrong is said when it is used.
pub(super) fn parse(text: Cow<'_, str>) -> Expr<'_> {
    match strip(&text, "!") {
        Some(rest) => Expr::Not(Box::new(Expr::Leaf(leaf(rest)))),
        None => Expr::Leaf(leaf(text)),
    }
}

fn leaf(text: Cow<'_, str>) -> Leaf<'_> {
    let between_slashes = text.len() > 1 && text.ends_with('/');
    if let Some(pattern) = strip(&text, "/").filter(|_| between_slashes) {
        let end = pattern.len() - 1;
        return Leaf::Regex(match pattern {
            Cow::Borrowed(pattern) => Cow::Borrowed(&pattern[..end]),
            Cow::Owned(mut pattern) => {
                pattern.truncate(end);
                Cow::Owned(pattern)
            }
        });
    }
    if text.starts_with(".*") || text.starts_with('^') {
        return Leaf::Regex(text);
    }
    match strip(&text, "type:") {
        Some(kind) => Leaf::Kind(kind),
        None => Leaf::Glob(text),
    }
}

fn strip<'s>(text: &Cow<'s, str>, prefix: &str) -> Option<Cow<'s, str>> {
    match text {
        Cow::Borrowed(text) => text.strip_prefix(prefix).map(Cow::Borrowed),
        Cow::Owned(text) => Some(Cow::Owned(text.strip_prefix(prefix)?.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_from_the_start() {
        let read = |text: &'static str| {
            let form = |expr: &Expr<'_>| match expr {
                Expr::Leaf(Leaf::Glob(text)) => format!("glob {text}"),
                Expr::Leaf(Leaf::Regex(text)) => format!("regex {text}"),
                Expr::Leaf(Leaf::Kind(text)) => format!("kind {text}"),
                _ => "other".to_owned(),
            };
            let read = |expr| match &expr {
                Expr::Not(of) => format!("not {}", form(of)),
                other => form(other),
            };
            let owned = read(parse(Cow::Owned(text.to_owned())));
            assert_eq!(owned, read(parse(Cow::Borrowed(text))));
            owned
        };
        for (text, form) in [
            ("0.weight", "glob 0.weight"),
            ("**.bias", "glob **.bias"),
            (".*weight", "regex .*weight"),
            ("^a$", "regex ^a$"),
            ("/a/", "regex a"),
            ("//", "regex "),
            ("/", "glob /"),
            ("/a", "glob /a"),
            ("a/", "glob a/"),
            ("type:Linear", "kind Linear"),
            ("!a", "not glob a"),
            ("!/a/", "not regex a"),
            ("!.*a", "not regex .*a"),
            ("!type:A", "not kind A"),
            (r"\!a", r"glob \!a"),
            (r"\^a", r"glob \^a"),
            (r"\type:a", r"glob \type:a"),
            ("", "glob "),
        ] {
            assert_eq!(read(text), form);
        }
    }
}
