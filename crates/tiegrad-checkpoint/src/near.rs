//! "Did you mean …": the names of a list that a name was probably meant to be.

/// At most three names of `known` that are near `name`, the nearest first.
pub(crate) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let limit = (name.chars().count() / 4).max(2);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|other| Some((distance(name, other, limit)?, other)))
        .collect();
    found.sort_unstable();
    found.into_iter().take(3).map(|(_, n)| n.into()).collect()
}

/// How far two names are apart: 0 where one is the other below a prefix (`h.0.weight`, `transformer.h.0.weight`), else the
/// number of edits; `None` beyond `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if !short.is_empty() && long.strip_suffix(short).is_some_and(|p| p.ends_with('.')) {
        return Some(0);
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().filter(|&edits| edits <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance("kitten", "sitting", 9), Some(3));
        assert_eq!(distance("abc", "abc", 2), Some(0));
        assert_eq!(distance("abc", "", 3), Some(3));
        assert_eq!(distance("abc", "xyz", 2), None);
    }

    #[test]
    fn the_nearest_comes_first() {
        let known = ["blocks.1.weigth", "blocks.1.weight", "blocks.1.bias"];
        assert_eq!(
            near("blocks.0.weight", known),
            ["blocks.1.weight", "blocks.1.weigth"]
        );
        assert_eq!(
            near("h.0.w", ["transformer.h.0.w", "h.1.w"]),
            ["transformer.h.0.w", "h.1.w"]
        );
        assert!(near("weight", ["gamma", "beta"]).is_empty());
    }
}
