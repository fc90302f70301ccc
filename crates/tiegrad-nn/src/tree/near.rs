//! "Did you mean …": the paths that are most like one that leads nowhere.

use std::collections::HashMap;

use super::uses::Use;
use super::walk::components;

/// How many are named.
const MOST: usize = 3;
/// A component that was left out.
const GAP: usize = 30;
/// A component too many.
const SURPLUS: usize = 45;
/// A component that is another word: from here on, by how much it differs.
const OTHER: usize = 60;
/// Those that cost this much more than the best are left out.
const SLACK: usize = 40;

/// The paths most like `path`, which may be a pattern, the nearest first, equal ones in their order.
///
/// Paths are compared component by component: a swapped letter, another case or another number is near, and so is one wrong or missing
/// component in a path that is right otherwise. Of a path and what is below it only the nearer is named. O(paths).
pub(crate) fn near<'p>(path: &str, paths: impl IntoIterator<Item = &'p str>) -> Vec<String> {
    nearest(path, &mut paths.into_iter())
}

/// Compiled once for all iterators.
fn nearest<'p>(path: &str, paths: &mut dyn Iterator<Item = &'p str>) -> Vec<String> {
    let mut wanted: Vec<Wanted<'_, 'p>> = components(path).into_iter().map(Wanted::new).collect();
    let close = paths.filter_map(|other| {
        let parts = components(other);
        let (cost, most) = (cost(&mut wanted, &parts), 20 * (wanted.len() + parts.len()));
        (cost <= most).then_some((cost, other))
    });
    let mut close: Vec<_> = close.collect();
    close.sort_by_key(|(cost, _)| *cost); // stable
    let Some(&(best, _)) = close.first() else {
        return Vec::new();
    };
    let mut named: Vec<&str> = Vec::new();
    for (_, path) in close
        .into_iter()
        .take_while(|(cost, _)| *cost <= best + SLACK)
    {
        let told = |other: &&str| is_below(path, other) || is_below(other, path);
        if !named.iter().any(told) {
            named.push(path);
        }
        if named.len() == MOST {
            break;
        }
    }
    named.into_iter().map(str::to_owned).collect()
}

/// A component of the path that was asked for.
struct Wanted<'w, 'p> {
    part: &'w str,
    /// What it costs to replace it: a net has few names, in many paths.
    known: HashMap<&'p str, usize>,
}

impl<'w, 'p> Wanted<'w, 'p> {
    fn new(part: &'w str) -> Self {
        let known = HashMap::new();
        Self { part, known }
    }

    fn replacement(&mut self, other: &'p str) -> usize {
        let part = self.part;
        let cost = self.known.entry(other);
        *cost.or_insert_with(|| replacement(part, other))
    }
}

/// The same among the parameters of a net and the modules that hold them.
pub(crate) fn near_uses(path: &str, uses: &[Use]) -> Vec<String> {
    let mut last = "";
    let paths = uses.iter().flat_map(|each| {
        let before = std::mem::replace(&mut last, &each.path);
        let around = ends_of_components(&each.path)
            .map(|end| &each.path[..end])
            .filter(move |module| !is_below(before, module));
        around.chain([&*each.path])
    });
    near(path, paths)
}

/// Where the dots between components are.
fn ends_of_components(path: &str) -> impl Iterator<Item = usize> {
    let mut escaped = false;
    path.bytes().enumerate().filter_map(move |(i, b)| {
        let dot = b == b'.' && !escaped;
        escaped = b == b'\\' && !escaped;
        dot.then_some(i)
    })
}

fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// What it costs to turn one path into the other, by whole components.
fn cost<'p>(wanted: &mut [Wanted<'_, 'p>], path: &[&'p str]) -> usize {
    // The row of the last component of `wanted`, over those of `path`.
    let mut last: Vec<usize> = (0..=path.len()).map(|j| j * GAP).collect();
    for part in wanted {
        let deep = part.part == "**";
        let (gap, surplus) = if deep { (0, 0) } else { (GAP, SURPLUS) };
        let mut row = Vec::with_capacity(last.len());
        row.push(last[0] + surplus);
        for (j, &other) in path.iter().enumerate() {
            let replaced = last[j] + part.replacement(other);
            row.push(replaced.min(last[j + 1] + surplus).min(row[j] + gap));
        }
        last = row;
    }
    last[path.len()]
}

/// What it costs to replace one component by another.
fn replacement(a: &str, b: &str) -> usize {
    if a == b || a == "*" || a == "**" {
        return 0;
    }
    if let (Ok(a), Ok(b)) = (a.parse::<usize>(), b.parse::<usize>()) {
        return GAP + a.abs_diff(b).min(9);
    }
    let [a, b]: [Vec<char>; 2] =
        [a, b].map(|text| text.chars().flat_map(char::to_lowercase).collect());
    if a == b {
        return 5;
    }
    let (shorter, longer) = (a.len().min(b.len()), a.len().max(b.len()));
    let typos = distance(&a, &b);
    let most = (a.len() / 3).max(2);
    if typos <= most && typos < shorter {
        40 * typos / most
    } else {
        OTHER + 20 * typos / longer
    }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut two_ago: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_ago[j - 2] + 1);
            }
        }
        two_ago = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: [&str; 8] = [
        "wte.weight",
        "blocks.0.attn.query.weight",
        "blocks.0.attn.query.bias",
        "blocks.0.mlp.weight",
        "blocks.1.attn.query.weight",
        "blocks.1.attn.query.bias",
        "blocks.1.mlp.weight",
        "lm_head.weight",
    ];

    fn of(path: &str) -> Vec<String> {
        near(path, NET)
    }

    #[test]
    fn a_wrong_component_deep_in_a_path_is_found() {
        assert_eq!(of("blocks.1.attention.query.weight")[0], NET[4]);
        assert_eq!(of("blocks.1.attn.qeury.weight")[0], NET[4]);
        assert_eq!(of("blocks.1.atn.qry.weight")[0], NET[4]);
        assert_eq!(of("blocks.7.mlp.weight"), [NET[6], NET[3]]);
        assert_eq!(of("transformer.blocks.0.mlp.weight")[0], NET[3]);
        assert_eq!(of("query.bias"), [NET[2], NET[5]]);
        assert_eq!(of("blocks.*.atn.query.bias")[..2], [NET[2], NET[5]]);
        assert_eq!(of("**.mpl.weight")[..2], [NET[3], NET[6]]);
    }

    #[test]
    fn another_case_is_nearest() {
        assert_eq!(of("LM_Head.Weight"), [NET[7]]);
        assert_eq!(near("a.FC", ["a.fb", "a.fc"])[0], "a.fc");
    }

    #[test]
    fn what_has_nothing_in_common_is_not_near() {
        for path in ["gamma", "encoder.norm.gamma", "x", ""] {
            assert!(of(path).is_empty(), "{path}: {:?}", of(path));
        }
        assert!(near("q", ["k", "v"]).is_empty());
    }

    #[test]
    fn edits_are_counted() {
        let of = |a: &str, b: &str| {
            distance(
                &a.chars().collect::<Vec<_>>(),
                &b.chars().collect::<Vec<_>>(),
            )
        };
        assert_eq!(of("kitten", "sitting"), 3);
        assert_eq!(of("wieght", "weight"), 1);
        assert_eq!((of("abc", ""), of("", "ab"), of("ab", "ab")), (3, 2, 0));
    }
}
