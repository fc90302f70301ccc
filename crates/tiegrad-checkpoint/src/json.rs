//! JSON (RFC 8259), as much of it as headers need: read value by value, and strings and lists of them written. By hand, because serde_json and all
//! that it stands on would be a tenth of what a user compiles.

use std::fmt::Write;

use crate::error::Fault;

/// How deep values can lie within each other: the limit of other readers too, far from the end of a stack.
const DEPTH: usize = 127;

/// A place in a JSON text. A method reads one value, with the space before it; the text is not JSON if there is none, and
/// no header if there is one of another kind.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let (at, depth) = (0, 0);
        Self { text, at, depth }
    }

    /// An object; `entry` is called behind each key and reads the value.
    pub(crate) fn object(
        &mut self,
        what: &str,
        mut entry: impl FnMut(&mut Self, String) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.open(b'{', what)?;
        let mut more = !self.close(b'}');
        while more {
            if self.peek() != Some(b'"') {
                return Err(self.not_json("a key"));
            }
            let key = self.string()?;
            if !self.take(b':') {
                return Err(self.not_json("`:`"));
            }
            entry(self, key)?;
            more = self.more(b'}')?;
        }
        Ok(())
    }

    /// A list; `element` reads one of its values.
    pub(crate) fn list<T>(
        &mut self,
        what: &str,
        element: impl Fn(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.open(b'[', what)?;
        let mut list = Vec::new();
        let mut more = !self.close(b']');
        while more {
            list.push(element(self)?);
            more = self.more(b']')?;
        }
        Ok(list)
    }

    pub(crate) fn string(&mut self) -> Result<String, Fault> {
        self.begins(b'"', "a string")?;
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let end = rest
                .bytes()
                .position(|b| matches!(b, b'"' | b'\\' | ..b' '));
            let end = end.unwrap_or(rest.len());
            string.push_str(&rest[..end]);
            self.at += end + 1;
            match rest.as_bytes().get(end) {
                Some(b'"') => return Ok(string),
                Some(b'\\') => string.push(self.escaped()?),
                _ => {
                    self.at -= 1;
                    return Err(self.not_json("`\"`"));
                }
            }
        }
    }

    /// A number that is one of elements or bytes.
    pub(crate) fn size(&mut self) -> Result<usize, Fault> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.other_than("a number"));
        }
        let from = self.at;
        self.number()?;
        let number = &self.text[from..self.at];
        number.parse().map_err(|_| Fault::NotAHeader {
            message: format!("{number} is no size (byte {from})"),
        })
    }

    /// The word `null`, if it is there.
    pub(crate) fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.word("null")
    }

    /// Any value.
    pub(crate) fn skip(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => self.object("", |json, _| json.skip()),
            Some(b'[') => self.list("", Self::skip).map(drop),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if ["null", "true", "false"].iter().any(|w| self.word(w)) => Ok(()),
            _ => Err(self.not_json("a value")),
        }
    }

    /// The end of the text.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.not_json("the end")),
        }
    }

    /// The next byte that is not space, which stays.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let space = |b: &&u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().take_while(space).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, word: &str) -> bool {
        let is = self.text[self.at..].starts_with(word);
        self.at += if is { word.len() } else { 0 };
        is
    }

    fn begins(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.other_than(what))
    }

    fn open(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        self.begins(byte, what)?;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.not_json("fewer values within each other"));
        }
        Ok(())
    }

    fn close(&mut self, byte: u8) -> bool {
        let is = self.take(byte);
        self.depth -= usize::from(is);
        is
    }

    /// Whether another element follows, and not the end.
    fn more(&mut self, end: u8) -> Result<bool, Fault> {
        if self.take(b',') {
            return Ok(true);
        }
        if self.close(end) {
            return Ok(false);
        }
        Err(self.not_json(if end == b'}' {
            "`,` or `}`"
        } else {
            "`,` or `]`"
        }))
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.word("-");
        // No digit follows a zero at the beginning.
        if !self.word("0") && self.digits() == 0
            || self.word(".") && self.digits() == 0
            || (self.word("e") || self.word("E")) && {
                let _ = self.word("+") || self.word("-");
                self.digits() == 0
            }
        {
            return Err(self.not_json("a digit"));
        }
        Ok(())
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Result<char, Fault> {
        let byte = self.text.as_bytes().get(self.at).copied();
        let char = match byte {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.unit()?;
                let mut units = vec![first];
                // A pair of surrogates is one character.
                if (0xd800..0xdc00).contains(&first) && self.word("\\u") {
                    units.push(self.unit()?);
                }
                let decoded = String::from_utf16(&units).ok();
                let char = decoded.and_then(|s| s.chars().next());
                return char.ok_or_else(|| self.not_json("a pair of surrogates"));
            }
            _ => return Err(self.not_json("an escape")),
        };
        self.at += 1;
        Ok(char)
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u16, Fault> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits.and_then(|d| u16::from_str_radix(d, 16).ok());
        let unit = unit.ok_or_else(|| self.not_json("four hexadecimal digits"))?;
        self.at += 4;
        Ok(unit)
    }

    /// The fault of a value that is not `what`, if there is one.
    fn other_than(&mut self, what: &str) -> Fault {
        let at = self.at;
        match self.skip() {
            Ok(()) => Fault::NotAHeader {
                message: format!("expected {what} at byte {at}"),
            },
            Err(fault) => fault,
        }
    }

    fn not_json(&self, expected: &str) -> Fault {
        Fault::NotJson {
            message: format!("expected {expected} at byte {}", self.at),
        }
    }
}

