//! The text to train on: where it comes from, its two parts, and its fingerprint.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::vocabulary::Vocabulary;

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// Book one of Cicero's "De finibus bonorum et malorum", as the crate `lipsum` carries it.
    BuiltIn,
    /// A UTF-8 file.
    File(PathBuf),
}

impl Source {
    /// A short name for run folders: the file's name without its extension.
    pub(crate) fn name(&self) -> String {
        let stem = match self {
            Source::BuiltIn => "cicero".into(),
            Source::File(path) => path.file_stem().unwrap_or_default().to_string_lossy(),
        };
        let keep = |c: char| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        };
        let name: String = stem.chars().map(keep).collect();
        let name = name.trim_start_matches('.');
        if name.is_empty() {
            "text".into()
        } else {
            name.into()
        }
    }

    /// Reads the text. A file must exist, hold something, and be UTF-8.
    pub(crate) fn read(&self) -> Result<String> {
        match self {
            Source::BuiltIn => Ok(lipsum::LIBER_PRIMUS.into()),
            Source::File(path) => read_file(path),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::BuiltIn => f.write_str("the built-in text (Cicero, De finibus, book one)"),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn read_file(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::io(path, "read the text", &e))?;
    if bytes.is_empty() {
        return Err(Error::failed(format!(
            "{}: the text is empty",
            path.display()
        )));
    }
    String::from_utf8(bytes).map_err(|e| {
        let offset = e.utf8_error().valid_up_to();
        Error::failed(format!(
            "{}: the text is not valid UTF-8 (first bad byte at offset {offset})",
            path.display()
        ))
    })
}

/// What tells one text from another: its length and its FNV-1a hash. Kept in checkpoints, so that a run is not
/// continued on a text that has changed in the meantime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// Length in bytes.
    pub(crate) bytes: u64,
    /// 64-bit FNV-1a of the bytes.
    pub(crate) fnv1a: u64,
}

impl Fingerprint {
    /// The fingerprint of a text. O(bytes).
    pub(crate) fn of(text: &str) -> Fingerprint {
        let step =
            |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        Fingerprint {
            bytes: text.len() as u64,
            fnv1a: text.bytes().fold(0xCBF2_9CE4_8422_2325, step),
        }
    }
}

/// A text as token numbers, cut into what is trained on and what is held out.
#[derive(Debug)]
pub(crate) struct Corpus {
    /// The characters and their numbers.
    pub(crate) vocabulary: Vocabulary,
    /// The first 90 % of the characters.
    pub(crate) train: Vec<u32>,
    /// The rest.
    pub(crate) validation: Vec<u32>,
}

impl Corpus {
    /// Encodes and splits `text`. Each part must hold one block and the character after it.
    pub(crate) fn new(source: &Source, text: &str, block_size: usize) -> Result<Corpus> {
        let vocabulary = Vocabulary::of(text);
        let mut train = vocabulary.encode(text)?;
        let cut = train.len() - train.len().div_ceil(10);
        let validation = train.split_off(cut);
        // the training part is never the shorter one, except in a text of one character, which this refuses too
        if validation.len() <= block_size {
            return Err(Error::failed(format!(
                "{source}: the text is too short: of its {} characters {} validate, and a block of {block_size} needs {} (take a longer text or a smaller --block-size)",
                train.len() + validation.len(),
                validation.len(),
                block_size + 1,
            )));
        }
        Ok(Corpus {
            vocabulary,
            train,
            validation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my text.v2.txt");
        fs::write(&path, bytes).unwrap();
        (dir, Source::File(path))
    }

    #[test]
    fn names_are_fit_for_folders() {
        let name = |s: &str| Source::File(s.into()).name();
        assert_eq!(name("a/b/tinyshakespeare.txt"), "tinyshakespeare");
        assert_eq!(name("my text.v2.txt"), "my-text.v2");
        assert_eq!(name(".."), "text");
        assert_eq!(name(".hidden"), "hidden");
        assert_eq!(Source::BuiltIn.name(), "cicero");
    }

    #[test]
    fn bad_files_say_what_is_wrong() {
        let (_dir, source) = file(b"");
        assert!(
            source
                .read()
                .unwrap_err()
                .to_string()
                .ends_with("the text is empty")
        );
        let (_dir, source) = file(b"caf\xC3\xA9 \xFFabc");
        assert!(
            source
                .read()
                .unwrap_err()
                .to_string()
                .ends_with("(first bad byte at offset 6)")
        );
        let (_dir, source) = file(b"caf\xC3");
        assert!(
            source
                .read()
                .unwrap_err()
                .to_string()
                .ends_with("(first bad byte at offset 3)")
        );
        let missing = Source::File("/no/such/file".into())
            .read()
            .unwrap_err()
            .to_string();
        assert!(
            missing.starts_with("/no/such/file: cannot read the text (no such file"),
            "{missing}"
        );
    }

    #[test]
    fn the_split_counts_characters() {
        let text = "äöüß".repeat(25);
        let corpus = Corpus::new(&Source::BuiltIn, &text, 9).unwrap();
        assert_eq!((corpus.train.len(), corpus.validation.len()), (90, 10));
        assert_eq!(corpus.vocabulary.len(), 4);
        let again =
            corpus.vocabulary.decode(&corpus.train) + &corpus.vocabulary.decode(&corpus.validation);
        assert_eq!(again, text);
    }

    #[test]
    fn the_split_is_that_of_nanogpt() {
        // int(n * 0.9) for lengths that are and are not multiples of ten
        for (n, cut) in [(100, 90), (101, 90), (109, 98), (1_115_394, 1_003_854)] {
            let corpus = Corpus::new(&Source::BuiltIn, &"a".repeat(n), 5).unwrap();
            assert_eq!(corpus.train.len(), cut, "{n}");
        }
    }

    #[test]
    fn a_text_shorter_than_a_block_is_refused() {
        let text = "ab".repeat(50);
        assert!(Corpus::new(&Source::BuiltIn, &text, 9).is_ok());
        let error = Corpus::new(&Source::BuiltIn, &text, 10)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("of its 100 characters 10 validate, and a block of 10 needs 11"),
            "{error}"
        );
        for tiny in ["", "a", "ab"] {
            assert!(Corpus::new(&Source::BuiltIn, tiny, 1).is_err());
        }
    }

    #[test]
    fn the_built_in_text_is_the_one_the_docs_describe() {
        let text = Source::BuiltIn.read().unwrap();
        let corpus = Corpus::new(&Source::BuiltIn, &text, 64).unwrap();
        assert_eq!(corpus.vocabulary.len(), 57);
        assert_eq!(text.len(), 49_068);
        assert_eq!(corpus.train.len(), 44_161);
    }

    #[test]
    fn fingerprints() {
        // the published FNV-1a test vector for "foobar"
        assert_eq!(
            Fingerprint::of("foobar"),
            Fingerprint {
                bytes: 6,
                fnv1a: 0x8594_4171_f739_67e8
            }
        );
        assert_ne!(Fingerprint::of("ab"), Fingerprint::of("ba"));
    }
}
