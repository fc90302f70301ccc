//! Numbers as PyTorch and people write them.

use std::fmt;

/// A float as Python's `repr` writes it: `0.1`, `1e-05`, `1.0`.
pub(crate) struct PyFloat(pub(crate) f64);

impl fmt::Display for PyFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = self.0;
        if x.is_nan() {
            f.write_str("nan")
        } else if x.is_infinite() {
            f.write_str(if x > 0.0 { "inf" } else { "-inf" })
        } else if x == 0.0 || (1e-4..1e16).contains(&x.abs()) {
            write!(f, "{x:?}")
        } else {
            // Rust writes 1e-5 where Python writes 1e-05.
            let text = format!("{x:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            write!(f, "{digits}e{sign}{exponent:0>2}")
        }
    }
}

/// `True` or `False`.
pub(crate) struct PyBool(pub(crate) bool);

impl fmt::Display for PyBool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "True" } else { "False" })
    }
}

/// Sizes as a Python tuple: `(8, 4)`, `(8,)`, `()`.
pub(crate) struct PyTuple<'d>(pub(crate) &'d [usize]);

impl fmt::Display for PyTuple<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (i, size) in self.0.iter().enumerate() {
            write!(f, "{}{size}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str(if self.0.len() == 1 { ",)" } else { ")" })
    }
}

/// Columns with two blanks between; those of numbers end where the others begin.
pub(crate) struct Table<const N: usize> {
    pub(crate) rows: Vec<[String; N]>,
    pub(crate) numbers: [bool; N],
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |text: &String| text.chars().count();
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| length(&row[column]));
            cells.max().unwrap_or(0)
        });
        for (i, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let fill = " ".repeat(widths[column] - length(cell));
                let gap = if column == 0 { "" } else { "  " };
                line.push_str(gap);
                match self.numbers[column] {
                    true => line.extend([&*fill, cell]),
                    false => line.extend([cell, &*fill]),
                }
            }
            let end = if i + 1 == self.rows.len() { "" } else { "\n" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A count with commas between thousands: `804,096`.
pub(crate) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_python() {
        let floats = [
            0.0,
            0.1,
            1.0,
            1e-4,
            1e-5,
            2.5e-7,
            1e15,
            1e16,
            1.5e300,
            -1e-5,
            f64::INFINITY,
        ];
        let texts: Vec<_> = floats.iter().map(|&x| PyFloat(x).to_string()).collect();
        let python = [
            "0.0",
            "0.1",
            "1.0",
            "0.0001",
            "1e-05",
            "2.5e-07",
            "1000000000000000.0",
            "1e+16",
            "1.5e+300",
            "-1e-05",
            "inf",
        ];
        assert_eq!(texts, python);
        assert_eq!(PyTuple(&[8]).to_string(), "(8,)");
        assert_eq!(PyTuple(&[8, 4]).to_string(), "(8, 4)");
        assert_eq!(PyTuple(&[]).to_string(), "()");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [0, 12, 123, 1234, 804_096, 1_000_000].map(thousands),
            ["0", "12", "123", "1,234", "804,096", "1,000,000"]
        );
    }
}
