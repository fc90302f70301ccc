//! Initializers by the names that PyTorch, Keras and Gluon have for them.

use super::{Distribution, Fan, InitError, Initializer, VarianceScaling, calculate_gain};
use super::{bilinear, dirac, eye, identity, lstm_bias, orthogonal, sparse};
use super::{constant, normal, ones, trunc_normal, uniform, zeros};
use super::{glorot_normal, glorot_uniform};
use super::{gluon_default, keras_default, pytorch_default};
use super::{gluon_xavier, kaiming_normal, kaiming_uniform, msra_prelu, variance_scaling};
use super::{he_normal, he_uniform, lecun_normal, lecun_uniform, xavier_normal, xavier_uniform};
use crate::tree::near;

/// An initializer by its name in PyTorch, Keras or Gluon, with that system's settings, or by the name with which errors of this crate call it.
///
/// Case, underscores and a final `_` do not matter: `kaiming_uniform_`, `GlorotUniform`, `MSRAPrelu`. Settings that are not the default stand in parentheses, by name or
/// in the system's order. Where two systems mean different things by one name, PyTorch's comes first, then Keras's; `keras.uniform` and `gluon.uniform` say which.
///
/// Gluon's `Orthogonal` begins with uniform numbers unless told otherwise; the one here with normal ones, so that it is uniform over all orthogonal matrices. Gluon's
/// `Mixed` is [`init_each`](crate::InitExt::init_each), its `Load` a checkpoint.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::init::Initializer;
/// # fn name(text: &str) -> Result<String, init::InitError> { Ok(init::by_name(text)?.describe()) }
/// assert_eq!(name("xavier_uniform_")?, "xavier_uniform(gain=1)");
/// assert_eq!(name("normal(std=0.01)")?, "normal(mean=0, std=0.01)");
/// assert_eq!(name("RandomNormal")?, "normal(mean=0, std=0.05)");
/// assert_eq!(name("uniform")?, "uniform(low=0, high=1)");
/// assert_eq!(name("gluon.uniform")?, "uniform(low=-0.07, high=0.07)");
/// assert_eq!(name("kaiming_normal_(mode=fan_out, a=1)")?, "kaiming_normal(mode=fan_out, gain=1)");
/// let error = name("xavier_unifrom").unwrap_err().to_string();
/// assert!(error.starts_with(r#"there is no initializer "xavier_unifrom"; near it: "xavier_uniform""#));
/// # Ok::<(), init::InitError>(())
/// ```
///
/// # Errors
/// [`InitError::UnknownName`]; [`InitError::Setting`] for a setting that the initializer does not have, or lacks (`constant`, `sparse`), or that is no number.
pub fn by_name(text: &str) -> Result<Box<dyn Initializer>, InitError> {
    let (path, settings) = match text.trim().split_once('(') {
        None => (text.trim(), ""),
        Some((path, rest)) => match rest.strip_suffix(')') {
            Some(settings) => (path.trim(), settings),
            None => return Err(wrong(text, "the parenthesis is not closed")),
        },
    };
    let (system, name) = match path.rsplit_once('.') {
        Some((system, name)) => (system.split('.').next(), name),
        None => (None, path),
    };
    let asked = squashed(name);
    let row = TABLE.iter().find(|row| {
        let system = system.is_none_or(|system| row.system.contains(&system));
        system && row.names.iter().any(|known| squashed(known) == asked)
    });
    let Some(row) = row else {
        return Err(InitError::UnknownName {
            name: path.to_owned(),
            near: suggestions(name),
        });
    };
    let mut settings = Settings::new(settings);
    let made = (row.make)(&mut settings).map_err(|what| wrong(text, &what))?;
    settings.all_used().map_err(|what| wrong(text, &what))?;
    Ok(made)
}

