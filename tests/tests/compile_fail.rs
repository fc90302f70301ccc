//! Property 2: values cannot change between forward and backward. The cases are programs that must not compile, with the compiler's words beside them.

/// The other side of the coin compiles and runs, as a part of this test: trybuild would build the whole engine once more to link it.
#[allow(clippy::unwrap_used, reason = "a test, if not one of its own")]
#[path = "compile_fail/step_after_last_use.rs"]
mod step_after_last_use;

#[test]
fn values_cannot_change_between_forward_and_backward() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/compile_fail/step_before_backward.rs");
    cases.compile_fail("tests/compile_fail/write_before_backward.rs");
    cases.compile_fail("tests/compile_fail/remove_before_backward.rs");
    cases.compile_fail("tests/compile_fail/zero_grad_before_backward.rs");
    cases.compile_fail("tests/compile_fail/var_outlives_tape_reset.rs");
    cases.compile_fail("tests/compile_fail/two_recordings_at_once.rs");
}

#[test]
fn after_the_last_use_no_block_and_no_drop_is_needed() {
    step_after_last_use::main();
}
