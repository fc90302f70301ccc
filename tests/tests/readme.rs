//! The README shows a program that exists.

/// Without comments, white space and what rustfmt adds when it breaks a line.
fn bare(program: &str) -> String {
    let code = program
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let code: String = code
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    code.replace(",}", "}")
}

#[test]
fn the_training_loop_of_the_readme_is_the_example() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../../crates/tiegrad/examples/training_loop.rs");
    let block = readme
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    assert_eq!(bare(block.unwrap()), bare(example));
}
