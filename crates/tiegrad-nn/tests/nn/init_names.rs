//! Initializers by name, the table of gains, and what an initializer cannot fill.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::init::InitError;
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(5)
}

#[test]
fn names_of_three_systems() {
    let name = |text: &str| init::by_name(text).map(|made| made.describe());
    for (system, known) in init::names() {
        let settings = match known {
            "constant" | "sparse" => "(0.5)",
            _ => "",
        };
        let qualified = match system {
            "" => known.to_owned(),
            system => format!("{system}.{known}"),
        };
        assert!(name(&format!("{known}{settings}")).is_ok(), "{known}");
        assert!(
            name(&format!("{qualified}{settings}")).is_ok(),
            "{qualified}"
        );
        // What it says of itself makes the same.
        let said = name(&format!("{qualified}{settings}")).unwrap();
        assert_eq!(name(&said).unwrap(), said);
    }
    // As each system writes them.
    for (text, said) in [
        (
            "torch.nn.init.kaiming_uniform_",
            "kaiming_uniform(mode=fan_in, gain=1.4142135623730951)",
        ),
        (
            "kaiming_normal_(0, 'fan_out', 'tanh')",
            "kaiming_normal(mode=fan_out, gain=1.6666666666666667)",
        ),
        (
            "trunc_normal_(std=0.02)",
            "trunc_normal(mean=0, std=0.02, low=-2, high=2)",
        ),
        ("eye_", "identity(gain=1)"),
        ("dirac_(2)", "dirac(groups=2)"),
        ("sparse_(sparsity=0.9)", "sparse(sparsity=0.9, std=0.01)"),
        (
            "HeNormal",
            "variance_scaling(mode=fan_in, gain=1.4142135623730951, distribution=truncated_normal)",
        ),
        ("glorot_uniform", "xavier_uniform(gain=1)"),
        (
            "VarianceScaling(scale=4, mode=\"fan_out\", distribution=uniform)",
            "kaiming_uniform(mode=fan_out, gain=2)",
        ),
        (
            "TruncatedNormal",
            "trunc_normal(mean=0, std=0.05, low=-0.1, high=0.1)",
        ),
        ("OrthogonalInitializer", "orthogonal(gain=1)"),
        ("Identity(2)", "identity(gain=2)"),
        ("mx.init.Orthogonal", "orthogonal(gain=1.414)"),
        ("Xavier", "xavier_uniform(gain=1)"),
        (
            "MSRAPrelu(in, 0)",
            "kaiming_normal(mode=fan_in, gain=1.4142135623730951)",
        ),
        ("LSTMBias", "lstm_bias(forget_bias=1)"),
        ("Bilinear", "bilinear"),
        ("Zero", "zeros"),
        ("ones_", "ones"),
        ("constant_(val=0.25)", "constant(0.25)"),
        ("keras.Constant", "zeros"),
        ("pytorch_default", "pytorch_default"),
    ] {
        assert_eq!(name(text).as_deref(), Ok(said), "{text}");
    }
    let error = |text: &str| name(text).unwrap_err().to_string();
    assert!(
        error("xaver_uniform_")
            .starts_with(r#"there is no initializer "xaver_uniform_"; near it: "xavier_uniform""#)
    );
    assert_eq!(
        error("keras.sparse"),
        r#"there is no initializer "keras.sparse"; near it: "sparse""#
    );
    assert_eq!(
        error("normal(sdt=1)"),
        r#"the initializer "normal(sdt=1)": it has no setting "sdt""#
    );
    assert_eq!(
        error("normal(0, 1, 2)"),
        r#"the initializer "normal(0, 1, 2)": "2" is one setting too many"#
    );
    assert_eq!(
        error("normal(0, big)"),
        r#"the initializer "normal(0, big)": std is a number, got "big""#
    );
    assert_eq!(
        error("constant"),
        r#"the initializer "constant": it needs its value, as in value=0.5"#
    );
    assert_eq!(
        error("normal(0"),
        r#"the initializer "normal(0": the parenthesis is not closed"#
    );
    assert!(error("kaiming_uniform(mode=fan_on)").contains("a mode is fan_in, fan_out or fan_avg"));
    assert!(error("dirac(0.5)").contains("a whole number"));
}

#[test]
fn the_table_of_gains_is_pytorchs() {
    use std::f64::consts::SQRT_2;
    let table = [
        ("linear", 1.0),
        ("conv1d", 1.0),
        ("conv2d", 1.0),
        ("conv3d", 1.0),
        ("conv_transpose1d", 1.0),
        ("conv_transpose2d", 1.0),
        ("conv_transpose3d", 1.0),
        ("sigmoid", 1.0),
        ("tanh", 5.0 / 3.0),
        ("relu", SQRT_2),
        ("leaky_relu", (2.0_f64 / (1.0 + 0.01 * 0.01)).sqrt()),
        ("selu", 0.75),
    ];
    for (name, gain) in table {
        assert_eq!(init::calculate_gain(name, None), Ok(gain), "{name}");
    }
    assert_eq!(init::calculate_gain("leaky_relu", Some(0.0)), Ok(SQRT_2));
    assert_eq!(init::calculate_gain("relu", Some(0.5)), Ok(SQRT_2));
    let error = init::calculate_gain("gelu", None).unwrap_err().to_string();
    assert!(
        error.contains("no gain is known for \"gelu\"; known are"),
        "{error}"
    );
}

#[test]
fn shapes_that_an_initializer_cannot_fill() {
    let mut params = Params::<f32>::new();
    let mut error = |shape: &[usize], initializer: Box<dyn Initializer>| {
        let id = params.insert_with(Shape::new(shape).unwrap(), |_| {});
        let error = init::fill(&mut params, id, initializer, &mut rng()).unwrap_err();
        assert!(matches!(error, InitError::Unsuitable { .. }));
        error.to_string()
    };
    for (shape, initializer, why) in [
        (
            &[4][..],
            init::orthogonal().boxed(),
            "two dimensions or more",
        ),
        (&[4, 4], init::orthogonal().gain(f64::NAN).boxed(), "finite"),
        (&[4], init::eye().boxed(), "two dimensions"),
        (&[4, 4], init::dirac(1).boxed(), "three, four or five"),
        (&[4], init::dirac(1).boxed(), "three, four or five"),
        (
            &[1, 1, 1, 1, 1, 1],
            init::dirac(1).boxed(),
            "three, four or five",
        ),
        (&[4, 4, 3], init::dirac(3).boxed(), "do not divide 4"),
        (&[4, 4, 3], init::dirac(0).boxed(), "do not divide 4"),
        (&[4, 4, 3], init::sparse(0.5, 0.1).boxed(), "two dimensions"),
        (&[4, 4], init::sparse(1.5, 0.1).boxed(), "between 0 and 1"),
        (
            &[4, 4],
            init::sparse(0.5, -0.1).boxed(),
            "standard deviation",
        ),
        (&[4, 4], init::bilinear().boxed(), "four dimensions"),
        (&[6], init::lstm_bias(1.0).boxed(), "four gates"),
        (&[], init::lstm_bias(1.0).boxed(), "four gates"),
    ] {
        let found = error(shape, initializer);
        assert!(found.contains(why), "{shape:?}: {found}");
    }
    // A source that repeats itself has no independent vectors; it must not hang.
    struct Same;
    impl rand::TryRng for Same {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(7)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(1 << 60)
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.fill(7);
            Ok(())
        }
    }
    let id = params.insert_with(Shape::new(&[3, 3]).unwrap(), |_| {});
    let stuck = init::fill(&mut params, id, init::orthogonal(), &mut Same).unwrap_err();
    assert!(stuck.to_string().contains("repeats itself"));
}
