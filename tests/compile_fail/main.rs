//! Programs that must not compile, with the compiler's words beside them. They are one program's cases because trybuild checks the whole engine for each.

#![allow(clippy::unwrap_used, reason = "also in the helpers of tests")]

/// The other side of the coin compiles and runs, as a part of this test: trybuild would build the whole engine once more to link it.
#[path = "cases/step_after_last_use.rs"]
mod step_after_last_use;

/// Property 2: values cannot change between forward and backward; and what `#[derive(Module)]` refuses.
#[test]
fn wrong_programs_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("cases/step_before_backward.rs");
    cases.compile_fail("cases/write_before_backward.rs");
    cases.compile_fail("cases/remove_before_backward.rs");
    cases.compile_fail("cases/zero_grad_before_backward.rs");
    cases.compile_fail("cases/var_outlives_tape_reset.rs");
    cases.compile_fail("cases/two_recordings_at_once.rs");
    cases.compile_fail("cases/attributes.rs");
}

/// The lists of this file are written by hand; nothing in the folder is left out.
#[test]
fn every_case_is_in_a_test() {
    let cases = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/cases")).unwrap();
    for case in cases {
        // An error's text belongs to the program beside it.
        let path = case.unwrap().path().with_extension("rs");
        let name = path.file_name().unwrap().to_str().unwrap();
        let quoted = format!("\"cases/{name}\"");
        assert!(
            include_str!("main.rs").contains(&quoted),
            "{name} is in no test"
        );
    }
}

#[test]
fn after_the_last_use_no_block_and_no_drop_is_needed() {
    step_after_last_use::main();
}
