//! The settings of optimizers as a table: names, ranges, values.

/// A setting that some optimizer has. Switches are 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Lr,
    WeightDecay,
    Momentum,
    Dampening,
    Nesterov,
    Beta1,
    Beta2,
    Eps,
    Alpha,
    Amsgrad,
    Centered,
    DecoupledWeightDecay,
    Maximize,
}

const COUNT: usize = Setting::Maximize as usize + 1;

impl Setting {
    /// PyTorch's name; `betas` comes in two parts.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lr => "lr",
            Self::WeightDecay => "weight_decay",
            Self::Momentum => "momentum",
            Self::Dampening => "dampening",
            Self::Nesterov => "nesterov",
            Self::Beta1 => "beta1",
            Self::Beta2 => "beta2",
            Self::Eps => "eps",
            Self::Alpha => "alpha",
            Self::Amsgrad => "amsgrad",
            Self::Centered => "centered",
            Self::DecoupledWeightDecay => "decoupled_weight_decay",
            Self::Maximize => "maximize",
        }
    }

    /// What is wrong with a value, as what it should be.
    pub(crate) fn objection(self, value: f64) -> Option<&'static str> {
        let (good, expected) = match self {
            Self::Lr | Self::WeightDecay | Self::Momentum | Self::Eps => (
                value >= 0.0 && value.is_finite(),
                "a finite number that is not negative",
            ),
            Self::Beta1 | Self::Beta2 => {
                ((0.0..1.0).contains(&value), "at least 0 and less than 1")
            }
            Self::Alpha => ((0.0..=1.0).contains(&value), "at least 0 and at most 1"),
            Self::Dampening => (value.is_finite(), "a finite number"),
            Self::Nesterov
            | Self::Amsgrad
            | Self::Centered
            | Self::DecoupledWeightDecay
            | Self::Maximize => (value == 0.0 || value == 1.0, "0 or 1"),
        };
        (!good).then_some(expected)
    }
}

/// A value for every setting; those that an optimizer does not have are 0 and not looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings([f64; COUNT]);

impl Settings {
    pub(crate) fn of(table: &[(Setting, f64)]) -> Self {
        let mut settings = Self([0.0; COUNT]);
        for &(setting, value) in table {
            settings.set(setting, value);
        }
        settings
    }

    #[inline]
    pub(crate) fn get(&self, setting: Setting) -> f64 {
        self.0[setting as usize]
    }

    /// Whether a switch is on.
    #[inline]
    pub(crate) fn on(&self, setting: Setting) -> bool {
        self.get(setting) != 0.0
    }

    #[inline]
    pub(crate) fn set(&mut self, setting: Setting, value: f64) {
        self.0[setting as usize] = value;
    }
}