/// A string.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' => json += "\\\"",
            '\\' => json += "\\\\",
            '\u{8}' => json += "\\b",
            '\u{c}' => json += "\\f",
            '\n' => json += "\\n",
            '\r' => json += "\\r",
            '\t' => json += "\\t",
            // Writing to a string cannot fail.
            ..' ' => drop(write!(json, "\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// A list of strings.
pub(crate) fn list(strings: &[String]) -> String {
    let strings: Vec<String> = strings.iter().map(|s| quoted(s)).collect();
    format!("[{}]", strings.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What serde_json says of the text.
    fn theirs(text: &str) -> bool {
        serde_json::from_str::<serde_json::Value>(text).is_ok()
    }

    fn ours(text: &str) -> bool {
        let mut json = Reader::new(text);
        json.skip().and_then(|()| json.end()).is_ok()
    }

    #[test]
    fn what_is_json_is_what_serde_json_says() {
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            "\"a\"",
            ":",
            ",",
            " ",
            "0",
            "12",
            "-",
            ".5",
            "e+0",
            "E",
            "null",
            "true",
            "fals",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\x\"",
            "\"\n\"",
            "\"é",
            "\"\\u12",
        ];
        let mut valid = 0;
        let mut check = |text: String| {
            assert_eq!(ours(&text), theirs(&text), "{text}");
            valid += usize::from(ours(&text));
        };
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    check([a, b, c].concat());
                    check(format!("[{a}{b},{c}]"));
                    check(format!("{{\"k\":{a}{b}{c}}}"));
                    check(format!("{{{a}:{b}{c}}}"));
                }
            }
        }
        for depth in [DEPTH, DEPTH + 1] {
            check("[".repeat(depth) + &"]".repeat(depth));
        }
        assert!(valid > 300, "{valid}");
    }

    #[test]
    fn strings_are_written_and_read_as_serde_json_does() {
        let text: String = (0..0x300)
            .chain([0x2028, 0xfffd, 0x1f600])
            .filter_map(char::from_u32)
            .collect();
        let json = quoted(&text);
        assert_eq!(json, serde_json::Value::from(&*text).to_string());
        assert_eq!(Reader::new(&json).string().unwrap(), text);
        for json in [r#""\u00e9\/\b\f\n\r\t\"\\""#, r#""\ud83d\ude00x""#] {
            let theirs: String = serde_json::from_str(json).unwrap();
            assert_eq!(Reader::new(json).string().unwrap(), theirs);
        }
        let names = [text, "b".into()];
        assert_eq!(
            list(&names),
            serde_json::Value::from(&names[..]).to_string()
        );
    }
}
