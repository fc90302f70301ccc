//! Characters and their token numbers.

use crate::error::{Error, Result};

/// The distinct characters of a text in order of code point; a character's token is its place in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vocabulary {
    characters: Vec<char>,
}

impl Vocabulary {
    /// The vocabulary of `text`.
    pub(crate) fn of(text: &str) -> Vocabulary {
        let mut seen = std::collections::BTreeSet::new();
        seen.extend(text.chars());
        Vocabulary {
            characters: seen.into_iter().collect(),
        }
    }

    /// Number of characters.
    pub(crate) fn len(&self) -> usize {
        self.characters.len()
    }

    /// The token of a character that is in the vocabulary. O(log len).
    pub(crate) fn token(&self, character: char) -> Option<u32> {
        self.characters
            .binary_search(&character)
            .ok()
            .map(|place| place as u32)
    }

    /// The tokens of a text; a character outside the vocabulary is an error that names it.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let unknown = |c: char| {
            Error::failed(format!(
                "the character {c:?} is not in the vocabulary of this run"
            ))
        };
        text.chars()
            .map(|c| self.token(c).ok_or_else(|| unknown(c)))
            .collect()
    }

    /// The character of a token; U+FFFD for a number outside the vocabulary.
    pub(crate) fn character(&self, token: u32) -> char {
        self.characters
            .get(token as usize)
            .copied()
            .unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// The text of some tokens.
    #[cfg(test)]
    pub(crate) fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().map(|&token| self.character(token)).collect()
    }

    /// All characters as one string, in order: how a checkpoint keeps the vocabulary. [`Vocabulary::of`] reads it.
    pub(crate) fn to_text(&self) -> String {
        self.characters.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_follow_code_points() {
        let v = Vocabulary::of("zä b\nab");
        assert_eq!(v.to_text(), "\n abzä");
        assert_eq!(v.encode("abä").unwrap(), [2, 3, 5]);
        assert_eq!(v.decode(&[5, 4, 0]), "äz\n");
        assert_eq!(v.character(6), '\u{FFFD}');
        assert_eq!(Vocabulary::of(&v.to_text()), v);
    }

    #[test]
    fn unknown_characters_are_named() {
        let error = Vocabulary::of("ab").encode("aéb").unwrap_err().to_string();
        assert!(error.contains("'é'"), "{error}");
    }
}