/// Every name that [`by_name`] knows, with its system: `pytorch`, `keras` or `gluon`; the three `…_default` are of none.
///
/// ```
/// use tiegrad_nn::init;
/// assert!(init::names().any(|name| name == ("gluon", "msra_prelu")));
/// ```
pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().flat_map(|row| {
        let system = row.system.first().copied().unwrap_or_default();
        row.names.iter().map(move |name| (system, *name))
    })
}

fn wrong(text: &str, what: &str) -> InitError {
    InitError::Setting {
        what: format!("the initializer {text:?}: {what}"),
    }
}

/// Without what does not matter.
fn squashed(name: &str) -> String {
    let letters = name.chars().filter(|c| *c != '_');
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

fn suggestions(name: &str) -> Vec<String> {
    let mut known: Vec<&str> = names().map(|(_, name)| name).collect();
    known.sort_unstable();
    known.dedup();
    near(name.trim_end_matches('_'), known)
}

/// An initializer under the names of a system.
struct Row {
    /// What may stand before the dot; the first is what [`names`] says.
    system: &'static [&'static str],
    names: &'static [&'static str],
    make: fn(&mut Settings<'_>) -> Result<Box<dyn Initializer>, String>,
}

const PYTORCH: &[&str] = &["pytorch", "torch"];
const KERAS: &[&str] = &["keras", "tf"];
const GLUON: &[&str] = &["gluon", "mxnet", "mx"];

