//! Patterns over paths, component by component.

use std::str::Chars;

use super::Selected;
use crate::tree::{components, unescaped};

/// A pattern: components match whole, so `fc1` never matches `fc10`. Within one, `*` stands for any characters and `?` for one; a component `**`
/// stands for any number of components. A backslash takes the next character as it is.
#[derive(Debug)]
pub(super) struct Glob(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    /// Any number of components.
    Deep,
    /// One of this name.
    Name(String),
    /// One that matches.
    Tokens(Vec<Token>),
}

#[derive(Debug, PartialEq)]
enum Token {
    Char(char),
    Any,
    One,
}

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        let mut parts: Vec<Part> = components(pattern).into_iter().map(Part::new).collect();
        // Two in a row say what one says, at the cost of a search in a search.
        parts.dedup_by(|a, b| (&*a, &*b) == (&Part::Deep, &Part::Deep));
        Self(parts)
    }

    /// The path itself, in which a star is a star.
    pub(super) fn literal(path: &str) -> Self {
        let parts = components(path).into_iter();
        Self(parts.map(|part| Part::Name(unescaped(part))).collect())
    }

    /// How the pattern matches the path of a parameter, which is written with escapes: to its end, or to that of a module around it.
    pub(super) fn matches(&self, path: &str) -> Option<Selected> {
        matches(&self.0, Some(path))
    }
}

fn matches(parts: &[Part], path: Option<&str>) -> Option<Selected> {
    let Some((first, parts)) = parts.split_first() else {
        // What is left of the path is below what the pattern names.
        return Some(match path {
            Some(_) => Selected::Around,
            None => Selected::Itself,
        });
    };
    if *first != Part::Deep {
        let (component, rest) = Component::split(path?);
        return component.is(first).then(|| matches(parts, rest))?;
    }
    let (mut rest, mut best) = (path, None);
    loop {
        best = best.max(matches(parts, rest));
        match rest {
            Some(path) if best < Some(Selected::Itself) => rest = Component::split(path).1,
            _ => return best,
        }
    }
}

/// A component of a path, as it is written there.
struct Component<'p> {
    text: &'p str,
    escaped: bool,
}

impl<'p> Component<'p> {
    /// The first component of a path, and what follows its dot.
    #[inline]
    fn split(path: &'p str) -> (Self, Option<&'p str>) {
        let (mut escaped, mut skip) = (false, false);
        for (i, b) in path.bytes().enumerate() {
            match b {
                _ if skip => skip = false,
                b'\\' => (escaped, skip) = (true, true),
                b'.' => {
                    let text = &path[..i];
                    return (Self { text, escaped }, Some(&path[i + 1..]));
                }
                _ => {}
            }
        }
        let text = path;
        (Self { text, escaped }, None)
    }

    #[inline]
    fn is(&self, part: &Part) -> bool {
        match self.escaped {
            true => part.is_name(&unescaped(self.text)),
            false => part.is_name(self.text),
        }
    }
}

impl Part {
    fn new(pattern: &str) -> Self {
        if pattern == "**" {
            return Self::Deep;
        }
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
        let literal = tokens.iter().map(|token| match token {
            Token::Char(c) => Some(*c),
            Token::Any | Token::One => None,
        });
        match literal.collect() {
            Some(name) => Self::Name(name),
            None => Self::Tokens(tokens),
        }
    }

    fn is_name(&self, name: &str) -> bool {
        match self {
            Self::Deep => true,
            Self::Name(wanted) => wanted == name,
            Self::Tokens(tokens) => fits(tokens, name.chars()),
        }
    }
}

/// The usual two-pointer match: after a mismatch the last `*` takes one more character.
fn fits(tokens: &[Token], mut name: Chars<'_>) -> bool {
    let (mut t, mut star) = (0, None);
    loop {
        let before = name.clone();
        let Some(c) = name.next() else { break };
        match tokens.get(t) {
            Some(Token::Any) => {
                star = Some((t, before.clone()));
                (t, name) = (t + 1, before);
            }
            Some(Token::One) => t += 1,
            Some(&Token::Char(wanted)) if wanted == c => t += 1,
            _ => match &mut star {
                Some((at, taken)) => {
                    taken.next();
                    (t, name) = (*at + 1, taken.clone());
                }
                None => return false,
            },
        }
    }
    tokens[t..].iter().all(|token| *token == Token::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(pattern: &str, path: &str) -> bool {
        Glob::new(pattern).matches(path).is_some()
    }

    #[test]
    fn components_match_whole() {
        assert!(hit("fc1", "fc1.weight"));
        assert!(!hit("fc1", "fc10.weight"));
        assert!(!hit("fc1.weight", "fc1.weight2"));
        assert!(!hit("fc1.weight.data", "fc1.weight"));
        assert!(hit("fc*", "fc10.weight"));
        assert_eq!(
            ["fc1", "fc1.weight", "**", "**.fc1", "*.*", "**.*"]
                .map(|p| Glob::new(p).matches("fc1.weight")),
            {
                use Selected::{Around, Itself};
                [Around, Itself, Itself, Around, Itself, Itself].map(Some)
            }
        );
        assert!(hit("fc?", "fc1.bias") && !hit("fc?", "fc10.bias") && !hit("fc?", "fc.bias"));
        assert!(hit("*a*b", "xxaxxaxb") && !hit("*a*b", "xxaxxaxc"));
        assert!(hit("a*", "a.weight") && hit("*", "a.weight") && !hit("a*b", "a.b"));
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
        assert!(hit("**.a.**.b", "x.a.y.a.z.b") && !hit("**.a.**.b", "x.b.y.a"));
    }

    /// Without the step that joins them this one takes longer than anyone waits.
    #[test]
    fn many_deep_stars_cost_what_one_does() {
        let pattern = "**.".repeat(40) + "nothing";
        let path = "a.".repeat(40) + "weight";
        assert!(!hit(&pattern, &path));
    }

    #[test]
    fn escapes_are_literal() {
        assert!(hit(r"a\.b.weight", r"a\.b.weight"));
        assert!(!hit("a.b.weight", r"a\.b.weight"));
        assert!(hit(r"a*b.weight", r"a\.b.weight"));
        assert!(hit(r"a\*", "a*") && !hit(r"a\*", "ab"));
        assert!(hit("block 2.*", "block 2.weight"));
        let literal = |path: &str, at: &str| Glob::literal(path).matches(at).is_some();
        assert!(literal("a*", "a*.weight") && !literal("a*", "ab.weight"));
        assert!(literal("**", "**.weight") && !literal("**", "a.weight"));
        assert!(literal(r"a\.b", r"a\.b.weight") && !literal(r"a\.b", "a.b.weight"));
    }
}
