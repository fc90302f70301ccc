//! Patterns over paths, component by component.

use super::error::NameError;
use super::find::near;
use super::uses::Use;
use super::walk::{components, unescaped};

/// How a pattern selects a use of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Selected {
    /// It matches a module around the parameter.
    Around,
    /// It matches the parameter itself.
    Itself,
}

/// The uses that a pattern selects.
pub(crate) fn select_uses<'u>(pattern: &str, uses: &'u [Use]) -> Vec<(&'u Use, Selected)> {
    let parts = components(pattern);
    uses.iter()
        .filter_map(|each| {
            match (
                matches_whole(&parts, &each.path),
                matches(&parts, &each.path),
            ) {
                (true, _) => Some((each, Selected::Itself)),
                (false, true) => Some((each, Selected::Around)),
                (false, false) => None,
            }
        })
        .collect()
}

impl NameError {
    /// The error for a pattern that selects none of these uses.
    pub(crate) fn nothing(pattern: &str, uses: Vec<Use>) -> Self {
        let near = near(pattern, uses.into_iter().map(|each| each.path));
        Self::NothingSelected {
            pattern: pattern.to_owned(),
            near,
        }
    }
}

/// Whether a pattern matches a parameter's path, or that of a module which holds it.
///
/// Components match whole: `fc1` never matches `fc10`. Within one, `*` stands for any characters and `?` for one; a component `**` stands for
/// any number of components. A backslash takes the next character as it is.
fn matches(pattern: &[&str], path: &str) -> bool {
    walk(pattern, &names(path), false)
}

/// Whether a pattern matches a parameter's path to its end.
fn matches_whole(pattern: &[&str], path: &str) -> bool {
    walk(pattern, &names(path), true)
}

fn names(path: &str) -> Vec<Vec<char>> {
    components(path)
        .into_iter()
        .map(|part| unescaped(part).chars().collect())
        .collect()
}

fn walk(pattern: &[&str], names: &[Vec<char>], whole: bool) -> bool {
    match pattern {
        // What is left of the path is below what the pattern names.
        [] => !whole || names.is_empty(),
        ["**", rest @ ..] => (0..=names.len()).any(|skipped| walk(rest, &names[skipped..], whole)),
        [first, rest @ ..] => match names {
            [name, names @ ..] => component(first, name) && walk(rest, names, whole),
            [] => false,
        },
    }
}

enum Token {
    Char(char),
    Any,
    One,
}

fn component(pattern: &str, name: &[char]) -> bool {
    let mut chars = pattern.chars();
    let mut tokens = Vec::with_capacity(pattern.len());
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Char(chars.next().unwrap_or(c)),
            c => Token::Char(c),
        });
    }
    // The usual two-pointer match: after a mismatch the last `*` takes one more character.
    let (mut t, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match tokens.get(t) {
            Some(Token::Any) => {
                star = Some((t, n));
                t += 1;
            }
            Some(Token::One) => (t, n) = (t + 1, n + 1),
            Some(&Token::Char(c)) if c == name[n] => (t, n) = (t + 1, n + 1),
            _ => match star {
                Some((star_t, star_n)) => {
                    star = Some((star_t, star_n + 1));
                    (t, n) = (star_t + 1, star_n + 1);
                }
                None => return false,
            },
        }
    }
    tokens[t..].iter().all(|token| matches!(token, Token::Any))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(pattern: &str, path: &str) -> bool {
        matches(&components(pattern), path)
    }

    #[test]
    fn components_match_whole() {
        assert!(hit("fc1", "fc1.weight"));
        assert!(!hit("fc1", "fc10.weight"));
        assert!(!hit("fc1.weight", "fc1.weight2"));
        assert!(hit("fc*", "fc10.weight"));
        assert!(
            !matches_whole(&["fc1"], "fc1.weight")
                && matches_whole(&["fc1", "weight"], "fc1.weight")
        );
        assert!(hit("fc?", "fc1.bias") && !hit("fc?", "fc10.bias"));
        assert!(hit("*a*b", "xxaxxaxb") && !hit("*a*b", "xxaxxaxc"));
    }

    #[test]
    fn a_star_stays_in_its_component() {
        assert!(hit("blocks.*.weight", "blocks.3.weight"));
        assert!(!hit("blocks.*.weight", "blocks.3.fc.weight"));
        assert!(hit("blocks.**.weight", "blocks.3.fc.weight"));
        assert!(hit("blocks.**.weight", "blocks.weight"));
        assert!(
            hit("**.bias", "bias") && hit("**.bias", "a.b.bias") && !hit("**.bias", "a.b.weight")
        );
    }

    #[test]
    fn escapes_are_literal() {
        assert!(hit(r"a\.b.weight", r"a\.b.weight"));
        assert!(!hit("a.b.weight", r"a\.b.weight"));
        assert!(hit(r"a\*", "a*") && !hit(r"a\*", "ab"));
        assert!(hit("block 2.*", "block 2.weight"));
    }
}