/// Where several rows have a name, the first is what it means without a system.
static TABLE: &[Row] = &[
    row(PYTORCH, &["uniform"], |s| {
        let (low, high) = (s.number("low|a", 0.0)?, s.number("high|b", 1.0)?);
        Ok(uniform(low, high).boxed())
    }),
    row(PYTORCH, &["normal"], |s| {
        Ok(normal(s.number("mean", 0.0)?, s.number("std", 1.0)?).boxed())
    }),
    row(PYTORCH, &["constant"], |s| {
        Ok(constant(s.required("value|val")?).boxed())
    }),
    row(PYTORCH, &["ones"], |_| Ok(ones().boxed())),
    row(PYTORCH, &["zeros"], |_| Ok(zeros().boxed())),
    row(PYTORCH, &["eye"], |_| Ok(eye().boxed())),
    row(PYTORCH, &["dirac"], |s| {
        let groups = s.number("groups", 1.0)?;
        match groups >= 0.0 && groups.fract() == 0.0 {
            true => Ok(dirac(groups as usize).boxed()),
            false => Err(format!("groups is a whole number, got {groups}")),
        }
    }),
    row(PYTORCH, &["xavier_uniform"], |s| {
        Ok(xavier_uniform().gain(s.number("gain", 1.0)?).boxed())
    }),
    row(PYTORCH, &["xavier_normal"], |s| {
        Ok(xavier_normal().gain(s.number("gain", 1.0)?).boxed())
    }),
    row(PYTORCH, &["kaiming_uniform"], |s| {
        kaiming(kaiming_uniform(), s)
    }),
    row(PYTORCH, &["kaiming_normal"], |s| {
        kaiming(kaiming_normal(), s)
    }),
    row(PYTORCH, &["trunc_normal"], |s| {
        let (mean, std) = (s.number("mean", 0.0)?, s.number("std", 1.0)?);
        let (low, high) = (s.number("low|a", -2.0)?, s.number("high|b", 2.0)?);
        Ok(trunc_normal(mean, std, low, high).boxed())
    }),
    row(PYTORCH, &["orthogonal"], |s| {
        Ok(orthogonal().gain(s.number("gain", 1.0)?).boxed())
    }),
    row(PYTORCH, &["sparse"], |s| {
        Ok(sparse(s.required("sparsity")?, s.number("std", 0.01)?).boxed())
    }),
    row(KERAS, &["random_uniform", "uniform"], |s| {
        let (low, high) = (
            s.number("minval|low", -0.05)?,
            s.number("maxval|high", 0.05)?,
        );
        Ok(uniform(low, high).boxed())
    }),
    row(KERAS, &["random_normal", "normal"], |s| {
        Ok(normal(s.number("mean", 0.0)?, s.number("stddev|std", 0.05)?).boxed())
    }),
    row(KERAS, &["truncated_normal"], |s| {
        let (mean, std) = (s.number("mean", 0.0)?, s.number("stddev|std", 0.05)?);
        Ok(trunc_normal(mean, std, mean - 2.0 * std, mean + 2.0 * std).boxed())
    }),
    row(KERAS, &["constant"], |s| {
        Ok(constant(s.number("value", 0.0)?).boxed())
    }),
    row(KERAS, &["ones", "one"], |_| Ok(ones().boxed())),
    row(KERAS, &["zeros", "zero"], |_| Ok(zeros().boxed())),
    row(KERAS, &["identity", "identity_initializer"], |s| {
        Ok(identity(s.number("gain", 1.0)?).boxed())
    }),
    row(KERAS, &["orthogonal", "orthogonal_initializer"], |s| {
        Ok(orthogonal().gain(s.number("gain", 1.0)?).boxed())
    }),
    row(KERAS, &["glorot_uniform"], |_| Ok(glorot_uniform().boxed())),
    row(KERAS, &["glorot_normal"], |_| Ok(glorot_normal().boxed())),
    row(KERAS, &["he_uniform"], |_| Ok(he_uniform().boxed())),
    row(KERAS, &["he_normal"], |_| Ok(he_normal().boxed())),
    row(KERAS, &["lecun_uniform"], |_| Ok(lecun_uniform().boxed())),
    row(KERAS, &["lecun_normal"], |_| Ok(lecun_normal().boxed())),
    row(KERAS, &["variance_scaling"], |s| {
        let scale = s.number("scale", 1.0)?;
        let mode = fan(s.word("mode", "fan_in"))?;
        let distribution = distribution(s.word("distribution", "truncated_normal"))?;
        let made = variance_scaling(scale, mode, distribution);
        // What `name` says, so that it can be read back without rounding.
        Ok(match s.optional("gain")? {
            Some(gain) => made.gain(gain).boxed(),
            None => made.boxed(),
        })
    }),
    row(GLUON, &["uniform"], |s| {
        let scale = s.number("scale", 0.07)?;
        Ok(uniform(-scale, scale).boxed())
    }),
    row(GLUON, &["normal"], |s| {
        Ok(normal(0.0, s.number("sigma", 0.01)?).boxed())
    }),
    row(GLUON, &["constant"], |s| {
        Ok(constant(s.required("value")?).boxed())
    }),
    row(GLUON, &["one", "ones"], |_| Ok(ones().boxed())),
    row(GLUON, &["zero", "zeros"], |_| Ok(zeros().boxed())),
    row(GLUON, &["orthogonal"], |s| {
        // MXNet's number, which it rounds itself.
        Ok(orthogonal().gain(s.number("scale", 1.414)?).boxed())
    }),
    row(GLUON, &["xavier"], |s| {
        let rnd_type = distribution(s.word("rnd_type", "uniform"))?;
        let factor_type = fan(s.word("factor_type", "avg"))?;
        Ok(gluon_xavier(rnd_type, factor_type, s.number("magnitude", 3.0)?).boxed())
    }),
    row(GLUON, &["msra_prelu"], |s| {
        let factor_type = fan(s.word("factor_type", "avg"))?;
        Ok(msra_prelu(factor_type, s.number("slope", 0.25)?).boxed())
    }),
    row(GLUON, &["bilinear"], |_| Ok(bilinear().boxed())),
    row(GLUON, &["lstm_bias"], |s| {
        Ok(lstm_bias(s.number("forget_bias", 1.0)?).boxed())
    }),
    row(&[], &["pytorch_default"], |_| Ok(pytorch_default().boxed())),
    row(&[], &["keras_default"], |_| Ok(keras_default().boxed())),
    row(&[], &["gluon_default"], |_| Ok(gluon_default().boxed())),
];

