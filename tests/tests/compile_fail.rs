//! Property 2: values cannot change between forward and backward. The cases are programs that must not compile, with the compiler's words beside them.

#[test]
fn values_cannot_change_between_forward_and_backward() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile_fail/step_after_last_use.rs");
    cases.compile_fail("tests/compile_fail/step_before_backward.rs");
    cases.compile_fail("tests/compile_fail/write_before_backward.rs");
    cases.compile_fail("tests/compile_fail/var_outlives_tape_reset.rs");
}
