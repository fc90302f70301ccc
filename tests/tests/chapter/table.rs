//! That no row of the table is without its test, and no heading of the guide without its rows.

/// The rows of the chapter, and what none of the three systems does. (Numbers that are left out are rows that merged into others.)
const ROWS: &[&str] = &[
    "r01", "r03", "r04", "r05", "r07", "r08", "r09", "r10", "r11", "r12", "r13", "r14", "r15",
    "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r22b", "r25", "r26", "r27", "r28", "r29",
    "r30", "r31", "r32", "r33", "r34", "r35", "r36", "r37", "r38", "r39", "r40", "r41", "r42",
    "r43", "r44", "r45", "r46", "r47", "r48", "r49", "r50", "r51", "r52", "r53", "e1", "e2", "e3",
    "e4", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8",
];

const SOURCES: &[&str] = &[
    include_str!("access.rs"),
    include_str!("nested.rs"),
    include_str!("shapes.rs"),
    include_str!("selection.rs"),
    include_str!("initialization.rs"),
    include_str!("library.rs"),
    include_str!("values.rs"),
    include_str!("ties.rs"),
    include_str!("tied_gradients.rs"),
    include_str!("exercises.rs"),
    include_str!("beyond.rs"),
];

/// The names of the functions with `#[test]` above them.
fn tests() -> Vec<&'static str> {
    let lines = SOURCES.iter().flat_map(|source| {
        let next = source.lines().skip(1);
        source.lines().zip(next)
    });
    lines
        .filter(|(attribute, _)| attribute.trim() == "#[test]")
        .filter_map(|(_, line)| line.trim().strip_prefix("fn ")?.split('(').next())
        .collect()
}

#[test]
fn every_row_has_a_test_of_its_name() {
    let tests = tests();
    let of = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
    for row in ROWS {
        assert!(tests.iter().any(|test| of(test) == *row), "no test {row}_…");
    }
    for test in tests {
        assert!(ROWS.contains(&&*of(test)), "{test} is of no row");
    }
}

#[test]
fn every_row_has_its_place_in_the_guide() {
    let guide = include_str!("../../../docs/guide.md");
    // Without the code, whose hidden lines begin with the same character.
    let prose = guide.split("```").step_by(2).flat_map(str::lines);
    let named: Vec<&str> = prose
        .filter(|line| line.starts_with('#'))
        .filter_map(|heading| heading.rsplit_once('(')?.1.strip_suffix(')'))
        .flat_map(|rows| rows.split(", "))
        .collect();
    for row in ROWS {
        assert!(named.contains(row), "no heading of the guide names {row}");
    }
    for row in named {
        assert!(
            ROWS.contains(&row),
            "a heading names {row}, which is no row"
        );
    }
}