const fn row(
    system: &'static [&'static str],
    names: &'static [&'static str],
    make: fn(&mut Settings<'_>) -> Result<Box<dyn Initializer>, String>,
) -> Row {
    Row {
        system,
        names,
        make,
    }
}

fn kaiming(
    scaling: VarianceScaling,
    settings: &mut Settings<'_>,
) -> Result<Box<dyn Initializer>, String> {
    let a = settings.number("a", 0.0)?;
    let scaling = scaling.fan(fan(settings.word("mode", "fan_in"))?);
    let nonlinearity = settings.word("nonlinearity", "leaky_relu");
    let gain = calculate_gain(nonlinearity, Some(a)).map_err(|error| error.to_string())?;
    Ok(scaling
        .gain(settings.optional("gain")?.unwrap_or(gain))
        .boxed())
}

fn fan(word: &str) -> Result<Fan, String> {
    match word {
        "fan_in" | "in" => Ok(Fan::In),
        "fan_out" | "out" => Ok(Fan::Out),
        "fan_avg" | "avg" => Ok(Fan::Average),
        _ => Err(format!(
            "a mode is fan_in, fan_out or fan_avg, got {word:?}"
        )),
    }
}

fn distribution(word: &str) -> Result<Distribution, String> {
    match word {
        "uniform" => Ok(Distribution::Uniform),
        "untruncated_normal" | "gaussian" => Ok(Distribution::Normal),
        // Keras's `normal` was always the truncated one.
        "truncated_normal" | "normal" => Ok(Distribution::TruncatedNormal),
        _ => Err(format!(
            "a distribution is uniform, truncated_normal or untruncated_normal (gaussian), got {word:?}"
        )),
    }
}

/// What stands in the parentheses.
struct Settings<'t> {
    /// Name, if it has one, and value; `None` once it has been asked for.
    given: Vec<Option<(Option<&'t str>, &'t str)>>,
}

impl<'t> Settings<'t> {
    fn new(text: &'t str) -> Self {
        let parts = text.split(',').map(str::trim).filter(|s| !s.is_empty());
        let given = parts.map(|part| match part.split_once('=') {
            Some((name, value)) => (Some(name.trim()), value.trim()),
            None => (None, part),
        });
        Self {
            given: given.map(Some).collect(),
        }
    }

    /// The setting under one of these names (`a|b`), or the next without a name.
    fn take(&mut self, names: &str) -> Option<&'t str> {
        let named = |name: &str| names.split('|').any(|known| known == name);
        let at = (self.given.iter())
            .position(|one| matches!(one, Some((Some(name), _)) if named(name)))
            .or_else(|| (self.given.iter()).position(|one| matches!(one, Some((None, _)))))?;
        self.given[at].take().map(|(_, value)| value)
    }

    fn word(&mut self, names: &str, default: &'t str) -> &'t str {
        self.take(names)
            .map_or(default, |word| word.trim_matches(['"', '\'']))
    }

    fn optional(&mut self, names: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.take(names) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => {
                let name = names.split('|').next().unwrap_or(names);
                Err(format!("{name} is a number, got {value:?}"))
            }
        }
    }

    fn number(&mut self, names: &str, default: f64) -> Result<f64, String> {
        Ok(self.optional(names)?.unwrap_or(default))
    }

    fn required(&mut self, names: &str) -> Result<f64, String> {
        let name = names.split('|').next().unwrap_or(names);
        self.optional(names)?
            .ok_or_else(|| format!("it needs its {name}, as in {name}=0.5"))
    }

    fn all_used(&self) -> Result<(), String> {
        match self.given.iter().flatten().next() {
            None => Ok(()),
            Some((Some(name), _)) => Err(format!("it has no setting {name:?}")),
            Some((None, value)) => Err(format!("{value:?} is one setting too many")),
        }
    }
}
